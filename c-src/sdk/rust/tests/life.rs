//! Configuration, start, deadlines, cancellation, close.

use nffi::testing::Runtime;
use nffi::{bytes, BoxError, Context, FromConfig, Level, Service};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::task::{Context as TaskContext, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(10);

#[test]
fn the_time_left_is_that_of_the_timeout() {
    let runtime = Runtime::start(
        |(): ()| {
            Ok::<_, BoxError>(Service::new().method(
                "left",
                bytes(|context: &Context, _: &[u8]| {
                    assert_eq!(context.method(), "left");
                    Ok::<_, BoxError>(format!("{:?}", context.time_left().map(|t| t.as_millis())))
                }),
            ))
        },
        "",
    )
    .unwrap();
    assert_eq!(runtime.call("left", b"").unwrap(), b"None");
    let left = runtime.begin("left", b"", Some(LONG)).unwrap().wait().unwrap();
    let left = String::from_utf8(left).unwrap();
    let ms: u64 = left.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
    assert!((5_000..=10_000).contains(&ms), "{}", left);
}

/// A handler that runs until it is cancelled, and says how it came to know.
fn waiting(notified: mpsc::Sender<&'static str>, entered: mpsc::Sender<()>) -> Service {
    let notified = Mutex::new(notified);
    let entered = Mutex::new(entered);
    let callback = bytes(move |context: &Context, data: &[u8]| {
        let (send, called) = mpsc::channel();
        let _guard = context.on_cancel(move || send.send(()).unwrap());
        let forgotten = context.on_cancel(|| panic!("it was forgotten"));
        drop(forgotten);
        entered.lock().unwrap().send(()).unwrap();
        let how = if data == b"poll" {
            while !context.is_cancelled() {
                thread::sleep(Duration::from_millis(1));
            }
            "polled"
        } else {
            called.recv_timeout(LONG)?;
            assert!(context.is_cancelled());
            "called"
        };
        notified.lock().unwrap().send(how)?;
        // a second time: immediately
        let (send, called) = mpsc::channel();
        drop(context.on_cancel(move || send.send(()).unwrap()));
        called.try_recv()?;
        Ok::<_, BoxError>(())
    });
    Service::new().method("", callback)
}

#[test]
fn a_handler_is_notified_of_cancellation() {
    let (send, notified) = mpsc::channel();
    let (enter, entered) = mpsc::channel();
    let make = Mutex::new((send, enter));
    let runtime = Runtime::start(
        move |(): ()| {
            let make = make.lock().unwrap();
            Ok::<_, BoxError>(waiting(make.0.clone(), make.1.clone()))
        },
        "",
    )
    .unwrap();
    for (how, want) in [("poll", "polled"), ("call", "called")] {
        let gone = runtime.begin("", how.as_bytes(), None).unwrap();
        entered.recv_timeout(LONG).unwrap();
        gone.cancel();
        assert_eq!(notified.recv_timeout(LONG).unwrap(), want);
        assert_eq!(gone.wait().unwrap_err().code, "cancelled");
        let late = runtime.begin("", how.as_bytes(), Some(Duration::from_millis(20))).unwrap();
        entered.recv_timeout(LONG).unwrap();
        assert_eq!(late.wait().unwrap_err().code, "timeout");
        assert_eq!(notified.recv_timeout(LONG).unwrap(), want);
    }
}

#[test]
fn a_context_kept_after_its_call_is_cancelled_and_runs_no_action() {
    let kept: Arc<Mutex<Option<Context>>> = Arc::default();
    let keep = kept.clone();
    let runtime = Runtime::start(
        move |(): ()| {
            let keep = keep.clone();
            Ok::<_, BoxError>(Service::new().method(
                "",
                bytes(move |context: &Context, _: &[u8]| {
                    let forgotten = context.on_cancel(|| panic!("the call was answered"));
                    std::mem::forget(forgotten);
                    assert!(!context.is_cancelled());
                    *keep.lock().unwrap() = Some(context.clone());
                    Ok::<_, BoxError>(context.log(Level::Notice, "from a test").to_string())
                }),
            ))
        },
        "",
    )
    .unwrap();
    assert_eq!(runtime.call("", b"").unwrap(), b"true");
    let context = kept.lock().unwrap().take().unwrap();
    assert!(context.is_cancelled());
    drop(context.on_cancel(|| panic!("the call was answered")));
}

/// Of an executor with an error.
struct Broken;

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

#[test]
fn a_waker_that_panics_ends_nothing() {
    let (enter, entered) = mpsc::channel();
    let enter = Mutex::new(enter);
    let runtime = Runtime::start(
        move |(): ()| {
            let enter = enter.lock().unwrap().clone();
            let enter = Mutex::new(enter);
            Ok::<_, BoxError>(Service::new().method(
                "",
                bytes(move |context: &Context, data: &[u8]| {
                    let mut cancelled = Box::pin(context.cancelled());
                    let waker = Waker::from(Arc::new(Broken));
                    let pending = cancelled.as_mut().poll(&mut TaskContext::from_waker(&waker));
                    assert!(pending.is_pending());
                    enter.lock().unwrap().send(()).unwrap();
                    while data == b"wait" && !context.is_cancelled() {
                        thread::sleep(Duration::from_millis(1));
                    }
                    Ok::<_, BoxError>("answered")
                }),
            ))
        },
        "",
    )
    .unwrap();
    for _ in 0..3 {
        let gone = runtime.begin("", b"wait", None).unwrap();
        entered.recv_timeout(LONG).unwrap();
        gone.cancel();
        assert_eq!(gone.wait().unwrap_err().code, "cancelled");
        let call = runtime.begin("", b"", Some(LONG)).unwrap();
        assert_eq!(call.wait().unwrap(), b"answered");
    }
}

#[test]
fn a_full_queue_is_said() {
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let runtime = Runtime::start_with_queue(
        2,
        move |(): ()| {
            released.lock().unwrap().recv().unwrap();
            Ok::<_, BoxError>(Service::new())
        },
        "",
    )
    .unwrap();
    let waiting: Vec<_> = (0..2).map(|_| runtime.begin("", b"", None).unwrap()).collect();
    assert_eq!(runtime.begin("", b"", None).err().unwrap().code, "queue_full");
    release.send(()).unwrap();
    for call in waiting {
        assert!(call.wait().is_err());
    }
}

#[test]
fn close_lets_calls_end() {
    let (enter, entered) = mpsc::channel::<()>();
    let (release, released) = mpsc::channel::<()>();
    let (enter, released) = (Mutex::new(enter), Arc::new(Mutex::new(released)));
    let enter = Arc::new(enter);
    let runtime = Runtime::start(
        move |(): ()| {
            let (enter, released) = (enter.clone(), released.clone());
            Ok::<_, BoxError>(Service::new().method(
                "",
                bytes(move |_: &Context, _: &[u8]| {
                    enter.lock().unwrap().send(()).unwrap();
                    released.lock().unwrap().recv().unwrap();
                    Ok::<_, BoxError>("done")
                }),
            ))
        },
        "",
    )
    .unwrap();
    let call = runtime.begin("", b"", None).unwrap();
    entered.recv_timeout(LONG).unwrap();
    runtime.close();
    assert_eq!(runtime.call("", b"").unwrap_err().code, "closed");
    thread::sleep(Duration::from_millis(50));
    assert!(!runtime.has_ended(), "with a call under way");
    release.send(()).unwrap();
    assert_eq!(call.wait().unwrap(), b"done");
    let until = Instant::now() + LONG;
    while !runtime.has_ended() {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Its text is a panic.
#[derive(Debug)]
struct Unprintable;

impl std::fmt::Display for Unprintable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unprintable {}

#[test]
fn a_runtime_that_does_not_start_is_tried_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let tried = tries.clone();
    let runtime = Runtime::start(
        move |name: String| match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Err(BoxError::from("no server")),
            1 => panic!("no luck"),
            2 => Err(Unprintable.into()),
            _ => Ok(Service::new()
                .method("", bytes(move |_: &Context, _: &[u8]| Ok::<_, BoxError>(name.clone())))),
        },
        "named",
    )
    .unwrap();
    for (count, reason) in [(1, "no server"), (2, "panic: no luck"), (3, "panic: no words")] {
        let until = Instant::now() + LONG;
        while tried.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < until);
            thread::yield_now();
        }
        for _ in 0..2 {
            let failure = runtime.call("", b"").unwrap_err();
            assert_eq!(failure.message, format!("the runtime did not start: {}", reason));
        }
    }
    let until = Instant::now() + LONG;
    while tried.load(Ordering::SeqCst) < 4 {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(runtime.call("", b"").unwrap(), b"named");
}

#[test]
fn a_configuration_that_is_refused_is_an_error_of_the_load() {
    struct Even;
    impl FromConfig for Even {
        fn from_config(bytes: &[u8]) -> Result<Self, BoxError> {
            match bytes {
                b"panic" => panic!("no luck"),
                b"unprintable" => Err(Unprintable.into()),
                _ if bytes.len() % 2 == 0 => Ok(Even),
                _ => Err("that is odd".into()),
            }
        }
    }
    let load = |config: &str| Runtime::start(|_: Even| Ok::<_, BoxError>(Service::new()), config);
    assert_eq!(load("x").err().unwrap(), "that is odd");
    assert_eq!(load("panic").err().unwrap(), "panic: no luck");
    assert_eq!(load("unprintable").err().unwrap(), "panic: no words");
    assert!(load("xy").is_ok());
    let none = Runtime::start(|(): ()| Ok::<_, BoxError>(Service::new()), "x");
    assert_eq!(none.err().unwrap(), "this runtime takes no configuration");
    let text = Runtime::start(|_: String| Ok::<_, BoxError>(Service::new()), vec![0xff]);
    assert!(text.err().unwrap().starts_with("the configuration is not text: "));
}

#[test]
fn two_configurations_are_two_runtimes() {
    let start = |name: String| {
        Ok::<_, BoxError>(
            Service::new()
                .method("", bytes(move |_: &Context, _: &[u8]| Ok::<_, BoxError>(name.clone()))),
        )
    };
    let (a, b) = (Runtime::start(start, "a").unwrap(), Runtime::start(start, "b").unwrap());
    assert_eq!(a.call("", b"").unwrap(), b"a");
    assert_eq!(b.call("", b"").unwrap(), b"b");
}
