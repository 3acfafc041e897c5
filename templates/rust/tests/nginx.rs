//! From end to end, through the real nginx on a free port: `make e2e`.

use nffi::testing::Nginx;
use std::thread;
use std::time::Instant;

#[test]
fn through_nginx() {
    let nginx = Nginx::start("nginx.conf").unwrap();

    let hello = nginx.get("/hello?name=Ada").unwrap();
    assert_eq!((hello.status, &*hello.body), (200, "hello Ada\n"), "{}", nginx.log());

    // the client learns the status alone, the log has the reason and the request
    let refused = nginx.get("/hello?name=%20").unwrap();
    assert_eq!(refused.status, 500);
    assert!(!refused.body.contains("the name is empty"), "{}", refused.body);
    let log = nginx.log();
    let entry = log.lines().find(|line| line.contains("the name is empty (runtime_error)"));
    assert!(entry.is_some_and(|line| line.contains("request: \"GET /hello")), "{log}");

    // a slow call does not delay others
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let response = nginx.get("/wait?ms=1000").unwrap();
            (response.body, Instant::now())
        });
        nginx.get("/hello?name=Ada").unwrap();
        let answered = Instant::now();
        let (body, ended) = slow.join().unwrap();
        assert_eq!(body, "waited 1000 ms\n");
        assert!(answered < ended, "it waited");
    });
}
