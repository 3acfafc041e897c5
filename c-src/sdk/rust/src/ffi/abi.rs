//! nffi.h and nffi_testhost.h as Rust has them; its tests compare.

use std::os::raw::{c_char, c_int, c_void};

/// NFFI_ABI_VERSION
pub const ABI_VERSION: u32 = 1;

pub(crate) const OK: c_int = 0;
pub(crate) const STALE: c_int = -3;
pub(crate) const CLOSED: c_int = -5;
pub(crate) const NOT_A_PROCESS: c_int = -9;
pub(crate) const WOULD_BLOCK: c_int = -10;
pub(crate) const CANCELLED: c_int = -11;

pub(super) const REQUEST_STREAM: u32 = 1;
pub(super) const RESPONSE_BUFFER: u32 = 1;
pub(super) const RESPONSE_ERROR: u32 = 2;

pub(super) const END_RESPONSE: c_int = 0;
pub(super) const END_ERROR: c_int = 1;
pub(super) const END_TIMEOUT: c_int = 2;
pub(super) const END_CANCELLED: c_int = 3;

/// nffi_queue_t
#[repr(C)]
pub struct RawQueue {
    _private: [u8; 0],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RawRequest {
    pub task: u64,
    pub data: *const c_void,
    pub size: usize,
    pub method: *const c_char,
    pub method_size: usize,
    pub deadline_ns: u64,
    pub flags: u32,
    pub reserved: u32,
}

#[repr(C)]
pub(super) struct RawResponse {
    pub task: u64,
    pub data: *mut c_void,
    pub size: usize,
    pub detail: *const c_void,
    pub detail_size: usize,
    pub rc: i32,
    pub flags: u32,
    pub result: i32,
}

#[repr(C)]
pub(super) struct RawHost {
    _private: [u8; 0],
}

#[repr(C)]
pub(super) struct RawCall {
    _private: [u8; 0],
}

#[repr(C)]
pub(super) struct RawTesthostResponse {
    pub end: c_int,
    pub rc: i32,
    pub data: *const c_void,
    pub size: usize,
    pub detail: *const c_void,
    pub detail_size: usize,
}

/// A table of functions, which is filled by name.
macro_rules! functions {
    ($(#[$about:meta])* $table:ident { $(fn $name:ident($($argument:ty),*) $(-> $result:ty)?;)* }) => {
        $(#[$about])*
        pub(super) struct $table {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl $table {
            /// # Safety
            /// `find` must return the functions of nffi.h.
            pub unsafe fn fill(
                find: impl Fn(&'static str) -> Result<*mut c_void, String>,
            ) -> Result<Self, String> {
                Ok(Self {
                    $($name: {
                        let address = find(concat!(stringify!($name), "\0"))?;
                        // SAFETY: that function has these arguments
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C" fn($($argument),*) $(-> $result)?,
                            >(address)
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    /// The runtime's side.
    Functions {
        fn nffi_abi_version() -> u32;
        fn nffi_error_text(c_int) -> *const c_char;
        fn nffi_queue_poll(*mut RawQueue, *mut RawRequest, usize, c_int) -> c_int;
        fn nffi_queue_config(*mut RawQueue, *mut usize) -> *const c_void;
        fn nffi_queue_fd(*mut RawQueue) -> c_int;
        fn nffi_queue_release_fd(*mut RawQueue) -> c_int;
        fn nffi_queue_arm(*mut RawQueue) -> c_int;
        fn nffi_queue_cancelled(*mut RawQueue, *mut u64, usize) -> c_int;
        fn nffi_task_cancelled(u64) -> c_int;
        fn nffi_respond_error(u64, *const c_void, usize, *const c_void, usize) -> c_int;
        fn nffi_respond_batch(*mut RawResponse, usize) -> c_int;
        fn nffi_response_alloc(u64, usize) -> *mut c_void;
        fn nffi_response_discard(u64, *mut c_void);
        fn nffi_stream_write(u64, *const c_void, usize) -> c_int;
        fn nffi_stream_writable(*mut RawQueue, *mut u64, usize) -> c_int;
        fn nffi_stream_end(u64) -> c_int;
        fn nffi_log(u64, c_int, *const c_void, usize) -> c_int;
        fn nffi_queue_log(*mut RawQueue, c_int, *const c_void, usize) -> c_int;
        fn nffi_attach(*mut *mut RawQueue) -> c_int;
        fn nffi_attach_ready(*mut RawQueue) -> c_int;
        fn nffi_attach_failed(*mut RawQueue, *const c_void, usize) -> c_int;
    }
}

functions! {
    /// The worker that a test has.
    HostFunctions {
        fn nffi_testhost_create(*mut *mut RawHost, u32) -> c_int;
        fn nffi_testhost_queue(*mut RawHost) -> *mut RawQueue;
        fn nffi_testhost_close(*mut RawHost);
        fn nffi_testhost_unanswered(*mut RawHost) -> u32;
        fn nffi_testhost_call(
            *mut RawHost, *const c_char, usize, *const c_void, usize, u32, *mut *mut RawCall
        ) -> c_int;
        fn nffi_testhost_stream(
            *mut RawHost, *const c_char, usize, *const c_void, usize, u32, u32, *mut *mut RawCall
        ) -> c_int;
        fn nffi_testhost_read(*mut RawCall, *mut *const c_void, *mut usize) -> c_int;
        fn nffi_testhost_wait(*mut RawCall, *mut RawTesthostResponse);
        fn nffi_testhost_cancel(*mut RawCall);
        fn nffi_testhost_free(*mut RawCall);
    }
}

#[cfg(test)]
mod tests;
