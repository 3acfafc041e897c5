//! The error that the caller gets for an error of a handler or of a start.

use crate::error::{BoxError, Error};
use crate::ffi::{Task, TaskResponse};
use crate::panics::catch;
use std::error::Error as StdError;

/// Why calls fail while a runtime does not start.
pub(crate) fn start_error(error: &(dyn StdError + 'static)) -> BoxError {
    let Error { message, detail, .. } = report(error);
    Error::new(format!("the runtime did not start: {}", message)).detail(detail).into()
}

/// The error that the caller gets.
pub(crate) fn failure(task: Task, error: &(dyn StdError + 'static)) -> TaskResponse {
    match report(error) {
        Error { message, detail, code: 0 } => TaskResponse::Error { task, message, detail },
        Error { message, code, .. } => TaskResponse::Code { task, code, message },
    }
}

/// Converts an error to its text, with its causes as detail. User code formats the text; if it
/// panics, the panic is reported instead.
pub(crate) fn report(error: &(dyn StdError + 'static)) -> Error {
    catch(|| describe(error)).unwrap_or_else(|panic| describe(&*panic))
}

fn describe(error: &(dyn StdError + 'static)) -> Error {
    let message = error.to_string();
    match detail_of(error) {
        Some(known) => Error { message, detail: known.detail.clone(), code: known.code },
        None => Error { message, detail: causes(error), code: 0 },
    }
}

/// The [`Error`] that this is, or that has caused it.
fn detail_of<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if let Some(known) = one.downcast_ref::<Error>() {
            return Some(known);
        }
        cause = one.source();
    }
    None
}

fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut lines = Vec::new();
    let mut cause = error.source();
    while let Some(one) = cause {
        lines.push(format!("caused by: {}", one));
        cause = one.source();
    }
    lines.join("\n")
}
