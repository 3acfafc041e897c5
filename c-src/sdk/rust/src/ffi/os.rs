//! The few calls of the system that std does not have.

use std::os::raw::{c_int, c_long, c_ulong};
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: i16,
    revents: i16,
}

#[repr(C)]
struct TimeSpec {
    seconds: c_long,
    nanoseconds: c_long,
}

extern "C" {
    fn poll(fds: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn clock_gettime(clock: c_int, time: *mut TimeSpec) -> c_int;
}

const POLLIN: i16 = 1;
const CLOCK_MONOTONIC: c_int = 1;
/// SIGHUP, SIGINT, SIGQUIT, SIGTERM, and SIGPIPE, which Rust ignores
const HARMLESS: [c_int; 5] = [1, 2, 3, 15, 13];

/// Waits until the descriptor is readable; -1: no limit.
pub(super) fn wait_readable(fd: c_int, timeout_ms: c_int) {
    let mut one = PollFd { fd, events: POLLIN, revents: 0 };
    // SAFETY: one descriptor, which lives during the call
    let _ = unsafe { poll(&mut one, 1, timeout_ms) };
}

extern "C" fn ignore(_number: c_int) {}

/// The worker ends a process, not the terminal or service manager that it runs under. A handler
/// rather than SIG_IGN: programs that this one starts do not inherit it.
pub(crate) fn keep_signals_away() {
    for number in HARMLESS {
        // SAFETY: the handler does nothing, which is allowed in any state
        unsafe { signal(number, ignore as extern "C" fn(c_int) as usize) };
    }
}

fn monotonic_ns() -> u64 {
    let mut now = TimeSpec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the clock exists, and the time is written to `now`
    unsafe { clock_gettime(CLOCK_MONOTONIC, &mut now) };
    now.seconds as u64 * 1_000_000_000 + now.nanoseconds as u64
}

/// The same instant on both clocks.
static BASE: Mutex<Option<(Instant, u64)>> = Mutex::new(None);

/// The instant of a time of CLOCK_MONOTONIC.
pub(crate) fn instant_of(ns: u64) -> Instant {
    let mut base = BASE.lock().unwrap_or_else(|broken| broken.into_inner());
    let (instant, then) = *base.get_or_insert_with(|| (Instant::now(), monotonic_ns()));
    if ns >= then {
        instant + Duration::from_nanos(ns - then)
    } else {
        let back = Duration::from_nanos(then - ns);
        instant.checked_sub(back).unwrap_or(instant)
    }
}
