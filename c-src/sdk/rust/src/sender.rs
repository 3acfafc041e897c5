//! Responses in chunks, written no faster than Lua reads them.

use crate::context::Context;
use crate::error::BoxError;
use crate::ffi::{error_text, CANCELLED, CLOSED, STALE, WOULD_BLOCK};
use crate::handler::{sync, Handler, Returned};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};

/// A handler from a function that responds in chunks, which Lua reads one by one with
/// `runtime:stream`. It runs in a separate thread. The stream ends when the function returns; its
/// error, or a panic, reaches Lua after the chunks. A plain call gets all chunks in order, up to 64
/// MiB.
pub fn stream<F, E>(f: F) -> Handler
where
    F: Fn(&Context, &[u8], &mut Sender) -> Result<(), E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    sync(move |context, task| {
        f(context, task.data(), &mut Sender::new(context)).map_err(Into::into)?;
        Ok(Returned::Stream)
    })
}

/// The writer for a handler of [`stream`]. Each write of [`Write`] is a chunk.
pub struct Sender(Chunks);

impl Sender {
    pub(crate) fn new(context: &Context) -> Self {
        Self(Chunks(context.clone()))
    }

    /// Sends a copy of one chunk; waits while Lua has 8 chunks or 64 KiB unread.
    pub fn send(&mut self, chunk: impl AsRef<[u8]>) -> Result<(), Cancelled> {
        let chunk = chunk.as_ref();
        if let Poll::Ready(sent) = self.0.try_send(chunk) {
            return sent;
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match self.0.poll_send(chunk, &waker) {
                Poll::Ready(sent) => return sent,
                Poll::Pending => thread::park(),
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.send(bytes).map_err(|gone| io::Error::new(io::ErrorKind::BrokenPipe, gone))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What both senders write by.
pub(crate) struct Chunks(pub Context);

impl Chunks {
    fn try_send(&self, chunk: &[u8]) -> Poll<Result<(), Cancelled>> {
        match self.0.task().write(chunk) {
            WOULD_BLOCK => Poll::Pending,
            0 => Poll::Ready(Ok(())),
            CANCELLED | STALE | CLOSED => Poll::Ready(Err(Cancelled(None))),
            code => Poll::Ready(Err(Cancelled(Some(error_text(code))))),
        }
    }

    pub fn poll_send(&self, chunk: &[u8], waker: &Waker) -> Poll<Result<(), Cancelled>> {
        let sent = self.try_send(chunk);
        if sent.is_ready() {
            return sent;
        }
        // a note of credit that arrived before this call waited for it is lost, so try the chunk
        // again after registering
        self.0.notes().await_credit(self.0.task(), waker.clone());
        self.try_send(chunk)
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.0.notes().forget_credit(self.0.task());
    }
}

/// The stream cannot continue, usually because it was cancelled: return this error.
#[derive(Debug, Clone)]
pub struct Cancelled(Option<String>);

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("the stream was cancelled"),
            Some(reason) => write!(f, "the chunk cannot be sent: {}", reason),
        }
    }
}

impl std::error::Error for Cancelled {}
