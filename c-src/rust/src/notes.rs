//! Who is told when a call is cancelled, or when a stream has credit again. Calls that nobody
//! watches cost nothing here.

use crate::ffi::{TaskId, Waited};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

#[derive(Default)]
pub(crate) struct Notes {
    watched: Mutex<HashMap<TaskId, Arc<Signal>>>,
    credit: Mutex<HashMap<TaskId, Waker>>,
}

impl Notes {
    pub fn tell(&self, waited: &Waited) {
        for task in &waited.writable {
            let waker = lock(&self.credit).remove(task);
            if let Some(waker) = waker {
                wake(waker);
            }
        }
        for task in &waited.cancelled {
            let signal = lock(&self.watched).get(task).cloned();
            if let Some(signal) = signal {
                signal.raise();
            }
        }
    }

    pub fn watch(&self, task: TaskId, signal: &Arc<Signal>) {
        lock(&self.watched).insert(task, signal.clone());
        // a cancellation is told once, perhaps before this
        if task.is_cancelled() {
            signal.raise();
        }
    }

    pub fn unwatch(&self, task: TaskId) {
        lock(&self.watched).remove(&task);
    }

    pub fn await_credit(&self, task: TaskId, waker: Waker) {
        lock(&self.credit).insert(task, waker);
    }

    pub fn forget_credit(&self, task: TaskId) {
        lock(&self.credit).remove(&task);
    }
}

/// That a call was cancelled, told once.
#[derive(Default)]
pub(crate) struct Signal(Mutex<State>);

#[derive(Default)]
struct State {
    raised: bool,
    ended: bool,
    last: u64,
    callbacks: HashMap<u64, Box<dyn FnOnce() + Send>>,
    wakers: HashMap<u64, Waker>,
}

impl Signal {
    pub fn raise(&self) {
        let (callbacks, wakers) = {
            let mut state = lock(&self.0);
            state.raised = true;
            (std::mem::take(&mut state.callbacks), std::mem::take(&mut state.wakers))
        };
        wakers.into_values().for_each(wake);
        for callback in callbacks.into_values() {
            // one that panics must not end the thread that polls
            let _ = crate::panics::catch(callback);
        }
    }

    /// The call has ended: callbacks are of no use any more, futures are not left waiting.
    pub fn end(&self) {
        let dropped = {
            let mut state = lock(&self.0);
            state.ended = true;
            std::mem::take(&mut state.callbacks)
        };
        drop(dropped);
        self.raise();
    }

    /// Called at once if it was raised, dropped if the call has ended. Gives a key to forget it by.
    pub fn call(&self, callback: Box<dyn FnOnce() + Send>) -> u64 {
        let mut state = lock(&self.0);
        state.last += 1;
        let key = state.last;
        if state.ended {
            drop(state);
            drop(callback);
        } else if state.raised {
            drop(state);
            callback();
        } else {
            state.callbacks.insert(key, callback);
        }
        key
    }

    /// True: raised. Otherwise the waker will be woken; `key` 0 asks for a new one.
    pub fn poll(&self, key: &mut u64, waker: &Waker) -> bool {
        let mut state = lock(&self.0);
        if state.raised {
            return true;
        }
        if *key == 0 {
            state.last += 1;
            *key = state.last;
        }
        match state.wakers.get_mut(key) {
            Some(known) if known.will_wake(waker) => {}
            _ => {
                state.wakers.insert(*key, waker.clone());
            }
        }
        false
    }

    pub fn forget(&self, key: u64) {
        let (callback, waker) = {
            let mut state = lock(&self.0);
            (state.callbacks.remove(&key), state.wakers.remove(&key))
        };
        drop((callback, waker));
    }
}

/// One of a strange executor may panic, and must not end the thread that polls.
fn wake(waker: Waker) {
    let _ = crate::panics::catch(|| waker.wake());
}

/// No code of a user runs while one of our locks is held, so what a panic elsewhere left is sound.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|broken| broken.into_inner())
}
