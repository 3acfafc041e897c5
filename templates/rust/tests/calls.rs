//! The runtime as Lua calls it, over the real queue, without nginx.

use nffi::testing::Runtime;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn started(config: &str) -> Runtime {
    Runtime::start(runtime::start, config).unwrap()
}

#[test]
fn hello_greets() {
    let runtime = started(r#"{"greeting": "welcome"}"#);
    let response: Value = runtime.json("hello", json!({"name": "Ada"})).unwrap();
    assert_eq!(response, json!({"greeting": "welcome Ada"}));
}

#[test]
fn a_name_is_needed() {
    let failure = started("").call("hello", br#"{"name": " "}"#).unwrap_err();
    assert_eq!((failure.code, &*failure.message), ("runtime_error", "the name is empty"));
}

#[test]
fn wait_ends_with_its_caller() {
    let runtime = started("");
    let began = Instant::now();
    let call = runtime.begin("wait", br#"{"ms": 60000}"#, Some(Duration::from_millis(20))).unwrap();
    assert_eq!(call.wait().unwrap_err().code, "timeout");
    while runtime.unanswered() > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "it waits on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_configuration_that_is_none_is_refused() {
    let reason = Runtime::start(runtime::start, r#"{"greting": "hi"}"#).err().unwrap();
    assert!(reason.contains("unknown field `greting`"), "{reason}");
}
