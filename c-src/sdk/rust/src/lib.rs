//! Handles calls that Lua code makes in OpenResty. The same code is a shared library that the nginx
//! worker loads, or a process that it starts.
//!
//! `src/lib.rs` of a crate with `crate-type = ["cdylib", "rlib"]`:
//!
//! ```
//! use nffi::{BoxError, Context, Service};
//!
//! nffi::serve!(start);
//!
//! pub fn start(_config: ()) -> Result<Service, BoxError> {
//!     Ok(Service::new().method("shout", nffi::bytes(shout)))
//! }
//!
//! fn shout(_context: &Context, request: &[u8]) -> Result<Vec<u8>, BoxError> {
//!     Ok(request.to_ascii_uppercase())
//! }
//! # fn main() {}
//! ```
//!
//! `src/main.rs`, for a process:
//!
//! ```no_run
//! # mod shout { pub fn start(_: ()) -> Result<nffi::Service, nffi::BoxError> { unimplemented!() } }
//! fn main() {
//!     nffi::main(shout::start)
//! }
//! ```
//!
//! and in Lua
//!
//! ```lua
//! local runtime = nffi.load("/path/libshout.so")
//! local response, message, code, detail = runtime:call("hello", { method = "shout" })
//! ```
//!
//! Create handlers with [`bytes`], [`fill`] and [`stream`]; with the feature `serde` also [`json`]
//! and [`json_stream`], with `tokio` with [`async_fn`], [`stream_async`] and, with both, by
//! [`json_async`] and [`json_stream_async`]. Without features the crate has no
//! dependency. [`testing`] runs a runtime without nginx.
#![cfg_attr(not(all(feature = "serde", feature = "tokio")), allow(rustdoc::broken_intra_doc_links))]
#![deny(unsafe_code, unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

#[cfg(feature = "tokio")]
mod async_fn;
mod call;
mod config;
mod context;
mod dispatcher;
mod engine;
mod error;
mod failure;
#[allow(unsafe_code)]
mod ffi;
#[cfg(feature = "serde")]
mod finite;
mod handler;
#[cfg(feature = "serde")]
mod json;
#[cfg(feature = "serde")]
mod levels;
mod log;
mod notes;
mod output;
mod panics;
mod pool;
mod process;
mod responses;
mod runtime;
mod sender;
mod service;
pub mod testing;

#[cfg(feature = "tokio")]
pub use async_fn::{async_fn, stream_async, AsyncSender};
pub use config::FromConfig;
pub use context::{Cancellation, Context, OnCancel};
pub use error::{BoxError, Error};
pub use handler::{bytes, inline, Handler, Response};
#[cfg(feature = "serde")]
pub use json::{json, json_stream, Json, Values};
#[cfg(all(feature = "serde", feature = "tokio"))]
pub use json::{json_async, json_stream_async, AsyncValues};
pub use log::Level;
pub use output::{fill, Output};
pub use process::main;
pub use sender::{stream, Cancelled, Sender};
pub use service::Service;

/// Exports the function that the nginx worker calls to start a runtime.
///
/// The argument is the path of a function `fn(C) -> Result<Service, E>` (or a closure). It is
/// called once for each configuration with which Lua loads the library, in a separate thread: it
/// may take time, and calls wait for it. If it fails, calls fail with its error, and it is retried
/// after 0.1 s, doubling up to 30 s. `C` is a [`FromConfig`]; a configuration that it rejects is
/// an error of `nffi.load`.
#[macro_export]
macro_rules! serve {
    ($start:expr) => {
        #[doc(hidden)]
        #[no_mangle]
        #[allow(non_upper_case_globals)]
        pub static nffi_runtime_abi: u32 = $crate::__private::ABI_VERSION;

        #[doc(hidden)]
        #[no_mangle]
        pub unsafe extern "C" fn nffi_runtime_start(
            queue: *mut $crate::__private::RawQueue,
            config: *const ::std::os::raw::c_char,
            config_size: usize,
            error: *mut ::std::os::raw::c_char,
            error_size: usize,
        ) -> ::std::os::raw::c_int {
            // SAFETY: nginx passes the arguments that nffi.h describes
            unsafe {
                $crate::__private::start(
                    queue,
                    config,
                    config_size,
                    error,
                    error_size,
                    $crate::__private::begin($start),
                )
            }
        }
    };
}

/// What [`serve!`] needs.
#[doc(hidden)]
pub mod __private {
    pub use crate::ffi::{start, RawQueue, ABI_VERSION};
    pub use crate::runtime::begin;
}
