//! Levels of nginx's error log.

/// A level of nginx's error.log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `error`
    Error = 1,
    /// `warn`
    Warn,
    /// `notice`
    Notice,
    /// `info`
    Info,
    /// `debug`
    Debug,
}

#[cfg(test)]
impl Level {
    pub(crate) const ALL: [Level; 5] =
        [Level::Error, Level::Warn, Level::Notice, Level::Info, Level::Debug];
}
