//! Whom we asked for a moment ago: so that ten messages to one person are one question.
//!
//! Promises: bounded; forgets by itself.
//! Never: a name: keyed hashes only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Time;
use crate::id::KeyedHash;

/// People remembered at once (about 4 MB); beyond it they may be asked for twice.
const MOST: usize = 65_536;

/// Who is being asked for, and who was not found.
pub(super) struct Asked {
    wait: Duration,
    until: Mutex<HashMap<KeyedHash, Time>>,
}

impl Asked {
    /// Whoever was asked for is not asked for again before `wait` is over.
    pub(super) fn new(wait: Duration) -> Self {
        Self { wait, until: Mutex::default() }
    }

    /// True if they are to be asked for now; from then on they are being asked for.
    pub(super) fn begin(&self, who: KeyedHash, now: Time) -> bool {
        let mut until = self.lock();
        // A clock that was set back must not make anybody wait longer than the wait.
        let waits = |until: &Time| now < *until && *until <= now.plus(self.wait);
        if until.get(&who).is_some_and(waits) {
            return false;
        }
        if until.len() >= MOST {
            until.retain(|_, until| waits(until));
        }
        if until.len() < MOST {
            until.insert(who, now.plus(self.wait));
        }
        true
    }

    /// They may be asked for again at once: they were found, or nobody answered.
    pub(super) fn forget(&self, who: KeyedHash) {
        self.lock().remove(&who);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyedHash, Time>> {
        // Each change is one call of the map; a panic cannot leave it half made.
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn who(n: u32) -> KeyedHash {
        let mut hash = [0; 16];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        KeyedHash(hash)
    }

    #[test]
    fn nobody_is_asked_for_twice_within_the_wait_unless_they_were_forgotten() {
        let (asked, now) = (Asked::new(MINUTE), Time::from_millis(1_000_000));
        assert!(asked.begin(who(1), now) && !asked.begin(who(1), now) && asked.begin(who(2), now));
        assert!(asked.begin(who(1), now.plus(MINUTE)), "the wait is over");
        asked.forget(who(1));
        assert!(asked.begin(who(1), now.plus(MINUTE)));
        assert!(asked.begin(who(2), now.minus(MINUTE * 60)), "the clock was set back");
    }

    #[test]
    fn more_people_than_are_remembered_are_asked_for_all_the_same() {
        let (asked, now) = (Asked::new(MINUTE), Time::from_millis(1_000_000));
        let all = u32::try_from(MOST).unwrap() + 10;
        assert!((0..all).all(|n| asked.begin(who(n), now)));
        assert_eq!(asked.lock().len(), MOST);
        assert!(asked.begin(who(all), now.plus(MINUTE)));
        assert_eq!(asked.lock().len(), 1, "whose wait was over made room");
    }
}
