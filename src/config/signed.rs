//! `[source.<name>.hmac]`: how a webhook sender signs what it sends.
//!
//! Promises: one description for every scheme; Standard Webhooks is one of them.
//! Never: a secret in the clear outside `SecretSlice`, or a check of a signature (that is the intake's).

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use secrecy::SecretSlice;

/// A sender's signature.
pub struct Hmac {
    /// One or two valid secrets, decoded.
    pub secrets: Vec<SecretSlice<u8>>,
    /// `algorithm = "sha256"`
    pub algorithm: HmacAlgorithm,
    /// `header = "X-Signature"`: where the signature stands.
    pub header: String,
    /// `prefix = "sha256="`: what stands before it there.
    pub prefix: String,
    /// `encoding = "hex"`
    pub encoding: Encoding,
    /// True if the header may hold several signatures with spaces between them.
    pub several: bool,
    /// `timestamp_header`: seconds (or milliseconds) since 1970, and how old or early it may be (`tolerance`).
    pub timestamp: Option<(String, Duration)>,
    /// `id_header`: the delivery's own id, if it is signed too.
    pub id_header: Option<String>,
    /// `signs = "{timestamp}.{body}"`, in pieces.
    pub signs: Vec<SignedPiece>,
}

/// `algorithm`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// HMAC with SHA-256.
    Sha256,
    /// HMAC with SHA-512.
    Sha512,
}

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are, in UTF-8.
    Text,
    /// Hexadecimal digits of either case.
    Hex,
    /// RFC 4648 section 4 or 5, with padding.
    Base64,
}

/// A piece of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedPiece {
    /// These very bytes.
    Text(String),
    /// The timestamp header's value.
    Timestamp,
    /// The id header's value.
    Id,
    /// The body.
    Body,
}

impl Encoding {
    /// The bytes of a text; `None` if it is not written so.
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Text => Some(text.as_bytes().to_vec()),
            Self::Hex => unhex(text),
            Self::Base64 => BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE.decode(text)).ok(),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// The secret of Standard Webhooks: `whsec_` and base64.
pub(super) fn standard_secret(text: &str) -> Option<Vec<u8>> {
    Encoding::Base64.decode(text.strip_prefix("whsec_").unwrap_or(text)).filter(|key| !key.is_empty())
}

/// Reads `{timestamp}.{body}`. `None` for a brace that names nothing, and for a text without `{body}`.
pub(super) fn pieces(text: &str) -> Option<Vec<SignedPiece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if !before.is_empty() {
            pieces.push(SignedPiece::Text(before.to_owned()));
        }
        let (name, after) = after.split_once('}')?;
        pieces.push(match name {
            "timestamp" => SignedPiece::Timestamp,
            "id" => SignedPiece::Id,
            "body" => SignedPiece::Body,
            _ => return None,
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(SignedPiece::Text(rest.to_owned()));
    }
    (pieces.contains(&SignedPiece::Body) && !text.replace(['{', '}'], "").is_empty()).then_some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_read_or_refused() {
        use SignedPiece::{Body, Id, Text, Timestamp};
        let text = |t: &str| Text(t.into());
        for (written, expect) in [
            ("{body}", Some(vec![Body])),
            ("{timestamp}.{body}", Some(vec![Timestamp, text("."), Body])),
            (
                "v0:{timestamp}:{id}:{body}!",
                Some(vec![text("v0:"), Timestamp, text(":"), Id, text(":"), Body, text("!")]),
            ),
            ("{timestamp}", None),
            ("{body", None),
            ("{url}{body}", None),
            ("", None),
        ] {
            assert_eq!(pieces(written), expect, "{written}");
        }
    }

    #[test]
    fn bytes_are_read_from_each_encoding() {
        for (encoding, text, expect) in [
            (Encoding::Text, "a b", Some(b"a b".to_vec())),
            (Encoding::Hex, "00fFaB", Some(vec![0, 255, 171])),
            (Encoding::Hex, "0", None),
            (Encoding::Hex, "0g", None),
            (Encoding::Hex, "é0", None),
            (Encoding::Base64, "+/8=", Some(vec![251, 255])),
            (Encoding::Base64, "-_8=", Some(vec![251, 255])),
            (Encoding::Base64, "???", None),
        ] {
            assert_eq!(encoding.decode(text), expect, "{text}");
        }
        assert_eq!(standard_secret("whsec_AAE="), Some(vec![0, 1]));
        assert_eq!(standard_secret("whsec_"), None);
    }
}
