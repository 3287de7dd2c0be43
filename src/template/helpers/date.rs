//! Dates, in every form that Capillary sends them (capillary/reference.md 2.7), printed in the reader's zone and language.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::locale::language;
use super::{Answer, Args};
use crate::template::engine::Run;

/// A date beyond this year means "never" (`2121-04-27`, `2124-08-19` in tier events).
const NEVER_FROM: i16 = 2100;
/// Nothing a message says happened before the loyalty programme did; zeros and minus ones land here.
const FIRST_YEAR: i16 = 1971;

/// True for a format that [`date`] prints: `short`, `long`, `time` or a pattern.
pub(in crate::template) fn is_format(format: &str) -> bool {
    matches!(format, "short" | "long" | "time" | "datetime") || tokens(format).is_some()
}

/// `{{date value "short"}}`
pub(super) fn date(args: &Args<'_, '_>, run: &Run) -> Answer {
    let Some(value) = args.get(0) else { return Ok(None) };
    let format = args.text(1).unwrap_or_else(|| "short".into());
    let moment = moment(value, run).ok_or("`date` got a value that is not a date")?;
    if !is_known(moment) {
        return Ok(None);
    }
    show(moment, &format, &run.locale)
        .map(|t| Some(Value::from(t)))
        .ok_or_else(|| format!("`{format}` is not a date format"))
}

/// `{{#if (is_date x)}}`: false for what is missing, broken, or so far away that it means "never".
pub(super) fn is_date(args: &Args<'_, '_>, run: &Run) -> Answer {
    Ok(Some(Value::Bool(args.get(0).and_then(|v| moment(v, run)).is_some_and(is_known))))
}

fn is_known(moment: DateTime) -> bool {
    (FIRST_YEAR..NEVER_FROM).contains(&moment.year())
}

/// The local date and time of a value in the reader's zone. A date without a time is that date everywhere.
fn moment(value: &Value, run: &Run) -> Option<DateTime> {
    let zone = zone(&run.zone);
    match value {
        Value::Number(n) => stamp(n.as_f64()?).map(|s| s.to_zoned(zone).datetime()),
        Value::String(text) => {
            let text = text.trim();
            if text.len() > 40 {
                return None;
            }
            if text.len() > 8 && text.bytes().all(|b| b.is_ascii_digit()) {
                return stamp(text.parse().ok()?).map(|s| s.to_zoned(zone).datetime());
            }
            if let Ok(stamp) = text.parse::<Timestamp>() {
                return Some(stamp.to_zoned(zone).datetime());
            }
            if text.len() <= 10 {
                return text.parse::<Date>().ok().map(|d| d.at(0, 0, 0, 0));
            }
            let local = text.parse::<DateTime>().ok().map(|t| (t, crate::template::helpers::date::zone(&run.org_zone)));
            let (local, from) = local.or_else(|| {
                // Java's Date.toString, seen in `updatedFields`.
                let parsed = jiff::fmt::strtime::parse("%a %b %d %H:%M:%S GMT %Y", text).ok()?;
                Some((parsed.to_datetime().ok()?, TimeZone::UTC))
            })?;
            Some(local.to_zoned(from).ok()?.with_time_zone(zone).datetime())
        }
        _ => None,
    }
}

/// Epoch milliseconds, or seconds where the number is too small for milliseconds (some composites carry seconds).
fn stamp(number: f64) -> Option<Timestamp> {
    if !number.is_finite() || number.abs() > 1e15 {
        return None;
    }
    let millis = if number.abs() < 1e11 { number * 1000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "bounded above; fractions of a millisecond do not matter")]
    Timestamp::from_millisecond(millis as i64).ok()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

#[derive(Clone, Copy)]
enum Token<'t> {
    Year,
    ShortYear,
    Month,
    MonthName,
    MonthShort,
    Day,
    PlainDay,
    Weekday,
    Hour,
    Minute,
    Other(&'t str),
}

/// Capillary's patterns (`dd Mon yyyy`, `Day, Mon dd, yy`, …) and what can be made of their pieces.
fn tokens(format: &str) -> Option<Vec<Token<'_>>> {
    const KNOWN: [(&str, Token<'_>); 10] = [
        ("yyyy", Token::Year),
        ("yy", Token::ShortYear),
        ("Month", Token::MonthName),
        ("Mon", Token::MonthShort),
        ("mm", Token::Month),
        ("dd", Token::Day),
        ("Day", Token::Weekday),
        ("d", Token::PlainDay),
        ("HH", Token::Hour),
        ("MM", Token::Minute),
    ];
    let (mut out, mut rest) = (Vec::new(), format);
    if format.is_empty() || format.len() > 40 {
        return None;
    }
    while let Some(c) = rest.chars().next() {
        if let Some((text, token)) = KNOWN.iter().find(|(text, _)| rest.starts_with(text)) {
            out.push(*token);
            rest = &rest[text.len()..];
        } else if matches!(c, ' ' | '/' | '.' | '-' | ',' | ':') {
            let (other, next) = rest.split_at(1);
            out.push(Token::Other(other));
            rest = next;
        } else {
            return None;
        }
    }
    Some(out)
}

fn show(at: DateTime, format: &str, locale: &str) -> Option<String> {
    let names = names(&language(locale));
    let pattern = match format {
        // Without names for the language, digits are better than foreign words.
        "short" if names.is_none() => "dd/mm/yyyy",
        "long" if names.is_none() => "dd/mm/yyyy",
        "short" => "d Mon yyyy",
        "long" => "d Month yyyy",
        "time" => "HH:MM",
        "datetime" if names.is_none() => "dd/mm/yyyy HH:MM",
        "datetime" => "d Mon yyyy, HH:MM",
        other => other,
    };
    let names = names.unwrap_or(&ENGLISH);
    let month = usize::from(at.month().unsigned_abs()).saturating_sub(1);
    let weekday = usize::from(at.date().weekday().to_monday_zero_offset().unsigned_abs());
    let mut out = String::new();
    for token in tokens(pattern)? {
        match token {
            Token::Year => out.push_str(&format!("{:04}", at.year())),
            Token::ShortYear => out.push_str(&format!("{:02}", at.year() % 100)),
            Token::Month => out.push_str(&format!("{:02}", at.month())),
            Token::MonthName => out.push_str(names.long.get(month)?),
            Token::MonthShort => out.push_str(names.short.get(month)?),
            Token::Day => out.push_str(&format!("{:02}", at.day())),
            Token::PlainDay => out.push_str(&at.day().to_string()),
            Token::Weekday => out.push_str(names.days.get(weekday)?),
            Token::Hour => out.push_str(&format!("{:02}", at.hour())),
            Token::Minute => out.push_str(&format!("{:02}", at.minute())),
            Token::Other(text) => out.push_str(text),
        }
    }
    Some(out)
}

struct Names {
    long: [&'static str; 12],
    short: [&'static str; 12],
    days: [&'static str; 7],
}

fn names(language: &str) -> Option<&'static Names> {
    match language {
        "en" => Some(&ENGLISH),
        "hi" => Some(&HINDI),
        "ar" => Some(&ARABIC),
        _ => None,
    }
}

// Names after Unicode CLDR 46; Arabic in the form of the Gulf and Egypt.
static ENGLISH: Names = Names {
    long: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    short: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
};
static HINDI: Names = Names {
    long: ["जनवरी", "फ़रवरी", "मार्च", "अप्रैल", "मई", "जून", "जुलाई", "अगस्त", "सितंबर", "अक्तूबर", "नवंबर", "दिसंबर"],
    short: ["जन॰", "फ़र॰", "मार्च", "अप्रैल", "मई", "जून", "जुल॰", "अग॰", "सित॰", "अक्तू॰", "नव॰", "दिस॰"],
    days: ["सोम", "मंगल", "बुध", "गुरु", "शुक्र", "शनि", "रवि"],
};
static ARABIC: Names = Names {
    long: [
        "يناير",
        "فبراير",
        "مارس",
        "أبريل",
        "مايو",
        "يونيو",
        "يوليو",
        "أغسطس",
        "سبتمبر",
        "أكتوبر",
        "نوفمبر",
        "ديسمبر",
    ],
    short: [
        "يناير",
        "فبراير",
        "مارس",
        "أبريل",
        "مايو",
        "يونيو",
        "يوليو",
        "أغسطس",
        "سبتمبر",
        "أكتوبر",
        "نوفمبر",
        "ديسمبر",
    ],
    days: ["الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد"],
};
