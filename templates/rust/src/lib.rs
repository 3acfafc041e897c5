//! hello-runtime handles calls from Lua in nginx.conf: as a library in the nginx worker, or, with
//! the same code, as a process.

pub mod handlers;

use handlers::{Greeter, wait};
use nffi::{BoxError, Json, Service};
use serde::Deserialize;
use std::sync::Arc;

nffi::serve!(start);

/// The configuration that Lua passes as `config` to nffi.load. A value that is rejected here is an
/// error of nffi.load.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "hello".into()
}

/// Creates the handlers of one configuration, in a separate thread: it may take time.
pub fn start(Json(config): Json<Config>) -> Result<Service, BoxError> {
    let greeter = Arc::new(Greeter::new(&config.greeting)?);
    Ok(Service::new()
        // takes microseconds and waits for nothing
        .method("hello", nffi::inline(nffi::json(move |_, request| greeter.hello(request))))
        .method("wait", nffi::json_async(|_, request| wait(request))))
}
