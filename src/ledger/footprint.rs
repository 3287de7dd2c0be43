//! What a notification's state puts into queue and index, as plain facts.
//!
//! Promises: derived from [`Notification::place`] alone, so that moving a notification is the difference of two
//! footprints. A held notification stands in two lanes: in its hold's group, where a release finds it, and in the timed
//! lane at its expiry, where the clock finds it.
//! Never: a second place that decides where a notification stands.

use std::collections::BTreeSet;

use crate::clock::Time;
use crate::id::{EventKey, KeyedHash, KeyedHasher, NotificationId};
use crate::policy::WaitReason;

use super::key::{self, Key, Space};
use super::{Hold, Notification, Place, State};

/// Where a notification stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footprint {
    pub(super) id: NotificationId,
    event: EventKey,
    /// Its place in the timed lane, and why it waits.
    pub(super) timed: Option<(Time, WaitReason)>,
    hold: Option<(Hold, Time)>,
    attempting: bool,
    dead: bool,
    /// Aliases whose arrival wakes it.
    waits: Vec<KeyedHash>,
}

impl Footprint {
    pub(super) fn of(n: &Notification) -> Self {
        let place = n.place();
        let reason = match &n.state {
            State::Waiting { reason, .. } => Some(*reason),
            _ => None,
        };
        let due = match &place {
            Place::Timed(due) | Place::Held(_, due) => Some(*due),
            Place::Attempting | Place::Done => None,
        };
        let waits = match reason {
            Some(WaitReason::ContactUnknown) => n.subject.aliases.iter().map(|alias| alias.hash).collect(),
            _ => Vec::new(),
        };
        Self {
            id: n.id,
            event: n.event,
            timed: due.zip(reason),
            attempting: place == Place::Attempting,
            dead: matches!(n.state, State::DeadLetter { .. }),
            hold: if let Place::Held(hold, due) = place { Some((hold, due)) } else { None },
            waits,
        }
    }

    /// True unless it is finished.
    pub(super) fn is_open(&self) -> bool {
        self.timed.is_some() || self.attempting
    }

    /// Its key in the held lane.
    pub(super) fn held_key(&self, hasher: &dyn KeyedHasher) -> Option<Key> {
        self.hold.as_ref().map(|(hold, due)| key::held(hold_group(hasher, hold), *due, self.id))
    }

    /// Every key with an empty value that it owns.
    pub(super) fn keys(&self, hasher: &dyn KeyedHasher) -> BTreeSet<(Space, Key)> {
        let timed = self.timed.map(|(due, reason)| (Space::Queue, key::timed(due, self.id, reason)));
        let held = self.held_key(hasher).map(|held| (Space::Queue, held));
        let attempting = self.attempting.then(|| (Space::Queue, key::attempting(self.id)));
        let dead = self.dead.then(|| (Space::Index, key::dead(self.id)));
        let waits = self.waits.iter().map(|alias| (Space::Index, key::waits(*alias, self.id)));
        let of_event = (Space::Index, key::of_event(self.event, self.id));
        timed.into_iter().chain(held).chain(attempting).chain(dead).chain(waits).chain([of_event]).collect()
    }
}

/// The group that notifications held alike share in keys. Groups of what is misconfigured begin alike, whoever refused,
/// so that all of them can be walked without knowing every provider that ever was.
pub(super) fn hold_group(hasher: &dyn KeyedHasher, hold: &Hold) -> KeyedHash {
    let group = |word: &str, of: &str| hasher.keyed_hash("hold", &[word.as_bytes(), of.as_bytes()]);
    match hold {
        Hold::Paused => group("paused", ""),
        Hold::Brake(template) => group("brake", template.as_str()),
        Hold::Ambiguous => group("ambiguous", ""),
        Hold::Misconfigured(None) => group("misconfigured", ""),
        Hold::Misconfigured(Some(provider)) => {
            let (family, own) = (group("misconfigured", "").0, group("misconfigured", provider.as_str()).0);
            KeyedHash(std::array::from_fn(|i| if i < FAMILY { family[i] } else { own[i] }))
        }
    }
}

/// Bytes of a group in which those of one family are alike.
pub(super) const FAMILY: usize = 8;
