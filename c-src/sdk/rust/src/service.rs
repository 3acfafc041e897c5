//! The methods of one runtime.

use crate::error::BoxError;
use crate::handler::{Handler, Kind};
use std::collections::HashMap;

/// The methods of one configuration of a runtime, each with a handler.
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

    /// Limits the number of concurrent handlers that are not async, each in a thread. Further calls
    /// wait; a call that is cancelled in that time is not started. The default is 64. Threads are
    /// created on demand.
    #[must_use]
    pub fn threads(mut self, max: usize) -> Self {
        self.threads = max.max(1);
        self
    }

    pub(crate) fn max_threads(&self) -> usize {
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
            Err(format!("unknown method {:?}; methods: {}", name, names))
        }
    }
}

/// Makes the service of one configuration, each time it is called.
pub(crate) type Make = Box<dyn Fn() -> Result<Service, BoxError> + Send>;
