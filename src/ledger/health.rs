//! The pulse of the committer: is it well, stuck, or poisoned?
//!
//! Promises: a failed commit is never forgotten (fjall stays poisoned, so do we); a commit that takes too long is seen
//! by a watcher that itself touches no disk while a commit runs, and that also sees an engine that takes writes and flushes none.
//! Never: a wait without an end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::telemetry::Metrics;

use super::store::Store;
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
            tracing::error!(cause, "ledger is poisoned; it accepts nothing until it is reopened");
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
        // What was found in the journal is in memory at first: that is no fault of the engine's.
        let mut swelling = Swelling::above(Store::most_unwritten_bytes() + store.unwritten_bytes(), self.stuck_after);
        while !self.wait(nap) {
            self.look();
            // A disk that stands still is another thing, and has its own patience.
            let hangs = self.busy_for().is_some_and(|busy| busy >= nap);
            if swelling.note(Instant::now(), store.unwritten_bytes(), hangs) && self.poison.get().is_none() {
                // Its memory would grow for as long as it runs.
                self.poison("its engine takes writes and flushes none of them");
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

/// Whether what is in memory only grows beyond all bounds.
struct Swelling {
    most: u64,
    window: Duration,
    /// Since when it has not become less, and how much it was then and last.
    since: Option<(Instant, u64, u64)>,
}

impl Swelling {
    fn above(most: u64, window: Duration) -> Self {
        Self { most, window, since: None }
    }

    /// True if it is more than a whole window ago, and was never less in between.
    fn note(&mut self, now: Instant, bytes: u64, hangs: bool) -> bool {
        let (since, then) = match self.since {
            _ if bytes <= self.most || hangs => {
                self.since = None;
                return false;
            }
            Some((since, then, before)) if bytes >= before => (since, then),
            _ => (now, bytes),
        };
        self.since = Some((since, then, bytes));
        let is_over = now.saturating_duration_since(since) >= self.window;
        if is_over && bytes == then {
            // Nobody writes: nothing to flush.
            self.since = Some((now, bytes, bytes));
        }
        is_over && bytes > then
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_swells_while_it_holds_too_much_gets_more_and_never_less() {
        const MOST: u64 = 100;
        let start = Instant::now();
        // What there is, second by second, and whether a commit hangs in the third.
        for (what, looks, hangs, swells) in [
            ("within its bound", &[100, 90, 100, 95, 100][..], false, false),
            ("as much as before, and nobody writes", &[900; 9], false, false),
            ("more and more", &[101, 150, 150, 190], false, true),
            ("not for long enough", &[101, 150, 190], false, false),
            ("a flush in between", &[500, 600, 590, 700, 800], false, false),
            ("late, after it stood still", &[500, 500, 500, 500, 501, 502, 503], false, true),
            ("a commit hangs", &[500, 600, 700, 800, 900], true, false),
        ] {
            let mut swelling = Swelling::above(MOST, Duration::from_secs(3));
            let found = looks.iter().zip(0..).any(|(bytes, second)| {
                swelling.note(start + Duration::from_secs(second), *bytes, hangs && second == 2)
            });
            assert_eq!(found, swells, "{what}");
        }
    }
}
