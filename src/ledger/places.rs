//! The window: the near part of the timed queue, in memory.
//!
//! Promises: below its horizon the window holds exactly the timed places that are on disk and not leased; at or beyond
//! the horizon it holds none, so its size is bounded; a refill reads disk from the horizon on and never from the
//! beginning, where removed places lie.
//! Never: a body, a reason, a person: a place is a time and an id (24 bytes).

use std::collections::BTreeSet;

use crate::clock::Time;
use crate::id::NotificationId;

/// A place in the timed queue; sorts by due time.
pub(super) type TimedPlace = (Time, NotificationId);

/// The first place there can be.
pub(super) const FIRST: TimedPlace = (Time::from_millis(i64::MIN), NotificationId([0; 16]));

pub(super) struct Window {
    places: BTreeSet<TimedPlace>,
    /// The first place that is not kept here; `None`: all are.
    horizon: Option<TimedPlace>,
    capacity: usize,
}

impl Window {
    /// Knows nothing yet: everything is beyond the horizon.
    pub(super) fn new(capacity: usize) -> Self {
        Self { places: BTreeSet::new(), horizon: Some(FIRST), capacity: capacity.max(2) }
    }

    pub(super) fn first(&self) -> Option<TimedPlace> {
        self.places.first().copied()
    }

    fn covers(&self, place: TimedPlace) -> bool {
        self.horizon.is_none_or(|horizon| place < horizon)
    }

    /// A place that is on disk now, or is no longer leased. True if it became the first.
    pub(super) fn insert(&mut self, place: TimedPlace) -> bool {
        if !self.covers(place) {
            return false;
        }
        self.places.insert(place);
        while self.places.len() > self.capacity {
            self.horizon = self.places.pop_last();
        }
        self.first() == Some(place)
    }

    #[cfg(test)]
    pub(super) fn is_within_bounds(&self) -> bool {
        self.places.len() <= self.capacity && self.places.iter().all(|place| self.covers(*place))
    }

    /// A place that is no longer on disk, or is leased now.
    pub(super) fn remove(&mut self, place: TimedPlace) {
        self.places.remove(&place);
    }

    /// Takes the first place if it is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<TimedPlace> {
        if self.first()?.0 > now {
            return None;
        }
        self.places.pop_first()
    }

    /// From where, and how many places, a refill would read; `None` while there is enough or no more.
    pub(super) fn wants(&self) -> Option<(TimedPlace, usize)> {
        let horizon = self.horizon.filter(|_| self.places.is_empty())?;
        Some((horizon, (self.capacity / 2).clamp(1, 4096)))
    }

    /// Takes in what a scan from the horizon found: `found` in order, those that are leased left out by the caller;
    /// `next` is the first place the scan did not look at, `None` if it reached the end.
    pub(super) fn refill(&mut self, found: impl IntoIterator<Item = TimedPlace>, next: Option<TimedPlace>) {
        self.horizon = next;
        for place in found {
            self.insert(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u8),
        Remove(u8),
        Pop(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (any::<u8>(), any::<u8>()).prop_map(|(due, id)| Step::Insert(due, id)),
            2 => any::<u8>().prop_map(Step::Remove),
            2 => any::<u8>().prop_map(Step::Pop),
        ];
        proptest::collection::vec(step, 0..200)
    }

    fn place(due: u8, id: u8) -> TimedPlace {
        (Time::from_millis(due.into()), NotificationId([id; 16]))
    }

    fn refill(window: &mut Window, disk: &BTreeSet<TimedPlace>) {
        while let Some((from, limit)) = window.wants() {
            let found: Vec<_> = disk.range(from..).take(limit).copied().collect();
            let next = disk.range(from..).nth(limit).copied();
            window.refill(found, next);
        }
    }

    proptest! {
        /// The disk is a set; what is popped is removed from it, as finished work is.
        #[test]
        fn the_window_always_gives_the_earliest_due_place_of_the_whole_queue(steps in steps(), capacity in 2..12_usize) {
            let mut disk = BTreeSet::new();
            let mut window = Window::new(capacity);
            for step in steps {
                match step {
                    Step::Insert(due, id) => {
                        disk.insert(place(due, id));
                        window.insert(place(due, id));
                    }
                    Step::Remove(n) => {
                        let at = usize::from(n) % disk.len().max(1);
                        if let Some(gone) = disk.iter().nth(at).copied() {
                            disk.remove(&gone);
                            window.remove(gone);
                        }
                    }
                    Step::Pop(now) => {
                        refill(&mut window, &disk);
                        let now = Time::from_millis(now.into());
                        let expected = disk.first().copied().filter(|(due, _)| *due <= now);
                        prop_assert_eq!(window.pop_due(now), expected);
                        expected.map(|gone| disk.remove(&gone));
                    }
                }
                prop_assert!(window.places.len() <= capacity);
                let below: Vec<_> = disk.iter().copied().filter(|p| window.covers(*p)).collect();
                prop_assert_eq!(window.places.iter().copied().collect::<Vec<_>>(), below);
            }
        }
    }

    #[test]
    fn a_place_beyond_the_horizon_stays_on_disk_until_the_window_is_empty() {
        let mut window = Window::new(2);
        window.refill([], None);
        assert!(window.insert(place(1, 1)));
        assert!(!window.insert(place(2, 2)));
        assert!(!window.insert(place(3, 3)));
        assert_eq!((window.places.len(), window.wants()), (2, None));
        assert!(window.insert(place(0, 0)), "an earlier place is always taken in");
        assert_eq!(window.places.len(), 2);
        while window.pop_due(Time::MAX).is_some() {}
        assert_eq!(window.wants(), Some((place(2, 2), 1)));
    }
}
