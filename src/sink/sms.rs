//! An SMS gateway on loopback: an HTTP/1.1 server that keeps every request and misbehaves on request.
//!
//! It writes its answers by hand: an honest HTTP library refuses to send a wrong length or garbage.
//! Promises: a request is kept exactly once, when it was read whole; keep-alive and chunked bodies work.
//! Never: more than [`BODY_LIMIT`] of a request in memory.

mod http;
mod script;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Basket, Server, Shortfall};
use http::{Reader, Request};
pub use script::{Answer, SmsAct, SmsScript};

/// Largest body that is read; a gateway's request has a few KiB.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// A request that arrived whole.
#[derive(Clone, PartialEq, Eq)]
pub struct CaughtSms {
    /// `POST` and the like.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// Number of the connection it came on, from 0.
    pub connection: u64,
}

impl CaughtSms {
    /// The first header of that name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A running SMS catcher. Stops when dropped.
pub struct SmsSink {
    server: Server,
    state: Arc<State>,
}

struct State {
    script: SmsScript,
    basket: Basket<CaughtSms>,
    connections: AtomicU64,
    requests: AtomicU64,
}

impl SmsSink {
    /// Listens on 127.0.0.1, on the script's port or on any free one.
    pub async fn start(script: SmsScript) -> io::Result<Self> {
        let port = script.port;
        let state = Arc::new(State {
            basket: Basket::new(script.keep),
            script,
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let shared = state.clone();
        let server = Server::start(port, move |stream, number| {
            let state = shared.clone();
            async move {
                state.connections.fetch_add(1, Ordering::Relaxed);
                // A client that goes away is its own business.
                let _ = serve(stream, number, &state).await;
            }
        })
        .await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// `http://127.0.0.1:port`, to put a path behind.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// How many requests were read so far.
    pub fn received(&self) -> u64 {
        self.state.basket.seen()
    }

    /// The requests that are kept, oldest first.
    pub fn messages(&self) -> Vec<CaughtSms> {
        self.state.basket.all()
    }

    /// Forgets the requests; the count goes on.
    pub fn clear(&self) {
        self.state.basket.clear();
    }

    /// Returns once `wanted` requests were read since the start.
    pub async fn wait_for(&self, wanted: u64, within: Duration) -> Result<(), Shortfall> {
        self.state.basket.wait_for(wanted, within).await
    }

    /// How many connections there were.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Closes the listener and every connection, and waits for that.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

async fn serve(mut stream: TcpStream, number: u64, state: &State) -> io::Result<()> {
    if state.script.drops(number) {
        return Ok(());
    }
    let mut reader = Reader::default();
    while let Some(request) = reader.request(&mut stream, number).await? {
        let Request { sms, keep_alive } = request;
        let nth = state.requests.fetch_add(1, Ordering::Relaxed);
        let act = state.script.act(&sms, nth);
        // What a client hears must be true already: keep first, then answer.
        state.basket.put(|| sms);
        if !perform(&mut stream, act, keep_alive).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers. False if the connection ends here.
async fn perform(stream: &mut TcpStream, act: SmsAct, keep_alive: bool) -> io::Result<bool> {
    let mut act = act;
    while let SmsAct::After(wait, then) = act {
        tokio::time::sleep(wait).await;
        act = *then;
    }
    match act {
        SmsAct::Answer(answer) => {
            let mut bytes = answer.head(Some(answer.body.len() as u64), keep_alive);
            bytes.extend_from_slice(&answer.body);
            stream.write_all(&bytes).await?;
            return Ok(keep_alive);
        }
        SmsAct::WrongLength { claimed, answer } => {
            let mut bytes = answer.head(Some(claimed), false);
            bytes.extend_from_slice(&answer.body);
            stream.write_all(&bytes).await?;
        }
        SmsAct::HugeBody(size) => {
            stream.write_all(&Answer::new(200, "").head(Some(size), false)).await?;
            let block = vec![b'x'; 16 * 1024];
            let mut left = size;
            while left > 0 {
                let now = usize::try_from(left).unwrap_or(block.len()).min(block.len());
                stream.write_all(&block[..now]).await?;
                left -= now as u64;
            }
        }
        SmsAct::Raw(bytes) => stream.write_all(&bytes).await?,
        SmsAct::Hang => {
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
        }
        SmsAct::Drop | SmsAct::After(..) => {}
    }
    Ok(false)
}
