//! Errors of handlers, and the error that the caller gets.

use crate::ffi::{Answer, Task};
use crate::panics::catch;
use std::error::Error as StdError;
use std::fmt;

/// Any error. `?` converts every error type, `.into()` a text; errors of the crate `anyhow` convert
/// as well.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error with a detail or a code. Other errors arrive in Lua with their text, and their causes
/// as detail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Error {
    message: String,
    detail: String,
    code: i32,
}

impl Error {
    /// The message is the second result of the call in Lua.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The fourth result, unless there is a code.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// A number of the runtime's own, not 0, as the fourth result.
    #[must_use]
    pub fn code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {}

/// Why calls fail while a runtime does not start.
pub(crate) fn start_error(error: &(dyn StdError + 'static)) -> BoxError {
    let Error { message, detail, .. } = told(error);
    Error::new(format!("the runtime did not start: {}", message)).detail(detail).into()
}

/// The error that the caller gets.
pub(crate) fn failure(task: Task, error: &(dyn StdError + 'static)) -> Answer {
    match told(error) {
        Error { message, detail, code: 0 } => Answer::Error { task, message, detail },
        Error { message, code, .. } => Answer::Code { task, code, message },
    }
}

/// Converts an error to its text, with its causes as detail. User code formats the text; if it
/// panics, the panic is reported instead.
pub(crate) fn told(error: &(dyn StdError + 'static)) -> Error {
    catch(|| described(error)).unwrap_or_else(|panic| described(&*panic))
}

fn described(error: &(dyn StdError + 'static)) -> Error {
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
