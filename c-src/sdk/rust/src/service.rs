//! The methods of one runtime.

use crate::handler::{Handler, Kind};
use std::collections::HashMap;

/// What one configuration of a runtime answers: its methods, each by a handler of its own.
pub struct Service {
    methods: HashMap<Vec<u8>, Handler>,
    threads: usize,
}

impl Default for Service {
    fn default() -> Self {
        Self::new()
    }
}

impl Service {
    /// Without methods.
    pub fn new() -> Self {
        Self { methods: HashMap::new(), threads: 64 }
    }

    /// Adds a method, or replaces the one of that name. `""` is for calls that name none:
    /// `runtime:call(bytes)` in Lua.
    #[must_use]
    pub fn method(mut self, name: &str, handler: Handler) -> Self {
        self.methods.insert(name.as_bytes().to_vec(), handler);
        self
    }

    /// How many handlers that are not async may run at once, each in a thread; further calls wait, and
    /// one that was cancelled meanwhile is not started. 64 unless it is set. Threads are made when they
    /// are needed.
    #[must_use]
    pub fn threads(mut self, most: usize) -> Self {
        self.threads = most.max(1);
        self
    }

    pub(crate) fn most_threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn find(&self, name: &[u8]) -> Result<Kind, String> {
        if let Some(handler) = self.methods.get(name) {
            return Ok(handler.0.clone());
        }
        let mut names: Vec<_> = self
            .methods
            .keys()
            .filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name))
            .collect();
        names.sort_unstable();
        let names = names.join(", ");
        if name.is_empty() {
            Err(format!("a call without a method has no handler; methods: {}", names))
        } else {
            let name = String::from_utf8_lossy(name);
            Err(format!("there is no method {:?}; methods: {}", name, names))
        }
    }
}
