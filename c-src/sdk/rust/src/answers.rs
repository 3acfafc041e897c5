//! Collects responses for the queue and sends as many as possible with one call.

use crate::ffi::{give, Answer};
use crate::notes::lock;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// While the loop that takes calls lets quick handlers run, their answers wait for each other; not
/// longer than this after the first.
const LONGEST_HOLD: Duration = Duration::from_micros(50);

/// The thread that adds the first response sends it. Responses that arrive in that time are sent
/// with the next batch.
#[derive(Default)]
pub(crate) struct Answers(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<Answer>,
    giving: bool,
    held: bool,
    since: Option<Instant>,
}

impl Answers {
    pub fn add(&self, answer: Answer) {
        let mut state = lock(&self.0);
        state.waiting.push(answer);
        if state.held {
            match state.since {
                None => state.since = Some(Instant::now()),
                Some(since) if since.elapsed() > LONGEST_HOLD => state.held = false,
                Some(_) => {}
            }
        }
        drop(state);
        self.give();
    }

    /// Lets answers wait until `release`.
    pub fn hold(&self) {
        let mut state = lock(&self.0);
        state.held = true;
        state.since = None;
    }

    pub fn release(&self) {
        lock(&self.0).held = false;
        self.give();
    }

    fn give(&self) {
        let mut state = lock(&self.0);
        if state.giving {
            return;
        }
        while !state.held && !state.waiting.is_empty() {
            let taken = std::mem::take(&mut state.waiting);
            state.giving = true;
            drop(state);
            give(taken);
            state = lock(&self.0);
            state.giving = false;
        }
    }
}
