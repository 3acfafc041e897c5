//! Async handlers on tokio.

use crate::call::Call;
use crate::context::Context;
use crate::error::BoxError;
use crate::ffi::Task;
use crate::handler::{Async, Handler, Kind, Response, Returned, Running};
use crate::panics::catch;
use crate::sender::{Cancelled, Chunks};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

/// A handler from an async function that takes and returns bytes, like [`bytes`](crate::bytes). It
/// runs in a tokio runtime. When the call is cancelled (the client disconnects, the Lua thread is
/// killed, the call times out), its future is dropped.
pub fn async_fn<F, T, R, E>(f: F) -> Handler
where
    F: Fn(Context, Vec<u8>) -> T + Send + Sync + 'static,
    T: Future<Output = Result<R, E>> + Send + 'static,
    R: Into<Response>,
    E: Into<BoxError>,
{
    handler(move |context, task| {
        let running = f(context, task.data().to_vec());
        Box::pin(async move { Ok(running.await.map_err(Into::into)?.into().0) })
    })
}

/// A handler from an async function that responds in chunks, like [`stream`](crate::stream). When
/// the stream is cancelled, its future is dropped.
pub fn stream_async<F, T, E>(f: F) -> Handler
where
    F: Fn(Context, Vec<u8>, AsyncSender) -> T + Send + Sync + 'static,
    T: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError>,
{
    handler(move |context, task| {
        let running = f(context.clone(), task.data().to_vec(), AsyncSender::new(&context));
        Box::pin(async move {
            running.await.map_err(Into::into)?;
            Ok(Returned::Stream)
        })
    })
}

pub(crate) fn handler(f: impl Fn(Context, &Task) -> Running + Send + Sync + 'static) -> Handler {
    Handler(Kind::Async(Arc::new(f)))
}

/// Where a handler of [`stream_async`] sends its chunks.
pub struct AsyncSender(Chunks);

impl AsyncSender {
    pub(crate) fn new(context: &Context) -> Self {
        Self(Chunks(context.clone()))
    }

    /// Sends a copy of one chunk; waits while Lua has 8 chunks or 64 KiB unread.
    pub async fn send(&mut self, chunk: impl AsRef<[u8]>) -> Result<(), Cancelled> {
        let chunk = chunk.as_ref();
        poll_fn(|cx| self.0.poll_send(chunk, cx.waker())).await
    }
}

/// Starts one call in the tokio runtime that this is called in.
pub(crate) fn spawn(call: Call, handler: &Async) {
    match catch(|| handler(call.context.clone(), call.task())) {
        Err(panic) => call.respond(Err(panic)),
        Ok(running) => drop(tokio::spawn(run(call, running))),
    }
}

async fn run(call: Call, mut running: Running) {
    let mut cancelled = call.context.cancelled();
    let result = poll_fn(|cx| match catch(|| running.as_mut().poll(cx)) {
        Err(panic) => Poll::Ready(Err(panic)),
        Ok(Poll::Ready(result)) => Poll::Ready(result),
        Ok(Poll::Pending) => {
            Pin::new(&mut cancelled).poll(cx).map(|()| Err("the call was cancelled".into()))
        }
    })
    .await;
    // first, so that the response of a call is also the end of what it had
    if let Err(panic) = catch(move || drop(running)) {
        return call.respond(Err(panic));
    }
    call.respond(result);
}

/// `std::future::poll_fn`, which is younger than the oldest Rust that this crate is for.
fn poll_fn<T, F: FnMut(&mut TaskContext<'_>) -> Poll<T> + Unpin>(f: F) -> PollFn<F> {
    PollFn(f)
}

struct PollFn<F>(F);

impl<T, F: FnMut(&mut TaskContext<'_>) -> Poll<T> + Unpin> Future for PollFn<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<T> {
        (self.0)(cx)
    }
}
