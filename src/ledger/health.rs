//! The pulse of the committer: is it well, stuck, or poisoned?
//!
//! Promises: a failed commit is never forgotten (fjall stays poisoned, so do we); a commit that takes too long is seen
//! by a watcher that itself touches no disk while a commit runs; so is an engine that takes writes and puts none on the disk's tables.
//! Never: a wait without an end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::telemetry::Metrics;

use super::store::{MOST_UNWRITTEN, Store};
use super::{Health, LedgerError};

/// Shared by the door, the committer and the watcher.
pub(super) struct Pulse {
    health: watch::Sender<Health>,
    /// Since when the present commit runs. Real time: how long a disk takes is not the business of an injected clock.
    busy: Mutex<Option<Instant>>,
    poison: OnceLock<String>,
    closing: AtomicBool,
    ended: (Mutex<bool>, Condvar),
    stuck_after: Duration,
    metrics: Metrics,
}

impl Pulse {
    pub(super) fn new(stuck_after: Duration, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            health: watch::Sender::new(Health::Well),
            busy: Mutex::new(None),
            poison: OnceLock::new(),
            closing: AtomicBool::new(false),
            ended: (Mutex::new(false), Condvar::new()),
            stuck_after,
            metrics,
        })
    }

    pub(super) fn watch(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }
    pub(super) fn stuck_after(&self) -> Duration {
        self.stuck_after
    }

    /// Whether a write may be tried now; answers at once.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        if let Some(cause) = self.poison.get() {
            return Err(LedgerError::Poisoned { cause: cause.clone() });
        }
        if self.is_closing() {
            return Err(LedgerError::Closed);
        }
        if *self.health.borrow() == Health::Stuck { Err(LedgerError::Stuck) } else { Ok(()) }
    }

    pub(super) fn close(&self) -> bool {
        !self.closing.swap(true, Ordering::SeqCst)
    }
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// A commit begins.
    pub(super) fn begin(&self) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
    /// It ended, well or not.
    pub(super) fn end(&self) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.look();
    }

    fn busy_for(&self) -> Option<Duration> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    /// A write failed: nothing more will be accepted.
    pub(super) fn poison(&self, cause: &str) {
        if self.poison.set(cause.to_owned()).is_ok() {
            tracing::error!(cause, "ledger is poisoned by a failed write; it accepts nothing until it is reopened");
        }
        self.look();
    }

    /// Brings the published state up to date.
    pub(super) fn look(&self) {
        let health = match (self.poison.get(), self.busy_for()) {
            (Some(cause), _) => Health::Poisoned(cause.clone()),
            (None, Some(busy)) if busy >= self.stuck_after => Health::Stuck,
            (None, _) => Health::Well,
        };
        self.health.send_if_modified(|shown| {
            if *shown == health {
                return false;
            }
            self.metrics.store_stuck.set(i64::from(health != Health::Well));
            match health {
                Health::Well => tracing::info!("ledger commits again"),
                Health::Stuck => tracing::error!(after = ?self.stuck_after, "ledger commit is stuck"),
                Health::Poisoned(_) => {}
            }
            *shown = health;
            true
        });
    }

    /// The committer has done its last batch.
    pub(super) fn end_of_life(&self) {
        *self.ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ended.1.notify_all();
    }
    /// Waits until then, at most as long as a commit may take. False if it is stuck.
    pub(super) fn wait_for_end(&self) -> bool {
        self.wait(self.stuck_after)
    }

    fn wait(&self, most: Duration) -> bool {
        let ended = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) =
            self.ended.1.wait_timeout_while(ended, most, |ended| !*ended).unwrap_or_else(PoisonError::into_inner);
        *ended
    }

    /// Body of the watcher thread: looks a few times per `stuck_after` until the committer ends.
    pub(super) fn keep_watch(&self, store: Store) {
        let nap = (self.stuck_after / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
        let mut swelling = Swelling::default();
        while !self.wait(nap) {
            self.look();
            let swells_for = swelling.note(Instant::now(), store.unwritten_bytes());
            if swells_for >= self.stuck_after && self.poison.get().is_none() {
                // Its memory would grow for as long as it runs; opened again it writes what its journal has.
                self.poison("its engine no longer writes what it holds in memory");
            }
            // A background worker of fjall that fails poisons it silently. Ask only between commits: while a sync hangs,
            // asking would hang as well.
            if self.busy_for().is_none()
                && self.poison.get().is_none()
                && let Err(cause) = store.probe()
            {
                self.poison(&cause);
            }
        }
    }
}

/// How long more than is well has been in memory only, without becoming less.
#[derive(Default)]
struct Swelling(Option<(Instant, u64)>);

impl Swelling {
    fn note(&mut self, now: Instant, bytes: u64) -> Duration {
        let since = match self.0 {
            _ if bytes <= MOST_UNWRITTEN => {
                self.0 = None;
                return Duration::ZERO;
            }
            // It writes: after a restart there may be as much as the journal holds.
            None => now,
            Some((_, before)) if bytes < before => now,
            Some((since, _)) => since,
        };
        self.0 = Some((since, bytes));
        now.saturating_duration_since(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_swells_while_it_holds_too_much_and_never_less() {
        let (start, much) = (Instant::now(), MOST_UNWRITTEN);
        let mut swelling = Swelling::default();
        for (second, bytes, swells_for) in [
            (0, much, 0),
            (1, much + 1, 0),
            (3, much + 1, 2),
            (4, much + 9, 3),
            (5, much + 8, 0),
            (9, much + 8, 4),
            (10, much, 0),
            (11, much * 2, 0),
            (12, much * 3, 1),
        ] {
            let now = start + Duration::from_secs(second);
            assert_eq!(swelling.note(now, bytes), Duration::from_secs(swells_for), "second {second}");
        }
    }
}
