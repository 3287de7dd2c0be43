//! Reading: journal, events, searches, timelines, notifications, quarantine, state.
//!
//! Promises: direct, in microseconds; every answer is bounded by the caller's `max`, and counts read keys only; unreadable records are counted,
//! logged by key, and left out.
//! Never: a write.

use std::collections::BTreeSet;
use std::ops::{Bound, RangeBounds};

use crate::clock::Time;
use crate::id::{DeliverySeq, EventKey, KeyedHash, NotificationId};

use super::key::{self, Key, Space};
use super::store::Direction;
use super::{
    Delivery, EventRecord, FindBy, Ledger, LedgerError, Notification, Quarantined, TimelineEntry, record, timeline,
};

/// Bytes of bodies after which a journal read stops: a planner holds each of them decoded and sealed as well.
const JOURNAL_READ_BYTES: usize = 4 << 20;
/// Records that one page of a filtered list looks at, so that a filter that fits nothing still returns soon.
const LIST_LOOKS: usize = 10_000;

impl Ledger {
    /// Deliveries after `after`, at most `max`, in order. Unreadable ones come as `None` (reported, to be skipped). Stops
    /// early once it has 4 MiB of bodies.
    pub fn journal_after(
        &self,
        after: DeliverySeq,
        max: usize,
    ) -> Result<Vec<(DeliverySeq, Option<Delivery>)>, LedgerError> {
        let store = self.0.store()?;
        let (mut found, mut bytes) = (Vec::new(), 0_usize);
        if max == 0 {
            return Ok(found);
        }
        let from = DeliverySeq(after.0.saturating_add(1));
        store.records(
            Space::Journal,
            key::seq(from)..,
            |_, plain| record::read_delivery(plain),
            |key, delivery| {
                if let Some(seq) = key::read_seq(key) {
                    bytes += delivery.as_ref().map_or(0, |delivery| delivery.body.len());
                    found.push((seq, delivery));
                }
                found.len() < max && bytes < JOURNAL_READ_BYTES
            },
        )?;
        Ok(found)
    }

    /// True if the event was planned before (de-duplication).
    pub fn has_event(&self, key: EventKey) -> Result<bool, LedgerError> {
        self.0.store()?.contains(Space::Events, &key::event(key))
    }

    /// A stored event.
    pub fn event(&self, key: EventKey) -> Result<Option<EventRecord>, LedgerError> {
        let found = self.0.store()?.get(Space::Events, &key::event(key), record::read_event)?;
        Ok(found.value().map(|(record, _)| record))
    }

    /// Events by a search key, newest first, at most `max`.
    pub fn find(&self, by: FindBy, hash: KeyedHash, max: usize) -> Result<Vec<EventKey>, LedgerError> {
        let store = self.0.store()?;
        let prefix = key::find_prefix(by, hash);
        let (mut found, mut seen, mut failed) = (Vec::new(), BTreeSet::new(), None);
        store.keys(Space::Index, prefix.clone()..key::after_prefix(&prefix), Direction::Up, |key| {
            if found.len() >= max {
                return false;
            }
            // A notification's subject may lead to an event a second time, or outlive it in the index.
            if let Some(event) = key::read_event(key).filter(|event| seen.insert(*event)) {
                match store.contains(Space::Events, &key::event(event)) {
                    Ok(true) => found.push(event),
                    Ok(false) => {}
                    Err(error) => failed = Some(error),
                }
            }
            failed.is_none()
        })?;
        failed.map_or(Ok(found), Err)
    }

    /// Events received in `from..to`, newest first, at most `max`.
    pub fn events_between(&self, from: Time, to: Time, max: usize) -> Result<Vec<EventKey>, LedgerError> {
        let store = self.0.store()?;
        let mut found = Vec::new();
        let range = key::received_from(from)..key::received_from(to);
        store.keys(Space::Index, range, Direction::Down, |key| {
            if found.len() < max {
                found.extend(key::read_event(key));
            }
            found.len() < max
        })?;
        Ok(found)
    }

    /// Events received in `from..to`, oldest first, at most `max`, behind `after`: each with when it was received.
    pub fn events_received(
        &self,
        from: Time,
        to: Time,
        after: Option<(Time, EventKey)>,
        max: usize,
    ) -> Result<Vec<(Time, EventKey)>, LedgerError> {
        let start = match after {
            Some((at, event)) => Bound::Excluded(key::received(at, event)),
            None => Bound::Included(key::received_from(from)),
        };
        let mut found = Vec::new();
        self.0.store()?.keys(Space::Index, (start, Bound::Excluded(key::received_from(to))), Direction::Up, |key| {
            if found.len() < max {
                found.extend(key::read_received(key));
            }
            found.len() < max
        })?;
        Ok(found)
    }

    /// An event's timeline in order.
    pub fn timeline(&self, key: EventKey) -> Result<Vec<TimelineEntry>, LedgerError> {
        let store = self.0.store()?;
        let prefix = key::event(key);
        let mut entries = store.get(Space::Events, &prefix, record::read_first_lines)?.value().unwrap_or_default();
        let range = prefix.clone()..key::after_prefix(&prefix);
        store.records(
            Space::Timeline,
            range,
            |_, plain| record::read_timeline(plain),
            |_, lines| {
                entries.extend(lines.into_iter().flatten());
                true
            },
        )?;
        Ok(timeline::in_order(entries))
    }

    /// The notifications of an event.
    pub fn notifications_of(&self, key: EventKey) -> Result<Vec<Notification>, LedgerError> {
        let store = self.0.store()?;
        let prefix = key::of_event_prefix(key);
        let mut ids = Vec::new();
        store.keys(Space::Index, prefix.clone()..key::after_prefix(&prefix), Direction::Up, |key| {
            ids.extend(key::read_id(key));
            true
        })?;
        let mut found = Vec::new();
        for id in ids {
            found.extend(store.notification(id)?.value());
        }
        Ok(found)
    }

    /// One notification.
    pub fn notification(&self, id: NotificationId) -> Result<Option<Notification>, LedgerError> {
        Ok(self.0.store()?.notification(id)?.value())
    }

    /// Notifications after `after` in id order for which `wanted` holds, at most `max`; with the id to go on from, `None`
    /// at the end. Looks at 10,000 at most: a page may be short, or empty, and not the last.
    pub fn notifications(
        &self,
        after: Option<NotificationId>,
        max: usize,
        wanted: &dyn Fn(&Notification) -> bool,
    ) -> Result<(Vec<Notification>, Option<NotificationId>), LedgerError> {
        let store = self.0.store()?;
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(key::notification(id)));
        let (mut found, mut last, mut looks, mut more) = (Vec::new(), after, 0, false);
        store.notifications(start, |id, notification| {
            more = found.len() >= max || looks >= LIST_LOOKS;
            if more {
                return false;
            }
            looks += 1;
            last = Some(id);
            found.extend(notification.filter(|notification| wanted(notification)));
            true
        })?;
        Ok((found, last.filter(|_| more)))
    }

    /// Quarantined deliveries after `after`, oldest first.
    pub fn quarantined(&self, after: Option<DeliverySeq>, max: usize) -> Result<Vec<Quarantined>, LedgerError> {
        let store = self.0.store()?;
        let start = after.map_or(Bound::Unbounded, |seq| Bound::Excluded(key::seq(seq)));
        let mut found = Vec::new();
        if max == 0 {
            return Ok(found);
        }
        let read = |key: &[u8], plain: &[u8]| record::read_quarantined(key::read_seq(key).unwrap_or_default(), plain);
        store.records(Space::Quarantine, (start, Bound::Unbounded), read, |_, q| {
            found.extend(q);
            found.len() < max
        })?;
        Ok(found)
    }

    /// How many dead letters there are, counted from keys.
    pub fn dead_letter_count(&self) -> Result<u64, LedgerError> {
        self.count(Space::Index, key::dead_lane())
    }

    /// How many deliveries are in quarantine, counted from keys.
    pub fn quarantine_count(&self) -> Result<u64, LedgerError> {
        self.count(Space::Quarantine, ..)
    }

    fn count(&self, space: Space, range: impl RangeBounds<Key>) -> Result<u64, LedgerError> {
        let mut count = 0;
        self.0.store()?.keys(space, range, Direction::Up, |_| {
            count += 1;
            true
        })?;
        Ok(count)
    }

    /// One quarantined delivery.
    pub fn quarantined_one(&self, seq: DeliverySeq) -> Result<Option<Quarantined>, LedgerError> {
        let store = self.0.store()?;
        let read = |plain: &[u8]| record::read_quarantined(seq, plain);
        Ok(store.get(Space::Quarantine, &key::seq(seq), read)?.value())
    }

    /// Run-time state by name.
    pub fn state(&self, name: &'static str) -> Result<Option<serde_json::Value>, LedgerError> {
        Ok(self.0.store()?.get_value(&key::state(name))?.value())
    }
}
