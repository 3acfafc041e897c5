//! Hands the calls of a queue to their handlers.

#[cfg(feature = "tokio")]
use crate::async_fn;
use crate::call::{Call, Shared};
use crate::error::BoxError;
use crate::failure::{failure, report};
use crate::ffi::{Queue, Task};
use crate::handler::Kind;
use crate::panics::catch;
use crate::pool::Pool;
use crate::service::Service;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often calls that outlive a closed queue are checked for cancellation.
const CLOSED_TICK: Duration = Duration::from_millis(20);

/// The calls of a queue on their way to the handlers.
pub(crate) struct Dispatcher {
    pub shared: Arc<Shared>,
    service: Service,
    pool: Pool,
}

impl Dispatcher {
    pub fn new(service: Service) -> Self {
        let pool = Pool::new(service.max_threads());
        Self { shared: Arc::default(), service, pool }
    }

    /// True: other code has to run before the call is answered.
    pub fn dispatch(&self, task: Task) -> bool {
        let kind = match self.service.find(task.method()) {
            Ok(kind) => kind,
            Err(error) => {
                self.shared.responses.add(failure(task, report(BoxError::from(error))));
                return false;
            }
        };
        let call = Call::new(task, &self.shared);
        match kind {
            Kind::Inline(handler) => {
                // values that the call leaves are dropped here as well: dropping the task sends a
                // response
                let _ = catch(move || call.run(&*handler));
                return false;
            }
            Kind::Sync(handler) => self.pool.run(move || call.run_if_awaited(&*handler)),
            #[cfg(feature = "tokio")]
            Kind::Async(handler) => async_fn::spawn(call, &*handler),
        }
        true
    }

    /// Waits for the calls under way.
    pub fn end(&self, mut queue: Queue) {
        while self.shared.running.load(Ordering::Acquire) > 0 {
            self.shared.notes.report(&queue.take_notes());
            thread::sleep(CLOSED_TICK);
        }
    }
}
