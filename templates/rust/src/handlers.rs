//! What this runtime does. It knows nothing of nginx.

use nffi::BoxError;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub struct Greeter {
    greeting: String,
}

#[derive(Deserialize)]
pub struct HelloRequest {
    pub name: String,
}

#[derive(Serialize, Debug, PartialEq)]
pub struct HelloReply {
    pub greeting: String,
}

impl Greeter {
    pub fn new(greeting: &str) -> Result<Self, BoxError> {
        if greeting.trim() != greeting {
            return Err("greeting begins or ends with a space".into());
        }
        Ok(Self { greeting: greeting.to_owned() })
    }

    pub fn hello(&self, request: HelloRequest) -> Result<HelloReply, BoxError> {
        let name = request.name.trim();
        if name.is_empty() {
            return Err("the name is empty".into());
        }
        Ok(HelloReply { greeting: format!("{} {}", self.greeting, name) })
    }
}

#[derive(Deserialize)]
pub struct WaitRequest {
    pub ms: u64,
}

#[derive(Serialize)]
pub struct WaitReply {
    pub waited: u64,
}

/// Responds after a number of milliseconds; it is dropped when the call is cancelled.
pub async fn wait(request: WaitRequest) -> Result<WaitReply, BoxError> {
    tokio::time::sleep(Duration::from_millis(request.ms)).await;
    Ok(WaitReply { waited: request.ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_greeted() {
        let greeter = Greeter::new("welcome").unwrap();
        let reply = greeter.hello(HelloRequest { name: " Ada ".into() }).unwrap();
        assert_eq!(reply, HelloReply { greeting: "welcome Ada".into() });
    }

    #[test]
    fn a_greeting_has_no_space_around_it() {
        assert!(Greeter::new(" hi").is_err());
    }
}
