//! Errors of handlers.

use std::error::Error as StdError;
use std::fmt;

/// Any error. `?` converts every error type, `.into()` a text; errors of the crate `anyhow` convert
/// as well.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error with a detail or a code. Other errors arrive in Lua with their text, and their causes
/// as detail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Error {
    pub(crate) message: String,
    pub(crate) detail: String,
    pub(crate) code: i32,
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
