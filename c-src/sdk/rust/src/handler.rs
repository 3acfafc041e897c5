//! Handlers for the calls of one method.

use crate::context::Context;
use crate::error::BoxError;
use crate::ffi::{Buffer, Task};
#[cfg(feature = "tokio")]
use std::future::Future;
#[cfg(feature = "tokio")]
use std::pin::Pin;
use std::sync::Arc;

/// Handles the calls of one method, several concurrently.
pub struct Handler(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    /// In a thread of the pool.
    Sync(Arc<Sync>),
    /// In the thread that takes the calls.
    Inline(Arc<Sync>),
    #[cfg(feature = "tokio")]
    Async(Arc<Async>),
}

pub(crate) type Sync =
    dyn Fn(&Context, &Task) -> Result<Outcome, BoxError> + Send + std::marker::Sync;

#[cfg(feature = "tokio")]
pub(crate) type Async = dyn Fn(Context, &Task) -> Running + Send + std::marker::Sync;
#[cfg(feature = "tokio")]
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

/// How a handler that has not failed responses.
pub(crate) enum Outcome {
    Bytes(Vec<u8>),
    /// `None`: no response, which is not an empty one.
    Static(Option<&'static [u8]>),
    Buffer(Buffer),
    /// By chunks, which were written.
    Stream,
}

/// The bytes of an answer.
pub struct Reply(pub(crate) Outcome);

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Outcome::Bytes(bytes))
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        Self(Outcome::Bytes(text.into_bytes()))
    }
}

impl From<&[u8]> for Reply {
    fn from(bytes: &[u8]) -> Self {
        Self(Outcome::Bytes(bytes.to_vec()))
    }
}

impl From<&'static str> for Reply {
    fn from(text: &'static str) -> Self {
        Self(Outcome::Static(Some(text.as_bytes())))
    }
}

/// No response.
impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self(Outcome::Static(None))
    }
}

/// A handler from a function that takes bytes and returns bytes: a `Vec<u8>`, a `String`, a
/// `&'static str` or nothing. It runs in a separate thread and may wait.
pub fn bytes<F, R, E>(f: F) -> Handler
where
    F: Fn(&Context, &[u8]) -> Result<R, E> + Send + std::marker::Sync + 'static,
    R: Into<Reply>,
    E: Into<BoxError>,
{
    sync(move |context, task| Ok(f(context, task.data()).map_err(Into::into)?.into().0))
}

/// The same handler in the thread that takes the calls, which is cheaper. Only for what takes
/// microseconds and never waits: all other calls wait for it. Streams and async handlers are left
/// as they are.
pub fn inline(handler: Handler) -> Handler {
    match handler.0 {
        Kind::Sync(f) => Handler(Kind::Inline(f)),
        other => Handler(other),
    }
}

pub(crate) fn sync(
    f: impl Fn(&Context, &Task) -> Result<Outcome, BoxError> + Send + std::marker::Sync + 'static,
) -> Handler {
    Handler(Kind::Sync(Arc::new(f)))
}
