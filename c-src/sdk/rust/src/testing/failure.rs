//! The error of a failed call in a test.

use crate::ffi::{error_text, CLOSED};
use std::fmt;
use std::os::raw::c_int;

/// The error of a failed call, as Lua gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The second result.
    pub message: String,
    /// The third: `runtime_error`, `timeout`, `cancelled`, `queue_full`, `closed`.
    pub code: &'static str,
    /// The fourth: a stack, say.
    pub detail: String,
    /// The code of [`crate::Error::code`], or 0.
    pub rc: i32,
}

impl Failure {
    pub(super) fn of(code: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), code, detail: String::new(), rc: 0 }
    }

    /// Of a call that was not taken.
    pub(super) fn refused(code: c_int) -> Self {
        let name = match code {
            -4 => "queue_full",
            CLOSED => "closed",
            _ => "invalid",
        };
        Self::of(name, error_text(code))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
