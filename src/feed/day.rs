//! The days of orgs: a date means another stretch of time in each time zone.
//!
//! Promises: a day begins at the org's midnight and ends at its next, 23 or 25 hours later where clocks are changed; an org that is no longer
//! configured has days of UTC.
//! Never: the machine's own zone.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::Time;
use crate::config::Org;
use crate::id::OrgId;
use crate::ledger::{Ledger, LedgerError, OutcomeRecord};

/// Lines read between two turns of others.
const PAGE: usize = 500;
/// How far behind its own time a line may stand in the log, milliseconds: a clock may have been set back.
const SLACK: i64 = 3_600_000;

/// One date, as every org has it.
#[derive(Clone, Debug)]
pub struct Days {
    /// The date.
    pub date: Date,
    of_orgs: BTreeMap<OrgId, (Time, Time)>,
    of_others: Option<(Time, Time)>,
}

impl Days {
    /// The date for all these orgs, and for any other.
    pub fn of(date: Date, orgs: &BTreeMap<OrgId, Org>) -> Self {
        let of_orgs = orgs.iter().map(|(id, org)| (*id, day(date, &org.time_zone)));
        Self { date, of_orgs: of_orgs.collect(), of_others: Some(day(date, &TimeZone::UTC)) }
    }

    /// The date for some orgs only.
    pub fn of_some<'o>(date: Date, orgs: impl Iterator<Item = (OrgId, &'o Org)>) -> Self {
        Self { date, of_orgs: orgs.map(|(id, org)| (id, day(date, &org.time_zone))).collect(), of_others: None }
    }

    /// True if a moment is on this date for an org.
    pub fn holds(&self, org: OrgId, at: Time) -> bool {
        self.of_orgs.get(&org).or(self.of_others.as_ref()).is_some_and(|(from, to)| *from <= at && at < *to)
    }

    fn all(&self) -> impl Iterator<Item = &(Time, Time)> {
        self.of_orgs.values().chain(&self.of_others)
    }

    /// Gives every line of the log that is of this date to `each`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn walk(&self, ledger: &Ledger, mut each: impl FnMut(OutcomeRecord)) -> Result<(), LedgerError> {
        let (Some(from), Some(to)) = (self.all().map(|day| day.0).min(), self.all().map(|day| day.1).max()) else {
            return Ok(());
        };
        let mut place = Ledger::outcomes_before(from);
        loop {
            let page = ledger.outcomes_after(place, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            place = *last;
            for outcome in page.into_iter().filter_map(|(_, outcome)| outcome) {
                if self.holds(outcome.org, outcome.at) {
                    each(outcome);
                }
            }
            if place.time > to.as_millis().saturating_add(SLACK) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }
}

/// First moment of a date, and first moment behind it.
fn day(date: Date, zone: &TimeZone) -> (Time, Time) {
    let begin = |date: Date| date.to_zoned(zone.clone()).map_or(Time::MAX, |begin| Time::from(begin.timestamp()));
    (begin(date), date.tomorrow().map_or(Time::MAX, begin))
}

/// The last date whose end lies `at` (a time of the following day) or longer behind `now`, in a zone.
pub(super) fn last_complete(now: Time, at: jiff::civil::Time, zone: &TimeZone) -> Option<Date> {
    let local = now.to_jiff()?.to_zoned(zone.clone());
    let yesterday = local.date().yesterday().ok()?;
    if local.time() >= at { Some(yesterday) } else { yesterday.yesterday().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        Time::from(text.parse::<jiff::Timestamp>().expect("a time"))
    }
    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("a zone")
    }

    #[test]
    fn a_day_lasts_from_midnight_to_midnight_where_the_org_is() {
        for (name, date, from, to) in [
            ("UTC", "2026-11-22", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("Asia/Kolkata", "2026-11-22", "2026-11-21T18:30:00Z", "2026-11-22T18:30:00Z"),
            ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ] {
            assert_eq!(day(date.parse().expect("a date"), &zone(name)), (time(from), time(to)), "{name} {date}");
        }
    }

    #[test]
    fn a_day_is_complete_at_the_hour_after_it_that_the_configuration_names() {
        let two = jiff::civil::time(2, 0, 0, 0);
        for (now, name, last) in [
            ("2026-11-23T01:59:59Z", "UTC", "2026-11-21"),
            ("2026-11-23T02:00:00Z", "UTC", "2026-11-22"),
            ("2026-11-22T20:29:59Z", "Asia/Kolkata", "2026-11-21"),
            ("2026-11-22T20:30:00Z", "Asia/Kolkata", "2026-11-22"),
        ] {
            let complete = last_complete(time(now), two, &zone(name)).expect("a date");
            assert_eq!(complete.to_string(), last, "{now} {name}");
        }
    }
}
