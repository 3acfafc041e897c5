//! Collects responses for the queue and sends as many as possible with one call.

use crate::ffi::{respond, TaskResponse};
use crate::notes::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// While the loop that takes calls lets quick handlers run, their responses wait for each other;
/// not longer than this after the first.
const MAX_HOLD: Duration = Duration::from_micros(50);

/// The thread that adds the first response sends it. Responses that arrive in that time are sent
/// with the next batch.
#[derive(Default)]
pub(crate) struct Responses(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<TaskResponse>,
    sending: bool,
    held: bool,
    since: Option<Instant>,
}

impl Responses {
    pub fn add(&self, response: TaskResponse) {
        let mut state = lock(&self.0);
        state.waiting.push(response);
        if state.held {
            match state.since {
                None => state.since = Some(Instant::now()),
                Some(since) if since.elapsed() > MAX_HOLD => state.held = false,
                Some(_) => {}
            }
        }
        drop(state);
        self.send();
    }

    /// Lets responses wait until `release`.
    pub fn hold(&self) {
        let mut state = lock(&self.0);
        state.held = true;
        state.since = None;
    }

    pub fn release(&self) {
        lock(&self.0).held = false;
        self.send();
    }

    fn send(&self) {
        let mut state = lock(&self.0);
        if state.sending {
            return;
        }
        while !state.held && !state.waiting.is_empty() {
            let taken = std::mem::take(&mut state.waiting);
            state.sending = true;
            drop(state);
            respond(taken);
            state = lock(&self.0);
            state.sending = false;
        }
    }
}
