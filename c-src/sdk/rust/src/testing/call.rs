//! Calls that a test has begun.

use super::failure::Failure;
use crate::ffi::{Ended, HostCall};

/// A running call. Dropping it cancels it.
pub struct Call(HostCall);

impl Call {
    pub(super) fn new(call: HostCall) -> Self {
        Self(call)
    }

    /// Waits for the response.
    pub fn wait(&self) -> Result<Vec<u8>, Failure> {
        end_of(&self.0)
    }

    /// Cancels the call, as a disconnected client does: the handler is notified.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

/// A response in chunks. After the last chunk comes the error that ended the stream, if any.
/// Dropping it cancels the stream.
pub struct Stream {
    call: HostCall,
    ended: bool,
}

impl Stream {
    pub(super) fn new(call: HostCall) -> Self {
        Self { call, ended: false }
    }
}

impl Iterator for Stream {
    type Item = Result<Vec<u8>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        if let Some(chunk) = self.call.read() {
            return Some(Ok(chunk));
        }
        self.ended = true;
        end_of(&self.call).err().map(Err)
    }
}

fn end_of(call: &HostCall) -> Result<Vec<u8>, Failure> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match call.wait() {
        Ended::Response { rc: 0, data } => Ok(data),
        Ended::Response { rc, data } => {
            Err(Failure { rc, ..Failure::of("runtime_error", text(data)) })
        }
        Ended::Error { message, detail } => {
            Err(Failure { detail: text(detail), ..Failure::of("runtime_error", text(message)) })
        }
        Ended::Timeout => Err(Failure::of("timeout", "timeout")),
        Ended::Cancelled => Err(Failure::of("cancelled", "cancelled")),
        Ended::Broken => Err(Failure::of("protocol", "the runtime violated the queue protocol")),
    }
}
