//! What memory knows of the queue: the window, who has what, how many wait and why.
//!
//! Promises: a notification is leased by at most one holder; a lease outlives its guard while a batch that replaces the
//! notification is still under way, so that nobody acts on what is about to change; when it ends, the notification is
//! offered at its newest durable place.
//! Never: an await or a commit while the lock is held.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::clock::Time;
use crate::id::{KeyedHash, NotificationId};
use crate::policy::WaitReason;

use super::changes::Note;
use super::key::{self, Key};
use super::places::{TimedPlace, Window};

/// Memory's side of the queue, shared by the door, the committer and every lease.
pub(super) struct Places {
    inner: Mutex<Inner>,
    due_changed: watch::Sender<u64>,
}

pub(super) struct Inner {
    pub(super) window: Window,
    leases: HashMap<NotificationId, Lease>,
    counts: BTreeMap<&'static str, u64>,
    /// Per hold group: no key that is held sorts below this. Spares a release in batches the walk over what it removed.
    floors: HashMap<KeyedHash, Key>,
}

/// Somebody has it in hand, or a batch that replaces it is under way.
#[derive(Default)]
struct Lease {
    held: bool,
    pins: u32,
    /// Its durable timed place, to be offered when the lease ends.
    due: Option<Time>,
}

impl Places {
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        let counts = WaitReason::ALL.iter().map(|reason| (reason.as_str(), 0)).collect();
        let inner = Inner { window: Window::new(capacity), leases: HashMap::new(), counts, floors: HashMap::new() };
        Arc::new(Self { inner: Mutex::new(inner), due_changed: watch::Sender::new(0) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every critical section leaves the maps whole at each step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn due_changed(&self) -> watch::Receiver<u64> {
        self.due_changed.subscribe()
    }

    fn poke(&self, earlier: bool) {
        if earlier {
            self.due_changed.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// Takes in what a durable batch changed.
    pub(super) fn landed(&self, notes: &[Note]) {
        let mut earlier = false;
        let mut inner = self.lock();
        for note in notes {
            let Note::Moved { id, was, is, held } = note else { continue };
            let (id, was, is) = (*id, *was, *is);
            inner.count(was.map(|(_, reason)| reason), is.map(|(_, reason)| reason));
            if let Some(held) = held {
                inner.lower_floor(held);
            }
            if let Some((due, _)) = was {
                inner.window.remove((due, id));
            }
            let due = is.map(|(due, _)| due);
            match inner.leases.get_mut(&id) {
                Some(lease) => lease.due = due,
                None => earlier |= due.is_some_and(|due| inner.window.insert((due, id))),
            }
        }
        drop(inner);
        self.poke(earlier);
    }

    /// Leases one that is not in anybody's hands.
    pub(super) fn try_lease(self: &Arc<Self>, id: NotificationId) -> Option<LeaseGuard> {
        let mut inner = self.lock();
        if inner.leases.contains_key(&id) {
            return None;
        }
        inner.leases.insert(id, Lease { held: true, ..Lease::default() });
        Some(LeaseGuard { places: self.clone(), id })
    }

    /// Keeps notifications leased until the returned value is dropped.
    pub(super) fn pin(self: &Arc<Self>, ids: Vec<NotificationId>) -> Pins {
        let mut inner = self.lock();
        for id in &ids {
            inner.leases.entry(*id).or_default().pins += 1;
        }
        Pins { places: self.clone(), ids }
    }

    fn release(&self, id: NotificationId, step: impl FnOnce(&mut Lease)) {
        let mut inner = self.lock();
        let Some(lease) = inner.leases.get_mut(&id) else { return };
        step(lease);
        if lease.held || lease.pins > 0 {
            return;
        }
        let due = inner.leases.remove(&id).and_then(|lease| lease.due);
        let earlier = due.is_some_and(|due| inner.window.insert((due, id)));
        drop(inner);
        self.poke(earlier);
    }
}

impl Inner {
    fn count(&mut self, was: Option<WaitReason>, is: Option<WaitReason>) {
        if let Some(count) = was.and_then(|reason| self.counts.get_mut(reason.as_str())) {
            *count = count.saturating_sub(1);
        }
        self.count_waiting(is);
    }
    pub(super) fn count_waiting(&mut self, reason: Option<WaitReason>) {
        if let Some(count) = reason.and_then(|reason| self.counts.get_mut(reason.as_str())) {
            *count += 1;
        }
    }
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.clone()
    }

    pub(super) fn counts_of(&self, reason: &str) -> u64 {
        self.counts.get(reason).copied().unwrap_or(0)
    }

    /// Pops the first due place into a lease. The guard is made by the caller, outside the lock's reach.
    pub(super) fn lease_first_due(&mut self, now: Time) -> Option<TimedPlace> {
        loop {
            let (due, id) = self.window.pop_due(now)?;
            match self.leases.get_mut(&id) {
                // Leased by id a moment ago: it comes back when that lease ends.
                Some(lease) => lease.due = Some(due),
                None => {
                    self.leases.insert(id, Lease { held: true, pins: 0, due: Some(due) });
                    return Some((due, id));
                }
            }
        }
    }
    pub(super) fn is_leased(&self, id: NotificationId) -> bool {
        self.leases.contains_key(&id)
    }

    /// Where to begin looking for held notifications of a group.
    pub(super) fn floor(&self, group: KeyedHash) -> Key {
        self.floors.get(&group).cloned().unwrap_or_else(|| key::held_group(group))
    }
    pub(super) fn raise_floor(&mut self, group: KeyedHash, floor: Key) {
        self.floors.insert(group, floor);
    }
    fn lower_floor(&mut self, held: &Key) {
        let Some(group) = held.get(1..17).and_then(|hash| hash.try_into().ok()).map(KeyedHash) else { return };
        if let Some(floor) = self.floors.get_mut(&group).filter(|floor| *held < **floor) {
            floor.clone_from(held);
        }
    }
}

/// A notification in somebody's hands; ends on drop.
pub(super) struct LeaseGuard {
    places: Arc<Places>,
    id: NotificationId,
}

impl LeaseGuard {
    /// For a place that [`Inner::lease_first_due`] took.
    pub(super) fn adopt(places: &Arc<Places>, id: NotificationId) -> Self {
        Self { places: places.clone(), id }
    }

    pub(super) fn id(&self) -> NotificationId {
        self.id
    }

    /// Sets where it is offered when the lease ends, and takes it out of the window if it still stands there.
    pub(super) fn stands_at(&self, due: Option<Time>) {
        let mut inner = self.places.lock();
        if let Some(due) = due {
            inner.window.remove((due, self.id));
        }
        if let Some(lease) = inner.leases.get_mut(&self.id) {
            lease.due = due;
        }
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.places.release(self.id, |lease| lease.held = false);
    }
}

/// Notifications whose replacement is under way.
pub(super) struct Pins {
    places: Arc<Places>,
    ids: Vec<NotificationId>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        for id in &self.ids {
            self.places.release(*id, |lease| lease.pins = lease.pins.saturating_sub(1));
        }
    }
}
