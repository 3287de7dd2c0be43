//! The texts that settings are written in: durations, sizes, mailboxes, tags.
//!
//! Promises: every parser is pure, total and says what it expected; a refusal never holds the text it refused,
//! because that text may be a secret.
//! Never: a guess (`10` is no duration: of what?).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use crate::message::Mailbox;

/// A text that does not fit. Holds what was expected, never what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct Unfit {
    /// What would fit, as a noun with an article and an example.
    pub expected: Cow<'static, str>,
}

impl Unfit {
    pub(super) fn new(expected: impl Into<Cow<'static, str>>) -> Self {
        Self { expected: expected.into() }
    }
}

const TIME_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Reads `10s`, `250ms`, `5m`, `3d` or `1h30m`: whole numbers with the units w, d, h, m, s and ms, the larger first,
/// each once. Days are 24 hours.
///
/// # Errors
/// For any other text, a bare number included, and beyond 2^64 milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, Unfit> {
    let unfit = || Unfit::new("a duration such as \"10s\", \"5m\", \"1h30m\" or \"3d\"");
    let mut rest = text;
    let mut units = TIME_UNITS.iter();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(unfit());
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(unfit)?;
        let letters = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        // The iterator goes on where it stopped, so a unit can be used once and only after larger ones.
        let (_, millis) = units.find(|(name, _)| *name == unit).ok_or_else(unfit)?;
        total = number.checked_mul(*millis).and_then(|n| total.checked_add(n)).ok_or_else(unfit)?;
        rest = next;
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration the way [`parse_duration`] reads it; anything below a millisecond is cut off.
pub fn format_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, millis) in TIME_UNITS.iter().filter(|(unit, _)| *unit != "w") {
        let count = left / millis;
        if count > 0 {
            left %= millis;
            // Writing into a String cannot fail.
            let _ = write!(text, "{count}{unit}");
        }
    }
    text
}

/// Reads a size in bytes: `1048576`, `64MiB`, `1 GiB`; `kB`, `MB` and `GB` are powers of ten.
///
/// # Errors
/// For any other text, and beyond 2^64 bytes.
pub fn parse_bytes(text: &str) -> Result<u64, Unfit> {
    let unfit = || Unfit::new("a size in bytes such as 1048576, \"64MiB\" or \"1GiB\"");
    let (number, unit) = split_number(text.trim()).ok_or_else(unfit)?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Ok(number);
    }
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(unfit)?;
    number.checked_mul(*factor).ok_or_else(unfit)
}

/// Splits leading decimal digits from the rest.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

/// Reads a mailbox of the brand: `Acme Rewards <rewards@acme.example>` or the bare address.
///
/// # Errors
/// When there is not exactly one address, or a control character, which could add a header to a mail.
pub fn parse_mailbox(text: &str) -> Result<Mailbox, Unfit> {
    let unfit = || Unfit::new("a mailbox such as \"Acme Rewards <rewards@acme.example>\"");
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(unfit());
    }
    let (name, address) = match text.strip_suffix('>') {
        Some(open) => {
            let (name, address) = open.rsplit_once('<').ok_or_else(unfit)?;
            let name = name.trim();
            let quoted = name.strip_prefix('"').and_then(|n| n.strip_suffix('"'));
            (Some(quoted.unwrap_or(name)).filter(|n| !n.is_empty()), address)
        }
        None => (None, text),
    };
    let (local, domain) = address.split_once('@').ok_or_else(unfit)?;
    let bad_local = |c: char| c.is_whitespace() || "<>,;:\"()[]\\@".contains(c);
    if local.is_empty() || local.len() > 64 || local.contains(bad_local) || !is_domain(domain) {
        return Err(unfit());
    }
    if name.is_some_and(|n| n.contains(['<', '>', '"'])) {
        return Err(unfit());
    }
    Ok(Mailbox { name: name.map(str::to_owned), address: address.to_owned() })
}

/// True for a host name of letters, digits and hyphens (RFC 1123 2.1); non-ASCII names in their `xn--` form.
pub(super) fn is_domain(text: &str) -> bool {
    !text.contains('_') && is_host_name(text)
}

/// As [`is_domain`], with the underscores that names inside container networks have.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// True for what has the shape of a BCP 47 language tag: `en`, `en-IN`, `zh-Hant-TW`.
pub(super) fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// A web address cut into what the checks need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WebAddress<'a> {
    pub(super) secure: bool,
    pub(super) host: &'a str,
}

/// Reads `https://host[:port]/…`; the path may hold `{{…}}`, the host may not: where we connect is fixed by configuration.
pub(super) fn parse_web_address(text: &str) -> Result<WebAddress<'_>, Unfit> {
    let unfit = || Unfit::new("an address such as \"https://gateway.example/messages\" without credentials in it");
    let (secure, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err(unfit()),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']').ok_or_else(unfit)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| unfit())?;
            (host, after.strip_prefix(':').or(if after.is_empty() { Some("") } else { None }).ok_or_else(unfit)?)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            if !is_host_name(host) {
                return Err(unfit());
            }
            (host, port)
        }
    };
    if (!port.is_empty() && port.parse::<u16>().is_err()) || text.chars().any(|c| c.is_control()) {
        return Err(unfit());
    }
    Ok(WebAddress { secure, host })
}

/// True for this machine's own addresses and the name `localhost`.
pub(super) fn is_loopback_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
