//! Values, errors and panics, of handlers that are not async.

use nffi::testing::{Failure, Runtime};
use nffi::{bytes, fill, inline, BoxError, Context, Error, Handler, Service};
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
fn bytes_come_back_whatever_their_size() {
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
fn texts_and_nothing_are_responses_too() {
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
        let failure = runtime.call(method, b"").unwrap_err();
        assert_eq!(failure.message, "the handler has ended without a response", "{}", method);
    }
    for method in ["", "inline"] {
        let call = runtime.begin(method, b"on", Some(Duration::from_secs(10))).unwrap();
        assert_eq!(call.wait().unwrap(), b"on", "{}", method);
    }
}

#[test]
fn many_calls_at_once_get_their_own_responses() {
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
