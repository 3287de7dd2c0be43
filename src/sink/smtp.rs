//! An SMTP server on loopback that keeps every mail it accepts and misbehaves on request.
//!
//! Promises: speaks RFC 5321 with PIPELINING, 8BITMIME, SIZE, STARTTLS (RFC 3207) and AUTH PLAIN and LOGIN (RFC 4954)
//! strictly enough that a client's fault shows; a mail is kept exactly as it came, dots unstuffed.
//! Never: a mail accepted twice, or one kept that was refused.

mod script;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_rustls::rustls::ServerConfig;

use super::{Basket, Server, Shortfall};
pub use script::{Act, Login, Moment, Phase, SmtpScript};

/// A mail that was accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct CaughtMail {
    /// The reverse path, without angle brackets; empty for a bounce.
    pub envelope_from: String,
    /// The recipients that were accepted.
    pub rcpt: Vec<String>,
    /// Header and body as sent, after dot-unstuffing, with CRLF line ends.
    pub raw: Vec<u8>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether the client had logged in.
    pub authenticated: bool,
}

/// A running SMTP catcher. Stops when dropped.
pub struct SmtpSink {
    server: Server,
    state: Arc<State>,
}

/// What all connections share.
struct State {
    script: SmtpScript,
    tls: Option<Arc<ServerConfig>>,
    basket: Basket<CaughtMail>,
    /// How often each phase was reached, over all connections.
    reached: Mutex<BTreeMap<Phase, u64>>,
    connections: AtomicU64,
    open: AtomicU64,
}

impl SmtpSink {
    /// Listens on 127.0.0.1, on the script's port or on any free one. With `tls`, STARTTLS is offered unless the
    /// script says otherwise.
    pub async fn start(script: SmtpScript, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let port = script.port;
        let state = Arc::new(State {
            basket: Basket::new(script.keep),
            script,
            tls,
            reached: Mutex::default(),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
        });
        let shared = state.clone();
        let server = Server::start(port, move |stream, number| {
            let state = shared.clone();
            async move {
                state.connections.fetch_add(1, Ordering::Relaxed);
                state.open.fetch_add(1, Ordering::Relaxed);
                let _leaves = Leaves(&state.open);
                // A client that goes away is its own business.
                let _ = session::serve(stream, number, &state).await;
            }
        })
        .await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// How many mails were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.state.basket.seen()
    }

    /// The mails that are kept, oldest first.
    pub fn mails(&self) -> Vec<CaughtMail> {
        self.state.basket.all()
    }

    /// Forgets the mails; the count goes on.
    pub fn clear(&self) {
        self.state.basket.clear();
    }

    /// Returns once `wanted` mails were accepted since the start.
    pub async fn wait_for(&self, wanted: u64, within: Duration) -> Result<(), Shortfall> {
        self.state.basket.wait_for(wanted, within).await
    }

    /// How many connections there were.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> u64 {
        self.state.open.load(Ordering::Relaxed)
    }

    /// How often clients got as far as `phase`, over all connections.
    pub fn reached(&self, phase: Phase) -> u64 {
        self.state.reached.lock().unwrap_or_else(PoisonError::into_inner).get(&phase).copied().unwrap_or(0)
    }

    /// Closes the listener and every connection, and waits for that.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

struct Leaves<'a>(&'a AtomicU64);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    /// Asks the script what to do, and counts that the question came up.
    fn act(&self, mut moment: Moment<'_>) -> Act {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let count = reached.entry(moment.phase).or_default();
        moment.nth = *count;
        *count += 1;
        drop(reached);
        self.script.act(&moment)
    }
}
