//! Panics of handlers, as errors of their calls with the place and the stack.

use crate::error::{BoxError, Error};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Somebody will be told of a panic in this thread.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}
static HOOK: Once = Once::new();

/// Calls the function; a panic in it is an error. What it has left half done is not looked at by this
/// crate, and a handler that shares state is better off with locks that notice a panic.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, BoxError> {
    HOOK.call_once(install);
    let outer = CATCHING.with(|catching| catching.replace(true));
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.with(|catching| catching.set(outer));
    result.map_err(|thrown| {
        let place = PLACE.with(|place| std::mem::take(&mut *place.borrow_mut()));
        Error::new(format!("panic: {}", text_of(&*thrown))).detail(place).into()
    })
}

fn text_of(thrown: &(dyn Any + Send)) -> &str {
    match (thrown.downcast_ref::<&'static str>(), thrown.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "of a value that is no text",
    }
}

/// Panics elsewhere are still told as they were.
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
