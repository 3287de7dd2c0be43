//! Newtypes for everything that has an identity.
//!
//! Promises: every id here is safe to log. What Capillary calls a customer id is *not* here: it is
//! somebody, and lives in [`crate::personal`] or behind a [`KeyedHash`].
//! Never: an id that can be turned back into a person without the vault's keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Time;

/// Computes keyed hashes; implemented by the key ring's index key.
///
/// A trait so that pure code (event decoding) can make aliases without knowing where keys live.
pub trait KeyedHasher: Send + Sync {
    /// Hashes `parts` under a key for `domain`; part borders are part of the input.
    fn keyed_hash(&self, domain: &str, parts: &[&[u8]]) -> KeyedHash;
}

/// 128 bits of an HMAC-SHA-256 under an index key: says "the same" without saying who.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyedHash(pub [u8; 16]);

/// Identity of an event for de-duplication: a [`KeyedHash`] over its org and event id, or over the
/// fallback fields where Capillary sent no event id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey(pub KeyedHash);

/// Identity of a notification: 48 bits of the event's `createdAt` (milliseconds) and 80 bits of a
/// keyed hash over event, rule, subject and channels.
///
/// Deterministic, so that planning the same event twice cannot make a second one; sorts by time.
/// Text form: 26 characters of Crockford base 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(pub [u8; 16]);

/// Position of a delivery in the journal; grows by one, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct DeliverySeq(pub u64);

/// A Capillary organisation id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrgId(pub i64);

/// A way to reach a person. The set is open: add a variant, a content and a provider.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Electronic mail.
    Email,
    /// Text message.
    Sms,
}

/// What a message is for; decides consent, quiet hours and caps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The direct result of something the person did.
    Transactional,
    /// About the relationship: tiers, expiries, reminders.
    Service,
    /// Advertising; needs consent.
    Promotional,
}

/// An id text that its grammar refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}; expected {expected}")]
pub struct IdError {
    /// What was to be read, e.g. `template id`.
    pub what: &'static str,
    /// The text as given. Ids are safe to show.
    pub text: String,
    /// The grammar in words.
    pub expected: &'static str,
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The text of the id.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let fits = !text.is_empty() && text.len() <= 64
                    && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
                    && text.as_bytes()[0].is_ascii_alphanumeric();
                if fits { Ok(Self(text.into())) } else {
                    Err(IdError { what: $what, text: text.into(),
                        expected: "1 to 64 of a-z, 0-9, `-` and `_`, the first a letter or digit" })
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> { text.parse() }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self { id.0.as_ref().into() }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    };
}

name_id!(
    /// Name of a configured webhook sender.
    SourceId, "source name");
name_id!(
    /// Name of a template: its folder.
    TemplateId, "template name");
name_id!(
    /// Name of a configured way out.
    ProviderId, "provider name");
name_id!(
    /// Name of a sender role (`loyalty`), resolved by org.
    SenderRole, "sender role");
name_id!(
    /// Name of an admin token, as the audit tells it.
    TokenName, "token name");
name_id!(
    /// A namespace of aliases in the vault; orgs that share people share one.
    Namespace, "vault namespace");

/// Name of a rule: its template and its position there, from 0, as `points-issued/0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleId {
    /// The template the rule belongs to.
    pub template: TemplateId,
    /// Its position among the template's rules, from 0.
    pub index: u16,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.template, self.index)
    }
}
impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // Every record holds a few of them, and formatting byte by byte was seen in profiles.
        let mut text = [0; 32];
        for (digits, byte) in text.chunks_exact_mut(2).zip(self.0) {
            digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}
impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for KeyedHash {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError { what: "keyed hash", text: text.into(), expected: "32 hexadecimal digits" };
        if text.len() != 32 || !text.is_ascii() {
            return Err(refuse());
        }
        let mut bytes = [0; 16];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| refuse())?;
        }
        Ok(Self(bytes))
    }
}
impl Serialize for KeyedHash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for KeyedHash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl NotificationId {
    /// Joins the event's time and a hash; times before 1970 count as 1970.
    pub fn new(created_at: Time, hash: KeyedHash) -> Self {
        let millis = u64::try_from(created_at.as_millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        let mut bytes = hash.0;
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        Self(bytes)
    }
}
impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        let text: [u8; 26] = std::array::from_fn(|i| CROCKFORD[(value >> (5 * (25 - i))) as usize & 31]);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}
impl fmt::Debug for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for NotificationId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse =
            || IdError { what: "notification id", text: text.into(), expected: "26 characters of Crockford base 32" };
        if text.len() != 26 {
            return Err(refuse());
        }
        let mut value: u128 = 0;
        for (i, byte) in text.bytes().enumerate() {
            let digit = CROCKFORD.iter().position(|c| *c == byte.to_ascii_lowercase()).ok_or_else(refuse)?;
            if i == 0 && digit > 7 {
                return Err(refuse());
            }
            value = value << 5 | digit as u128;
        }
        Ok(Self(value.to_be_bytes()))
    }
}
impl Serialize for NotificationId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for NotificationId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for DeliverySeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
impl fmt::Debug for DeliverySeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
impl fmt::Debug for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Channel {
    /// The word used in configuration, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}
impl Category {
    /// The word used in configuration, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transactional => "transactional",
            Self::Service => "service",
            Self::Promotional => "promotional",
        }
    }
}
macro_rules! word_display {
    ($($name:ty),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    )+};
}
word_display!(Channel, Category);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_notification_id_survives_its_text(bytes: [u8; 16]) {
            let id = NotificationId(bytes);
            prop_assert_eq!(id.to_string().parse::<NotificationId>(), Ok(id));
        }

        #[test]
        fn a_keyed_hash_survives_its_text(bytes: [u8; 16]) {
            let hash = KeyedHash(bytes);
            prop_assert_eq!(hash.to_string().parse::<KeyedHash>(), Ok(hash));
        }

        #[test]
        fn reading_an_id_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<NotificationId>();
            let _ = text.parse::<KeyedHash>();
            let _ = text.parse::<TemplateId>();
        }
    }

    #[test]
    fn notification_ids_sort_by_time() {
        let early = NotificationId::new(Time::from_millis(1_000), KeyedHash([0xff; 16]));
        let late = NotificationId::new(Time::from_millis(2_000), KeyedHash([0; 16]));
        assert!(early < late && early.to_string() < late.to_string());
    }
}
