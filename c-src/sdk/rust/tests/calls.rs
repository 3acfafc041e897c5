//! Values, errors and panics, of handlers that are not async.

use nffi::testing::{Failure, Runtime};
use nffi::{bytes, fill, inline, stream, BoxError, Context, Error, Handler, Sender, Service};
use std::io::Write;
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::Duration;

fn echo() -> Handler {
    bytes(|_: &Context, data: &[u8]| Ok::<_, BoxError>(data.to_vec()))
}

fn serve(service: fn() -> Service) -> Runtime {
    Runtime::start(move |(): ()| Ok::<_, BoxError>(service()), "").unwrap()
}

#[test]
fn bytes_of_any_size_are_returned() {
    let runtime = serve(|| {
        let filled = fill(|_: &Context, data: &[u8], output: &mut nffi::Output<'_>| {
            output.reserve(data.len())?;
            output.write_all(data)
        });
        let zeroed = fill(|_: &Context, data: &[u8], output: &mut nffi::Output<'_>| {
            output.reserve(7)?; // another one replaces it
            output.zeroed(data.len()).map(|room| room.copy_from_slice(data))
        });
        Service::new()
            .method("", echo())
            .method("inline", inline(echo()))
            .method("filled", filled)
            .method("zeroed", zeroed)
    });
    for method in ["", "inline", "filled", "zeroed"] {
        for size in [0, 1, 4096, 4097, 300_000, 5_000_000] {
            let sent: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
            assert!(runtime.call(method, &sent).unwrap() == sent, "{} with {} bytes", method, size);
        }
    }
}

#[test]
fn strings_and_unit_are_responses() {
    let runtime = serve(|| {
        Service::new()
            .method("static", bytes(|_: &Context, _: &[u8]| Ok::<_, BoxError>("constant")))
            .method("string", bytes(|_: &Context, _: &[u8]| Ok::<_, BoxError>("made".to_owned())))
            .method("nothing", bytes(|_: &Context, _: &[u8]| Ok::<_, BoxError>(())))
            .method("slice", bytes(|_: &Context, _: &[u8]| Ok::<_, BoxError>(&b"lent"[..])))
    });
    for (method, response) in
        [("static", "constant"), ("string", "made"), ("nothing", ""), ("slice", "lent")]
    {
        assert_eq!(runtime.call(method, b"").unwrap(), response.as_bytes());
    }
}

#[test]
fn more_than_was_reserved_is_an_error() {
    let runtime = serve(|| {
        Service::new().method(
            "",
            fill(|_: &Context, data: &[u8], output: &mut nffi::Output<'_>| {
                output.reserve(3)?;
                output.write_all(data)
            }),
        )
    });
    assert_eq!(runtime.call("", b"abc").unwrap(), b"abc");
    assert_eq!(runtime.call("", b"abcd").unwrap_err().message, "failed to write whole buffer");
    assert_eq!(runtime.call("", b"ab").unwrap(), b"ab");
}

#[test]
fn a_method_that_is_not_there_is_named() {
    let runtime = serve(|| Service::new().method("b", echo()).method("a", echo()));
    let missing = runtime.call("c", b"").unwrap_err();
    assert_eq!(missing.message, r#"unknown method "c"; methods: a, b"#);
    let nameless = runtime.call("", b"").unwrap_err();
    assert_eq!(nameless.message, "a call without a method has no handler; methods: a, b");
    assert_eq!(nameless.code, "runtime_error");
}

#[derive(Debug)]
struct Wrapping(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Wrapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "wrapped: {}", self.0)
    }
}

impl std::error::Error for Wrapping {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

#[test]
fn errors_arrive_with_what_they_tell() {
    let runtime = serve(|| {
        let failing = |error: fn() -> BoxError| {
            bytes(move |_: &Context, _: &[u8]| Err::<(), BoxError>(error()))
        };
        Service::new()
            .method("text", failing(|| "no luck".into()))
            .method("detail", failing(|| Error::new("no luck").detail("line 1").into()))
            .method("code", failing(|| Error::new("no luck").code(7).into()))
            .method("cause", failing(|| Wrapping("no luck".into()).into()))
            .method(
                "wrapped",
                failing(|| Wrapping(Error::new("no luck").detail("line 1").into()).into()),
            )
    });
    let failure = |message: &str, detail: &str, rc| Failure {
        message: message.into(),
        code: "runtime_error",
        detail: detail.into(),
        rc,
    };
    for (method, expected) in [
        ("text", failure("no luck", "", 0)),
        ("detail", failure("no luck", "line 1", 0)),
        ("code", failure("no luck", "", 7)),
        ("cause", failure("wrapped: no luck", "caused by: no luck", 0)),
        ("wrapped", failure("wrapped: no luck", "line 1", 0)),
    ] {
        assert_eq!(runtime.call(method, b"").unwrap_err(), expected);
    }
}

fn panics() -> Handler {
    bytes(|_: &Context, data: &[u8]| -> Result<(), BoxError> {
        panic!("no luck with {} bytes", data.len())
    })
}

#[test]
fn a_panic_fails_its_call_only() {
    let runtime = serve(|| {
        Service::new()
            .method("", echo())
            .method("pool", panics())
            .method("inline", inline(panics()))
    });
    for method in ["pool", "inline"] {
        let failure = runtime.call(method, b"ab").unwrap_err();
        assert_eq!(failure.message, "panic: no luck with 2 bytes");
        let place = failure.detail.lines().next().unwrap_or_default();
        assert!(place.starts_with("at tests/calls.rs:"), "{}", failure.detail);
        assert_eq!(runtime.call("", b"on").unwrap(), b"on");
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

/// What it holds panics when it is dropped, after the handler.
struct Burden;

impl Drop for Burden {
    fn drop(&mut self) {
        panic!("dropped")
    }
}

/// An error that panics when it is dropped.
#[derive(Debug)]
struct Heavy;

impl std::fmt::Display for Heavy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("heavy")
    }
}

impl std::error::Error for Heavy {}

impl Drop for Heavy {
    fn drop(&mut self) {
        panic!("dropped")
    }
}

/// An error whose causes have no end.
#[derive(Debug)]
struct Endless;

impl std::fmt::Display for Endless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("endless")
    }
}

impl std::error::Error for Endless {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self)
    }
}

fn fail(how: &[u8]) -> Result<(), BoxError> {
    match how {
        b"unprintable" => Err(Unprintable.into()),
        b"heavy" => Err(Heavy.into()),
        b"endless" => Err(Endless.into()),
        b"no text" => std::panic::panic_any(7),
        b"burden" => std::panic::panic_any(Burden),
        _ => Err("x".repeat(100_000_000).into()),
    }
}

const FAILURES: [(&str, &str); 6] = [
    ("unprintable", "panic: no words"),
    ("heavy", "heavy"),
    ("endless", "endless"),
    ("no text", "panic: of a value that is no text"),
    ("burden", "panic: of a value that is no text"),
    ("long", "xxx"),
];

#[test]
fn a_failing_handler_fails_only_its_call() {
    let runtime = serve(|| {
        let failing = || bytes(|_: &Context, how: &[u8]| fail(how));
        Service::new()
            .threads(2)
            .method("", echo())
            .method("inline echo", inline(echo()))
            .method("pool", failing())
            .method("inline", inline(failing()))
            .method("stream", stream(|_: &Context, how: &[u8], _: &mut Sender| fail(how)))
    });
    let limit = Some(Duration::from_secs(20));
    let mut others = Vec::new();
    let mut calls = Vec::new();
    for (how, message) in FAILURES {
        for method in ["pool", "inline", "stream"] {
            let call = runtime.begin(method, how.as_bytes(), limit).unwrap();
            calls.push((how, message, call));
            for method in ["", "inline echo"] {
                others.push((how, runtime.begin(method, how.as_bytes(), limit).unwrap()));
            }
        }
    }
    for (how, message, call) in calls {
        let failure = call.wait().unwrap_err();
        assert_eq!(failure.code, "runtime_error", "{}", how);
        assert!(failure.message.starts_with(message), "{}: {:.100}", how, failure.message);
    }
    for (how, call) in others {
        assert_eq!(call.wait().unwrap(), how.as_bytes());
    }
}

#[test]
fn a_start_that_fails_in_any_way_is_an_error_of_its_calls() {
    for (how, message) in FAILURES {
        let start = move |(): ()| fail(how.as_bytes()).map(|()| Service::new());
        let runtime = Runtime::start(start, "").unwrap();
        let call = runtime.begin("", b"", Some(Duration::from_secs(10))).unwrap();
        let failure = call.wait().unwrap_err();
        let expected = format!("the runtime did not start: {}", message);
        assert!(failure.message.starts_with(&expected), "{}: {:.100}", how, failure.message);
    }
}

#[test]
fn an_action_that_panics_keeps_no_other_from_running() {
    let (send, entered) = mpsc::channel();
    let (notify, notified) = mpsc::channel();
    let shared = Arc::new((Mutex::new(send), Mutex::new(notify)));
    let start = move |(): ()| {
        let shared = shared.clone();
        let handler = bytes(move |context: &Context, _: &[u8]| {
            let (done, ran) = mpsc::channel();
            let _first = context.on_cancel(|| panic!("no luck"));
            let _second = context.on_cancel(|| std::panic::panic_any(Burden));
            let _last = context.on_cancel(move || done.send(()).unwrap());
            shared.0.lock().unwrap().send(()).unwrap();
            let result = ran.recv_timeout(Duration::from_secs(10));
            // immediately, and not into the handler
            drop(context.on_cancel(|| panic!("no luck")));
            shared.1.lock().unwrap().send(result).unwrap();
            Ok::<_, BoxError>(())
        });
        Ok::<_, BoxError>(Service::new().method("", handler).method("echo", echo()))
    };
    let runtime = Runtime::start(start, "").unwrap();
    let call = runtime.begin("", b"", None).unwrap();
    entered.recv_timeout(Duration::from_secs(10)).unwrap();
    call.cancel();
    assert_eq!(notified.recv_timeout(Duration::from_secs(20)), Ok(Ok(())));
    let after = runtime.begin("echo", b"on", Some(Duration::from_secs(10))).unwrap();
    assert_eq!(after.wait().unwrap(), b"on");
}

#[test]
fn what_panics_after_a_handler_fails_its_call_only() {
    let runtime = serve(|| {
        let unprintable = || bytes(|_: &Context, _: &[u8]| Err::<(), _>(Unprintable));
        let burden = || {
            bytes(|context: &Context, _: &[u8]| {
                let burden = Burden;
                std::mem::forget(context.on_cancel(move || drop(burden)));
                Ok::<_, BoxError>(())
            })
        };
        Service::new()
            .threads(1)
            .method("unprintable", unprintable())
            .method("unprintable inline", inline(unprintable()))
            .method("burden", burden())
            .method("burden inline", inline(burden()))
            .method("", echo())
            .method("inline", inline(echo()))
    });
    for method in ["unprintable", "unprintable inline"] {
        let failure = runtime.call(method, b"").unwrap_err();
        assert_eq!(failure.message, "panic: no words", "{}", method);
        assert!(failure.detail.starts_with("at tests/calls.rs"), "{}", failure.detail);
    }
    for method in ["burden", "burden inline"] {
        assert_eq!(runtime.call(method, b"").unwrap(), b"", "{}", method);
    }
    for method in ["", "inline"] {
        let call = runtime.begin(method, b"on", Some(Duration::from_secs(10))).unwrap();
        assert_eq!(call.wait().unwrap(), b"on", "{}", method);
    }
}

#[test]
fn concurrent_calls_get_their_own_responses() {
    let runtime = serve(|| {
        let wait = bytes(|_: &Context, data: &[u8]| {
            thread::sleep(Duration::from_millis(1));
            Ok::<_, BoxError>(data.to_vec())
        });
        Service::new()
            .threads(8)
            .method("quick", echo())
            .method("inline", inline(echo()))
            .method("wait", wait)
            .method("panics", panics())
    });
    thread::scope(|scope| {
        for i in 0..25 {
            for method in ["quick", "inline", "wait", "panics"] {
                let runtime = &runtime;
                scope.spawn(move || {
                    for j in 0..20 {
                        let sent = format!("{} {} {} ", method, i, j).repeat(1 + i * j);
                        let got = runtime.call(method, sent.as_bytes());
                        match got {
                            Ok(got) => assert!(got == sent.as_bytes(), "{}", sent),
                            Err(failure) => assert!(
                                method == "panics" && failure.message.starts_with("panic: "),
                                "{}",
                                failure
                            ),
                        }
                    }
                });
            }
        }
    });
    assert_eq!(runtime.unanswered(), 0);
}

#[test]
fn calls_beyond_the_threads_wait_for_one() {
    let (entered, entries) = mpsc::channel::<()>();
    let (release, released) = mpsc::channel::<()>();
    let (entered, released) = (Mutex::new(entered), Arc::new(Mutex::new(released)));
    let channels = Arc::new((entered, released));
    let runtime = Runtime::start(
        move |(): ()| {
            let channels = channels.clone();
            let wait = bytes(move |_: &Context, _: &[u8]| {
                channels.0.lock().unwrap().send(()).unwrap();
                channels.1.lock().unwrap().recv().unwrap();
                Ok::<_, BoxError>(())
            });
            Ok::<_, BoxError>(Service::new().threads(2).method("", wait))
        },
        "",
    )
    .unwrap();
    let calls: Vec<_> = (0..3).map(|_| runtime.begin("", b"", None).unwrap()).collect();
    for _ in 0..2 {
        entries.recv_timeout(Duration::from_secs(10)).unwrap();
    }
    assert!(entries.recv_timeout(Duration::from_millis(50)).is_err(), "a third thread");
    release.send(()).unwrap();
    entries.recv_timeout(Duration::from_secs(10)).unwrap();
    for _ in 0..2 {
        release.send(()).unwrap();
    }
    for call in calls {
        call.wait().unwrap();
    }
}

#[test]
fn a_call_that_was_cancelled_before_it_had_a_thread_is_not_started() {
    let (entered, entries) = mpsc::channel::<Vec<u8>>();
    let (release, released) = mpsc::channel::<()>();
    let channels = Arc::new((Mutex::new(entered), Mutex::new(released)));
    let runtime = Runtime::start(
        move |(): ()| {
            let channels = channels.clone();
            let wait = bytes(move |_: &Context, data: &[u8]| {
                channels.0.lock().unwrap().send(data.to_vec()).unwrap();
                channels.1.lock().unwrap().recv().unwrap();
                Ok::<_, BoxError>(())
            });
            Ok::<_, BoxError>(
                Service::new().threads(1).method("", wait).method("inline", inline(echo())),
            )
        },
        "",
    )
    .unwrap();
    let at_work = runtime.begin("", b"first", None).unwrap();
    let long = Duration::from_secs(10);
    assert_eq!(entries.recv_timeout(long).unwrap(), b"first");
    let gone = runtime.begin("", b"gone", None).unwrap();
    let late = runtime.begin("", b"late", Some(Duration::from_millis(10))).unwrap();
    let last = runtime.begin("", b"last", None).unwrap();
    // once this is answered, those before it were taken from the queue
    assert_eq!(runtime.call("inline", b"taken").unwrap(), b"taken");
    gone.cancel();
    assert_eq!(late.wait().unwrap_err().code, "timeout");
    release.send(()).unwrap();
    at_work.wait().unwrap();
    assert_eq!(entries.recv_timeout(long).unwrap(), b"last");
    release.send(()).unwrap();
    last.wait().unwrap();
    assert_eq!(runtime.unanswered(), 0);
}
