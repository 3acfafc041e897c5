//! One configuration of the program: its queue, its service, and its life.

use crate::config::FromConfig;
use crate::engine::Engine;
use crate::error::{BoxError, Error};
use crate::failure::{failure, report, start_error};
use crate::ffi::Queue;
use crate::log::Level;
use crate::panics::catch;
use crate::responses::Responses;
use crate::service::{Make, Service};
use std::thread;
use std::time::{Duration, Instant};

const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Reads the configuration once, so that an error in it is reported immediately.
pub(crate) fn prepare<C, E>(
    start: impl Fn(C) -> Result<Service, E> + Send + 'static,
    config: Vec<u8>,
) -> Result<Make, String>
where
    C: FromConfig,
    E: Into<BoxError>,
{
    match catch(|| C::from_config(&config).map(drop)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) | Err(error) => return Err(report(error).to_string()),
    }
    Ok(Box::new(move || start(C::from_config(&config)?).map_err(Into::into)))
}

/// The action of [`crate::serve!`] on a queue; nginx's event loop waits for it.
pub fn begin<C, E>(
    start: impl Fn(C) -> Result<Service, E> + Send + 'static,
) -> impl FnOnce(Queue, Vec<u8>) -> Result<(), String>
where
    C: FromConfig,
    E: Into<BoxError>,
{
    |queue, config| {
        let make = prepare(start, config)?;
        spawn(queue, make).map(drop)
    }
}

pub(crate) fn spawn(queue: Queue, make: Make) -> Result<thread::JoinHandle<()>, String> {
    thread::Builder::new()
        .name("nffi".into())
        .spawn(move || run(queue, &make))
        .map_err(|error| format!("there is no thread for the runtime: {}", error))
}

/// Creates the service, with retries, and then serves until the queue has ended. Calls wait for the
/// first try and fail between later ones.
fn run(mut queue: Queue, make: &Make) {
    let mut delay = MIN_DELAY;
    let mut reported = (String::new(), Duration::ZERO);
    loop {
        match Engine::new().map_err(BoxError::from).and_then(|engine| engine.start(make)) {
            Ok(started) => return started.serve(queue),
            Err(error) => {
                let error = report(error);
                let reason = error.to_string();
                if reported != (reason.clone(), delay) {
                    let why = if reason == reported.0 {
                        ", for the same reason".into()
                    } else {
                        format!(": {}", reason)
                    };
                    let again = delay.as_millis();
                    let text = format!(
                        "the runtime did not start{}; it is tried again in {} ms",
                        why, again
                    );
                    queue.log(Level::Error, &text);
                    reported = (reason, delay);
                }
                if !refuse(&mut queue, &start_error(&error), delay) {
                    return;
                }
            }
        }
        delay = MAX_DELAY.min(delay * 2);
    }
}

/// Fails the calls that come while the time lasts; false: the queue has ended.
fn refuse(queue: &mut Queue, error: &Error, lasting: Duration) -> bool {
    let until = Instant::now() + lasting;
    let responses = Responses::default();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        let waited = queue.wait(Some(left));
        for task in waited.tasks {
            responses.add(failure(task, error.clone()));
        }
        if waited.closed {
            return false;
        }
    }
}
