//! The queue's door: leases, due times, holds, wake-ups.
//!
//! Promises: earliest due first; one holder each; a notification whose record cannot be read is reported, skipped, and
//! does not stop those behind it.
//! Never: a scan over places that are done.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::clock::Time;
use crate::id::{KeyedHash, NotificationId};
use crate::policy::WaitReason;

use super::footprint::{FAMILY, Footprint, hold_group};
use super::key::{self, Key, Space};
use super::lease::{Inner as Queue, LeaseGuard};
use super::store::{Direction, Found, Store};
use super::{Hold, Leased, Ledger, LedgerError};

/// A place in the walk over what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPlace(Key);

/// A page of what is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldPage {
    /// The notifications.
    pub ids: Vec<NotificationId>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<HeldPlace>,
}

impl Ledger {
    /// Takes up to `max` due notifications (earliest due first) out of the queue, leased.
    pub fn lease_due(&self, now: Time, max: usize) -> Result<Vec<Leased>, LedgerError> {
        let store = self.0.store()?;
        let places = &self.0.shared.places;
        let mut taken = Vec::new();
        let mut failed = None;
        {
            let mut queue = places.lock();
            while taken.len() < max {
                if let Err(error) = refill(&store, &mut queue) {
                    failed = Some(error);
                    break;
                }
                let Some(place) = queue.lease_first_due(now) else { break };
                taken.push(place);
            }
        }
        // Guards are made outside the lock: dropping one takes it.
        let taken: Vec<_> = taken.into_iter().map(|(due, id)| (due, id, LeaseGuard::adopt(places, id))).collect();
        if let Some(error) = failed {
            return Err(error);
        }
        let mut leased = Vec::with_capacity(taken.len());
        for (due, id, guard) in taken {
            match store.notification(id) {
                Ok(Found::Value(notification)) => {
                    let stands = Footprint::of(&notification).timed.map(|(due, _)| due);
                    if stands == Some(due) {
                        leased.push(Leased { notification, _guard: guard });
                    } else {
                        guard.stands_at(stands);
                    }
                }
                // Not offered again while this process lives, or it would be tried without end; its place stays on disk.
                Ok(Found::Corrupt) => guard.stands_at(None),
                Ok(Found::Missing) => {
                    store.count_corrupt(Space::Queue, &key::notification(id), "place without a notification");
                    guard.stands_at(None);
                }
                Err(error) => {
                    store.count_corrupt(Space::Notifications, &key::notification(id), &error.to_string());
                    guard.stands_at(None);
                }
            }
        }
        Ok(leased)
    }

    /// Leases one by id; `None` if it does not exist or somebody has it.
    pub fn lease(&self, id: NotificationId) -> Result<Option<Leased>, LedgerError> {
        let store = self.0.store()?;
        let Some(guard) = self.0.shared.places.try_lease(id) else { return Ok(None) };
        let Some(notification) = store.notification(id)?.value() else { return Ok(None) };
        guard.stands_at(Footprint::of(&notification).timed.map(|(due, _)| due));
        Ok(Some(Leased { notification, _guard: guard }))
    }

    /// When the earliest place comes due; `None` if nothing waits on time. Leased ones do not count: when their lease
    /// ends, [`Ledger::due_changed`] says so. May read a few thousand keys from disk.
    pub fn next_due(&self) -> Option<Time> {
        let store = self.0.store().ok()?;
        let mut queue = self.0.shared.places.lock();
        if let Err(error) = refill(&store, &mut queue) {
            tracing::error!(%error, "ledger queue cannot be read");
        }
        queue.window.first().map(|(due, _)| due)
    }

    /// Changes whenever an earlier place than all before appears.
    pub fn due_changed(&self) -> watch::Receiver<u64> {
        self.0.shared.places.due_changed()
    }

    /// Ids that wait for a subject alias, at most `max`.
    pub fn waiting_for(&self, alias: KeyedHash, max: usize) -> Result<Vec<NotificationId>, LedgerError> {
        let mut ids = Vec::new();
        // An import asks for each of its millions of aliases, and as a rule nobody waits.
        if self.0.shared.places.lock().counts_of(WaitReason::ContactUnknown.as_str()) == 0 {
            return Ok(ids);
        }
        let prefix = key::waits_prefix(alias);
        let range = prefix.clone()..key::after_prefix(&prefix);
        self.0.store()?.keys(Space::Index, range, Direction::Up, |key| {
            if ids.len() < max {
                ids.extend(key::read_id(key));
            }
            ids.len() < max
        })?;
        Ok(ids)
    }

    /// Every alias hash that somebody waits for (start-up look), at most `max` after `after`.
    pub fn waited_aliases(&self, after: Option<KeyedHash>, max: usize) -> Result<Vec<KeyedHash>, LedgerError> {
        let store = self.0.store()?;
        let lane = key::waits_lane();
        let mut from = after.map_or(lane.start, |alias| key::after_prefix(&key::waits_prefix(alias)));
        let mut aliases = Vec::new();
        while aliases.len() < max {
            // One seek for each alias, however many wait for it.
            let mut next = None;
            store.keys(Space::Index, from..lane.end.clone(), Direction::Up, |key| {
                next = key::read_waits(key);
                false
            })?;
            let Some(alias) = next else { break };
            from = key::after_prefix(&key::waits_prefix(alias));
            aliases.push(alias);
        }
        Ok(aliases)
    }

    /// Ids held under `hold`, at most `max`, those that expire first in front.
    pub fn held(&self, hold: &Hold, max: usize) -> Result<Vec<NotificationId>, LedgerError> {
        Ok(self.held_after(hold, None, max)?.ids)
    }

    /// One page of what is held under `hold`, those that expire first in front; `after` is where the page before ended.
    /// Whoever walks by it meets every place once, also what is released and held again meanwhile.
    pub fn held_after(&self, hold: &Hold, after: Option<&HeldPlace>, max: usize) -> Result<HeldPage, LedgerError> {
        let store = self.0.store()?;
        let group = hold_group(&self.0.keys, hold);
        // Floors are kept by group; a family of groups is asked for at a restart and by a person only.
        let (prefix, has_floor) = match hold {
            Hold::Misconfigured(None) => (key::held_family(group, FAMILY), false),
            _ => (key::held_group(group), after.is_none()),
        };
        let end = key::after_prefix(&prefix);
        let (mut page, mut first, mut last) = (HeldPage::default(), None, None);
        if max == 0 {
            return Ok(page);
        }
        // Locked while it scans: a batch that lands meanwhile lowers the floor after it is raised here.
        let mut queue = self.0.shared.places.lock();
        let from = match after {
            Some(HeldPlace(key)) => key::after_prefix(key),
            None if has_floor => queue.floor(group),
            None => prefix,
        };
        store.keys(Space::Queue, from..end.clone(), Direction::Up, |key| {
            first.get_or_insert_with(|| key.to_vec());
            last = Some(key.to_vec());
            page.ids.extend(key::read_id(key));
            page.ids.len() < max
        })?;
        if has_floor {
            queue.raise_floor(group, first.unwrap_or(end));
        }
        page.next = last.filter(|_| page.ids.len() >= max).map(HeldPlace);
        Ok(page)
    }

    /// Ids whose attempt was open when the process last died (to be made ambiguous on start). Call it before the workers
    /// start; attempts in somebody's hands are left out.
    pub fn open_attempts(&self) -> Result<Vec<NotificationId>, LedgerError> {
        let prefix = key::attempting_lane();
        let mut ids = Vec::new();
        let range = prefix.clone()..key::after_prefix(&prefix);
        self.0.store()?.keys(Space::Queue, range, Direction::Up, |key| {
            ids.extend(key::read_id(key));
            true
        })?;
        let queue = self.0.shared.places.lock();
        ids.retain(|id| !queue.is_leased(*id));
        Ok(ids)
    }

    /// Number of notifications that wait for this reason.
    pub fn waiting_for_reason(&self, reason: WaitReason) -> u64 {
        self.0.shared.places.lock().counts_of(reason.as_str())
    }

    /// Number of waiting notifications by reason word, 0 included (kept up to date by commits).
    pub fn waiting_counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.shared.places.lock().counts()
    }
}

/// Reads on from the horizon while the window is empty. Under the lock: the committer tells of a batch only afterwards,
/// so whatever the scan saw or missed of it is put right then.
fn refill(store: &Store, queue: &mut Queue) -> Result<(), LedgerError> {
    while let Some(((due, id), limit)) = queue.window.wants() {
        let (mut found, mut next) = (Vec::new(), None);
        let range = key::timed_from(due, id)..key::timed_lane().end;
        store.keys(Space::Queue, range, Direction::Up, |key| {
            let Some((due, id, _)) = key::read_timed(key) else { return true };
            if found.len() == limit {
                next = Some((due, id));
                return false;
            }
            found.push((due, id));
            true
        })?;
        found.retain(|(_, id)| !queue.is_leased(*id));
        queue.window.refill(found, next);
    }
    Ok(())
}
