//! What fits a key: its kinds of values, and the check of one value.
//!
//! Promises: one check for every layer, so a fault reads the same wherever it was made; a value from the environment is
//! turned only into what its key asks for (`00123` stays `00123` where a text is asked for).
//! Never: a decision about hiding; the caller knows which keys are secret.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use ::config::{Value, ValueKind};

use super::value::{
    Unfit, is_domain, is_host_name, is_locale, parse_bytes, parse_duration, parse_mailbox, parse_web_address,
};
use crate::id::Namespace;

/// The kind of one value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Any text with something in it.
    Text,
    /// A text without control characters.
    Line,
    /// As `Line`; never shown.
    Secret,
    /// One secret or a list of one or two.
    Secrets,
    /// One of these.
    Word(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A whole number.
    Count { min: u64, max: u64 },
    /// A number above zero.
    Rate,
    /// A duration above zero.
    Span,
    /// A size.
    Bytes { min: u64 },
    /// An IP address and port to listen on.
    Address,
    /// A host name or IP address, also in the brackets of an SMTP address literal.
    Host,
    /// A domain name with a dot in it.
    Domain,
    /// An `http` or `https` address with a fixed host.
    WebAddress,
    /// An `https` address for people.
    HttpsAddress,
    /// A mailbox.
    Mailbox,
    /// A network of IP addresses.
    Network,
    /// A path in the file system.
    Path,
    /// One path or a list of one or two.
    Paths,
    /// A JSON pointer (RFC 6901).
    Pointer,
    /// 64 hexadecimal digits, or a list of one or two of them.
    Digests,
    /// ISO 4217.
    Currency,
    /// An IANA time zone that the bundled database knows.
    Zone,
    /// BCP 47.
    Locale,
    /// A point in time with its offset.
    Instant,
    /// A time of the day, to the minute.
    TimeOfDay,
    /// `external_id:GT0042`.
    AliasText,
    /// Directives of a log filter.
    Filter,
    /// A name.
    Name(Names),
    /// A list.
    List(&'static Kind),
}

/// Grammars of names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names {
    /// As all our names: see [`crate::id`].
    Word,
    /// A Capillary org id.
    Org,
    /// An HTTP header name (RFC 9110 5.6.2).
    Header,
    /// What templates can write after a dot.
    Field,
    /// Anything.
    Any,
}

/// A value that does not fit its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The value or its type, as it may be shown for keys that are not hidden.
    pub(super) found: String,
    /// What would fit.
    pub(super) expected: Cow<'static, str>,
}

/// The kinds of aliases that the pilot list may use; the words of [`crate::event::AliasKind`].
const ALIAS_KINDS: [&str; 6] = ["customer_id", "external_id", "card", "card_external_id", "mobile", "email"];

impl Names {
    pub(super) fn check(self, name: &str) -> Result<(), Unfit> {
        let (fits, expected) = match self {
            Self::Word => (
                name.parse::<Namespace>().is_ok(),
                "a name of 1 to 64 of a-z, 0-9, `-` and `_`, the first a letter or digit",
            ),
            Self::Org => (name.parse::<i64>().is_ok_and(|id| id > 0), "a Capillary org id such as 41007"),
            Self::Header => (
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)),
                "a header name such as X-Api-Key",
            ),
            Self::Field => (
                name.starts_with(|c: char| c.is_ascii_lowercase())
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "a name of a-z, 0-9 and `_`, the first a letter",
            ),
            Self::Any => (!name.is_empty(), "a name"),
        };
        if fits { Ok(()) } else { Err(Unfit::new(expected)) }
    }
}

/// The value or its type for a message, cut to a readable length.
pub(super) fn shown(value: &ValueKind) -> String {
    match value {
        ValueKind::Nil => "nothing".into(),
        ValueKind::Boolean(flag) => format!("`{flag}`"),
        ValueKind::I64(n) => format!("`{n}`"),
        ValueKind::I128(n) => format!("`{n}`"),
        ValueKind::U64(n) => format!("`{n}`"),
        ValueKind::U128(n) => format!("`{n}`"),
        ValueKind::Float(n) => format!("`{n}`"),
        ValueKind::String(text) if text.is_empty() => "an empty text".into(),
        ValueKind::String(text) => {
            let short: String = text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            if text.chars().count() > 60 { format!("`{short}…`") } else { format!("`{short}`") }
        }
        ValueKind::Array(_) => "a list".into(),
        ValueKind::Table(_) => "a table".into(),
    }
}

impl Kind {
    /// What fits, as a noun.
    pub(super) fn expected(self) -> Cow<'static, str> {
        match self {
            Self::Text => "a text".into(),
            Self::Line | Self::Secret => "one line of UTF-8 text".into(),
            Self::Secrets => "a text, or a list of one or two texts".into(),
            Self::Word([one]) => format!("\"{one}\"").into(),
            Self::Word(words) => {
                format!("one of {}", words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ")).into()
            }
            Self::Flag => "true or false".into(),
            Self::Count { min, max } if max == u64::from(u32::MAX) => format!("a whole number, at least {min}").into(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}").into(),
            Self::Rate => "a number above 0".into(),
            Self::Span => "a duration such as \"10s\", \"5m\", \"1h30m\" or \"3d\"".into(),
            Self::Bytes { min: 0 } => "a size in bytes such as 1048576, \"64MiB\" or \"1GiB\"".into(),
            Self::Bytes { min } => format!("a size of at least {min} bytes, such as 1048576 or \"64MiB\"").into(),
            Self::Address => "an IP address and port such as \"127.0.0.1:8080\"".into(),
            Self::Host => "a host name or IP address".into(),
            Self::Domain => "a domain such as \"mail.acme.example\"".into(),
            Self::WebAddress => {
                "an address such as \"https://gateway.example/messages\" without credentials in it".into()
            }
            Self::HttpsAddress => "an address that begins with https://".into(),
            Self::Mailbox => "a mailbox such as \"Acme Rewards <rewards@acme.example>\"".into(),
            Self::Network => "an IP address or network such as \"10.0.0.0/8\" or \"2001:db8::/32\"".into(),
            Self::Path => "a path".into(),
            Self::Paths => "a path, or a list of one or two paths".into(),
            Self::Pointer => "a JSON pointer such as \"/messages/0/id\"".into(),
            Self::Digests => "the 64 hexadecimal digits of a SHA-256, or a list of one or two of them".into(),
            Self::Currency => "a currency code of three capital letters such as \"INR\"".into(),
            Self::Zone => "an IANA time zone such as \"Asia/Kolkata\"".into(),
            Self::Locale => "a language tag such as \"en-IN\"".into(),
            Self::Instant => "a time with its offset such as 2027-01-01T00:00:00Z".into(),
            Self::TimeOfDay => "a time of the day such as \"02:00\"".into(),
            Self::AliasText => {
                format!("an identifier as `kind:value`, the kind one of {}", ALIAS_KINDS.join(", ")).into()
            }
            Self::Filter => "log filter directives such as \"info\" or \"info,sealpost::dispatch=debug\"".into(),
            Self::Name(names) => names.check("").map_or_else(|unfit| unfit.expected, |()| "a name".into()),
            Self::List(of) => format!("a list, each item {}", of.expected()).into(),
        }
    }

    /// Checks one value.
    pub(super) fn check(self, value: &Value) -> Result<(), Misfit> {
        let kind = &value.kind;
        let fits = match (self, kind) {
            (Self::Flag, ValueKind::Boolean(_)) => true,
            (Self::Count { min, max }, ValueKind::I64(n)) => u64::try_from(*n).is_ok_and(|n| (min..=max).contains(&n)),
            (Self::Bytes { min }, ValueKind::I64(n)) => u64::try_from(*n).is_ok_and(|n| n >= min),
            (Self::Rate, ValueKind::I64(n)) => *n > 0,
            (Self::Rate, ValueKind::Float(n)) => n.is_finite() && *n > 0.0,
            (Self::Name(Names::Org), ValueKind::I64(n)) => *n > 0,
            (Self::List(of), ValueKind::Array(items)) => {
                return items.iter().try_for_each(|item| of.check(item));
            }
            (Self::Secrets | Self::Paths, ValueKind::Array(items)) => {
                (1..=2).contains(&items.len())
                    && items.iter().all(|item| matches!(&item.kind, ValueKind::String(text) if is_line(text)))
            }
            (Self::Digests, ValueKind::Array(items)) => {
                (1..=2).contains(&items.len())
                    && items.iter().all(|item| matches!(&item.kind, ValueKind::String(text) if is_digest(text)))
            }
            (_, ValueKind::String(text)) => self.fits_text(text),
            _ => false,
        };
        // A refused address may be refused for the credentials in it: `user:secret@host`.
        let may_hold_secret = |text: &str| text.contains('@') && !matches!(self, Self::Mailbox);
        let found = match kind {
            _ if matches!(self, Self::WebAddress) => "what is given".into(),
            ValueKind::String(text) if may_hold_secret(text) => "what is given".into(),
            kind => shown(kind),
        };
        if fits { Ok(()) } else { Err(Misfit { found, expected: self.expected() }) }
    }

    fn fits_text(self, text: &str) -> bool {
        match self {
            Self::Text => !text.trim().is_empty(),
            Self::Line | Self::Secret | Self::Secrets | Self::Path | Self::Paths => is_line(text),
            Self::Word(words) => words.contains(&text),
            Self::Span => parse_duration(text).is_ok_and(|d| !d.is_zero()),
            Self::Bytes { min } => parse_bytes(text).is_ok_and(|n| n >= min),
            Self::Address => text.parse::<SocketAddr>().is_ok(),
            Self::Host => {
                let literal = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
                match literal {
                    Some(inner) => inner.strip_prefix("IPv6:").unwrap_or(inner).parse::<IpAddr>().is_ok(),
                    None => is_host_name(text) || text.parse::<IpAddr>().is_ok(),
                }
            }
            Self::Domain => text.contains('.') && is_domain(text),
            Self::WebAddress => parse_web_address(text).is_ok(),
            Self::HttpsAddress => parse_web_address(text).is_ok_and(|a| a.secure) && !text.contains("{{"),
            Self::Mailbox => parse_mailbox(text).is_ok(),
            Self::Network => text.parse::<super::Network>().is_ok(),
            Self::Pointer => text.starts_with('/') && is_line(text),
            Self::Digests => is_digest(text),
            Self::Currency => text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()),
            Self::Zone => jiff::tz::TimeZone::get(text).is_ok(),
            Self::Locale => is_locale(text),
            Self::Instant => text.parse::<jiff::Timestamp>().is_ok(),
            Self::TimeOfDay => text.len() == 5 && jiff::civil::Time::strptime("%H:%M", text).is_ok(),
            Self::AliasText => text
                .split_once(':')
                .is_some_and(|(kind, value)| ALIAS_KINDS.contains(&kind) && !value.trim().is_empty() && is_line(value)),
            Self::Filter => crate::telemetry::logs::check_filter(text).is_ok(),
            Self::Name(Names::Org) => false,
            Self::Name(names) => names.check(text).is_ok(),
            Self::Flag | Self::Count { .. } | Self::Rate | Self::List(_) => false,
        }
    }

    /// A value of the environment, as the type its key asks for. What does not parse stays a text, for the check to refuse.
    pub(super) fn by_environment(self, text: &str, origin: &String) -> Value {
        let plain = || ValueKind::String(text.to_owned());
        let kind = match self {
            Self::Flag => text.parse().map_or_else(|_| plain(), ValueKind::Boolean),
            Self::Count { .. } | Self::Name(Names::Org) => text.parse().map_or_else(|_| plain(), ValueKind::I64),
            Self::Rate => text.parse().map_or_else(|_| plain(), ValueKind::Float),
            Self::List(of) => ValueKind::Array(
                text.split(',')
                    .map(str::trim)
                    .filter(|t| !t.is_empty())
                    .map(|t| of.by_environment(t, origin))
                    .collect(),
            ),
            Self::Paths | Self::Digests if text.contains(',') => ValueKind::Array(
                text.split(',').map(|t| Value::new(Some(origin), ValueKind::String(t.trim().to_owned()))).collect(),
            ),
            _ => plain(),
        };
        Value::new(Some(origin), kind)
    }

    /// A hint that fits the misfit, where there is a usual cause. Of a secret it repeats nothing.
    pub(super) fn hint(self, value: &ValueKind) -> Option<String> {
        match (self, value) {
            (Self::Word(words), ValueKind::String(text)) => {
                super::schema::nearest(text, words.iter().copied()).map(|word| format!("did you mean \"{word}\"?"))
            }
            (Self::Span, ValueKind::I64(n)) => Some(format!("give the unit, such as \"{n}s\"")),
            (Self::Count { .. } | Self::Rate | Self::Name(Names::Org), ValueKind::String(_)) => {
                Some("write the number without quotes".into())
            }
            (Self::Secret | Self::Secrets | Self::Line, ValueKind::I64(_) | ValueKind::Float(_)) => {
                Some("put it into quotes".into())
            }
            (Self::Host, ValueKind::String(text)) if text.contains('@') => {
                Some("write the host alone; `username` and `password_file` are keys of their own".into())
            }
            (Self::Flag, ValueKind::String(_)) => Some("write true or false without quotes".into()),
            (Self::List(_), ValueKind::String(_)) => Some("put it into brackets: [\"…\"]".into()),
            (Self::Address, ValueKind::String(text)) if text.starts_with("localhost:") => {
                Some("write 127.0.0.1 for localhost".into())
            }
            (Self::Currency, ValueKind::String(text)) if text.len() == 3 && text.is_ascii() => {
                Some("use capital letters".into())
            }
            (Self::Locale, ValueKind::String(text)) if text.contains('_') => Some("write `-` for `_`".into()),
            (Self::Instant, ValueKind::String(_)) => Some("add the time and `Z` or an offset such as +05:30".into()),
            _ => None,
        }
    }
}

/// The digest of a SHA-256 in hexadecimal.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The replacement character stands for bytes of a variable that were not UTF-8.
fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER)
}
