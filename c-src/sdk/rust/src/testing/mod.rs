//! Runs a runtime in a test: without nginx, over a real queue of libnffi with calls as Lua makes
//! them ([`Runtime`]), or in a real nginx ([`Nginx`]).
//!
//! ```
//! use nffi::testing::Runtime;
//! # fn start(_: ()) -> Result<nffi::Service, nffi::BoxError> {
//! #     Ok(nffi::Service::new().method("shout", nffi::bytes(|_: &nffi::Context, b: &[u8]| {
//! #         Ok::<_, nffi::BoxError>(b.to_ascii_uppercase())
//! #     })))
//! # }
//!
//! let runtime = Runtime::start(start, "").unwrap();
//! assert_eq!(runtime.call("shout", b"hello").unwrap(), b"HELLO");
//! ```

mod call;
mod failure;
mod nginx;

pub use call::{Call, Stream};
pub use failure::Failure;
pub use nginx::{Nginx, Response};

use crate::config::FromConfig;
use crate::error::BoxError;
use crate::ffi::{load, Host};
use crate::runtime::{prepare, spawn};
use crate::service::Service;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Corresponds to the result of `nffi.load` in Lua. Dropping it closes it, and its calls end.
pub struct Runtime {
    host: Host,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Starts the runtime that the program passes to [`crate::serve!`], with the bytes of a
    /// configuration. The error is the error of `nffi.load`.
    pub fn start<C, E>(
        start: impl Fn(C) -> Result<Service, E> + Send + 'static,
        config: impl Into<Vec<u8>>,
    ) -> Result<Self, String>
    where
        C: FromConfig,
        E: Into<BoxError>,
    {
        Self::start_with_queue(0, start, config)
    }

    /// The same with a limit for the calls that wait: Lua's `max_queue`.
    pub fn start_with_queue<C, E>(
        max_queue: u32,
        start: impl Fn(C) -> Result<Service, E> + Send + 'static,
        config: impl Into<Vec<u8>>,
    ) -> Result<Self, String>
    where
        C: FromConfig,
        E: Into<BoxError>,
    {
        load()?;
        let make = prepare(start, config.into())?;
        let host = Host::new(max_queue)?;
        Ok(Self { host, thread: Some(spawn(host.queue(), make)?) })
    }

    /// Calls a method with bytes and waits for the response; `""` is `runtime:call(bytes)` in Lua.
    pub fn call(&self, method: &str, data: &[u8]) -> Result<Vec<u8>, Failure> {
        self.begin(method, data, None)?.wait()
    }

    /// Begins a call, perhaps with a timeout.
    pub fn begin(
        &self,
        method: &str,
        data: &[u8],
        timeout: Option<Duration>,
    ) -> Result<Call, Failure> {
        let call = self.host.call(method, data, milliseconds(timeout), None);
        call.map(Call::new).map_err(Failure::refused)
    }

    /// Calls a method with a value and reads the response, like `runtime.methods` in Lua with the
    /// codec `json`. A response of another type is an error.
    #[cfg(feature = "serde")]
    pub fn json<R: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        request: impl serde::Serialize,
    ) -> Result<R, Failure> {
        let wrong = |error: serde_json::Error| Failure::of("codec", error.to_string());
        let response = self.call(method, &serde_json::to_vec(&request).map_err(wrong)?)?;
        serde_json::from_slice(&response).map_err(wrong)
    }

    /// Calls a method whose response is read in chunks, as `runtime:stream` in Lua does.
    pub fn stream(&self, method: &str, data: &[u8]) -> Result<Stream, Failure> {
        let call = self.host.call(method, data, 0, Some(WINDOW));
        call.map(Stream::new).map_err(Failure::refused)
    }

    /// Closes the runtime as `runtime:close()` does: calls in flight are still answered.
    pub fn close(&self) {
        self.host.close();
    }

    /// Returns the number of calls without a response, cancelled ones included.
    pub fn unanswered(&self) -> u32 {
        self.host.unanswered()
    }

    /// Returns true if the runtime was closed and has ended.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().map_or(true, JoinHandle::is_finished)
    }
}

/// Max unread bytes of a stream, as in Lua.
const WINDOW: u32 = 64 << 10;

fn milliseconds(timeout: Option<Duration>) -> u32 {
    timeout.map_or(0, |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1))
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.close();
        let until = Instant::now() + Duration::from_secs(10);
        while !self.has_ended() {
            if Instant::now() > until {
                if std::thread::panicking() {
                    return;
                }
                panic!("{} calls have not ended after 10 s", self.unanswered());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
