//! Async handlers on tokio.
#![cfg(feature = "tokio")]

use nffi::testing::Runtime;
use nffi::{async_fn, bytes, stream_async, AsyncSender, BoxError, Context, Service};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(10);

fn serve(service: impl Fn() -> Service + Send + 'static) -> Runtime {
    Runtime::start(move |(): ()| Ok::<_, BoxError>(service()), "").unwrap()
}

#[test]
fn async_and_other_handlers_respond_side_by_side() {
    let runtime = serve(|| {
        Service::new()
            .method(
                "sleep",
                async_fn(|_, data| async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    Ok::<_, BoxError>(data)
                }),
            )
            .method("ready", async_fn(|_, data| async move { Ok::<_, BoxError>(data) }))
            .method("thread", bytes(|_: &Context, data: &[u8]| Ok::<_, BoxError>(data.to_vec())))
            .method("fails", async_fn(|_, _| async { Err::<(), BoxError>("no luck".into()) }))
    });
    assert_eq!(runtime.call("fails", b"").unwrap_err().message, "no luck");
    thread::scope(|scope| {
        for i in 0..20 {
            for method in ["sleep", "ready", "thread"] {
                let runtime = &runtime;
                scope.spawn(move || {
                    for j in 0..20 {
                        let sent = format!("{} {} {}", method, i, j);
                        assert_eq!(runtime.call(method, sent.as_bytes()).unwrap(), sent.as_bytes());
                    }
                });
            }
        }
    });
    assert_eq!(runtime.unanswered(), 0);
}

#[test]
fn a_thousand_that_sleep_need_no_thread_each() {
    let runtime = serve(|| {
        Service::new().method(
            "",
            async_fn(|_, data| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, BoxError>(data)
            }),
        )
    });
    let began = Instant::now();
    let calls: Vec<_> =
        (0..1000).map(|i: u32| runtime.begin("", &i.to_le_bytes(), None).unwrap()).collect();
    for (i, call) in (0_u32..).zip(&calls) {
        assert_eq!(call.wait().unwrap(), i.to_le_bytes());
    }
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
}

#[test]
fn a_panic_fails_its_call_only() {
    async fn later() -> Result<(), BoxError> {
        tokio::task::yield_now().await;
        panic!("no luck")
    }
    let runtime = serve(|| {
        Service::new().method("later", async_fn(|_, _| later())).method(
            "at once",
            async_fn(|_, data: Vec<u8>| {
                assert!(!data.is_empty(), "no luck");
                async { Ok::<_, BoxError>("on") }
            }),
        )
    });
    for method in ["later", "at once"] {
        let failure = runtime.call(method, b"").unwrap_err();
        assert_eq!(failure.message, "panic: no luck");
        assert!(failure.detail.starts_with("at tests/async_fn.rs:"), "{}", failure.detail);
        assert_eq!(runtime.call("at once", b"x").unwrap(), b"on");
    }
}

struct Dropped(mpsc::Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn the_future_of_a_cancelled_call_is_dropped() {
    let (enter, entered) = mpsc::channel();
    let (send, dropped) = mpsc::channel();
    let channels = Arc::new(Mutex::new((enter, send)));
    let runtime = serve(move || {
        let channels = channels.clone();
        Service::new().method(
            "",
            async_fn(move |_, _| {
                let (enter, send) = channels.lock().unwrap().clone();
                async move {
                    let _dropped = Dropped(send);
                    enter.send(())?;
                    std::future::pending::<()>().await;
                    Ok::<_, BoxError>(())
                }
            }),
        )
    });
    let gone = runtime.begin("", b"", None).unwrap();
    entered.recv_timeout(LONG).unwrap();
    assert!(dropped.recv_timeout(Duration::from_millis(20)).is_err());
    gone.cancel();
    dropped.recv_timeout(LONG).unwrap();
    let late = runtime.begin("", b"", Some(Duration::from_millis(20))).unwrap();
    assert_eq!(late.wait().unwrap_err().code, "timeout");
    dropped.recv_timeout(LONG).unwrap();
}

#[test]
fn a_stream_waits_for_its_reader_and_ends_with_it() {
    let sent = Arc::new(AtomicUsize::new(0));
    let (send, dropped) = mpsc::channel();
    let shared = (sent.clone(), Arc::new(Mutex::new(send)));
    let runtime = serve(move || {
        let (sent, send) = shared.clone();
        let count = stream_async(move |_, data: Vec<u8>, mut sender: AsyncSender| {
            let (sent, dropped) = (sent.clone(), Dropped(send.lock().unwrap().clone()));
            async move {
                let _dropped = dropped;
                let most = std::str::from_utf8(&data)?.parse::<usize>()?;
                for i in 0..most {
                    sender.send(vec![i as u8; 20_000]).await?;
                    sent.fetch_add(1, Ordering::SeqCst);
                }
                Ok::<_, BoxError>(())
            }
        });
        Service::new().method("", count)
    });
    let mut stream = runtime.stream("", b"100").unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), vec![0; 20_000]);
    thread::sleep(Duration::from_millis(50));
    assert!(sent.load(Ordering::SeqCst) <= 10, "{:?}", sent);
    for i in 1..100 {
        assert!(stream.next().unwrap().unwrap() == vec![i; 20_000], "chunk {}", i);
    }
    assert!(stream.next().is_none());
    dropped.recv_timeout(LONG).unwrap();

    let mut left = runtime.stream("", b"100000").unwrap();
    left.next().unwrap().unwrap();
    drop(left);
    dropped.recv_timeout(LONG).unwrap();
}

#[test]
fn a_start_may_wait_for_what_is_async() {
    let runtime = Runtime::start(
        |(): ()| {
            let name = tokio::runtime::Handle::current().block_on(async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                "made"
            });
            Ok::<_, BoxError>(
                Service::new()
                    .method("", async_fn(move |_, _| async move { Ok::<_, BoxError>(name) })),
            )
        },
        "",
    )
    .unwrap();
    assert_eq!(runtime.call("", b"").unwrap(), b"made");
}

#[test]
fn cancelled_is_also_a_future() {
    let (send, notified) = mpsc::channel();
    let send = Arc::new(Mutex::new(send));
    let runtime = serve(move || {
        let send = send.lock().unwrap().clone();
        Service::new().method(
            "",
            async_fn(move |context: Context, _| {
                let send = send.clone();
                async move {
                    let watcher = context.clone();
                    tokio::spawn(async move {
                        watcher.cancelled().await;
                        send.send(()).unwrap();
                    });
                    std::future::pending::<()>().await;
                    Ok::<_, BoxError>(())
                }
            }),
        )
    });
    let call = runtime.begin("", b"", None).unwrap();
    assert!(notified.recv_timeout(Duration::from_millis(20)).is_err());
    call.cancel();
    notified.recv_timeout(LONG).unwrap();
}

#[cfg(feature = "serde")]
#[test]
fn values_are_taken_and_given() {
    use nffi::{json_async, json_stream_async, AsyncValues};
    let runtime = serve(|| {
        let count = |_, n: u32, mut values: AsyncValues<u32>| async move {
            for i in 1..=n {
                values.send(i).await?;
            }
            Ok::<_, BoxError>(())
        };
        Service::new()
            .method("double", json_async(|_, n: u32| async move { Ok::<_, BoxError>(2 * n) }))
            .method("count", json_stream_async(count))
    });
    assert_eq!(runtime.json::<u32>("double", 4).unwrap(), 8);
    assert!(runtime.call("double", b"x").unwrap_err().message.starts_with("request: "));
    assert_eq!(runtime.json::<Vec<u32>>("count", 3).unwrap(), [1, 2, 3]);
    let chunks: Vec<_> = runtime.stream("count", b"2").unwrap().map(Result::unwrap).collect();
    assert_eq!(chunks, [b"1\n", b"2\n"]);
}

#[test]
fn inline_calls_without_an_end_leave_room_for_async_ones() {
    let runtime = serve(|| {
        let echo = bytes(|_: &Context, data: &[u8]| Ok::<_, BoxError>(data.to_vec()));
        let yields = async_fn(|_, _| async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            Ok::<_, BoxError>("done")
        });
        Service::new().method("inline", nffi::inline(echo)).method("yields", yields)
    });
    let ended = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let calls: Vec<_> =
                        (0..64).map(|_| runtime.begin("inline", b"x", None).unwrap()).collect();
                    for call in calls {
                        assert_eq!(call.wait().unwrap(), b"x");
                    }
                }
            });
        }
        let yields = runtime.begin("yields", b"", Some(LONG)).unwrap().wait();
        ended.store(true, Ordering::SeqCst);
        assert_eq!(yields.unwrap(), b"done");
    });
}

#[test]
fn a_start_that_fails_waits_for_nothing_that_it_has_begun() {
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let runtime = Runtime::start(
        move |(): ()| -> Result<Service, BoxError> {
            let released = released.clone();
            tokio::task::spawn_blocking(move || released.lock().unwrap().recv());
            Err("no server".into())
        },
        "",
    )
    .unwrap();
    let call = runtime.begin("", b"", Some(Duration::from_secs(5))).unwrap();
    assert_eq!(call.wait().unwrap_err().message, "the runtime did not start: no server");
    drop(release);
}
