//! The threads in which handlers run that are not async. They are made when all others are at work,
//! and end when there was nothing to do for a while.

use crate::notes::lock;
use crate::panics::catch;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Pool {
    inner: Arc<Inner>,
    most: usize,
}

struct Inner {
    state: Mutex<State>,
    come: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    pub fn new(most: usize) -> Self {
        let inner = Inner { state: Mutex::default(), come: Condvar::new() };
        Self { inner: Arc::new(inner), most }
    }

    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.inner.state);
        state.jobs.push_back(Box::new(job));
        if state.idle >= state.jobs.len() {
            drop(state);
            self.inner.come.notify_one();
            return;
        }
        if state.threads >= self.most {
            return;
        }
        state.threads += 1;
        drop(state);
        let inner = self.inner.clone();
        let made = thread::Builder::new().name("nffi-pool".into()).spawn(move || inner.work());
        if made.is_ok() {
            return;
        }
        // the system gives no more threads: those that there are do it, or else this one
        let mut state = lock(&self.inner.state);
        state.threads -= 1;
        let job = if state.threads == 0 { state.jobs.pop_back() } else { None };
        drop(state);
        if let Some(job) = job {
            let _ = catch(job);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.inner.state).closed = true;
        self.inner.come.notify_all();
    }
}

impl Inner {
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // one that panics must not take the thread with it, which is counted
                let _ = catch(job);
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (guard, waited) =
                self.come.wait_timeout(state, IDLE).unwrap_or_else(|broken| broken.into_inner());
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}
