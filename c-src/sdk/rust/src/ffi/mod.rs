//! All unsafe code: nffi.h and the safe types over it. The rest of the crate holds a queue as
//! [`Queue`] and a running task as [`Task`]. It cannot respond twice, or read freed memory.

mod abi;
mod load;
mod os;
mod queue;
mod task;
mod testhost;

pub use abi::{RawQueue, ABI_VERSION};
pub(crate) use abi::{CANCELLED, CLOSED, NOT_A_PROCESS, STALE, WOULD_BLOCK};
pub(crate) use load::{error_text, load};
pub(crate) use os::{instant_of, keep_signals_away};
pub(crate) use queue::{attach, Queue, Waited};
pub(crate) use task::{respond, Buffer, Task, TaskId, TaskResponse};
pub(crate) use testhost::{Ended, Host, HostCall};

use crate::panics::catch;
use std::os::raw::{c_char, c_int};

/// The body of `nffi_runtime_start` in [`crate::serve!`]: passes the queue on, and writes the
/// reason of a failure.
///
/// # Safety
/// The pointers are the arguments of `nffi_runtime_start` from nginx.
pub unsafe fn start(
    queue: *mut RawQueue,
    config: *const c_char,
    config_size: usize,
    error: *mut c_char,
    error_size: usize,
    begin: impl FnOnce(Queue, Vec<u8>) -> Result<(), String>,
) -> c_int {
    let config = if config_size == 0 {
        Vec::new()
    } else {
        // SAFETY: nffi.h: `config` has `config_size` bytes during this call
        unsafe { std::slice::from_raw_parts(config.cast::<u8>(), config_size) }.to_vec()
    };
    // a panic must not reach nginx: what a start is made of may be dropped here
    let started = catch(|| {
        // SAFETY: nffi.h: the queue is this runtime's, for the life of the process
        load().and_then(|()| begin(unsafe { Queue::new(queue) }, config))
    });
    let reason = match started {
        Ok(Ok(())) => return 0,
        Ok(Err(reason)) => reason,
        Err(panic) => panic.to_string(),
    };
    if error_size > 0 {
        let size = reason.len().min(error_size - 1);
        // SAFETY: nffi.h: `error` has room for `error_size` bytes
        unsafe {
            std::ptr::copy_nonoverlapping(reason.as_ptr(), error.cast::<u8>(), size);
            *error.add(size) = 0;
        }
    }
    -1
}
