//! Values as JSON.
#![cfg(feature = "serde")]

use nffi::testing::Runtime;
use nffi::{json, json_stream, BoxError, Context, Json, Service, Values};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    greeting: String,
}

#[derive(Serialize, Deserialize)]
struct Request {
    name: String,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Response {
    greeting: String,
}

fn start(Json(config): Json<Config>) -> Result<Service, BoxError> {
    Ok(Service::new()
        .method(
            "hello",
            json(move |_: &Context, request: Request| {
                Ok::<_, BoxError>(Response {
                    greeting: format!("{} {}", config.greeting, request.name),
                })
            }),
        )
        .method("maybe", json(|_: &Context, n: Option<u32>| Ok::<_, BoxError>(n)))
        .method(
            "unsound",
            json(|_: &Context, (): ()| Ok::<_, BoxError>(HashMap::from([((1, 2), 3)]))),
        )
        .method("number", json(|_: &Context, n: f64| Ok::<_, BoxError>(Some((n, 1.0 / n)))))
        .method("value", json(|_: &Context, v: serde_json::Value| Ok::<_, BoxError>(v)))
        .method(
            "lines",
            json_stream(
                |_: &Context, n: f64, values: &mut Values<HashMap<&str, [Option<f64>; 2]>>| {
                    values.send(HashMap::from([("at", [None, Some(0.0 * (1.0 / n))])]))
                },
            ),
        )
        .method(
            "count",
            json_stream(|_: &Context, n: u32, values: &mut Values<u32>| {
                (1..=n).try_for_each(|i| values.send(i))
            }),
        ))
}

fn started() -> Runtime {
    Runtime::start(start, r#"{"greeting": "hello"}"#).unwrap()
}

#[test]
fn values_are_taken_and_given() {
    let runtime = started();
    let response: Response = runtime.json("hello", Request { name: "Ada".into() }).unwrap();
    assert_eq!(response, Response { greeting: "hello Ada".into() });
    assert_eq!(runtime.call("maybe", b"").unwrap(), b"null");
    assert_eq!(runtime.call("maybe", b"4").unwrap(), b"4");
}

#[test]
fn what_is_no_such_value_is_said() {
    let runtime = started();
    let message = |method, data: &[u8]| runtime.call(method, data).unwrap_err().message;
    assert!(message("hello", b"{").starts_with("request: EOF while parsing"));
    assert!(message("hello", br#"{"name": 1}"#).starts_with("request: invalid type: integer `1`"));
    assert_eq!(message("unsound", b""), "the result cannot become JSON: key must be a string");
    assert!(message("count", b"{}").starts_with("request: invalid type: map"));
}

#[test]
fn numbers_are_exact() {
    let runtime = started();
    for text in ["1732900000123456", "18446744073709551615", "-9007199254740993", "0.1", "5e-324"] {
        assert_eq!(runtime.call("value", text.as_bytes()).unwrap(), text.as_bytes());
    }
    // serde_json reads a neighbour of some numbers unless its feature float_roundtrip is enabled
    for n in (1..2000).map(|n| f64::from(n) * 0.061_208_147_016_893_29) {
        assert_eq!(runtime.json::<f64>("value", n).unwrap(), n);
    }
}

#[test]
fn numbers_that_json_does_not_have_are_refused_with_their_path() {
    let runtime = started();
    let message = |method, data: &[u8]| runtime.call(method, data).unwrap_err().message;
    let refusal =
        |what| format!("the result cannot become JSON: {}, which JSON does not have", what);
    assert_eq!(message("number", b"0"), refusal("result[1] is inf"));
    assert_eq!(message("lines", b"0"), refusal("result.at[1] is NaN"));
    assert_eq!(runtime.call("lines", b"2").unwrap(), br#"[{"at":[null,0.0]}]"#);
}

#[test]
fn the_configuration_is_checked() {
    let refused = |config: &str| Runtime::start(start, config).err().unwrap();
    assert!(refused("").starts_with("configuration: missing field `greeting`"));
    assert!(refused(r#"{"greeting": "", "more": 1}"#).contains("unknown field `more`"));
    assert!(refused("x").starts_with("configuration: expected value"));
}

#[test]
fn values_are_lines_of_a_stream_and_a_list_of_a_call() {
    let runtime = started();
    let chunks: Vec<_> = runtime.stream("count", b"3").unwrap().map(Result::unwrap).collect();
    assert_eq!(chunks, [b"1\n", b"2\n", b"3\n"]);
    assert_eq!(runtime.json::<Vec<u32>>("count", 3).unwrap(), [1, 2, 3]);
    assert_eq!(runtime.call("count", b"0").unwrap(), b"[]");
}
