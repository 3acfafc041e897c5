//! From end to end, through the real nginx on a free port: `make e2e`.

use nffi::testing::Nginx;
use std::thread;
use std::time::Instant;

#[test]
fn through_nginx() {
    let nginx = Nginx::start("nginx.conf").unwrap();

    let hello = nginx.get("/hello?name=Ada").unwrap();
    assert_eq!((hello.status, &*hello.body), (200, "hello Ada\n"), "{}", nginx.log());

    let refused = nginx.get("/hello?name=%20").unwrap();
    assert_eq!((refused.status, &*refused.body), (500, "the name is empty\n"));

    // a slow call does not delay others
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let reply = nginx.get("/wait?ms=1000").unwrap();
            (reply.body, Instant::now())
        });
        nginx.get("/hello?name=Ada").unwrap();
        let answered = Instant::now();
        let (body, ended) = slow.join().unwrap();
        assert_eq!(body, "waited 1000 ms\n");
        assert!(answered < ended, "it waited");
    });
}
