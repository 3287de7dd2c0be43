//! Retention: what was received long ago goes, with everything that hangs on it.
//!
//! Promises: an event goes as a whole (record, searches, timeline, notifications) in one batch; never while one of its
//! notifications is open or in somebody's hands; small batches with a pause for others between them; a scan starts where
//! the last one ended, never among what it removed.
//! Never: a look at the clock (the caller says before when).

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::Ordering;

use crate::clock::Time;
use crate::id::{DeliverySeq, EventKey};

use super::changes::{Changes, Prepared};
use super::committer::Command;
use super::footprint::Footprint;
use super::key::{self, Key, Space};
use super::lease::LeaseGuard;
use super::store::{Direction, Found, Store};
use super::{FindBy, Inner, Ledger, LedgerError, OutcomePlace, record};

/// Events in one batch: some hundred removals.
const EVENTS: usize = 32;

/// How far retention has come.
pub(super) struct Retention {
    /// The last event looked at, by time received.
    at: (Time, EventKey),
    /// Where among the passed-by events the next look begins.
    late_from: Key,
    /// The quarantined deliveries up to here are gone or were looked at.
    quarantine_after: Option<DeliverySeq>,
    /// The lines of the log of outcomes up to here are gone.
    pub(super) outcomes_after: Option<OutcomePlace>,
}

impl Retention {
    pub(super) fn new(at: (Time, EventKey)) -> Self {
        Self { at, late_from: key::late_start(), quarantine_after: None, outcomes_after: None }
    }
}

impl Ledger {
    /// Removes events, notifications and timelines received before `before`, gently, at most `max` events; returns how many.
    /// Never those with a notification that still waits or has an open attempt: they are remembered apart, and go with a
    /// later call once they are finished.
    pub async fn expire_before(&self, before: Time, max: usize) -> Result<usize, LedgerError> {
        let mut retention = self.0.retention.lock().await;
        let mut removed = 0;

        // Those passed by earlier, each at most once per call.
        let mut looks = max;
        while removed < max && looks > 0 {
            let found = self.0.late(&retention.late_from, before, EVENTS.min(looks))?;
            let Some(last) = found.last() else {
                retention.late_from = key::late_start();
                break;
            };
            looks -= found.len();
            let next = key::after_prefix(&key::late(last.0, last.1));
            removed += self.0.remove(&found, None).await?;
            retention.late_from = next;
            tokio::task::yield_now().await;
        }

        while removed < max {
            let found = self.0.received(retention.at, before, EVENTS.min(max - removed))?;
            let Some(last) = found.last().copied() else { break };
            removed += self.0.remove(&found, Some(last)).await?;
            retention.at = last;
            self.0.expired.fetch_max(last.0.as_millis(), Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        Ok(removed)
    }
}

impl Ledger {
    /// Removes quarantined deliveries received before `before`, at most `max`; returns how many. They are looked at in the
    /// order in which they were put there, up to the first that stays: one that was re-driven and put there again stays
    /// as long as those beside it.
    pub async fn expire_quarantined_before(&self, before: Time, max: usize) -> Result<usize, LedgerError> {
        let mut retention = self.0.retention.lock().await;
        let mut removed = 0;
        while removed < max {
            let found = self.0.old_quarantined(retention.quarantine_after, before, EVENTS.min(max - removed))?;
            let Some(last) = found.last().copied() else { break };
            let mut changes = Changes::new();
            found.iter().for_each(|seq| changes.release_quarantined(*seq));
            self.commit(changes).await?;
            retention.quarantine_after = Some(last);
            removed += found.len();
            tokio::task::yield_now().await;
        }
        Ok(removed)
    }
}

type Received = (Time, EventKey);

impl Inner {
    fn received(&self, after: Received, before: Time, max: usize) -> Result<Vec<Received>, LedgerError> {
        let mut found = Vec::new();
        let range = key::after_prefix(&key::received(after.0, after.1))..key::received_from(before);
        self.store()?.keys(Space::Index, range, Direction::Up, |key| {
            found.extend(key::read_received(key));
            found.len() < max
        })?;
        Ok(found)
    }

    fn late(&self, from: &Key, before: Time, max: usize) -> Result<Vec<Received>, LedgerError> {
        let mut found = Vec::new();
        self.store()?.keys(Space::Index, from.clone()..key::late_until(before), Direction::Up, |key| {
            found.extend(key::read_late(key));
            found.len() < max
        })?;
        Ok(found)
    }

    /// The first in quarantine after a place, as far as they were received before `before`. One that cannot be read goes
    /// with the next that can, and not before: how old it is nobody knows.
    fn old_quarantined(
        &self,
        after: Option<DeliverySeq>,
        before: Time,
        max: usize,
    ) -> Result<Vec<DeliverySeq>, LedgerError> {
        let from = after.map_or(Bound::Unbounded, |seq| Bound::Excluded(key::seq(seq)));
        let (mut found, mut old, mut count) = (Vec::new(), 0, 0);
        self.store()?.records(
            Space::Quarantine,
            (from, Bound::Unbounded),
            |_, plain| record::read_delivery(plain).map(|delivery| delivery.received_at),
            |key, received_at| {
                found.extend(key::read_seq(key));
                match received_at {
                    Some(at) if at < before => (old, count) = (found.len(), count + 1),
                    Some(_) => return false,
                    None => {}
                }
                count < max
            },
        )?;
        found.drain(old..);
        Ok(found)
    }

    /// Removes those that may go; the others are put apart if the mark moves past them.
    async fn remove(&self, events: &[Received], mark: Option<Received>) -> Result<usize, LedgerError> {
        let mut removed = 0;
        let mut prepared = Prepared::default();
        // In hand until the batch has landed, even if this caller gives up: nobody shall requeue what is about to go.
        let mut leases = Vec::new();
        {
            let store = self.store()?;
            for (at, event) in events {
                if self.remove_one(&store, *at, *event, &mut prepared, &mut leases)? {
                    removed += 1;
                } else if mark.is_some() {
                    prepared.put(Space::Index, key::late(*at, *event), Vec::new());
                }
            }
            if let Some(mark) = mark {
                let sealed = store.seal(Space::Meta, key::EXPIRED, &record::value(&mark));
                prepared.put(Space::Meta, key::EXPIRED.to_vec(), sealed);
            }
        }
        prepared.pins = Some(self.shared.places.pin(leases.iter().map(LeaseGuard::id).collect()));
        drop(leases);
        if !prepared.ops.is_empty() {
            self.ask(|reply| Command::Commit(prepared, Some(reply))).await?;
        }
        Ok(removed)
    }

    /// False, and nothing prepared, if the event must stay.
    fn remove_one(
        &self,
        store: &Store,
        received_at: Time,
        event: EventKey,
        prepared: &mut Prepared,
        leases: &mut Vec<LeaseGuard>,
    ) -> Result<bool, LedgerError> {
        let mut own: BTreeSet<(Space, Key)> = BTreeSet::new();
        let mut guards = Vec::new();
        let prefix = key::of_event_prefix(event);
        let mut ids = Vec::new();
        store.keys(Space::Index, prefix.clone()..key::after_prefix(&prefix), Direction::Up, |key| {
            ids.extend(key::read_id(key));
            own.insert((Space::Index, key.to_vec()));
            true
        })?;
        for id in ids {
            let Some(guard) = self.shared.places.try_lease(id) else { return Ok(false) };
            guards.push(guard);
            // One that cannot be read can never be sent: it goes with its event, and what leads to it as far as its plan says.
            let found = match store.notification(id)? {
                Found::Value(n) if Footprint::of(&n).is_open() => return Ok(false),
                Found::Corrupt => store.planned(id)?,
                found => found,
            };
            if let Found::Value(n) = found {
                for alias in &n.subject.aliases {
                    let search = key::find(FindBy::Subject, alias.hash, n.planned_at, event);
                    if store.contains(Space::Index, &search)? {
                        own.insert((Space::Index, search));
                    }
                }
            }
            if store.contains(Space::Index, &key::dead(id))? {
                own.insert((Space::Index, key::dead(id)));
            }
            own.insert((Space::Notifications, key::notification(id)));
            own.insert((Space::Notifications, key::standing(id)));
        }
        let record = key::event(event);
        if let Found::Value((_, searches)) = store.get(Space::Events, &record, record::read_event)? {
            own.extend(searches.iter().map(|(by, hash)| (Space::Index, key::find(*by, *hash, received_at, event))));
        }
        store.keys(Space::Timeline, record.clone()..key::after_prefix(&record), Direction::Up, |key| {
            own.insert((Space::Timeline, key.to_vec()));
            true
        })?;
        own.insert((Space::Index, key::received(received_at, event)));
        own.insert((Space::Index, key::late(received_at, event)));
        own.insert((Space::Events, record));
        own.into_iter().for_each(|(space, key)| prepared.remove(space, key));
        leases.append(&mut guards);
        Ok(true)
    }
}
