//! The one thread that writes: gathers what waits, commits it as one batch, tells memory, answers.
//!
//! Promises: journal numbers are given in the order of durability, without gaps; an answer is sent only after the sync;
//! memory (places, counts, cursor, head) learns of a change only once it is durable.
//! Never: a second writer; a commit after one has failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Time;
use crate::failpoint::{self, Point};
use crate::id::DeliverySeq;

use super::changes::{Note, Op, Prepared};
use super::health::Pulse;
use super::key::{self, Key, Space};
use super::lease::Places;
use super::store::Store;
use super::{Delivery, LedgerError, OutcomePlace, OutcomeRecord, SetBack, record};

/// Commands that may wait for the committer; senders beyond wait in their own tasks.
pub(super) const WAITING_COMMANDS: usize = 1024;
/// Most commands in one batch.
const BATCH_COMMANDS: usize = 512;
/// Bytes after which it has somebody look whether a table is full: less than is left in one that is (see `Store::rotate_full`).
const LOOK_BYTES: usize = 256 << 10;
/// What a table in memory counts for an entry besides its key and value.
const ENTRY_BYTES: usize = 64;
/// Bytes beyond which a batch takes no further command.
const BATCH_BYTES: usize = 8 << 20;

pub(super) type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

pub(super) enum Command {
    Append(Delivery, Reply<DeliverySeq>),
    Commit(Prepared, Option<Reply<()>>),
    /// Look whether the ledger is closing.
    Wake,
}

/// What the committer shares with the door.
pub(super) struct Shared {
    pub(super) places: Arc<Places>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) head: watch::Sender<DeliverySeq>,
    /// The last durable place in the log of outcomes.
    pub(super) logged: watch::Sender<OutcomePlace>,
    pub(super) cursor: AtomicU64,
    #[cfg(test)]
    pub(super) hooks: Hooks,
}

/// Ways for tests to make a commit fail or hang.
#[cfg(test)]
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) fail: std::sync::atomic::AtomicBool,
    pub(super) gate: tokio::sync::Mutex<()>,
}

/// One batch under construction.
#[derive(Default)]
struct Batch {
    /// The last word on every key: one fjall batch must not hold a key twice.
    ops: BTreeMap<(Space, Key), Option<Vec<u8>>>,
    notes: Vec<Note>,
    appends: Vec<(DeliverySeq, Reply<DeliverySeq>)>,
    replies: Vec<Reply<()>>,
    /// Dropped only after memory has learned.
    pins: Vec<super::lease::Pins>,
    bytes: usize,
    commands: usize,
    timeline_number: u64,
    logged: Option<OutcomePlace>,
}

pub(super) struct Committer {
    store: Store,
    /// Tells that a table may be full.
    full: SyncSender<()>,
    /// Bytes committed since it last told.
    unlooked: usize,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    head: DeliverySeq,
    logged: OutcomePlace,
    /// The highest time of a line since the clock was last set back.
    newest: Time,
    set_backs: Vec<SetBack>,
    timeline_number: u64,
}

impl Committer {
    pub(super) fn new(
        (store, full): (Store, SyncSender<()>),
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        timeline_number: u64,
        (newest, set_backs): (Time, Vec<SetBack>),
    ) -> Self {
        let (head, logged) = (*shared.head.borrow(), *shared.logged.borrow());
        Self { store, full, unlooked: 0, shared, commands, head, logged, newest, set_backs, timeline_number }
    }

    /// Runs until every sender is gone or the ledger closes and nothing waits any more.
    pub(super) fn run(mut self) {
        // Even when a batch panics: whoever closes must not wait for a thread that is gone.
        struct End(Arc<Pulse>);
        impl Drop for End {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.poison("the committer thread panicked");
                }
                self.0.end_of_life();
            }
        }
        let end = End(self.shared.pulse.clone());
        while let Some(first) = self.commands.blocking_recv() {
            if self.shared.pulse.is_closing() {
                // Nothing new comes in from here on; what is in the channel is still served.
                self.commands.close();
            }
            let batch = self.gather(first);
            if batch.commands > 0 {
                self.commit(batch);
            }
        }
        // Handles first: whoever waits for the end expects the directory's lock to be free.
        drop(self);
        drop(end);
    }

    fn gather(&mut self, first: Command) -> Batch {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(command) = next {
            self.take(&mut batch, command);
            let full = batch.commands >= BATCH_COMMANDS || batch.bytes >= BATCH_BYTES;
            next = if full { None } else { self.commands.try_recv().ok() };
        }
        batch
    }

    fn take(&mut self, batch: &mut Batch, command: Command) {
        match command {
            Command::Wake => return,
            Command::Append(delivery, reply) => {
                self.head.0 += 1;
                let key = key::seq(self.head);
                let sealed = self.store.seal(Space::Journal, &key, &record::delivery(&delivery));
                batch.bytes += sealed.len();
                batch.ops.insert((Space::Journal, key), Some(sealed));
                batch.appends.push((self.head, reply));
            }
            Command::Commit(prepared, reply) => {
                batch.bytes += prepared.bytes();
                batch.timeline_number = batch.timeline_number.max(prepared.timeline_number);
                batch.ops.extend(prepared.ops.into_iter().map(|(space, key, value)| ((space, key), value)));
                for outcome in prepared.outcomes {
                    self.log(batch, &outcome);
                }
                batch.notes.extend(prepared.notes);
                batch.pins.extend(prepared.pins);
                batch.replies.extend(reply);
            }
        }
        batch.commands += 1;
    }

    /// Numbers a line of the log of outcomes: here, where the order is that of the commits.
    fn log(&mut self, batch: &mut Batch, outcome: &OutcomeRecord) {
        self.logged.number += 1;
        self.logged.time = self.logged.time.max(outcome.at.as_millis());
        if outcome.at.as_millis() < self.newest.as_millis().saturating_sub(SetBack::SLACK) {
            self.note_set_back(batch, outcome.at);
        }
        self.newest = self.newest.max(outcome.at);
        let key = key::outcome(self.logged);
        let sealed = self.store.seal(Space::Outcomes, &key, &record::outcome(outcome));
        batch.bytes += sealed.len();
        batch.ops.insert((Space::Outcomes, key), Some(sealed));
        batch.logged = Some(self.logged);
    }

    /// Whoever looks for lines of a time finds them by their places, and those from here on are too high for it.
    fn note_set_back(&mut self, batch: &mut Batch, at: Time) {
        self.newest = at;
        self.set_backs.push(SetBack { place: self.logged, at });
        self.set_backs.drain(..self.set_backs.len().saturating_sub(SetBack::MOST));
        let sealed = self.store.seal(Space::Meta, key::SET_BACKS, &record::value(&self.set_backs));
        batch.ops.insert((Space::Meta, key::SET_BACKS.to_vec()), Some(sealed));
    }

    fn commit(&mut self, mut batch: Batch) {
        if batch.timeline_number > self.timeline_number {
            self.timeline_number = batch.timeline_number;
            let sealed = self.store.seal(Space::Meta, key::TIMELINE_NUMBER, &record::value(&batch.timeline_number));
            batch.ops.insert((Space::Meta, key::TIMELINE_NUMBER.to_vec()), Some(sealed));
        }
        let ops = std::mem::take(&mut batch.ops);
        let written = batch.bytes + ops.len() * ENTRY_BYTES;
        let pulse = &self.shared.pulse;
        if !batch.appends.is_empty() {
            failpoint::at(Point::JournalBeforeWrite);
        }
        pulse.begin();
        // A batch that failed may or may not be on disk: nothing may follow it.
        let done = match pulse.check() {
            Err(LedgerError::Poisoned { cause }) => Err(cause),
            _ => self.write(ops.into_iter().map(|((space, key), value)| (space, key, value))),
        };
        pulse.end();
        match done {
            Ok(()) => {
                self.unlooked += written;
                self.landed(batch);
                if self.unlooked >= LOOK_BYTES {
                    self.unlooked = 0;
                    self.tell_of_full_tables();
                }
            }
            Err(cause) => {
                pulse.poison(&cause);
                let error = LedgerError::Poisoned { cause };
                batch.appends.into_iter().for_each(|(_, reply)| _ = reply.send(Err(error.clone())));
                batch.replies.into_iter().for_each(|reply| _ = reply.send(Err(error.clone())));
            }
        }
    }

    fn tell_of_full_tables(&self) {
        // It was told already, if there is no room.
        if matches!(self.full.try_send(()), Err(TrySendError::Disconnected(()))) {
            self.shared.pulse.poison("the thread that hands full tables over has ended");
        }
    }

    fn write(&self, ops: impl Iterator<Item = Op>) -> Result<(), String> {
        #[cfg(test)]
        {
            drop(self.shared.hooks.gate.blocking_lock());
            if self.shared.hooks.fail.load(Ordering::SeqCst) {
                return Err("injected".into());
            }
        }
        self.store.commit(ops)
    }

    fn landed(&self, batch: Batch) {
        if !batch.appends.is_empty() {
            failpoint::at(Point::JournalAfterSync);
        }
        self.shared.places.landed(&batch.notes);
        for note in &batch.notes {
            if let Note::Cursor(seq) = note {
                self.shared.cursor.fetch_max(seq.0, Ordering::SeqCst);
            }
        }
        drop(batch.pins);
        if !batch.appends.is_empty() {
            self.shared.head.send_replace(self.head);
        }
        if let Some(place) = batch.logged {
            self.shared.logged.send_replace(place);
        }
        // A caller that has gone away does not change what is durable.
        batch.appends.into_iter().for_each(|(seq, reply)| _ = reply.send(Ok(seq)));
        batch.replies.into_iter().for_each(|reply| _ = reply.send(Ok(())));
    }
}
