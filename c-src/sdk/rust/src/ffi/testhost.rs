//! libnffi_testhost: what stands for the worker in a test.

use super::abi::{
    HostFunctions, RawCall, RawHost, RawTesthostResponse, END_CANCELLED, END_ERROR, END_RESPONSE,
    END_TIMEOUT, OK,
};
use super::load::{error_text, host_functions};
use super::queue::Queue;
use std::os::raw::c_int;

#[derive(Clone, Copy)]
pub struct Host {
    pointer: *mut RawHost,
    functions: &'static HostFunctions,
}

// SAFETY: nffi_testhost.h: every function may be called from any thread, and a host is never freed
unsafe impl Send for Host {}
// SAFETY: as above
unsafe impl Sync for Host {}

impl Host {
    pub fn new(max_queue: u32) -> Result<Self, String> {
        let functions = host_functions()?;
        let mut pointer = std::ptr::null_mut();
        // SAFETY: the pointer is written
        let result = unsafe { (functions.nffi_testhost_create)(&mut pointer, max_queue) };
        if result == OK {
            Ok(Self { pointer, functions })
        } else {
            Err(error_text(result))
        }
    }

    /// To be called once: a queue has one poller.
    pub fn queue(self) -> Queue {
        // SAFETY: the host, and its queue, live as long as the process
        unsafe { Queue::new((self.functions.nffi_testhost_queue)(self.pointer)) }
    }

    pub fn close(self) {
        // SAFETY: the host is there
        unsafe { (self.functions.nffi_testhost_close)(self.pointer) };
    }

    pub fn unanswered(self) -> u32 {
        // SAFETY: the host is there
        unsafe { (self.functions.nffi_testhost_unanswered)(self.pointer) }
    }

    /// `window`: the window of a stream. The error is a code of nffi.h.
    pub fn call(
        self,
        method: &str,
        data: &[u8],
        timeout_ms: u32,
        window: Option<u32>,
    ) -> Result<HostCall, c_int> {
        let mut pointer = std::ptr::null_mut();
        let (name, size, bytes, count) =
            (method.as_ptr().cast(), method.len(), data.as_ptr().cast(), data.len());
        let out = &mut pointer;
        let host = self.pointer;
        let table = self.functions;
        // SAFETY: the bytes live during the call, and the pointer is written
        let result = unsafe {
            match window {
                None => (table.nffi_testhost_call)(host, name, size, bytes, count, timeout_ms, out),
                Some(window) => (table.nffi_testhost_stream)(
                    host, name, size, bytes, count, timeout_ms, window, out,
                ),
            }
        };
        if result == OK {
            Ok(HostCall { pointer, functions: table })
        } else {
            Err(result)
        }
    }
}

pub struct HostCall {
    pointer: *mut RawCall,
    functions: &'static HostFunctions,
}

// SAFETY: as Host
unsafe impl Send for HostCall {}
// SAFETY: like Host; memory that is lent to a caller is copied immediately
unsafe impl Sync for HostCall {}

pub enum Ended {
    Response { rc: i32, data: Vec<u8> },
    Error { message: Vec<u8>, detail: Vec<u8> },
    Timeout,
    Cancelled,
    Broken,
}

impl HostCall {
    /// Waits for the end.
    pub fn wait(&self) -> Ended {
        let mut response = RawTesthostResponse {
            end: 0,
            rc: 0,
            data: std::ptr::null(),
            size: 0,
            detail: std::ptr::null(),
            detail_size: 0,
        };
        // SAFETY: the response is filled in, and its bytes live until the call is freed
        let (data, detail) = unsafe {
            (self.functions.nffi_testhost_wait)(self.pointer, &mut response);
            (
                copy(response.data.cast(), response.size),
                copy(response.detail.cast(), response.detail_size),
            )
        };
        match response.end {
            END_RESPONSE => Ended::Response { rc: response.rc, data },
            END_ERROR => Ended::Error { message: data, detail },
            END_TIMEOUT => Ended::Timeout,
            END_CANCELLED => Ended::Cancelled,
            _ => Ended::Broken,
        }
    }

    /// Waits for the next chunk; None: the stream has ended. One thread at a time.
    pub fn read(&mut self) -> Option<Vec<u8>> {
        let mut data = std::ptr::null();
        let mut size = 0;
        // SAFETY: both are written; the chunk lives until the next one is read
        unsafe {
            if (self.functions.nffi_testhost_read)(self.pointer, &mut data, &mut size) == 1 {
                Some(copy(data.cast(), size))
            } else {
                None
            }
        }
    }

    pub fn cancel(&self) {
        // SAFETY: the call is there
        unsafe { (self.functions.nffi_testhost_cancel)(self.pointer) };
    }
}

impl Drop for HostCall {
    fn drop(&mut self) {
        // SAFETY: this is the only reference
        unsafe { (self.functions.nffi_testhost_free)(self.pointer) };
    }
}

/// # Safety
/// The pointer has `size` bytes.
unsafe fn copy(data: *const u8, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    // SAFETY: as the caller says
    unsafe { std::slice::from_raw_parts(data, size) }.to_vec()
}
