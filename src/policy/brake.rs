//! The hourly brake: no template sends more than its limit in any hour without a person's word.
//!
//! Promises: within any 60 minutes at most `limit` notifications are admitted; once tripped it stays so until a person releases
//! it, restarts included; the state is plain data.
//! Never: a release by time alone: whatever made the flood may still be there.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::TemplateId;

const MINUTE_MS: i64 = 60_000;
/// Minutes that count: the one that runs and the 60 before it, so that the oldest is never counted only in part.
const MINUTES: i64 = 61;

/// The brakes of all templates. Serialises as JSON for the ledger's run-time state, under the name `brake`.
///
/// Store it whenever [`Admit::Tripped`] says `first` and after a release, and now and then between; what is admitted after
/// the last store is not counted after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    templates: BTreeMap<TemplateId, Gauge>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Gauge {
    /// Minutes since 1970 with what was admitted in each; oldest first, empty minutes left out.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    minutes: VecDeque<(i64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trip: Option<Trip>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    released: Option<Release>,
}

/// When and at what a brake tripped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// When.
    pub at: Time,
    /// The limit that would have been exceeded, in notifications an hour.
    pub limit: u64,
}

/// Who released a brake last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// When.
    pub at: Time,
    /// The operator, as the admin door names them.
    pub by: String,
}

/// Whether a notification may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It may, and is counted.
    Go,
    /// It is held with everything else of its template.
    Tripped {
        /// True for the one that tripped the brake: raise the alarm, store the state.
        first: bool,
    },
}

impl Gauge {
    /// A clock that was ahead by more than is ever counted was wrong: what went then counts as of now. Else it would count with
    /// everything that goes until the clock has caught up.
    fn come_back(&mut self, minute: i64) {
        if self.minutes.back().is_some_and(|(newest, _)| *newest > minute.saturating_add(MINUTES)) {
            let went = self.minutes.drain(..).fold(0_u64, |sum, (_, count)| sum.saturating_add(count));
            self.minutes.push_back((minute, went));
        }
    }
}

impl Brake {
    /// Counts one notification of a template, or refuses it. Ask once for each notification, before its first attempt:
    /// retries and what a person released do not count again.
    pub fn admit(&mut self, template: &TemplateId, limit_per_hour: u64, now: Time) -> Admit {
        let gauge = match self.templates.get_mut(template) {
            Some(gauge) => gauge,
            None => self.templates.entry(template.clone()).or_default(),
        };
        if gauge.trip.is_some() {
            return Admit::Tripped { first: false };
        }
        let minute = now.as_millis().div_euclid(MINUTE_MS);
        gauge.come_back(minute);
        let newest = gauge.minutes.back().map_or(i64::MIN, |(minute, _)| *minute);
        // A clock that was set back must not open the gate again: time stands still for the brake until it is caught up.
        let minute = minute.max(newest);
        while gauge.minutes.front().is_some_and(|(oldest, _)| *oldest <= minute.saturating_sub(MINUTES)) {
            gauge.minutes.pop_front();
        }
        let admitted = gauge.minutes.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        if admitted >= limit_per_hour {
            gauge.trip = Some(Trip { at: now, limit: limit_per_hour });
            return Admit::Tripped { first: true };
        }
        match gauge.minutes.back_mut() {
            Some((last, count)) if *last == minute => *count += 1,
            _ => gauge.minutes.push_back((minute, 1)),
        }
        Admit::Go
    }

    /// Releases a template's brake in a person's name and starts its count afresh. Gives what had tripped;
    /// `None`, and nothing changes, if it had not.
    pub fn release(&mut self, template: &TemplateId, by: &str, now: Time) -> Option<Trip> {
        let gauge = self.templates.get_mut(template)?;
        let trip = gauge.trip.take()?;
        gauge.minutes.clear();
        gauge.released = Some(Release { at: now, by: by.to_owned() });
        Some(trip)
    }

    /// True if the template is held.
    pub fn is_tripped(&self, template: &TemplateId) -> bool {
        self.templates.get(template).is_some_and(|gauge| gauge.trip.is_some())
    }

    /// Everything that is held, by template.
    pub fn tripped(&self) -> Vec<(&TemplateId, &Trip)> {
        self.templates.iter().filter_map(|(template, gauge)| gauge.trip.as_ref().map(|trip| (template, trip))).collect()
    }

    /// The last release of a template.
    pub fn last_release(&self, template: &TemplateId) -> Option<&Release> {
        self.templates.get(template)?.released.as_ref()
    }

    /// What was admitted in the hour before `now`, by template: for the gauge that warns before the brake does.
    pub fn admitted(&self, template: &TemplateId, now: Time) -> u64 {
        let since = now.as_millis().div_euclid(MINUTE_MS).saturating_sub(MINUTES);
        let minutes = self.templates.get(template).into_iter().flat_map(|gauge| &gauge.minutes);
        minutes.filter(|(minute, _)| *minute > since).fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const START: Time = Time::from_millis(1_793_092_797_616);

    fn id(name: &str) -> TemplateId {
        name.parse().unwrap()
    }

    fn after(minutes: u64) -> Time {
        START.plus(Duration::from_secs(60 * minutes))
    }

    #[test]
    fn the_one_beyond_the_limit_trips_and_all_that_follow_are_held() {
        let mut brake = Brake::default();
        let welcome = id("welcome");
        let answers: Vec<Admit> = (0..5).map(|minute| brake.admit(&welcome, 3, after(minute))).collect();
        let (first, rest) = (Admit::Tripped { first: true }, Admit::Tripped { first: false });
        assert_eq!(answers, [Admit::Go, Admit::Go, Admit::Go, first, rest]);
        assert_eq!(brake.tripped(), [(&welcome, &Trip { at: after(3), limit: 3 })]);
        assert_eq!(brake.admit(&id("points"), 3, after(5)), Admit::Go, "other templates go on");
    }

    #[test]
    fn a_tripped_brake_is_not_released_by_time_or_a_higher_limit_but_by_a_person() {
        let mut brake = Brake::default();
        let welcome = id("welcome");
        assert_eq!(brake.admit(&welcome, 0, START), Admit::Tripped { first: true });
        assert_eq!(brake.admit(&welcome, 1_000, after(600)), Admit::Tripped { first: false });
        assert!(brake.is_tripped(&welcome));

        assert_eq!(brake.release(&welcome, "asha", after(601)), Some(Trip { at: START, limit: 0 }));
        assert_eq!(brake.last_release(&welcome), Some(&Release { at: after(601), by: "asha".into() }));
        assert_eq!(brake.release(&welcome, "ben", after(602)), None);
        assert_eq!(brake.last_release(&welcome).unwrap().by, "asha");
        assert_eq!(brake.admit(&welcome, 1, after(602)), Admit::Go);
        assert_eq!(brake.admit(&welcome, 1, after(602)), Admit::Tripped { first: true });
    }

    #[test]
    fn what_is_older_than_an_hour_no_longer_counts() {
        let mut brake = Brake::default();
        let welcome = id("welcome");
        assert_eq!((0..10).filter(|n| brake.admit(&welcome, 10, after(*n)) == Admit::Go).count(), 10);
        assert_eq!(brake.admitted(&welcome, after(9)), 10);
        assert_eq!(brake.admit(&welcome, 10, after(61)), Admit::Go);
        assert_eq!(brake.admitted(&welcome, after(61)), 10);
        assert_eq!(brake.admitted(&welcome, after(500)), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_open_the_gate() {
        let mut brake = Brake::default();
        let welcome = id("welcome");
        assert_eq!(brake.admit(&welcome, 2, after(600)), Admit::Go);
        assert_eq!(brake.admit(&welcome, 2, START), Admit::Go);
        assert_eq!(brake.admit(&welcome, 2, Time::from_millis(i64::MIN)), Admit::Tripped { first: true });
    }

    #[test]
    fn what_a_clock_far_ahead_counted_counts_for_an_hour_and_not_until_the_clock_has_caught_up() {
        let mut brake = Brake::default();
        let welcome = id("welcome");
        let month = 30 * 24 * 60;
        assert_eq!(brake.admit(&welcome, 3, after(month)), Admit::Go);
        assert_eq!(brake.admit(&welcome, 3, after(month + 5)), Admit::Go);
        assert_eq!(brake.admit(&welcome, 3, START), Admit::Go, "both count as of now");
        assert_eq!(brake.clone().admit(&welcome, 3, after(59)), Admit::Tripped { first: true });
        for hours in 1..100 {
            assert_eq!(brake.admit(&welcome, 3, after(62 * hours)), Admit::Go);
        }
    }

    #[test]
    fn the_state_survives_its_json() {
        let mut brake = Brake::default();
        for minute in 0..5 {
            let _ = (brake.admit(&id("a"), 3, after(minute)), brake.admit(&id("b"), 100, after(minute)));
        }
        brake.release(&id("a"), "asha", after(9));
        let _ = brake.admit(&id("c"), 0, after(9));
        let json = serde_json::to_value(&brake).unwrap();
        assert_eq!(serde_json::from_value::<Brake>(json).unwrap(), brake);
        assert_eq!(serde_json::from_str::<Brake>(r#"{"templates": {}}"#).unwrap(), Brake::default());
    }

    proptest! {
        #[test]
        fn no_hour_has_more_than_the_limit(limit in 0_u64..20, gaps in prop::collection::vec(0_u64..400, 1..200)) {
            let mut brake = Brake::default();
            let (welcome, mut now, mut went) = (id("welcome"), START, Vec::new());
            for seconds in gaps {
                now = now.plus(Duration::from_secs(seconds));
                if brake.admit(&welcome, limit, now) == Admit::Go {
                    went.push(now);
                }
            }
            for first in &went {
                let hour = went.iter().filter(|time| *time >= first && time.since(*first) < Duration::from_secs(3_600)).count();
                prop_assert!(hour as u64 <= limit);
            }
        }
    }
}
