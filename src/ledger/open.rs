//! Opening: check that files and keys fit, rebuild what memory holds, start the committer and its watcher.
//!
//! Promises: places and counts are rebuilt from keys alone, without opening a single notification; a key ring that does
//! not fit is refused before anything is written.
//! Never: a record that stops the relay from starting, except the one that proves the key ring.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::{mpsc, watch};

use crate::clock::{Clock, Time};
use crate::id::{DeliverySeq, EventKey, KeyedHash};
use crate::seal::Keyring;
use crate::telemetry::Metrics;

use super::committer::{Committer, Shared, WAITING_COMMANDS};
use super::health::Pulse;
use super::key::{self, Space};
use super::lease::Places;
use super::places;
use super::retention::Retention;
use super::store::{Direction, Found, Store};
use super::{Inner, Ledger, LedgerError, LedgerOptions, OutcomePlace, record};

/// Version of all shapes of keys and records together. A relay of version 1 would not see how a notification stands.
const FORMAT_VERSION: u32 = 2;
/// The oldest whose files are read: its notifications hold how they stand, until they change.
const OLDEST_VERSION: u32 = 1;

impl Ledger {
    /// Opens or makes the ledger in `dir`, rebuilds the places, starts the committer thread.
    ///
    /// The clock is not read today: order comes from numbers that survive a restart, and times from the callers.
    pub fn open(
        dir: &Path,
        keys: &Keyring,
        _clock: Clock,
        metrics: Metrics,
        options: LedgerOptions,
    ) -> Result<Self, LedgerError> {
        let open_error = |cause: String| LedgerError::Open { path: dir.into(), cause };
        let store = Store::open(dir, keys.sealer("ledger"), metrics.clone(), &options)?;
        check_format(&store, dir)?;

        let (cursor, head) = journal_borders(&store)?;
        let timeline_number = last_timeline_number(&store)?;
        let expired = store.get_value(key::EXPIRED)?.value().unwrap_or((places::FIRST.0, EventKey(KeyedHash([0; 16]))));
        let queue = Places::new(options.places_in_memory);
        rebuild(&store, &queue, options.places_in_memory)?;

        let shared = Arc::new(Shared {
            places: queue,
            pulse: Pulse::new(options.stuck_after, metrics),
            head: watch::Sender::new(head),
            logged: watch::Sender::new(last_logged(&store)?),
            cursor: AtomicU64::new(cursor.0),
            #[cfg(test)]
            hooks: Default::default(),
        });
        let (commands, receiver) = mpsc::channel(WAITING_COMMANDS);
        // One word of it is enough, however often it is said.
        let (full, filled) = std::sync::mpsc::sync_channel(1);
        // What was found in the journal is in memory, however much it is.
        let _ = full.try_send(());
        let committer = Committer::new(
            (store.clone(), full),
            shared.clone(),
            receiver,
            timeline_number,
            (
                newest_logged(&store, *shared.logged.borrow())?,
                store.get_value(key::SET_BACKS)?.value().unwrap_or_default(),
            ),
        );
        let ledger = Self(Arc::new(Inner {
            dir: dir.into(),
            keys: keys.clone(),
            store: RwLock::new(Some(store.clone())),
            shared: shared.clone(),
            commands,
            threads: Mutex::new(Vec::new()),
            timeline_number: AtomicU64::new(timeline_number),
            retention: tokio::sync::Mutex::new(Retention::new(expired)),
            expired: AtomicI64::new(expired.0.as_millis()),
        }));
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(body).map_err(|error| open_error(error.to_string()))
        };
        let committer = spawn("ledger-commit", Box::new(move || committer.run()))?;
        let (rotated, pulse) = (store.clone(), shared.pulse.clone());
        let rotator = spawn("ledger-rotate", Box::new(move || rotate(&rotated, &filled, &pulse)))?;
        let watcher = spawn("ledger-watch", Box::new(move || shared.pulse.keep_watch(store)))?;
        if let Ok(mut threads) = ledger.0.threads.lock() {
            threads.extend([committer, rotator, watcher]);
        }
        Ok(ledger)
    }
}

/// Hands full tables over to be written, until the ledger closes.
fn rotate(store: &Store, filled: &std::sync::mpsc::Receiver<()>, pulse: &Pulse) {
    while filled.recv().is_ok() && !pulse.is_closing() {
        if let Err(cause) = store.rotate_full() {
            pulse.poison(&cause);
        }
    }
}

/// Reads or writes the record that proves format and key ring.
fn check_format(store: &Store, dir: &Path) -> Result<(), LedgerError> {
    let open_error = |cause: String| LedgerError::Open { path: dir.into(), cause };
    match store.get_value::<u32>(key::FORMAT).map_err(|error| open_error(error.to_string()))? {
        Found::Value(FORMAT_VERSION) => Ok(()),
        Found::Value(OLDEST_VERSION..FORMAT_VERSION) | Found::Missing => {
            let sealed = store.seal(Space::Meta, key::FORMAT, &record::value(&FORMAT_VERSION));
            store.commit([(Space::Meta, key::FORMAT.to_vec(), Some(sealed))].into_iter()).map_err(open_error)
        }
        Found::Value(version) => Err(open_error(format!(
            "its format is {version}, this relay reads {OLDEST_VERSION} to {FORMAT_VERSION}; use the relay that wrote it"
        ))),
        Found::Corrupt => Err(LedgerError::OtherKeys { path: dir.into() }),
    }
}

/// The planner's cursor and the journal's last number.
fn journal_borders(store: &Store) -> Result<(DeliverySeq, DeliverySeq), LedgerError> {
    let edge = |space, from: DeliverySeq, direction| {
        let mut found = None;
        store.keys(space, key::seq(from).., direction, |key| {
            found = key::read_seq(key);
            false
        })?;
        Ok::<_, LedgerError>(found)
    };
    let quarantined = edge(Space::Quarantine, DeliverySeq(0), Direction::Down)?.unwrap_or_default();
    let cursor = match store.get_value(key::CURSOR)? {
        Found::Value(cursor) => cursor,
        Found::Missing => DeliverySeq(0),
        // Everything planned was removed with the cursor's move, so the first delivery left is the next to plan.
        Found::Corrupt => match edge(Space::Journal, DeliverySeq(0), Direction::Up)? {
            Some(first) => DeliverySeq(first.0.saturating_sub(1)),
            None => quarantined,
        },
    };
    // From the cursor on: what lies before it are removed deliveries.
    let last = edge(Space::Journal, DeliverySeq(cursor.0 + 1), Direction::Down)?.unwrap_or_default();
    Ok((cursor, last.max(cursor).max(quarantined)))
}

/// The end of the log of outcomes. Its last line is never removed.
fn last_logged(store: &Store) -> Result<OutcomePlace, LedgerError> {
    let mut last = OutcomePlace::default();
    store.keys(Space::Outcomes, .., Direction::Down, |key| {
        last = key::read_outcome(key).unwrap_or_default();
        false
    })?;
    Ok(last)
}

/// The last line's own time, which is before its place where the clock was set back.
fn newest_logged(store: &Store, last: OutcomePlace) -> Result<Time, LedgerError> {
    let line = store.get(Space::Outcomes, &key::outcome(last), record::read_outcome)?.value();
    Ok(line.map_or(Time::from_millis(last.time), |line| line.at))
}

fn last_timeline_number(store: &Store) -> Result<u64, LedgerError> {
    Ok(match store.get_value(key::TIMELINE_NUMBER)? {
        Found::Value(number) => number,
        Found::Missing => 0,
        // The highest number in use is at the end of some event's entries: look at them all, this once.
        Found::Corrupt => {
            let mut highest = 0;
            store.keys(Space::Timeline, .., Direction::Up, |key| {
                highest = highest.max(key.last_chunk().map_or(0, |number| u64::from_be_bytes(*number)));
                true
            })?;
            highest
        }
    })
}

/// Counts everything that waits and fills the window.
fn rebuild(store: &Store, queue: &Places, capacity: usize) -> Result<(), LedgerError> {
    let mut inner = queue.lock();
    let (mut found, mut next, mut unknown) = (Vec::new(), None, Vec::new());
    store.keys(Space::Queue, key::timed_lane(), Direction::Up, |key| {
        let Some((due, id, code)) = key::read_timed(key) else {
            unknown.push(key.to_vec());
            return true;
        };
        inner.count_waiting(key::reason_of(code));
        if found.len() < capacity {
            found.push((due, id));
        } else if next.is_none() {
            next = Some((due, id));
        }
        true
    })?;
    inner.window.refill(found, next);
    drop(inner);
    unknown.iter().for_each(|key| store.count_corrupt(Space::Queue, key, "queue key has an unknown shape"));
    Ok(())
}
