//! A server for the example: `price-server 127.0.0.1:50051`. It prints its address.

use prices::proto::prices_server::{Prices, PricesServer};
use prices::proto::{GetRequest, Price, WatchRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

const PRICES: [(&str, f64); 2] = [("tea", 4.5), ("coffee", 9.25)];

#[derive(Default)]
struct Shop {
    watchers: Arc<AtomicUsize>,
}

fn find(symbol: &str) -> Result<f64, Status> {
    let known = PRICES.iter().find(|(name, _)| *name == symbol);
    known.map(|(_, euro)| *euro).ok_or_else(|| Status::not_found(format!("{symbol} has no price")))
}

#[tonic::async_trait]
impl Prices for Shop {
    type WatchStream = ReceiverStream<Result<Price, Status>>;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Price>, Status> {
        let timeout = request.metadata().get("grpc-timeout").is_some();
        let symbol = request.into_inner().symbol;
        let euro = match symbol.as_str() {
            "slow" => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                0.0
            }
            // how many watch now, and whether the server knows the deadline
            "watchers" => self.watchers.load(Ordering::SeqCst) as f64,
            "deadline" => f64::from(u8::from(timeout)),
            name => find(name)?,
        };
        Ok(Response::new(Price { symbol, euro }))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let WatchRequest { symbol, count } = request.into_inner();
        let first = find(&symbol)?;
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let watchers = self.watchers.clone();
        watchers.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            for n in 0.. {
                let euro = first + f64::from(n);
                let price = Price { symbol: symbol.clone(), euro };
                let done = count != 0 && n >= count;
                if done || sender.send(Ok(price)).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            watchers.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50051".into());
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    tonic::transport::Server::builder()
        .add_service(PricesServer::new(Shop::default()))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
