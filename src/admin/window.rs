//! The last hours: the words `since` and `to` of requests that look back.
//!
//! Promises: a window is bounded, and stays the same from page to page if the first answer's `to` is given back.
//! Never: what was typed, in a refusal.

use std::time::Duration;

use crate::clock::Time;
use crate::config::value::parse_duration;

use super::AdminError;

/// How far back, if nobody says.
const USUAL: Duration = Duration::from_secs(24 * 3_600);
/// How far back at most: as long as events are kept at least.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3_600);

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// First moment in it.
    pub(super) from: Time,
    /// First moment behind it.
    pub(super) to: Time,
}

impl Window {
    /// Reads `since` (`24h`: before `to`) and `to` (RFC 3339; the present, if not given).
    pub(super) fn read(since: Option<&str>, to: Option<&str>, now: Time) -> Result<Self, AdminError> {
        let to = match to {
            None => now,
            Some(text) => text.parse::<jiff::Timestamp>().map(Time::from).map_err(|_| {
                AdminError::Invalid("field `to` does not fit; expected a time such as 2027-01-31T18:00:00Z".into())
            })?,
        };
        let since = match since {
            None => USUAL,
            Some(text) => {
                parse_duration(text).ok().filter(|since| !since.is_zero() && *since <= LONGEST).ok_or_else(|| {
                    AdminError::Invalid("field `since` does not fit; expected up to `31d`, as `24h`".into())
                })?
            }
        };
        Ok(Self { from: to.minus(since), to })
    }

    /// True for a moment in it.
    pub(super) fn holds(self, at: Time) -> bool {
        self.from <= at && at < self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_793_092_797_616);

    #[test]
    fn a_window_ends_now_and_goes_back_a_day_if_nobody_says() {
        for (since, to, from, until) in [
            (None, None, "2026-10-26T09:19:57.616Z", "2026-10-27T09:19:57.616Z"),
            (Some("2h"), None, "2026-10-27T07:19:57.616Z", "2026-10-27T09:19:57.616Z"),
            (Some("1d"), Some("2026-10-02T00:00:00Z"), "2026-10-01T00:00:00.000Z", "2026-10-02T00:00:00.000Z"),
        ] {
            let window = Window::read(since, to, NOW).expect("a window");
            assert_eq!((window.from.to_string().as_str(), window.to.to_string().as_str()), (from, until));
            assert!(window.holds(window.from) && !window.holds(window.to));
        }
    }

    #[test]
    fn what_is_no_window_is_refused_without_repeating_it() {
        for (since, to) in [(Some("asha"), None), (Some("32d"), None), (Some("0s"), None), (None, Some("asha"))] {
            let said = Window::read(since, to, NOW).expect_err("refused").to_string();
            assert!(!said.contains("asha") && said.contains("expected"), "{said}");
        }
    }
}
