//! Catchers: an SMTP server and an HTTP gateway on loopback that keep what they are sent and misbehave on request.
//!
//! Used by the demo (made-up customers), the bench and tests. They use nothing of the house.
//! Promises: bound to 127.0.0.1 only; everything they hold is in memory and bounded; both stop when dropped.
//! Never: a message passed on, a file written, an address other than loopback.

pub mod sms;
pub mod smtp;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How much a catcher remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The newest so many.
    Newest(usize),
    /// Only how many there were: for a bench.
    Count,
}

/// Fewer came than were waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("caught {seen} of {wanted} within {within:?}")]
pub struct Shortfall {
    /// How many there should have been.
    pub wanted: u64,
    /// How many there were.
    pub seen: u64,
    /// How long was waited.
    pub within: Duration,
}

/// What was caught, newest last, and how many there ever were.
struct Basket<T> {
    keep: Keep,
    items: Mutex<VecDeque<T>>,
    seen: watch::Sender<u64>,
}

impl<T: Clone> Basket<T> {
    fn new(keep: Keep) -> Self {
        Self { keep, items: Mutex::default(), seen: watch::Sender::new(0) }
    }

    /// True if there is any use in building an item.
    fn keeps(&self) -> bool {
        self.keep != Keep::Count
    }

    /// Counts one; `item` is asked for only if it will be kept.
    fn put(&self, item: impl FnOnce() -> T) {
        if let Keep::Newest(limit) = self.keep {
            let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
            items.push_back(item());
            while items.len() > limit {
                items.pop_front();
            }
        }
        self.seen.send_modify(|seen| *seen += 1);
    }

    fn all(&self) -> Vec<T> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn clear(&self) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn seen(&self) -> u64 {
        *self.seen.borrow()
    }

    async fn wait_for(&self, wanted: u64, within: Duration) -> Result<(), Shortfall> {
        let mut seen = self.seen.subscribe();
        let enough = seen.wait_for(|seen| *seen >= wanted);
        match tokio::time::timeout(within, enough).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Shortfall { wanted, seen: self.seen(), within }),
        }
    }
}

/// A loopback listener with its tasks; they end when this is dropped.
struct Server {
    address: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Server {
    /// Listens on 127.0.0.1 (`port` 0: any free one) and runs `serve` for each connection, numbered from 0.
    async fn start<F, S>(port: u16, serve: S) -> io::Result<Self>
    where
        S: Fn(TcpStream, u64) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let server =
            Self { address: listener.local_addr()?, tasks: TaskTracker::new(), stop: CancellationToken::new() };
        let (tasks, stop) = (server.tasks.clone(), server.stop.clone());
        server.tasks.spawn(async move {
            let mut number = 0;
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else {
                    // Out of file descriptors: the next one may be closed soon.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                };
                // Replies are small and wait for nothing.
                let _ = stream.set_nodelay(true);
                let (connection, stop) = (serve(stream, number), stop.clone());
                number += 1;
                tasks.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = connection => {}
                    }
                });
            }
        });
        Ok(server)
    }

    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
