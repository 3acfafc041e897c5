//! The runtime's side of one queue: it is polled by one thread at a time.

use super::abi::{RawQueue, RawRequest, OK};
use super::load::functions;
use super::os::wait_readable;
use super::task::{Task, TaskId};
use crate::log::Level;
use std::os::raw::c_int;
use std::time::{Duration, Instant};

const MAX_TASKS: usize = 64;
const MAX_NOTES: usize = 64;

pub struct Queue {
    pointer: *mut RawQueue,
    requests: Vec<RawRequest>,
    notes: Vec<u64>,
}

// SAFETY: every function of nffi.h may be called from any thread; &mut self keeps the pollers apart
unsafe impl Send for Queue {}

/// What has come, and notes about tasks that run.
#[derive(Default)]
pub(crate) struct Waited {
    pub tasks: Vec<Task>,
    pub cancelled: Vec<TaskId>,
    /// Streams that have credit again.
    pub writable: Vec<TaskId>,
    /// No more tasks will come.
    pub closed: bool,
}

impl Waited {
    pub fn is_nothing(&self) -> bool {
        self.tasks.is_empty()
            && self.cancelled.is_empty()
            && self.writable.is_empty()
            && !self.closed
    }
}

impl Queue {
    /// # Safety
    /// The pointer is a queue for the life of the process, and no other code polls it.
    pub(super) unsafe fn new(pointer: *mut RawQueue) -> Self {
        Self { pointer, requests: Vec::with_capacity(MAX_TASKS), notes: vec![0; MAX_NOTES] }
    }

    /// Takes what is there.
    pub(crate) fn take(&mut self) -> Waited {
        let requests = self.requests.as_mut_ptr();
        // SAFETY: the vector has room for this number of requests
        let count = unsafe { (functions().nffi_queue_poll)(self.pointer, requests, MAX_TASKS, 0) };
        let mut waited = self.take_notes();
        waited.closed = count < 0;
        if count > 0 {
            // SAFETY: poll has filled in this number
            unsafe { self.requests.set_len(count as usize) };
            // SAFETY: each was taken just now, and is made into one Task only
            waited
                .tasks
                .extend(self.requests.drain(..).map(|request| unsafe { Task::new(&request) }));
        }
        waited
    }

    pub(crate) fn take_notes(&mut self) -> Waited {
        let table = functions();
        Waited {
            cancelled: self.notes(table.nffi_queue_cancelled),
            writable: self.notes(table.nffi_stream_writable),
            ..Waited::default()
        }
    }

    fn notes(
        &mut self,
        take: unsafe extern "C" fn(*mut RawQueue, *mut u64, usize) -> c_int,
    ) -> Vec<TaskId> {
        // SAFETY: the vector has room for this number of notes
        let count = unsafe { take(self.pointer, self.notes.as_mut_ptr(), MAX_NOTES) };
        let count = usize::try_from(count).unwrap_or(0);
        self.notes[..count].iter().copied().map(TaskId).collect()
    }

    /// Writes a line to the error log that belongs to no call.
    pub(crate) fn log(&self, level: Level, text: &str) {
        let (bytes, size) = (text.as_ptr().cast(), text.len());
        // SAFETY: the bytes live during the call
        unsafe { (functions().nffi_queue_log)(self.pointer, level as c_int, bytes, size) };
    }

    /// False: something is there already. True: the descriptor will become readable.
    pub(crate) fn arm(&mut self) -> bool {
        // SAFETY: only the thread that polls arms
        unsafe { (functions().nffi_queue_arm)(self.pointer) == 0 }
    }

    pub(crate) fn fd(&self) -> c_int {
        // SAFETY: the queue is there
        unsafe { (functions().nffi_queue_fd)(self.pointer) }
    }

    /// Waits until there are tasks, notes or the end, or the time is over.
    pub(crate) fn wait(&mut self, limit: Option<Duration>) -> Waited {
        let until = limit.map(|time| Instant::now() + time);
        loop {
            let waited = self.take();
            if !waited.is_nothing() {
                return waited;
            }
            let left = match until {
                None => -1,
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return waited;
                    }
                    left.as_millis() as c_int + 1
                }
            };
            if self.arm() {
                wait_readable(self.fd(), left);
            }
        }
    }
}

impl Drop for Queue {
    /// Releases the descriptor: no thread waits on it, so the worker may free the queue.
    fn drop(&mut self) {
        // SAFETY: a handle of a queue that has ended is refused
        unsafe { (functions().nffi_queue_release_fd)(self.pointer) };
    }
}

/// The worker's queue in a process. It reports whether the start succeeded.
pub(crate) struct Attached(*mut RawQueue);

/// The error is a code of nffi.h.
pub(crate) fn attach() -> Result<(Attached, Queue), c_int> {
    let mut pointer = std::ptr::null_mut();
    // SAFETY: the pointer is written
    let result = unsafe { (functions().nffi_attach)(&mut pointer) };
    if result == OK {
        // SAFETY: nffi_attach returns the queue for the life of the process
        Ok((Attached(pointer), unsafe { Queue::new(pointer) }))
    } else {
        Err(result)
    }
}

impl Attached {
    /// The configuration that Lua passed; `None` if there is none.
    pub fn config(&self) -> Vec<u8> {
        let mut size = 0;
        // SAFETY: the queue is there
        let bytes = unsafe { (functions().nffi_queue_config)(self.0, &mut size) };
        if bytes.is_null() {
            return Vec::new();
        }
        // SAFETY: nffi.h: they are as many, and are valid as long as the queue
        unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size) }.to_vec()
    }

    pub fn ready(&self) -> bool {
        // SAFETY: the queue is there
        unsafe { (functions().nffi_attach_ready)(self.0) == OK }
    }

    pub fn failed(&self, reason: &str) {
        // SAFETY: the bytes live during the call
        unsafe { (functions().nffi_attach_failed)(self.0, reason.as_ptr().cast(), reason.len()) };
    }
}
