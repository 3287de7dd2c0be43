//! Reads of one moment: what several tables said at the same time.
//!
//! Promises: a batch that is written meanwhile is seen whole or not at all, unless the engine notes a new table in that same instant. The plain reads of [`super::find`] look at each table when
//! they come to it, and may see an event whose notifications are not there yet.
//! Never: held for long (the store keeps old versions for it).

use fjall::{Readable, Snapshot};

use super::key::{self, Key, Space};
use super::record::{self, Unreadable};
use super::store::{Found, Store, read_error};
use super::{EventRecord, Ledger, LedgerError, Notification, TimelineEntry, timeline};
use crate::id::EventKey;

/// Everything there is about an event.
pub struct Look {
    /// The event.
    pub event: EventRecord,
    /// What it led to.
    pub notifications: Vec<Notification>,
    /// What happened, in order.
    pub timeline: Vec<TimelineEntry>,
}

impl Ledger {
    /// An event with its notifications and timeline, as they were at one moment; `None` if there is no such event.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn look(&self, key: EventKey) -> Result<Option<Look>, LedgerError> {
        let store = self.0.store()?;
        let moment = Moment { store: &store, snapshot: store.snapshot() };
        let Some((event, _)) = moment.get(Space::Events, &key::event(key), record::read_event)?.value() else {
            return Ok(None);
        };
        let mut notifications = Vec::new();
        for id in moment.keys(Space::Index, key::of_event_prefix(key))?.iter().filter_map(|found| key::read_id(found)) {
            notifications.extend(store.notification_at(&moment.snapshot, id)?.value());
        }
        let mut lines =
            moment.get(Space::Events, &key::event(key), record::read_first_lines)?.value().unwrap_or_default();
        lines.extend(moment.records(Space::Timeline, key::event(key), record::read_timeline)?.into_iter().flatten());
        Ok(Some(Look { event, notifications, timeline: timeline::in_order(lines) }))
    }
}

struct Moment<'s> {
    store: &'s Store,
    snapshot: Snapshot,
}

impl Moment<'_> {
    fn get<T>(
        &self,
        space: Space,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<Found<T>, LedgerError> {
        self.store.get_at(&self.snapshot, space, key, read)
    }

    fn keys(&self, space: Space, prefix: Key) -> Result<Vec<Key>, LedgerError> {
        let range = prefix.clone()..key::after_prefix(&prefix);
        let found = self.snapshot.range::<Key, _>(self.store.space(space), range);
        found.map(|guard| guard.key().map(|key| key.to_vec()).map_err(read_error)).collect()
    }

    fn records<T>(
        &self,
        space: Space,
        prefix: Key,
        read: impl Fn(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, LedgerError> {
        let mut all = Vec::new();
        let range = prefix.clone()..key::after_prefix(&prefix);
        for guard in self.snapshot.range::<Key, _>(self.store.space(space), range) {
            let (key, sealed) = guard.into_inner().map_err(read_error)?;
            all.extend(self.store.opened(space, &key, Some(&sealed), &read).value());
        }
        Ok(all)
    }
}
