//! The ledger: journal, events, de-duplication, queue, timeline, quarantine. The one module that opens fjall.
//!
//! Promises: when a commit returns, it is durable against power loss (fdatasync) and atomic; one committer thread
//! groups concurrent commits; every value is sealed; keys hold only ids, times and keyed hashes; a record that cannot
//! be read is reported and skipped; the queue in memory holds places (24 bytes), not bodies, and a bounded number.
//! Never: anything of the vault; a person in a key or an error.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Time;
use crate::event::Event;
use crate::id::{DeliverySeq, KeyedHash, KeyedHasher, SourceId};
use crate::seal::Keyring;

mod changes;
mod committer;
mod find;
mod footprint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod health;
mod key;
mod lease;
mod moment;
mod notification;
mod open;
mod outcome;
mod outcomes;
mod places;
mod queue;
mod record;
mod retention;
mod standing;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod timeline;

pub use changes::Changes;
pub use moment::Look;
pub use notification::{DeadReason, Hold, Notification, Place, State};
pub use outcome::{OutcomePlace, OutcomeRecord, OutcomeWord, SentAs, SetBack};
pub use queue::{HeldPage, HeldPlace};
pub use timeline::{Happening, TimelineEntry};

use committer::{Command, Reply, Shared};
use store::Store;

/// The store of everything but people. Cheap to clone.
///
/// Writing waits for the committer, without blocking the runtime; reading is direct and takes microseconds. The last clone
/// to go closes it.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    keys: Keyring,
    /// `None` once closed. Readers hold the lock for the length of one read; closing waits for them.
    store: RwLock<Option<Store>>,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    timeline_number: AtomicU64,
    retention: tokio::sync::Mutex<retention::Retention>,
    /// Milliseconds of retention's place in time.
    expired: AtomicI64,
}

/// How a ledger is opened.
#[derive(Clone, Debug)]
pub struct LedgerOptions {
    /// fjall's block cache, bytes.
    pub cache_bytes: u64,
    /// A commit that takes longer than this marks the store as stuck.
    pub stuck_after: Duration,
    /// Most places of the timed queue held in memory; the rest are read from disk as they come due.
    pub places_in_memory: usize,
}

/// One authenticated request, raw.
#[derive(Clone)]
pub struct Delivery {
    /// Which source it came through.
    pub source: SourceId,
    /// When it was received.
    pub received_at: Time,
    /// The body as received. May hold personal values: only ever inside sealed records.
    pub body: bytes::Bytes,
}

/// A delivery that could not be decoded.
#[derive(Clone)]
pub struct Quarantined {
    /// Its journal position, which is its name.
    pub seq: DeliverySeq,
    /// The delivery.
    pub delivery: Delivery,
    /// Why.
    pub refusal: crate::event::Refusal,
}

/// A stored event, with what was received around it.
#[derive(Clone)]
pub struct EventRecord {
    /// The event.
    pub event: Event,
    /// Through which source the first copy came.
    pub source: SourceId,
    /// When the first copy was received.
    pub received_at: Time,
}

/// Something support can search an event by. The value is hashed before it becomes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "names say it")]
pub enum FindBy {
    EventId,
    RequestId,
    RefId,
    BillNumber,
    CouponCode,
    Subject,
}

/// A ledger that cannot do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LedgerError {
    #[error("ledger at {path} is in use by another process; stop it, or talk to the running daemon")]
    Locked { path: std::path::PathBuf },
    #[error("ledger at {path} cannot be opened: {cause}")]
    Open { path: std::path::PathBuf, cause: String },
    #[error("ledger at {path} was made with another key file; give that one, or another directory")]
    OtherKeys { path: std::path::PathBuf },
    #[error("ledger is poisoned by a failed write ({cause}); restart once the disk is well")]
    Poisoned { cause: String },
    #[error("ledger commit is stuck; it may still become durable")]
    Stuck,
    #[error("ledger read failed: {0}")]
    Read(String),
    #[error("ledger is closed")]
    Closed,
}

/// State of the store, for readiness and intake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "names say it")]
pub enum Health {
    Well,
    Stuck,
    Poisoned(String),
}

/// A notification in hand. While it lives nobody else can change it; dropped, its place is offered again: the new one, if
/// a batch that moved it was committed meanwhile. Dropped while such a batch is still under way (a caller that gave up on a
/// stuck commit), it stays leased until that batch has landed.
pub struct Leased {
    /// The notification as stored.
    pub notification: Notification,
    _guard: lease::LeaseGuard,
}

/// The store while it is open; holds off closing.
struct StoreRef<'a>(RwLockReadGuard<'a, Option<Store>>);

impl std::ops::Deref for StoreRef<'_> {
    type Target = Store;
    fn deref(&self) -> &Store {
        self.0.as_ref().expect("a StoreRef is made only of an open store")
    }
}

impl Inner {
    /// Never call it while holding one: a waiting close would lock both out.
    fn store(&self) -> Result<StoreRef<'_>, LedgerError> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        if store.is_some() { Ok(StoreRef(store)) } else { Err(LedgerError::Closed) }
    }

    fn cursor(&self) -> DeliverySeq {
        DeliverySeq(self.shared.cursor.load(Ordering::SeqCst))
    }

    /// Hands a command to the committer and waits for its answer, at most `stuck_after`.
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, LedgerError> {
        let pulse = &self.shared.pulse;
        pulse.check()?;
        let (reply, answer) = oneshot::channel();
        let gone = || pulse.check().err().unwrap_or(LedgerError::Closed);
        let exchange = async {
            self.commands.send(command(reply)).await.map_err(|_| gone())?;
            answer.await.unwrap_or_else(|_| Err(gone()))
        };
        match tokio::time::timeout(pulse.stuck_after(), exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                pulse.look();
                Err(LedgerError::Stuck)
            }
        }
    }

    fn prepare(&self, changes: Changes) -> Result<changes::Prepared, LedgerError> {
        self.shared.pulse.check()?;
        let pins = self.shared.places.pin(changes.updated());
        let next = || self.timeline_number.fetch_add(1, Ordering::SeqCst) + 1;
        let context = changes::Context {
            store: &*self.store()?,
            keys: &self.keys,
            head: *self.shared.head.borrow(),
            cursor: self.cursor(),
            expired: Time::from_millis(self.expired.load(Ordering::SeqCst)),
            next_timeline_number: &next,
        };
        let mut prepared = changes.prepare(&context)?;
        prepared.pins = Some(pins);
        Ok(prepared)
    }

    fn close(&self) {
        if !self.shared.pulse.close() {
            return;
        }
        // A full channel needs no waking: the committer looks at every batch.
        let _ = self.commands.try_send(Command::Wake);
        if !self.shared.pulse.wait_for_end() {
            tracing::error!("ledger committer is stuck and was left behind; the directory stays locked");
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = Instant::now() + self.shared.pulse.stuck_after();
        for thread in threads {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if thread.is_finished() {
                let _ = thread.join();
            } else {
                let name = thread.thread().name();
                tracing::error!(
                    name,
                    "a thread of the ledger was left behind; the directory stays locked until it ends"
                );
            }
        }
        // Last: with this handle goes the directory's lock.
        drop(self.store.write().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Ledger {
    /// Appends to the journal. Durable when it returns. After [`LedgerError::Stuck`] it may still become durable: the
    /// sender will repeat it, and the event's key makes the second one a duplicate.
    pub async fn append(&self, delivery: Delivery) -> Result<DeliverySeq, LedgerError> {
        self.0.ask(|reply| Command::Append(delivery, reply)).await
    }

    /// The last durable journal position; changes wake the planner.
    pub fn journal_head(&self) -> watch::Receiver<DeliverySeq> {
        self.0.shared.head.subscribe()
    }

    /// The last planned journal position.
    pub fn cursor(&self) -> DeliverySeq {
        self.0.cursor()
    }

    /// Commits a batch. Durable and visible when it returns. Leases of its notifications must be held by the caller.
    /// After [`LedgerError::Stuck`] it may still become durable; its notifications stay leased until it has.
    pub async fn commit(&self, changes: Changes) -> Result<(), LedgerError> {
        if changes.is_empty() {
            return Ok(());
        }
        let prepared = self.0.prepare(changes)?;
        self.0.ask(|reply| Command::Commit(prepared, Some(reply))).await
    }

    /// The hash under which a search key is stored. For [`FindBy::Subject`] use the alias hash itself instead.
    pub fn find_hash(&self, by: FindBy, value: &str) -> KeyedHash {
        find_hash(&self.0.keys, by, value)
    }

    /// No commit ends while the guard lives.
    #[cfg(test)]
    pub(crate) async fn hold_commits(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.shared.hooks.gate.lock().await
    }

    /// State of the store.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.0.shared.pulse.watch()
    }
    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        store::disk_bytes(&self.0.dir)
    }
    /// Stops the committer after its last batch and gives the directory free. Blocks for the length of a commit, at most
    /// twice `stuck_after`. Everything afterwards answers [`LedgerError::Closed`].
    pub fn close(&self) {
        self.0.close();
    }
}

fn find_hash(hasher: &dyn KeyedHasher, by: FindBy, value: &str) -> KeyedHash {
    hasher.keyed_hash("find", &[&[key::find_code(by)], value.trim().as_bytes()])
}
