//! The threads of handlers that are not async. A thread is created when all others are busy, and
//! ends after a while without work. A thread that takes a job wakes the next thread for the jobs
//! behind it, so a batch of quick jobs costs few wake-ups.

use crate::notes::lock;
use crate::panics::catch;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    come: Condvar,
    max: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// A thread was woken or created for the waiting jobs and has not taken one yet. It wakes the
    /// next thread. So one or two threads run a batch of quick jobs, without a wake-up for each.
    waking: bool,
    closed: bool,
}

impl Pool {
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), come: Condvar::new(), max }))
    }

    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.0.state);
        state.jobs.push_back(Box::new(job));
        self.0.wake(state);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.0.state).closed = true;
        self.0.come.notify_all();
    }
}

impl Inner {
    /// Wakes or creates one more thread for the waiting jobs, within the limit.
    fn wake(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.jobs.is_empty() || state.waking {
            return;
        }
        if state.idle > 0 {
            state.waking = true;
            drop(state);
            self.come.notify_one();
        } else if state.threads < self.max {
            state.waking = true;
            state.threads += 1;
            drop(state);
            self.make_thread();
        }
    }

    fn make_thread(self: &Arc<Self>) {
        let inner = self.clone();
        let made = thread::Builder::new().name("nffi-pool".into()).spawn(move || inner.work());
        if made.is_ok() {
            return;
        }
        // the system creates no more threads: the existing ones run the job, or else this one
        let mut state = lock(&self.state);
        state.waking = false;
        state.threads -= 1;
        if state.threads > 0 {
            // a thread that has become idle since then was not woken
            if state.idle > 0 {
                self.wake(state);
            }
            return;
        }
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        for job in jobs {
            let _ = catch(job);
        }
    }

    fn work(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.waking = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                self.wake(state);
                // a panic must not end the thread, which is counted
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
            state.waking = false;
            if waited.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;
    use std::sync::mpsc::{channel, RecvTimeoutError};
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn max_jobs_run_side_by_side() {
        let pool = Pool::new(8);
        // threads that are made, threads that are woken, and again
        for _ in 0..100 {
            let (send, done) = channel();
            let all = Arc::new(Barrier::new(8));
            for _ in 0..8 {
                let (send, all) = (send.clone(), all.clone());
                pool.run(move || {
                    all.wait();
                    send.send(()).unwrap();
                });
            }
            for _ in 0..8 {
                done.recv_timeout(LONG).expect("a job found no thread");
            }
        }
    }

    #[test]
    fn jobs_that_are_too_many_wait_for_their_turn_and_none_is_lost() {
        let pool = Pool::new(2);
        let (send, done) = channel();
        let both = Arc::new(Barrier::new(3));
        for n in 0..1000 {
            let (send, both) = (send.clone(), both.clone());
            pool.run(move || {
                if n < 2 {
                    both.wait();
                }
                send.send(n).unwrap();
            });
        }
        let early = done.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        both.wait();
        // waiting jobs still run although the pool is dropped
        drop(pool);
        drop(send);
        let mut ran: Vec<i32> = done.iter().collect();
        ran.sort_unstable();
        assert_eq!(ran, (0..1000).collect::<Vec<_>>());
    }
}
