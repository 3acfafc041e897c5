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
    dyn Fn(&Context, &Task) -> Result<Returned, BoxError> + Send + std::marker::Sync;

#[cfg(feature = "tokio")]
pub(crate) type Async = dyn Fn(Context, &Task) -> Running + Send + std::marker::Sync;
#[cfg(feature = "tokio")]
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Returned, BoxError>> + Send>>;

/// What a handler returned, unless it failed.
pub(crate) enum Returned {
    Bytes(Vec<u8>),
    /// `None`: no response, which is not an empty one.
    Static(Option<&'static [u8]>),
    Buffer(Buffer),
    /// By chunks, which were written.
    Stream,
}

/// The bytes of a response.
pub struct Response(pub(crate) Returned);

impl From<Vec<u8>> for Response {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Returned::Bytes(bytes))
    }
}

impl From<String> for Response {
    fn from(text: String) -> Self {
        Self(Returned::Bytes(text.into_bytes()))
    }
}

impl From<&[u8]> for Response {
    fn from(bytes: &[u8]) -> Self {
        Self(Returned::Bytes(bytes.to_vec()))
    }
}

impl From<&'static str> for Response {
    fn from(text: &'static str) -> Self {
        Self(Returned::Static(Some(text.as_bytes())))
    }
}

/// No response.
impl From<()> for Response {
    fn from((): ()) -> Self {
        Self(Returned::Static(None))
    }
}

/// A handler from a function that takes bytes and returns bytes: a `Vec<u8>`, a `String`, a
/// `&'static str` or nothing. It runs in a separate thread and may wait.
pub fn bytes<F, R, E>(f: F) -> Handler
where
    F: Fn(&Context, &[u8]) -> Result<R, E> + Send + std::marker::Sync + 'static,
    R: Into<Response>,
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
    f: impl Fn(&Context, &Task) -> Result<Returned, BoxError> + Send + std::marker::Sync + 'static,
) -> Handler {
    Handler(Kind::Sync(Arc::new(f)))
}
