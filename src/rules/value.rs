//! Durations as people write them.
//!
//! Promises: `2m`, `36h`, `1h30m`, `3d` and the like; a day is 24 hours.
//! Never: a month or a year, whose length depends on where one stands.

use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;

/// Longest duration a rule may name.
const MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads a duration of at most a year, not negative.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = "expected a duration such as \"2m\", \"36h\", \"1h30m\" or \"3d\"";
    let span = SpanParser::new().parse_span(text.trim()).map_err(|_| expected.to_owned())?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err("months and years have no fixed length; write days".to_owned());
    }
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| expected.to_owned())?;
    let duration = Duration::try_from(exact).map_err(|_| "is negative".to_owned())?;
    if duration > MAX { Err("is longer than a year".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [
            ("0s", 0),
            ("2m", 120),
            ("36h", 129_600),
            ("3d", 259_200),
            ("1h30m", 5_400),
            ("1h 30m", 5_400),
            ("90s", 90),
            ("2 hours", 7_200),
            ("1w", 604_800),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "3", "d", "-3d", "3d ago", "1mo", "1y", "5000d", "P3D", "3d3d", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_duration_never_panics(text in "\\PC{0,30}|[-0-9]{0,25}[a-z]{0,5}") {
            let _ = parse_duration(&text);
        }
    }
}
