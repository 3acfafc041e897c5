//! The loop that takes the calls of a queue: a thread that waits for its descriptor, or, with the
//! feature `tokio`, a task of a tokio runtime.

use crate::dispatcher::Dispatcher;
use crate::error::BoxError;
use crate::ffi::{Queue, Waited};
use crate::panics::catch;
use crate::service::{Make, Service};
use std::io;

/// What services run in, from their start on.
pub(crate) struct Engine {
    #[cfg(feature = "tokio")]
    tokio: tokio::runtime::Runtime,
}

impl Engine {
    pub fn start(self, make: &Make) -> Result<Started, BoxError> {
        match self.make(make) {
            Ok(service) => Ok(Started { dispatcher: Dispatcher::new(service), engine: self }),
            Err(error) => {
                // dropped, it would wait for what the start has left in its blocking threads
                #[cfg(feature = "tokio")]
                self.tokio.shutdown_background();
                Err(error)
            }
        }
    }

    fn make(&self, make: &Make) -> Result<Service, BoxError> {
        #[cfg(feature = "tokio")]
        let _entered = self.tokio.enter();
        catch(make)?
    }
}

/// A service that serves in its engine.
pub(crate) struct Started {
    dispatcher: Dispatcher,
    engine: Engine,
}

impl Started {
    /// Serves until the queue has ended and the last call is answered.
    pub fn serve(self, queue: Queue) {
        let Self { dispatcher, engine } = self;
        engine.serve(dispatcher, queue);
    }
}

/// What has come is handed on; true: other code has to run before all of it is answered.
fn hand_on(dispatcher: &Dispatcher, waited: Waited) -> bool {
    dispatcher.shared.notes.report(&waited);
    let mut others = false;
    for task in waited.tasks {
        others |= dispatcher.dispatch(task);
    }
    others
}

#[cfg(not(feature = "tokio"))]
impl Engine {
    pub fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    fn serve(self, dispatcher: Dispatcher, mut queue: Queue) {
        loop {
            let waited = queue.wait(None);
            let closed = waited.closed;
            dispatcher.shared.responses.hold();
            hand_on(&dispatcher, waited);
            dispatcher.shared.responses.release();
            if closed {
                break;
            }
        }
        dispatcher.end(queue);
    }
}

#[cfg(feature = "tokio")]
impl Engine {
    pub fn new() -> io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
            let cpus = std::thread::available_parallelism().map_or(1, usize::from);
            builder.worker_threads(cpus.min(MAX_WORKERS));
        }
        Ok(Self { tokio: builder.thread_name("nffi-tokio").enable_all().build()? })
    }

    fn serve(self, dispatcher: Dispatcher, queue: Queue) {
        // a task rather than block_on: then the calls it spawns start in its own thread
        let serving = self.tokio.spawn(poll(dispatcher, queue));
        if let Ok((dispatcher, queue)) = self.tokio.block_on(serving) {
            dispatcher.end(queue);
        }
        self.tokio.shutdown_background();
    }
}

/// An nginx has a worker for each CPU already.
#[cfg(feature = "tokio")]
const MAX_WORKERS: usize = 4;

#[cfg(feature = "tokio")]
async fn poll(dispatcher: Dispatcher, mut queue: Queue) -> (Dispatcher, Queue) {
    use tokio::io::unix::AsyncFd;

    // its successor is newer than most of tokio 1; the queue, and so its descriptor, outlives this
    #[allow(deprecated)]
    let readable = AsyncFd::with_interest(queue.fd(), tokio::io::Interest::READABLE);
    loop {
        let waited = queue.take();
        if waited.is_nothing() {
            if !queue.arm() {
                continue;
            }
            match &readable {
                Ok(readable) => {
                    if let Ok(mut ready) = readable.readable().await {
                        // before the queue is polled again: later events are reported again
                        ready.clear_ready();
                    }
                }
                // epoll takes no more descriptors: poll in intervals
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            }
            continue;
        }
        let closed = waited.closed;
        dispatcher.shared.responses.hold();
        let others = hand_on(&dispatcher, waited);
        if others {
            // let quick handlers finish, so that one call of libnffi sends all responses
            tokio::task::yield_now().await;
        }
        dispatcher.shared.responses.release();
        if closed {
            return (dispatcher, queue);
        }
        if !others {
            // inline calls without an end must not keep the only worker for themselves
            tokio::task::yield_now().await;
        }
    }
}
