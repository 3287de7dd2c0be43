//! Log lines about strangers that a flood of them cannot turn into a flood of lines.
//!
//! Promises: the first of a quiet minute is told at once; after it one line a minute says how many there were.
//! Never: who it was, or what they showed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Time;

const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// Counts one kind of refusal between two lines.
#[derive(Default)]
pub(super) struct Alarm(Mutex<Told>);

#[derive(Default)]
struct Told {
    last: Option<Time>,
    since: u64,
}

impl Alarm {
    /// Notes one; gives how many there were since the last line, if a line is due now.
    pub(super) fn note(&self, now: Time) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.since += 1;
        // A clock that was set back must not keep the alarm quiet for as long.
        let due = told.last.is_none_or(|last| now < last || now.since(last) >= BETWEEN_LINES);
        due.then(|| {
            told.last = Some(now);
            std::mem::take(&mut told.since)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_minute() {
        let alarm = Alarm::default();
        let at = |seconds: i64| Time::from_millis(seconds * 1_000);
        assert_eq!(alarm.note(at(100)), Some(1), "the first is told at once");
        let told: Vec<_> = (0..1_000).filter_map(|n| alarm.note(at(100 + n / 10))).collect();
        assert_eq!(told, [601], "one line after a minute, with all of them");
        assert_eq!(alarm.note(at(500)), Some(400));
        assert_eq!(alarm.note(at(400)), Some(1), "the clock was set back");
    }
}
