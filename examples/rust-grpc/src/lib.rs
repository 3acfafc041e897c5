//! A gRPC client for Lua: one HTTP/2 connection for all calls of a worker, deadlines that travel to
//! the server, and a server's stream as one that Lua reads.

use nffi::{AsyncValues, BoxError, Context, Error, Json, Service};
use proto::prices_client::PricesClient;
use proto::{GetRequest, Price, WatchRequest};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub mod proto {
    tonic::include_proto!("prices.v1");
}

nffi::serve!(start);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// http://HOST:PORT
    server: String,
}

/// Connects with the first call, and again when the connection is lost.
pub fn start(Json(config): Json<Config>) -> Result<Service, BoxError> {
    let channel = Endpoint::from_shared(config.server)?
        .connect_timeout(Duration::from_secs(2))
        .http2_keep_alive_interval(Duration::from_secs(30))
        .connect_lazy();
    let client = PricesClient::new(channel);
    let watcher = client.clone();
    Ok(Service::new()
        .method("get", nffi::json_async(move |context, query| get(client.clone(), context, query)))
        .method(
            "watch",
            nffi::json_stream_async(move |_, query, values| watch(watcher.clone(), query, values)),
        ))
}

#[derive(Deserialize)]
struct Query {
    symbol: String,
    /// Of `watch`: ends after this number.
    #[serde(default)]
    count: u32,
}

#[derive(Serialize)]
struct Quote {
    symbol: String,
    euro: f64,
}

impl From<Price> for Quote {
    fn from(price: Price) -> Self {
        Self { symbol: price.symbol, euro: price.euro }
    }
}

async fn get(
    mut client: PricesClient<Channel>,
    context: Context,
    query: Query,
) -> Result<Quote, BoxError> {
    let mut request = Request::new(GetRequest { symbol: query.symbol });
    if let Some(left) = context.time_left() {
        request.set_timeout(left); // the server gets the deadline
    }
    let response = client.get(request).await.map_err(to_error)?;
    Ok(response.into_inner().into())
}

/// When the stream is cancelled this future is dropped, and so is the server's stream.
async fn watch(
    mut client: PricesClient<Channel>,
    query: Query,
    mut values: AsyncValues<Quote>,
) -> Result<(), BoxError> {
    let request = WatchRequest { symbol: query.symbol, count: query.count };
    let mut prices = client.watch(request).await.map_err(to_error)?.into_inner();
    while let Some(price) = prices.message().await.map_err(to_error)? {
        values.send(price.into()).await?;
    }
    Ok(())
}

/// In Lua: nil, message, "runtime_error", the number of the status.
fn to_error(status: Status) -> Error {
    let name = status.code().description();
    let message = match status.message() {
        "" => name.to_owned(),
        message => message.to_owned(),
    };
    Error::new(message).code(status.code() as i32)
}
