//! Listeners for cancellation and stream credit. A call without listeners adds no overhead.

use crate::ffi::{TaskId, Waited};
use crate::panics::discard;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

#[derive(Default)]
pub(crate) struct Notes {
    watched: Mutex<HashMap<TaskId, Arc<Signal>>>,
    credit: Mutex<HashMap<TaskId, Waker>>,
}

impl Notes {
    pub fn report(&self, waited: &Waited) {
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
        // a cancellation is reported once, perhaps before this
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

/// It does not panic.
type Callback = Box<dyn FnOnce() + Send>;

/// A cancellation of a call, reported once.
#[derive(Default)]
pub(crate) struct Signal(Mutex<State>);

#[derive(Default)]
struct State {
    raised: bool,
    ended: bool,
    last: u64,
    /// In the order of registration.
    callbacks: BTreeMap<u64, Callback>,
    wakers: HashMap<u64, Waker>,
}

impl Signal {
    pub fn raise(&self) {
        let wakers = {
            let mut state = lock(&self.0);
            state.raised = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_values().for_each(wake);
        while let Some(callback) = self.next() {
            callback();
        }
    }

    /// One at a time: while it runs, others are forgotten, or the call ends.
    fn next(&self) -> Option<Callback> {
        let callbacks = &mut lock(&self.0).callbacks;
        let key = *callbacks.keys().next()?;
        callbacks.remove(&key)
    }

    /// The call has ended: drops callbacks and wakes futures.
    pub fn end(&self) {
        let dropped = {
            let mut state = lock(&self.0);
            state.ended = true;
            std::mem::take(&mut state.callbacks)
        };
        dropped.into_iter().for_each(discard);
        self.raise();
    }

    /// Calls the function immediately if the call is cancelled, drops it if the call has ended.
    /// Returns a key to unregister it.
    pub fn call(&self, callback: Callback) -> u64 {
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
        discard((callback, waker));
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

#[cfg(test)]
mod tests {
    use super::Signal;
    use std::sync::{Arc, Mutex};

    #[test]
    fn no_callback_starts_once_the_call_has_ended_or_it_was_forgotten() {
        let signal = Arc::new(Signal::default());
        let ran = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let ran = ran.clone();
            move || ran.lock().unwrap().push(name)
        };
        let (first, of_signal) = (note("first"), signal.clone());
        signal.call(Box::new(move || {
            first();
            of_signal.forget(2);
        }));
        signal.call(Box::new(note("forgotten")));
        let (third, of_signal) = (note("third"), signal.clone());
        signal.call(Box::new(move || {
            third();
            of_signal.end();
        }));
        signal.call(Box::new(note("after the end")));
        signal.raise();
        assert_eq!(*ran.lock().unwrap(), ["first", "third"]);
    }
}
