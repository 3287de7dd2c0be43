//! The line before a provider with a rate limit: whoever cannot go now gets a time at which they can.
//!
//! Promises: times are given out at the pace of the limit, one after the other, so that a backlog of any length is looked
//! at about once a message; a line is never longer than those who stand in it need, however many of them have left.
//! Never: a message, or a memory of who stands where (the queue has that).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Time;

/// Where the line ends, in microseconds: at more than a thousand a second, milliseconds would be too coarse. After a start
/// nobody remembers.
pub(super) struct Line(Mutex<Option<i128>>);

impl Line {
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// True if somebody who came before is still to go, `standing` at the most.
    pub(super) fn reaches(&self, when: Time, now: Time, pace: Duration, standing: u64) -> bool {
        let longest = micros(now) + long(pace, standing);
        self.end().unwrap_or(longest).min(longest) > micros(when)
    }

    /// The next free time from `first` on, and it is taken. `coming` more may be about to stand and are not counted yet.
    pub(super) fn stand(&self, first: Time, pace: Duration, standing: u64, coming: u64) -> Time {
        let mut end = self.end();
        let first = micros(first);
        let place = match *end {
            None => first + long(pace, standing),
            Some(end) => end.min(first + long(pace, standing.saturating_add(coming))).max(first),
        };
        *end = Some(place + long(pace, 1));
        Time::from_millis(i64::try_from(place / 1_000).unwrap_or(i64::MAX))
    }

    fn end(&self) -> std::sync::MutexGuard<'_, Option<i128>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(at: Time) -> i128 {
    i128::from(at.as_millis()) * 1_000
}

fn long(pace: Duration, places: u64) -> i128 {
    // Both far below their bounds: an absurd rate is an hour a place at the limit, and a queue fits on a disk.
    i128::try_from(pace.as_micros()).unwrap_or(i128::from(i64::MAX)).saturating_mul(i128::from(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(20);

    fn at(millis: i64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn each_gets_a_time_of_their_own_at_the_pace_of_the_limit() {
        let line = Line::new();
        let places: Vec<_> = (0..5).map(|standing| line.stand(at(1_000), PACE, standing, 0).as_millis()).collect();
        assert_eq!(places, [1_000, 1_020, 1_040, 1_060, 1_080]);
        assert_eq!(line.stand(at(5_000), PACE, 5, 0), at(5_000), "a line that has gone by is none");
        let fast = Line::new();
        let places: Vec<_> = (0..5).map(|n| fast.stand(at(0), Duration::from_micros(400), n, 0).as_millis()).collect();
        assert_eq!(places, [0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_line_that_people_left_is_as_long_as_those_who_stay() {
        let line = Line::new();
        for standing in 0..1_000 {
            line.stand(at(0), PACE, standing, 8);
        }
        assert!(line.reaches(at(19_000), at(0), PACE, 1_000));
        assert!(!line.reaches(at(1_000), at(0), PACE, 10), "most were cancelled");
        assert_eq!(line.stand(at(0), PACE, 10, 0), at(200));
    }

    #[test]
    fn after_a_start_it_is_as_long_as_those_who_stand_in_it() {
        assert_eq!(Line::new().stand(at(100), PACE, 50, 8), at(1_100));
        assert!(!Line::new().reaches(at(0), at(0), PACE, 0));
    }
}
