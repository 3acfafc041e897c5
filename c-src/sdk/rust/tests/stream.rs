//! Responses in chunks.

use nffi::testing::Runtime;
use nffi::{bytes, inline, stream, BoxError, Context, Sender, Service};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn serve(service: impl Fn() -> Service + Send + 'static) -> Runtime {
    Runtime::start(move |(): ()| Ok::<_, BoxError>(service()), "").unwrap()
}

/// The chunks as texts, and the message of the error at the end.
fn read_all(runtime: &Runtime, method: &str, data: &[u8]) -> (Vec<String>, Option<String>) {
    let mut chunks = Vec::new();
    for chunk in runtime.stream(method, data).unwrap() {
        match chunk {
            Ok(chunk) => chunks.push(String::from_utf8(chunk).unwrap()),
            Err(failure) => return (chunks, Some(failure.message)),
        }
    }
    (chunks, None)
}

#[test]
fn chunks_arrive_in_their_order_then_the_end() {
    let runtime = serve(|| {
        Service::new()
            .method(
                "count",
                stream(|_: &Context, _: &[u8], sender: &mut Sender| {
                    (0..1000).try_for_each(|i: i32| sender.send(i.to_string()))
                }),
            )
            .method(
                "fails",
                stream(|_: &Context, _: &[u8], sender: &mut Sender| {
                    sender.send("first")?;
                    Err::<(), BoxError>("no more".into())
                }),
            )
            .method(
                "panics",
                inline(stream(|_: &Context, _: &[u8], sender: &mut Sender| {
                    write!(sender, "written")?;
                    panic!("no luck");
                    #[allow(unreachable_code)]
                    Ok::<_, BoxError>(())
                })),
            )
            .method("plain", bytes(|_: &Context, data: &[u8]| Ok::<_, BoxError>(data.to_vec())))
    });
    let (chunks, end) = read_all(&runtime, "count", b"");
    assert_eq!((chunks.len(), chunks[999].as_str(), end), (1000, "999", None));
    for (method, want, end) in [
        ("fails", "first", Some("no more")),
        ("panics", "written", Some("panic: no luck")),
        ("plain", "7", None),
    ] {
        let want = (vec![want.to_owned()], end.map(str::to_owned));
        assert_eq!(read_all(&runtime, method, b"7"), want);
    }
    let all: String = (0..1000).map(|i| i.to_string()).collect();
    assert_eq!(runtime.call("count", b"").unwrap(), all.as_bytes());
}

#[test]
fn a_writer_waits_for_its_reader() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let runtime = serve(move || {
        let counted = counted.clone();
        Service::new().method("", bytes(|_: &Context, _: &[u8]| Ok::<_, BoxError>(()))).method(
            "stream",
            stream(move |_: &Context, _: &[u8], sender: &mut Sender| {
                for i in 0..100 {
                    sender.send(vec![i; 20_000])?;
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                Ok::<_, BoxError>(())
            }),
        )
    });
    let mut stream = runtime.stream("stream", b"").unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while sent.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < until);
        thread::yield_now();
    }
    thread::sleep(Duration::from_millis(50));
    runtime.call("", b"").unwrap();
    assert!(sent.load(Ordering::SeqCst) <= 10, "chunks were sent that nobody has read");
    for i in 0..100 {
        assert!(stream.next().unwrap().unwrap() == vec![i; 20_000], "chunk {}", i);
    }
    assert!(stream.next().is_none());
}

#[test]
fn a_reader_that_goes_ends_the_writer() {
    let (send, ended) = mpsc::channel();
    let send = Arc::new(Mutex::new(send));
    let runtime = serve(move || {
        let send = send.clone();
        Service::new().method(
            "",
            stream(move |_: &Context, _: &[u8], sender: &mut Sender| loop {
                if let Err(error) = sender.send([0; 1000]) {
                    send.lock().unwrap().send(error.to_string()).unwrap();
                    return Err::<(), _>(error);
                }
            }),
        )
    });
    let mut stream = runtime.stream("", b"").unwrap();
    stream.next().unwrap().unwrap();
    drop(stream);
    let error = ended.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(error, "the stream was cancelled");
    let until = Instant::now() + Duration::from_secs(10);
    while runtime.unanswered() > 0 {
        assert!(Instant::now() < until);
        thread::sleep(Duration::from_millis(1));
    }
}
