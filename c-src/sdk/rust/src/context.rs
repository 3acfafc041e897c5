//! What a handler knows of its call.

use crate::error::Error;
use crate::failure::report;
use crate::ffi::{instant_of, Task, TaskId};
use crate::log::Level;
use crate::notes::{Notes, Signal};
use crate::panics::catch;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

/// One call: its deadline, its cancellation, and its lines in the log. A clone refers to the same
/// call. It may be kept longer than the call, and then does nothing.
#[derive(Clone)]
pub struct Context(Arc<Call>);

struct Call {
    task: TaskId,
    method: String,
    deadline_ns: u64,
    over: AtomicBool,
    signal: Mutex<Option<Arc<Signal>>>,
    notes: Arc<Notes>,
}

impl Context {
    pub(crate) fn new(task: &Task, notes: Arc<Notes>) -> Self {
        Self(Arc::new(Call {
            task: task.id(),
            method: String::from_utf8_lossy(task.method()).into_owned(),
            deadline_ns: task.deadline_ns(),
            over: AtomicBool::new(false),
            signal: Mutex::new(None),
            notes,
        }))
    }

    /// The method that Lua called; empty for `runtime:call(bytes)`.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// When the call times out; `None`: never.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0.deadline_ns {
            0 => None,
            ns => Some(instant_of(ns)),
        }
    }

    /// The time until the deadline, at least zero.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// True if the call was cancelled (the client has disconnected, the Lua thread was killed, the
    /// call has timed out) or has its response.
    pub fn is_cancelled(&self) -> bool {
        self.0.over.load(Ordering::Acquire) || self.0.task.is_cancelled()
    }

    /// Calls the function when the call is cancelled, from another thread, or immediately if it is
    /// already cancelled. It is not called after the response, unless it was about to start. It
    /// must not wait. Dropping the guard unregisters it.
    #[must_use = "dropping the guard unregisters the function"]
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) -> OnCancel {
        let signal = self.signal();
        let task = self.0.task;
        // a panic must not end the thread that polls, or the handler
        let key = signal.call(Box::new(move || {
            if let Err(panic) = catch(callback) {
                let Error { message, detail, .. } = report(panic);
                let text = format!("an action on cancellation failed: {}\n{}", message, detail);
                for line in text.lines() {
                    task.log(Level::Error as i32, line);
                }
            }
        }));
        OnCancel { signal, key }
    }

    /// Waits until the call is cancelled, or answered. It needs no tokio.
    pub fn cancelled(&self) -> Cancellation {
        Cancellation { signal: self.signal(), key: 0 }
    }

    /// Writes a line to nginx's error.log, with the client and the request of this call. False: it
    /// was one too many.
    pub fn log(&self, level: Level, message: impl fmt::Display) -> bool {
        self.0.task.log(level as i32, &message.to_string())
    }

    fn signal(&self) -> Arc<Signal> {
        let mut signal = crate::notes::lock(&self.0.signal);
        let known = signal.get_or_insert_with(|| {
            let signal = Arc::new(Signal::default());
            if self.0.over.load(Ordering::Acquire) {
                signal.end();
            } else {
                self.0.notes.watch(self.0.task, &signal);
            }
            signal
        });
        known.clone()
    }

    /// Called before the call is answered.
    pub(crate) fn end(&self) {
        self.0.over.store(true, Ordering::Release);
        let signal = crate::notes::lock(&self.0.signal).take();
        if let Some(signal) = signal {
            self.0.notes.unwatch(self.0.task);
            signal.end();
        }
    }

    pub(crate) fn task(&self) -> TaskId {
        self.0.task
    }

    pub(crate) fn notes(&self) -> &Notes {
        &self.0.notes
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("time_left", &self.time_left()).finish_non_exhaustive()
    }
}

/// Of [`Context::on_cancel`]: when it goes, the function is forgotten.
pub struct OnCancel {
    signal: Arc<Signal>,
    key: u64,
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        self.signal.forget(self.key);
    }
}

/// Of [`Context::cancelled`].
#[must_use = "a future does nothing until it is awaited"]
pub struct Cancellation {
    signal: Arc<Signal>,
    key: u64,
}

impl Future for Cancellation {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.signal.poll(&mut this.key, cx.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Cancellation {
    fn drop(&mut self) {
        self.signal.forget(self.key);
    }
}
