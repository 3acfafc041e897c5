//! One request on its way through a handler.

use crate::context::Context;
use crate::error::BoxError;
use crate::failure::{failure, report};
use crate::ffi::{Task, TaskResponse};
use crate::handler::{Returned, Sync};
use crate::notes::Notes;
use crate::panics::catch;
use crate::responses::Responses;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// What the calls of a runtime share.
#[derive(Default)]
pub(crate) struct Shared {
    pub responses: Responses,
    pub notes: Arc<Notes>,
    /// Calls that were not answered yet.
    pub running: AtomicUsize,
}

pub(crate) struct Call {
    pub context: Context,
    task: Option<Task>,
    runtime: Arc<Shared>,
}

impl Call {
    pub fn new(task: Task, runtime: &Arc<Shared>) -> Self {
        runtime.running.fetch_add(1, Ordering::AcqRel);
        let context = Context::new(&task, runtime.notes.clone());
        Self { context, task: Some(task), runtime: runtime.clone() }
    }

    /// The task, which is there until `respond`.
    pub fn task(&self) -> &Task {
        self.task.as_ref().expect("a call is answered once")
    }

    /// Checks a call that may have waited for a thread: it may be cancelled.
    pub fn run_if_awaited(self, handler: &Sync) {
        if self.context.is_cancelled() {
            return self.respond(Err("cancelled before it was started".into()));
        }
        self.run(handler);
    }

    pub fn run(self, handler: &Sync) {
        let result = catch(|| handler(&self.context, self.task()));
        self.respond(result.and_then(|result| result));
    }

    pub fn respond(mut self, result: Result<Returned, BoxError>) {
        let task = self.task.take().expect("a call is answered once");
        self.context.end();
        let response = match result {
            Ok(Returned::Bytes(data)) => TaskResponse::Bytes { task, data },
            Ok(Returned::Static(data)) => TaskResponse::Static { task, data },
            Ok(Returned::Buffer(buffer)) => TaskResponse::Buffer { task, buffer },
            Ok(Returned::Stream) => return task.end_stream(),
            Err(error) => failure(task, report(error)),
        };
        self.runtime.responses.add(response);
    }
}

/// A task that is left (a future that was dropped) is answered by its own drop.
impl Drop for Call {
    fn drop(&mut self) {
        self.context.end();
        drop(self.task.take());
        self.runtime.running.fetch_sub(1, Ordering::AcqRel);
    }
}
