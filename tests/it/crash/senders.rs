//! Capillary: many deliveries at once, each again until it is acknowledged.
//!
//! Promises: what a sender does not know is in the book as doubt; a sender ends with the relay.
//! Never: a delivery that the book does not have.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::book::Book;
use crate::doors::{Door, Shows};

/// Webhooks at once.
pub const SENDERS: usize = 64;

/// The senders of one life of the relay.
pub struct Senders {
    tasks: JoinSet<()>,
    acknowledged: watch::Receiver<usize>,
}

impl Senders {
    /// All at once, `deliveries` between them. One of them goes on for ever, so that whatever is waited for can come.
    pub fn start(door: &Door, book: &Arc<Book>, deliveries: usize, chance: &mut fastrand::Rng) -> Self {
        let left = Arc::new(AtomicI64::new(i64::try_from(deliveries).unwrap_or(i64::MAX)));
        let (count, acknowledged) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for number in 0..SENDERS {
            let (door, book, left, count, chance) =
                (door.clone(), book.clone(), left.clone(), count.clone(), chance.fork());
            tasks.spawn(async move {
                let mut chance = chance;
                while number == 0 || left.fetch_sub(1, Ordering::SeqCst) > 0 {
                    let n = book.choose(&mut chance);
                    if !deliver(&door, &book, n).await {
                        return;
                    }
                    count.send_modify(|count| *count += 1);
                }
            });
        }
        Self { tasks, acknowledged }
    }

    /// Waits until so many were acknowledged.
    pub async fn acknowledged(&mut self, wanted: usize) {
        // They may all have ended: then somebody else waits for the relay's end.
        let _ = self.acknowledged.wait_for(|count| *count >= wanted).await;
    }

    /// Waits until each has seen that the relay is gone.
    pub async fn ended(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a sender ends with its connection");
        }
    }
}

/// One delivery; false if it was not acknowledged.
pub async fn deliver(door: &Door, book: &Book, n: u32) -> bool {
    let shows = if n.is_multiple_of(2) { Shows::Signature } else { Shows::Key };
    match door.deliver(shows, super::book::body(n).as_bytes()).await {
        Ok((200, _)) => {
            book.acknowledge(n);
            return true;
        }
        Ok((429, _)) => book.owe(n),
        Ok((status, answer)) => panic!("{n} was answered {status}: {answer}"),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => book.owe(n),
        Err(_) => book.doubt(n),
    }
    false
}
