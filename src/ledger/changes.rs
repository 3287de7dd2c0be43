//! Everything that one atomic batch shall change, and how it becomes sealed operations.
//!
//! Promises: what a caller says is kept typed until it is committed; sealing happens on the caller's side, so that the
//! committer only writes (but for lines of the log of outcomes, which have their number only there); adding an event or a notification that is stored already changes nothing, so that planning
//! again after a crash is harmless.
//! Never: an operation whose value is not sealed or empty.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Time;
use crate::id::{DeliverySeq, EventKey, KeyedHash, KeyedHasher, NotificationId, SourceId};
use crate::policy::WaitReason;
use crate::seal::Keyring;

use super::footprint::Footprint;
use super::key::{self, Key, Space};
use super::lease::Pins;
use super::standing::Standing;
use super::store::Store;
use super::{
    EventRecord, FindBy, LedgerError, Notification, OutcomeRecord, Quarantined, TimelineEntry, find_hash, outcome,
    record, timeline,
};

/// Everything that one atomic batch shall change. Sealing happens when it is committed.
#[derive(Default)]
pub struct Changes(Vec<Change>);

enum Change {
    Event(Box<EventRecord>, Vec<(FindBy, KeyedHash)>),
    Notification(Box<Notification>),
    Update(Footprint, Box<Notification>),
    Timeline(EventKey, TimelineEntry),
    Copy(EventKey, SourceId, Time),
    Quarantine(Quarantined),
    Release(DeliverySeq),
    Advance(DeliverySeq, DeliverySeq),
    State(&'static str, serde_json::Value),
}

impl Changes {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// True if there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// All of these, and then all of `other`.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }
    /// Stores an event, its search keys (event, request, ref id, all its people's aliases; the given further ones, hashed
    /// by [`super::Ledger::find_hash`]) and its place in time. An event that is stored already stays as it is.
    pub fn add_event(&mut self, record: EventRecord, find: Vec<(FindBy, KeyedHash)>) {
        self.0.push(Change::Event(Box::new(record), find));
    }
    /// Stores a new notification with its place in the queue, its wait index, and the search keys that lead to its event.
    /// A notification that is stored already stays as it is.
    pub fn add_notification(&mut self, new: Notification) {
        self.0.push(Change::Notification(Box::new(new)));
    }
    /// Writes how a notification the caller has leased stands from now on; moves its place and its wait index. What was planned of it
    /// (everything but its state, its channels and what is told of its attempts) stays as it is.
    pub fn update_notification(&mut self, old: &Notification, new: Notification) {
        self.0.push(Change::Update(Footprint::of(old), Box::new(new)));
    }
    /// Appends to an event's timeline. Entries stand in the order in which their batches were handed to `commit`.
    pub fn add_timeline(&mut self, event: EventKey, entry: TimelineEntry) {
        self.0.push(Change::Timeline(event, entry));
    }
    /// Counts one more copy of an event on its timeline: one record, however many come. Only the planner may say so: each such change
    /// reads what the one before it wrote.
    pub fn add_copy(&mut self, event: EventKey, source: SourceId, came: Time) {
        self.0.push(Change::Copy(event, source, came));
    }
    /// Puts a delivery into quarantine.
    pub fn quarantine(&mut self, q: Quarantined) {
        self.0.push(Change::Quarantine(q));
    }
    /// Takes one out of quarantine.
    pub fn release_quarantined(&mut self, seq: DeliverySeq) {
        self.0.push(Change::Release(seq));
    }
    /// Moves the planner's cursor to `seq` and drops all deliveries in `from..=seq` from the journal. The cursor never
    /// moves back, nor beyond the journal's head.
    pub fn advance(&mut self, from: DeliverySeq, seq: DeliverySeq) {
        self.0.push(Change::Advance(from, seq));
    }
    /// Stores a small sealed value of run-time state (modes, pauses, brakes) under a fixed name.
    pub fn set_state(&mut self, name: &'static str, value: serde_json::Value) {
        self.0.push(Change::State(name, value));
    }
}

fn aliases(n: &Notification) -> BTreeSet<KeyedHash> {
    n.subject.aliases.iter().map(|alias| alias.hash).collect()
}

/// A key to write (`Some`: sealed or empty) or to remove.
pub(super) type Op = (Space, Key, Option<Vec<u8>>);

/// When it is due, and why it waits.
type Timed = (Time, WaitReason);

/// What memory learns once a batch is durable.
pub(super) enum Note {
    /// A notification came to stand elsewhere.
    Moved { id: NotificationId, was: Option<Timed>, is: Option<Timed>, held: Option<Key> },
    /// The planner's cursor moved.
    Cursor(DeliverySeq),
}

/// One caller's changes, sealed and ready to be written.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) ops: Vec<Op>,
    pub(super) notes: Vec<Note>,
    /// Lines for the log of outcomes, which the committer numbers.
    pub(super) outcomes: Vec<OutcomeRecord>,
    /// Highest timeline number used, 0 if none.
    pub(super) timeline_number: u64,
    /// Keeps the leases of everything it updates until it has landed.
    pub(super) pins: Option<Pins>,
}

impl Prepared {
    pub(super) fn bytes(&self) -> usize {
        self.ops.iter().map(|(_, key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
    }
    pub(super) fn put(&mut self, space: Space, key: Key, sealed: Vec<u8>) {
        self.ops.push((space, key, Some(sealed)));
    }
    pub(super) fn remove(&mut self, space: Space, key: Key) {
        self.ops.push((space, key, None));
    }
    /// A notification moves from one footprint to another; only what differs is written.
    pub(super) fn step(&mut self, hasher: &dyn KeyedHasher, old: Option<Footprint>, new: Option<Footprint>) {
        let keys = |side: &Option<Footprint>| side.as_ref().map(|f| f.keys(hasher)).unwrap_or_default();
        let (before, after) = (keys(&old), keys(&new));
        for (space, key) in before.difference(&after) {
            self.remove(*space, key.clone());
        }
        for (space, key) in after.difference(&before) {
            self.put(*space, key.clone(), Vec::new());
        }
        let Some(id) = new.as_ref().or(old.as_ref()).map(|f| f.id) else { return };
        let timed = |side: &Option<Footprint>| side.as_ref().and_then(|f| f.timed);
        let held = new.as_ref().and_then(|f| f.held_key(hasher));
        self.notes.push(Note::Moved { id, was: timed(&old), is: timed(&new), held });
    }
}

/// What preparing needs to know of the ledger.
pub(super) struct Context<'a> {
    pub(super) store: &'a Store,
    pub(super) keys: &'a Keyring,
    pub(super) head: DeliverySeq,
    pub(super) cursor: DeliverySeq,
    /// Retention has looked at everything received before this.
    pub(super) expired: Time,
    pub(super) next_timeline_number: &'a dyn Fn() -> u64,
}

impl Changes {
    /// Ids of the notifications that are replaced.
    pub(super) fn updated(&self) -> Vec<NotificationId> {
        self.0
            .iter()
            .filter_map(|change| match change {
                Change::Update(_, new) => Some(new.id),
                _ => None,
            })
            .collect()
    }

    /// What the log of outcomes learns: the lines about notifications that change in this batch.
    fn outcomes(&self) -> Vec<OutcomeRecord> {
        let mut lines: BTreeMap<NotificationId, Vec<&TimelineEntry>> = BTreeMap::new();
        for change in &self.0 {
            if let Change::Timeline(_, entry @ TimelineEntry { notification: Some(id), .. }) = change {
                lines.entry(*id).or_default().push(entry);
            }
        }
        let of_update = |change: &Change| match change {
            Change::Update(_, new) => {
                let lines = lines.get(&new.id).map_or(&[][..], Vec::as_slice);
                outcome::outcomes(new, lines.iter().copied())
            }
            _ => Vec::new(),
        };
        self.0.iter().flat_map(of_update).collect()
    }

    /// Seals everything.
    pub(super) fn prepare(self, cx: &Context<'_>) -> Result<Prepared, LedgerError> {
        let mut prepared = Prepared::default();
        // Search keys of the events in this very batch: notifications need not repeat them.
        let mut found: BTreeMap<EventKey, BTreeSet<KeyedHash>> = BTreeMap::new();
        let mut added = BTreeSet::new();
        for change in &self.0 {
            if let Change::Event(record, _) = change {
                let people = record.event.people.iter().flat_map(|person| &person.subject.aliases);
                found.entry(record.event.key).or_default().extend(people.map(|alias| alias.hash));
            }
        }
        prepared.outcomes = self.outcomes();
        let none = BTreeSet::new();
        // What one batch says of an event is one record: the event's own if it comes with it.
        let mut events = BTreeMap::new();
        let mut timelines: BTreeMap<EventKey, Vec<TimelineEntry>> = BTreeMap::new();
        let mut copies: BTreeMap<EventKey, Vec<TimelineEntry>> = BTreeMap::new();
        let mut cursor = cx.cursor;
        for change in self.0 {
            match change {
                Change::Event(record, find) => _ = events.entry(record.event.key).or_insert((record, find)),
                Change::Notification(new) => {
                    if !added.insert(new.id) || cx.store.contains(Space::Notifications, &key::notification(new.id))? {
                        continue;
                    }
                    let known = found.get(&new.event).unwrap_or(&none);
                    add_notification(&mut prepared, cx, &new, known);
                    prepared.step(cx.keys, None, Some(Footprint::of(&new)));
                }
                Change::Update(old, new) => {
                    let key = key::standing(new.id);
                    let sealed = cx.store.seal(Space::Notifications, &key, &record::standing(&Standing::of(&new)));
                    prepared.put(Space::Notifications, key, sealed);
                    prepared.step(cx.keys, Some(old), Some(Footprint::of(&new)));
                }
                Change::Timeline(event, entry) => timelines.entry(event).or_default().push(entry),
                Change::Copy(event, source, came) => {
                    let lines = match copies.entry(event) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => {
                            let stored = cx.store.get(Space::Timeline, &key::copies(event), record::read_timeline)?;
                            new.insert(stored.value().unwrap_or_default())
                        }
                    };
                    timeline::add_copy(lines, &source, came);
                }
                Change::Quarantine(q) => {
                    let key = key::seq(q.seq);
                    let sealed = cx.store.seal(Space::Quarantine, &key, &record::quarantined(&q));
                    prepared.put(Space::Quarantine, key, sealed);
                }
                Change::Release(seq) => prepared.remove(Space::Quarantine, key::seq(seq)),
                Change::Advance(from, to) => {
                    // What the cursor has passed is gone already; what the journal has not given out must stay free.
                    let to = to.min(cx.head);
                    if to <= cursor {
                        continue;
                    }
                    for seq in from.0.max(cursor.0 + 1)..=to.0 {
                        prepared.remove(Space::Journal, key::seq(DeliverySeq(seq)));
                    }
                    cursor = to;
                    let sealed = cx.store.seal(Space::Meta, key::CURSOR, &record::value(&to));
                    prepared.put(Space::Meta, key::CURSOR.to_vec(), sealed);
                    prepared.notes.push(Note::Cursor(to));
                }
                Change::State(name, value) => {
                    let key = key::state(name);
                    let sealed = cx.store.seal(Space::Meta, &key, &record::value(&value));
                    prepared.put(Space::Meta, key, sealed);
                }
            }
        }
        for (record, find) in events.into_values() {
            add_event(&mut prepared, cx, &record, find, &mut timelines)?;
        }
        for (event, entries) in timelines {
            let number = (cx.next_timeline_number)();
            prepared.timeline_number = prepared.timeline_number.max(number);
            let key = key::timeline(event, number);
            let sealed = cx.store.seal(Space::Timeline, &key, &record::timeline(&entries));
            prepared.put(Space::Timeline, key, sealed);
        }
        for (event, lines) in copies {
            let key = key::copies(event);
            let sealed = cx.store.seal(Space::Timeline, &key, &record::timeline(&lines));
            prepared.put(Space::Timeline, key, sealed);
        }
        Ok(prepared)
    }
}

fn add_event(
    prepared: &mut Prepared,
    cx: &Context<'_>,
    record: &EventRecord,
    find: Vec<(FindBy, KeyedHash)>,
    timelines: &mut BTreeMap<EventKey, Vec<TimelineEntry>>,
) -> Result<(), LedgerError> {
    let event = &record.event;
    let key = key::event(event.key);
    if cx.store.contains(Space::Events, &key)? {
        return Ok(());
    }
    let mut searches: BTreeSet<(FindBy, KeyedHash)> = find.into_iter().collect();
    let ids =
        [(FindBy::EventId, &event.event_id), (FindBy::RequestId, &event.request_id), (FindBy::RefId, &event.ref_id)];
    for (by, value) in ids {
        searches.extend(value.as_ref().map(|value| (by, find_hash(cx.keys, by, value))));
    }
    let people = event.people.iter().flat_map(|person| &person.subject.aliases);
    searches.extend(people.map(|alias| (FindBy::Subject, alias.hash)));

    for (by, hash) in &searches {
        prepared.put(Space::Index, key::find(*by, *hash, record.received_at, event.key), Vec::new());
    }
    prepared.put(Space::Index, key::received(record.received_at, event.key), Vec::new());
    if record.received_at <= cx.expired {
        // Planned after a long stop: retention would not look here again.
        prepared.put(Space::Index, key::late(record.received_at, event.key), Vec::new());
    }
    let lines = timelines.remove(&event.key).unwrap_or_default();
    let sealed = cx.store.seal(Space::Events, &key, &record::event(record, &searches.into_iter().collect(), &lines));
    prepared.put(Space::Events, key, sealed);
    Ok(())
}

fn add_notification(prepared: &mut Prepared, cx: &Context<'_>, new: &Notification, known: &BTreeSet<KeyedHash>) {
    for alias in aliases(new).difference(known) {
        prepared.put(Space::Index, key::find(FindBy::Subject, *alias, new.planned_at, new.event), Vec::new());
    }
    let key = key::notification(new.id);
    let sealed = cx.store.seal(Space::Notifications, &key, &record::notification(new));
    prepared.put(Space::Notifications, key, sealed);
}
