//! Values as JSON: what Lua's `codec = "json"` sends and reads.

#[cfg(feature = "tokio")]
use crate::async_fn::{handler, AsyncSender};
use crate::config::FromConfig;
use crate::context::Context;
use crate::error::{BoxError, Error};
use crate::finite;
use crate::handler::{sync, Handler, Returned};
use crate::levels;
use crate::sender::Sender;
use serde::de::DeserializeOwned;
use serde::Serialize;
#[cfg(feature = "tokio")]
use std::future::Future;
use std::marker::PhantomData;

/// A [`FromConfig`] in JSON: `config = { ... }` in Lua. What `C` refuses (an unknown field with
/// `#[serde(deny_unknown_fields)]`, say) is an error of `nffi.load`. Without a configuration `C` is
/// read from `{}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Json<C>(pub C);

impl<C: DeserializeOwned> FromConfig for Json<C> {
    fn from_config(bytes: &[u8]) -> Result<Self, BoxError> {
        let bytes = if bytes.is_empty() { b"{}" } else { bytes };
        match serde_json::from_slice(bytes) {
            Ok(config) => Ok(Self(config)),
            Err(error) => Err(format!("configuration: {}", error).into()),
        }
    }
}

/// A handler from a function of values: the request is read from JSON, and the result is written as
/// JSON. A call without bytes gets the value of `null`.
pub fn json<F, Q, R, E>(f: F) -> Handler
where
    F: Fn(&Context, Q) -> Result<R, E> + Send + Sync + 'static,
    Q: DeserializeOwned,
    R: Serialize,
    E: Into<BoxError>,
{
    sync(move |context, task| {
        let result = f(context, read(task.data())?).map_err(Into::into)?;
        Ok(Returned::Bytes(write(&result)?))
    })
}

/// A handler of a function that writes its response as values, as [`stream`](crate::stream) does in chunks: each
/// is one line of JSON. A plain call gets a list of them.
pub fn json_stream<F, Q, T, E>(f: F) -> Handler
where
    F: Fn(&Context, Q, &mut Values<T>) -> Result<(), E> + Send + Sync + 'static,
    Q: DeserializeOwned,
    T: Serialize,
    E: Into<BoxError>,
{
    sync(move |context, task| {
        let request = read(task.data())?;
        let mut values = Values {
            sender: Sender::new(context),
            lines: Lines::new(task.is_streamed()),
            value: PhantomData,
        };
        f(context, request, &mut values).map_err(Into::into)?;
        if let Some(end) = values.lines.end() {
            values.sender.send(end)?;
        }
        Ok(Returned::Stream)
    })
}

/// Where a handler of [`json_stream`] sends its values.
pub struct Values<T> {
    sender: Sender,
    lines: Lines,
    value: PhantomData<fn(T)>,
}

impl<T: Serialize> Values<T> {
    /// Sends one value; waits while Lua has 8 values or 64 KiB unread. It fails when the stream is
    /// cancelled: return its error.
    pub fn send(&mut self, value: T) -> Result<(), BoxError> {
        Ok(self.sender.send(self.lines.line(&value)?)?)
    }
}

/// [`json`] for an async function, which runs like one of [`async_fn`](crate::async_fn).
#[cfg(feature = "tokio")]
pub fn json_async<F, Q, T, R, E>(f: F) -> Handler
where
    F: Fn(Context, Q) -> T + Send + Sync + 'static,
    Q: DeserializeOwned,
    T: Future<Output = Result<R, E>> + Send + 'static,
    R: Serialize,
    E: Into<BoxError>,
{
    handler(move |context, task| match read(task.data()) {
        Err(error) => Box::pin(async { Err(error) }),
        Ok(request) => {
            let running = f(context, request);
            Box::pin(async move {
                let result = running.await.map_err(Into::into)?;
                Ok(Returned::Bytes(write(&result)?))
            })
        }
    })
}

/// [`json_stream`] for an async function.
#[cfg(feature = "tokio")]
pub fn json_stream_async<F, Q, T, V, E>(f: F) -> Handler
where
    F: Fn(Context, Q, AsyncValues<V>) -> T + Send + Sync + 'static,
    Q: DeserializeOwned,
    T: Future<Output = Result<(), E>> + Send + 'static,
    V: Serialize + 'static,
    E: Into<BoxError>,
{
    handler(move |context, task| {
        let request = match read(task.data()) {
            Err(error) => return Box::pin(async { Err(error) }),
            Ok(request) => request,
        };
        let lines = std::sync::Arc::new(std::sync::Mutex::new(Lines::new(task.is_streamed())));
        let values = AsyncValues {
            sender: AsyncSender::new(&context),
            lines: lines.clone(),
            value: PhantomData,
        };
        let running = f(context.clone(), request, values);
        Box::pin(async move {
            running.await.map_err(Into::into)?;
            let end = crate::notes::lock(&lines).end();
            if let Some(end) = end {
                AsyncSender::new(&context).send(end).await?;
            }
            Ok(Returned::Stream)
        })
    })
}

/// Where a handler of [`json_stream_async`] sends its values.
#[cfg(feature = "tokio")]
pub struct AsyncValues<T> {
    sender: AsyncSender,
    lines: std::sync::Arc<std::sync::Mutex<Lines>>,
    value: PhantomData<fn(T)>,
}

#[cfg(feature = "tokio")]
impl<T: Serialize> AsyncValues<T> {
    /// Sends one value; waits while Lua has 8 values or 64 KiB unread. It fails when the stream is
    /// cancelled: return its error.
    pub async fn send(&mut self, value: T) -> Result<(), BoxError> {
        let line = crate::notes::lock(&self.lines).line(&value)?;
        Ok(self.sender.send(line).await?)
    }
}

/// The bytes of several values: lines for a stream, one list for a plain call.
struct Lines {
    streamed: bool,
    any: bool,
}

impl Lines {
    fn new(streamed: bool) -> Self {
        Self { streamed, any: false }
    }

    fn line<T: Serialize>(&mut self, value: &T) -> Result<Vec<u8>, BoxError> {
        let mut line = Vec::new();
        if !self.streamed {
            line.push(if self.any { b',' } else { b'[' });
        }
        self.any = true;
        levels::append(&mut line, value).map_err(result_error)?;
        finite::check(value, &line).map_err(result_error)?;
        if self.streamed {
            line.push(b'\n');
        }
        Ok(line)
    }

    fn end(&self) -> Option<&'static str> {
        match (self.streamed, self.any) {
            (true, _) => None,
            (false, true) => Some("]"),
            (false, false) => Some("[]"),
        }
    }
}

fn read<Q: DeserializeOwned>(data: &[u8]) -> Result<Q, BoxError> {
    let data = if data.is_empty() { b"null" } else { data };
    serde_json::from_slice(data).map_err(|error| Error::new(format!("request: {}", error)).into())
}

fn write<R: Serialize>(result: &R) -> Result<Vec<u8>, BoxError> {
    let mut text = Vec::new();
    levels::append(&mut text, result).map_err(result_error)?;
    finite::check(result, &text).map_err(result_error)?;
    Ok(text)
}

fn result_error(error: impl std::fmt::Display) -> BoxError {
    Error::new(format!("the result cannot become JSON: {}", error)).into()
}
