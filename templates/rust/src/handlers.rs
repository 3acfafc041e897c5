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
pub struct HelloResponse {
    pub greeting: String,
}

impl Greeter {
    pub fn new(greeting: &str) -> Result<Self, BoxError> {
        if greeting.trim() != greeting {
            return Err("greeting begins or ends with a space".into());
        }
        Ok(Self { greeting: greeting.to_owned() })
    }

    pub fn hello(&self, request: HelloRequest) -> Result<HelloResponse, BoxError> {
        let name = request.name.trim();
        if name.is_empty() {
            return Err("the name is empty".into());
        }
        Ok(HelloResponse { greeting: format!("{} {}", self.greeting, name) })
    }
}

#[derive(Deserialize)]
pub struct WaitRequest {
    pub ms: u64,
}

#[derive(Serialize)]
pub struct WaitResponse {
    pub waited: u64,
}

/// Responds after a number of milliseconds; it is dropped when the call is cancelled.
pub async fn wait(request: WaitRequest) -> Result<WaitResponse, BoxError> {
    tokio::time::sleep(Duration::from_millis(request.ms)).await;
    Ok(WaitResponse { waited: request.ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_greeted() {
        let greeter = Greeter::new("welcome").unwrap();
        let response = greeter.hello(HelloRequest { name: " Ada ".into() }).unwrap();
        assert_eq!(response, HelloResponse { greeting: "welcome Ada".into() });
    }

    #[test]
    fn a_greeting_has_no_space_around_it() {
        assert!(Greeter::new(" hi").is_err());
    }
}
