//! The error that the caller gets for an error of a handler or of a start.

use crate::error::{BoxError, Error};
use crate::ffi::{Task, TaskResponse};
use crate::panics::{catch, discard};
use std::error::Error as StdError;

/// A chain of causes may have no end.
const MAX_CAUSES: usize = 100;

/// Returns the error of calls while the runtime cannot start.
pub(crate) fn start_error(error: &Error) -> Error {
    let message = format!("the runtime did not start: {}", error.message);
    Error { message, ..error.clone() }
}

/// Returns the response with an error.
pub(crate) fn failure(task: Task, error: Error) -> TaskResponse {
    match error {
        Error { message, detail, code: 0 } => TaskResponse::Error { task, message, detail },
        Error { message, code, .. } => TaskResponse::Code { task, code, message },
    }
}

/// Converts an error to its text, with its causes as detail. User code formats the text; if it
/// panics, the panic is reported instead.
pub(crate) fn report(error: BoxError) -> Error {
    let known = catch(|| describe(&*error)).unwrap_or_else(|panic| describe(&*panic));
    discard(error);
    known
}

fn describe(error: &(dyn StdError + 'static)) -> Error {
    let message = error.to_string();
    match detail_of(error) {
        Some(known) => Error { message, detail: known.detail.clone(), code: known.code },
        None => Error { message, detail: causes(error), code: 0 },
    }
}

/// Returns the first [`Error`] among this error and its causes.
fn detail_of<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    chain(Some(error)).find_map(|one| one.downcast_ref())
}

fn causes(error: &(dyn StdError + 'static)) -> String {
    let lines: Vec<_> = chain(error.source()).map(|one| format!("caused by: {}", one)).collect();
    lines.join("\n")
}

fn chain<'e>(
    first: Option<&'e (dyn StdError + 'static)>,
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(first, |&one| one.source()).take(MAX_CAUSES)
}
