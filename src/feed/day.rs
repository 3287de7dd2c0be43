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
use crate::ledger::{Ledger, LedgerError, OutcomePlace, OutcomeRecord, SetBack};

/// Lines read between two turns of others.
const PAGE: usize = 500;

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
        let end = to.as_millis().saturating_add(SetBack::SLACK);
        let start = Ledger::outcomes_before(from);
        let mut place = self.walk_on(ledger, start, |place, _| place.time > end, &mut each).await?;
        // A clock that was far ahead has left lines of this date at places far behind it.
        for back in ledger.set_backs()? {
            if place < back.place && back.at < to {
                let before = OutcomePlace { number: back.place.number.saturating_sub(1), ..back.place };
                place = self.walk_on(ledger, before, |_, at| at.as_millis() > end, &mut each).await?;
            }
        }
        Ok(())
    }

    /// Goes on behind a place until a line is beyond; gives the place it came to.
    async fn walk_on(
        &self,
        ledger: &Ledger,
        mut place: OutcomePlace,
        is_beyond: impl Fn(OutcomePlace, Time) -> bool,
        each: &mut impl FnMut(OutcomeRecord),
    ) -> Result<OutcomePlace, LedgerError> {
        loop {
            let page = ledger.outcomes_after(place, PAGE)?;
            if page.is_empty() {
                return Ok(place);
            }
            for (at, outcome) in page {
                place = at;
                let Some(outcome) = outcome else { continue };
                if is_beyond(place, outcome.at) {
                    return Ok(place);
                }
                if self.holds(outcome.org, outcome.at) {
                    each(outcome);
                }
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
            ("Europe/London", "2026-03-29", "2026-03-29T00:00:00Z", "2026-03-29T23:00:00Z"),
            ("Europe/London", "2026-10-25", "2026-10-24T23:00:00Z", "2026-10-26T00:00:00Z"),
            ("America/New_York", "2026-03-08", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
            ("America/New_York", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
            ("Asia/Kolkata", "2028-02-29", "2028-02-28T18:30:00Z", "2028-02-29T18:30:00Z"),
            ("Asia/Kolkata", "2027-02-28", "2027-02-27T18:30:00Z", "2027-02-28T18:30:00Z"),
            // Here the clock goes from midnight to one: the day begins at one.
            ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
            // A day that the island skipped when it changed sides of the date line: it has no length.
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"),
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
            // Two is a time that the last Sunday of March does not have, and that of October has once more.
            ("2026-03-29T00:59:59Z", "Europe/Berlin", "2026-03-27"),
            ("2026-03-29T01:00:00Z", "Europe/Berlin", "2026-03-28"),
            ("2026-10-25T00:00:00Z", "Europe/Berlin", "2026-10-24"),
            ("2026-10-25T01:00:00Z", "Europe/Berlin", "2026-10-24"),
            ("2028-03-01T02:00:00Z", "UTC", "2028-02-29"),
            ("2027-03-01T02:00:00Z", "UTC", "2027-02-28"),
            ("2028-03-01T01:59:59Z", "UTC", "2028-02-28"),
        ] {
            let complete = last_complete(time(now), two, &zone(name)).expect("a date");
            assert_eq!(complete.to_string(), last, "{now} {name}");
        }
    }
}
