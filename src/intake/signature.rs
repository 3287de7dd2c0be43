//! Signed webhooks: an HMAC over the body, and mostly over a time and an id beside it.
//!
//! Promises: what can be refused without the body is refused before it is read; comparing takes the same time wherever a guess
//! goes wrong; a signature that is old or of the future opens nothing.
//! Never: a signature, a secret or a body in a log; a memory of ids (the planner de-duplicates events by their own).
//!
//! Standard Webhooks: github.com/standard-webhooks/standard-webhooks, spec version 1.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::clock::Time;
use crate::config::{Encoding, Hmac, HmacAlgorithm, SignedPiece};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;

/// Most signatures of one request that are looked at: senders send one for each of their secrets.
const MOST_SIGNATURES: usize = 8;
/// Seconds since 1970 stay below this until the year 5138; larger numbers are milliseconds.
const MILLISECONDS_FROM: u64 = 100_000_000_000;

/// How one source signs.
pub(super) struct Signature {
    keys: Vec<hmac::Key>,
    header: Option<HeaderName>,
    prefix: String,
    encoding: Encoding,
    several: bool,
    timestamp: Option<(Option<HeaderName>, Duration)>,
    id: Option<HeaderName>,
    signs: Vec<SignedPiece>,
}

/// What a request claims, before its body is known.
pub(super) struct Claim {
    given: Vec<Vec<u8>>,
    timestamp: Option<HeaderValue>,
    id: Option<HeaderValue>,
}

/// Why a request is not from who it says, for the log and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// A header is missing, doubled or unreadable.
    Missing,
    /// The time is outside the tolerance.
    Stale,
    /// No signature fits.
    Wrong,
}

impl Unsigned {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Stale => "signature_stale",
            Self::Wrong => "signature_wrong",
        }
    }
}

impl Signature {
    pub(super) fn new(config: &Hmac) -> Self {
        let algorithm = match config.algorithm {
            HmacAlgorithm::Sha256 => hmac::HMAC_SHA256,
            HmacAlgorithm::Sha512 => hmac::HMAC_SHA512,
        };
        Self {
            keys: config.secrets.iter().map(|s| hmac::Key::new(algorithm, s.expose_secret())).collect(),
            // A name that is no header name can never be shown: the door stays shut, and `check` says why.
            header: config.header.parse().ok(),
            prefix: config.prefix.clone(),
            encoding: config.encoding,
            several: config.several,
            timestamp: config.timestamp.as_ref().map(|(name, tolerance)| (name.parse().ok(), *tolerance)),
            id: config.id_header.as_ref().and_then(|name| name.parse().ok()),
            signs: config.signs.clone(),
        }
    }

    /// Everything that can be said before the body is read.
    pub(super) fn claim(&self, headers: &HeaderMap, now: Time) -> Result<Claim, Unsigned> {
        let value = single(headers, self.header.as_ref())?;
        let text = value.to_str().map_err(|_| Unsigned::Missing)?;
        let one = |text: &str| self.encoding.decode(text.strip_prefix(&self.prefix)?).filter(|tag| !tag.is_empty());
        let given: Vec<_> = if self.several {
            text.split_ascii_whitespace().filter_map(one).take(MOST_SIGNATURES).collect()
        } else {
            one(text.trim()).into_iter().collect()
        };
        if given.is_empty() {
            return Err(Unsigned::Missing);
        }
        let timestamp = match &self.timestamp {
            None => None,
            Some((name, tolerance)) => {
                let value = single(headers, name.as_ref())?;
                let signed_at = seconds_or_millis(value).ok_or(Unsigned::Missing)?;
                if signed_at.abs_diff(now.as_millis()) > u64::try_from(tolerance.as_millis()).unwrap_or(u64::MAX) {
                    return Err(Unsigned::Stale);
                }
                Some(value.clone())
            }
        };
        let id = self.id.as_ref().map(|name| single(headers, Some(name)).cloned()).transpose()?;
        Ok(Claim { given, timestamp, id })
    }

    /// True if one of the claimed signatures is that of one of the secrets.
    pub(super) fn verify(&self, claim: &Claim, body: &[u8]) -> Result<(), Unsigned> {
        let mut fits = false;
        for key in &self.keys {
            let mut context = hmac::Context::with_key(key);
            for piece in &self.signs {
                match piece {
                    SignedPiece::Text(text) => context.update(text.as_bytes()),
                    SignedPiece::Timestamp => context.update(bytes(claim.timestamp.as_ref())),
                    SignedPiece::Id => context.update(bytes(claim.id.as_ref())),
                    SignedPiece::Body => context.update(body),
                }
            }
            let tag = context.sign();
            for given in &claim.given {
                fits |= verify_slices_are_equal(tag.as_ref(), given).is_ok();
            }
        }
        if fits { Ok(()) } else { Err(Unsigned::Wrong) }
    }
}

fn bytes(value: Option<&HeaderValue>) -> &[u8] {
    value.map_or(&[], HeaderValue::as_bytes)
}

/// A header sent twice is somebody trying, or a proxy to be mended.
fn single<'h>(headers: &'h HeaderMap, name: Option<&HeaderName>) -> Result<&'h HeaderValue, Unsigned> {
    let mut values = name.into_iter().flat_map(|name| headers.get_all(name).iter());
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(Unsigned::Missing),
    }
}

fn seconds_or_millis(value: &HeaderValue) -> Option<i64> {
    let number: i64 = value.to_str().ok()?.trim().parse().ok()?;
    if number.unsigned_abs() < MILLISECONDS_FROM { number.checked_mul(1_000) } else { Some(number) }
}

#[cfg(test)]
mod tests;
