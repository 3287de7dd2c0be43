//! Helpers for words and addresses.

use serde_json::Value;

use super::{Answer, Args};
use crate::template::engine::Run;

fn map(args: &Args<'_, '_>, change: impl Fn(&str) -> String) -> Answer {
    Ok(args.text(0).map(|t| Value::from(change(&t))))
}

pub(super) fn upper(args: &Args<'_, '_>, _: &Run) -> Answer {
    map(args, str::to_uppercase)
}
pub(super) fn lower(args: &Args<'_, '_>, _: &Run) -> Answer {
    map(args, str::to_lowercase)
}

/// Each word with a capital; the rest small only where a word was all capitals, so that `McKay` stays.
pub(super) fn title(args: &Args<'_, '_>, _: &Run) -> Answer {
    map(args, |text| {
        let mut out = String::with_capacity(text.len());
        for word in text.split_inclusive(|c: char| c.is_whitespace() || c == '-') {
            let mut chars = word.chars();
            let Some(first) = chars.next() else { continue };
            out.extend(first.to_uppercase());
            let rest = chars.as_str();
            if word.chars().any(char::is_lowercase) { out.push_str(rest) } else { out.push_str(&rest.to_lowercase()) }
        }
        out
    })
}

/// At most so many characters, the last an ellipsis.
pub(super) fn truncate(args: &Args<'_, '_>, run: &Run) -> Answer {
    let Some(most) = args.get(1).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).filter(|n| *n >= 4)
    else {
        return Err("`truncate` needs a length of 4 or more".into());
    };
    // The one-character ellipsis is not in the SMS alphabet.
    let dots = if run.sms { "..." } else { "…" };
    map(args, |text| {
        if text.chars().count() <= most {
            return text.to_owned();
        }
        let keep = most - dots.chars().count();
        text.chars().take(keep).collect::<String>().trim_end().to_owned() + dots
    })
}

/// Percent-encodes everything that RFC 3986 does not call unreserved.
pub(super) fn urlencode(args: &Args<'_, '_>, _: &Run) -> Answer {
    map(args, |text| {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    })
}

/// A whole address, if it is https with a plain host and nothing odd in it.
pub(super) fn url(args: &Args<'_, '_>, _: &Run) -> Answer {
    let Some(text) = args.text(0) else { return Ok(None) };
    let text = text.trim();
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '\\' | '`');
    let host = text.strip_prefix("https://").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let plain =
        |h: &str| h.contains('.') && h.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':'));
    if text.contains(odd) || !host.is_some_and(plain) {
        return Err("`url` lets only https addresses through, and the value is none".into());
    }
    Ok(Some(Value::from(text)))
}
