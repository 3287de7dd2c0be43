//! `expires_at`: a path into the event, and the date found there.
//!
//! Promises: every date form seen in Capillary's events (capillary/reference.md 2.7) is read; a date without a time means
//! the end of that day in the org's zone; "never" is no expiry.
//! Never: a guess: what cannot be read is reported, not taken for a date; a value in a report.

use std::fmt;

use jiff::civil;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::clock::Time;

/// Capillary writes "never" as a date in 2121 or 2124 (capillary/reference.md 2.7); whatever lies beyond this year is one.
const NEVER_FROM_YEAR: i16 = 2100;

/// Numbers below this are seconds: as milliseconds they would lie before March 1973, as seconds they reach to the year 5138.
const SECONDS_BELOW: i64 = 100_000_000_000;

/// A path into an event, as `item.valid_till` or `data.tierExpiryDate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    root: Root,
    steps: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    /// The first element the message is about.
    Item,
    /// The event's `data`.
    Data,
}

/// Why a date could not be read. Holds no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is neither epoch milliseconds nor a date")
    }
}

impl Path {
    /// Reads `item.…`, `data.…` or `event.data.…`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (root, rest) = if let Some(rest) = text.strip_prefix("item.") {
            (Root::Item, rest)
        } else if let Some(rest) = text.strip_prefix("data.").or_else(|| text.strip_prefix("event.data.")) {
            (Root::Data, rest)
        } else {
            return Err("expected a path such as \"item.valid_till\" or \"data.tierExpiryDate\"".to_owned());
        };
        let steps: Vec<String> = rest.split('.').map(str::to_owned).collect();
        if steps.len() > 16 || !steps.iter().all(|step| is_step(step)) {
            return Err("expected names of letters, digits, `_` and `-`, joined by dots".to_owned());
        }
        Ok(Self { root, steps })
    }

    /// The date there; `None` where there is none, or "never".
    pub(super) fn resolve(&self, data: &Value, items: &[String], zone: &TimeZone) -> Result<Option<Time>, Unreadable> {
        let start = match self.root {
            Root::Data => Some(data),
            Root::Item => items.first().and_then(|place| at_place(data, place)),
        };
        match start.and_then(|start| self.steps.iter().try_fold(start, |value, step| child(value, step))) {
            Some(value) => read(value, zone),
            None => Ok(None),
        }
    }
}

/// True for one step of a path.
pub(super) fn is_step(step: &str) -> bool {
    !step.is_empty() && step.len() <= 64 && step.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The value at a place such as `data.coupons.3`.
fn at_place<'v>(data: &'v Value, place: &str) -> Option<&'v Value> {
    match place.strip_prefix("data")? {
        "" => Some(data),
        rest => rest.strip_prefix('.')?.split('.').try_fold(data, child),
    }
}

fn child<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => value.get(step),
    }
}

/// Reads a date in any of Capillary's forms.
pub(super) fn read(value: &Value, zone: &TimeZone) -> Result<Option<Time>, Unreadable> {
    let stamp = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => {
            let number = number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)).ok_or(Unreadable)?;
            return epoch(number);
        }
        Value::String(text) => match text.trim() {
            "" => return Ok(None),
            text if text.len() >= 9 && text.bytes().all(|b| b.is_ascii_digit()) => {
                return epoch(text.parse().map_err(|_| Unreadable)?);
            }
            text => read_text(text, zone).ok_or(Unreadable)?,
        },
        _ => return Err(Unreadable),
    };
    Ok(unless_never(stamp))
}

/// Zero and -1 are how "not set" looks in a number; a date before 1970 expires nothing.
fn epoch(number: i64) -> Result<Option<Time>, Unreadable> {
    if number <= 0 {
        return Ok(None);
    }
    let millis = if number < SECONDS_BELOW { number.saturating_mul(1_000) } else { number };
    // Beyond the years that calendars know is beyond 2100 as well.
    Ok(jiff::Timestamp::from_millisecond(millis).ok().and_then(unless_never))
}

fn unless_never(stamp: jiff::Timestamp) -> Option<Time> {
    (stamp.to_zoned(TimeZone::UTC).year() < NEVER_FROM_YEAR).then(|| stamp.into())
}

fn read_text(text: &str, zone: &TimeZone) -> Option<jiff::Timestamp> {
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(stamp);
    }
    if text.len() == "2026-01-31".len() {
        // The end of a day is the start of the next one: what expires then is still good in the last second of the day.
        let next = text.parse::<civil::Date>().ok()?.tomorrow().ok()?;
        return next.to_zoned(zone.clone()).ok().map(|start| start.timestamp());
    }
    if let Ok(local) = text.parse::<civil::DateTime>() {
        return local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    }
    // `Tue Mar 04 00:00:00 GMT 2025`, as Java prints a date. Other abbreviations than these two name several zones each.
    let (before, year) = text.split_once(" GMT ").or_else(|| text.split_once(" UTC "))?;
    let local = civil::DateTime::strptime("%a %b %d %H:%M:%S %Y", format!("{before} {year}")).ok()?;
    local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn kolkata() -> TimeZone {
        TimeZone::get("Asia/Kolkata").unwrap()
    }

    #[test]
    fn every_date_form_of_the_reference_is_read_in_the_orgs_zone() {
        for (value, expected) in [
            (json!(1_795_612_546_934_i64), "2026-11-25T13:15:46.934Z"),
            (json!(1_795_612_546_934.0), "2026-11-25T13:15:46.934Z"),
            (json!("1795612546934"), "2026-11-25T13:15:46.934Z"),
            (json!(1_795_612_546), "2026-11-25T13:15:46.000Z"),
            (json!("2026-01-31"), "2026-01-31T18:30:00.000Z"),
            (json!(" 2026-01-31 "), "2026-01-31T18:30:00.000Z"),
            (json!("2025-10-07 14:17:38"), "2025-10-07T08:47:38.000Z"),
            (json!("2025-09-15 00:00:00.0"), "2025-09-14T18:30:00.000Z"),
            (json!("2025-10-15T12:03:11.252+0530"), "2025-10-15T06:33:11.252Z"),
            (json!("2025-10-15T12:03:11+05:30"), "2025-10-15T06:33:11.000Z"),
            (json!("2024-07-01T13:35:31.000+0000"), "2024-07-01T13:35:31.000Z"),
            (json!("2024-07-01T13:35:31Z"), "2024-07-01T13:35:31.000Z"),
            (json!("Tue Mar 04 00:00:00 GMT 2025"), "2025-03-04T00:00:00.000Z"),
        ] {
            let read = read(&value, &kolkata()).unwrap().map(|time| time.to_string());
            assert_eq!(read.as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn a_date_ends_with_its_day_even_where_the_clock_is_turned() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let read = read(&json!("2026-03-29"), &berlin).unwrap().unwrap();
        assert_eq!(read.to_string(), "2026-03-29T22:00:00.000Z");
    }

    #[test]
    fn local_times_that_a_clock_skips_or_shows_twice_and_leap_days_have_one_meaning() {
        for (zone, value, expected) in [
            // 01:30 is skipped: an hour later, as if the clock had not been turned yet.
            ("Europe/London", "2026-03-29 01:30:00", "2026-03-29T01:30:00.000Z"),
            ("America/New_York", "2026-03-08 02:30:00", "2026-03-08T07:30:00.000Z"),
            // It comes twice: the first.
            ("Europe/London", "2026-10-25 01:30:00", "2026-10-25T00:30:00.000Z"),
            ("America/New_York", "2026-11-01 01:30:00", "2026-11-01T05:30:00.000Z"),
            ("Asia/Kolkata", "2026-03-29 01:30:00", "2026-03-28T20:00:00.000Z"),
            // The end of a day that lasts 23 or 25 hours.
            ("Europe/London", "2026-03-29", "2026-03-29T23:00:00.000Z"),
            ("America/New_York", "2026-11-01", "2026-11-02T05:00:00.000Z"),
            ("UTC", "2028-02-28", "2028-02-29T00:00:00.000Z"),
            ("UTC", "2028-02-29", "2028-03-01T00:00:00.000Z"),
            ("UTC", "2027-02-28", "2027-03-01T00:00:00.000Z"),
            ("Asia/Kolkata", "2028-02-29 23:59:59", "2028-02-29T18:29:59.000Z"),
        ] {
            let read = read(&json!(value), &TimeZone::get(zone).unwrap()).unwrap().map(|time| time.to_string());
            assert_eq!(read.as_deref(), Some(expected), "{value} {zone}");
        }
        assert_eq!(read(&json!("2027-02-29"), &kolkata()), Err(Unreadable), "no such day");
    }

    #[test]
    fn never_and_unset_are_no_expiry() {
        for value in [
            json!("2121-04-27"),
            json!("2124-08-19"),
            json!("2124-08-19 00:00:00"),
            json!(4_772_066_295_000_i64),
            json!(i64::MAX),
            json!(0),
            json!(-1),
            json!(null),
            json!(""),
        ] {
            assert_eq!(read(&value, &kolkata()), Ok(None), "{value}");
        }
    }

    #[test]
    fn what_is_no_date_is_reported_and_not_guessed() {
        for value in [
            json!("soon"),
            json!("31/01/2026"),
            json!("2026-13-01"),
            json!("Tue Mar 04 00:00:00 IST 2025"),
            json!(true),
            json!({"a": 1}),
            json!(["2026-01-31"]),
        ] {
            assert_eq!(read(&value, &kolkata()), Err(Unreadable), "{value}");
        }
    }

    #[test]
    fn a_path_starts_at_the_data_or_at_the_first_item() {
        let data = json!({"coupons": [{"valid_till": 1_795_000_000_000_i64}, {"valid_till": 1_796_000_000_000_i64}],
                          "series": {"ends": "2027-01-01T00:00:00Z"}});
        let resolve = |path: &str, items: &[&str]| {
            let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
            Path::parse(path).unwrap().resolve(&data, &items, &TimeZone::UTC)
        };
        let at = |millis| Ok(Some(Time::from_millis(millis)));
        assert_eq!(resolve("item.valid_till", &["data.coupons.1", "data.coupons.0"]), at(1_796_000_000_000));
        assert_eq!(resolve("data.coupons.0.valid_till", &[]), at(1_795_000_000_000));
        assert_eq!(resolve("event.data.series.ends", &[]), at(1_798_761_600_000));
        assert_eq!(resolve("item.valid_till", &[]), Ok(None));
        assert_eq!(resolve("item.valid_till", &["data.coupons.9"]), Ok(None));
        assert_eq!(resolve("data.series", &[]), Err(Unreadable));
        for wrong in ["", "valid_till", "item.", "item..a", "data", "customer.email", "data.a b", "data.x[0]"] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_date_never_panics(text in "\\PC{0,40}|[-0-9: T+.Z]{0,30}", number: i64, float: f64) {
            let _ = read(&json!(text), &kolkata());
            let _ = read(&json!(number), &kolkata());
            let _ = read(&json!(float), &kolkata());
        }
    }
}
