//! Panics of handlers, as errors of their calls with the place and the stack.

use crate::error::{BoxError, Error};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// A panic in this thread will be reported to a caller.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}
static HOOK: Once = Once::new();

/// Calls the function and converts a panic into an error. This crate does not inspect the state
/// that a panic leaves behind. A handler that shares state should use locks that detect a panic.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, BoxError> {
    HOOK.call_once(install);
    let outer = CATCHING.with(|catching| catching.replace(true));
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.with(|catching| catching.set(outer));
    result.map_err(|thrown| {
        let place = PLACE.with(|place| std::mem::take(&mut *place.borrow_mut()));
        let text = format!("panic: {}", text_of(&*thrown));
        discard(thrown);
        Error::new(text).detail(place).into()
    })
}

/// Drops a value of the user, which may panic.
pub(crate) fn discard<T>(value: T) {
    if let Err(thrown) = catch_unwind(AssertUnwindSafe(move || drop(value))) {
        // the drop of this one may panic as well
        std::mem::forget(thrown);
    }
}

fn text_of(thrown: &(dyn Any + Send)) -> &str {
    match (thrown.downcast_ref::<&'static str>(), thrown.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "of a value that is no text",
    }
}

/// Panics in other threads are reported as before.
fn install() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if CATCHING.with(Cell::get) {
            let at = panic.location().map_or_else(String::new, |at| format!("at {}", at));
            PLACE.with(|place| *place.borrow_mut() = at + &stack());
        } else {
            before(panic);
        }
    }));
}

#[cfg(nffi_backtrace)]
#[allow(unknown_lints, clippy::incompatible_msrv)] // build.rs has looked
fn stack() -> String {
    format!("\n{}", std::backtrace::Backtrace::force_capture())
}

#[cfg(not(nffi_backtrace))]
fn stack() -> String {
    String::new()
}
