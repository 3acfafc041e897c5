//! A runtime as a separate process.

use crate::config::FromConfig;
use crate::engine::{Engine, Started};
use crate::error::BoxError;
use crate::failure::report;
use crate::ffi::{attach, error_text, keep_signals_away, load, NOT_A_PROCESS};
use crate::runtime::prepare;
use crate::service::Service;
use std::env;
use std::process::exit;

/// The main function of a runtime that is a process. It serves until the worker ends it, and does
/// not return. The argument is the same as for [`crate::serve!`]. If it fails, the process exits
/// with its error, and the worker restarts it after a delay.
pub fn main<C, E>(start: impl Fn(C) -> Result<Service, E> + Send + 'static) -> !
where
    C: FromConfig,
    E: Into<BoxError>,
{
    if let Err(reason) = load() {
        refuse(&reason);
    }
    let (attached, queue) = match attach() {
        Ok(attached) => attached,
        Err(NOT_A_PROCESS) => refuse(&format!(
            "{}\nstart it from Lua in nginx: nffi.load(\"process\", {{ program = \"/path/of/it\" }})",
            error_text(NOT_A_PROCESS)
        )),
        Err(code) => refuse(&error_text(code)),
    };
    keep_signals_away();
    match begin(start, attached.config()) {
        Ok(started) => {
            if attached.ready() {
                started.serve(queue);
                exit(0)
            }
        }
        Err(reason) => attached.failed(&reason),
    }
    exit(1)
}

/// Does not retry: the worker restarts the process.
fn begin<C, E>(
    start: impl Fn(C) -> Result<Service, E> + Send + 'static,
    config: Vec<u8>,
) -> Result<Started, String>
where
    C: FromConfig,
    E: Into<BoxError>,
{
    let make = prepare(start, config)?;
    let engine = Engine::new().map_err(|error| error.to_string())?;
    engine.start(&make).map_err(|error| report(error).to_string())
}

fn refuse(reason: &str) -> ! {
    let name = env::args().next().unwrap_or_default();
    eprintln!("{}: {}", name, reason);
    exit(2)
}
