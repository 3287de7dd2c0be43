//! What a source must show: static headers, as Capillary sends them, a secret path segment, a signature, an address.
//!
//! Promises: comparing takes the same time wherever a guess goes wrong and however long it is; every configured header must
//! match one of its values; two values are valid while a secret is rotated.
//! Never: a secret kept in the clear once its hash is known, or printed.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, Digest};
use axum::http::{HeaderMap, HeaderName};
use secrecy::ExposeSecret;

use super::signature::{Claim, Signature, Unsigned};
use crate::clock::Time;
use crate::config::{self, Network};

/// One source's door.
pub(super) struct Door {
    headers: Vec<(Option<HeaderName>, Vec<Digest>)>,
    path_secret: Option<Digest>,
    signature: Option<Signature>,
    allow_from: Vec<Network>,
    open: bool,
}

/// Hashing first makes all values equally long.
fn hash(value: &[u8]) -> Digest {
    digest::digest(&digest::SHA256, value)
}

impl Door {
    pub(super) fn new(source: &config::Source) -> Self {
        let headers = source.headers.iter().map(|(name, values)| {
            let hashes = values.iter().map(|value| hash(value.expose_secret().as_bytes())).collect();
            // A name that is no header name can never be shown: the door stays shut, and `check` says why.
            (name.parse().ok(), hashes)
        });
        let path_secret = source.path_secret.as_ref().map(|secret| hash(secret.expose_secret().as_bytes()));
        Self {
            headers: headers.collect(),
            path_secret,
            signature: source.hmac.as_ref().map(Signature::new),
            allow_from: source.allow_from.clone(),
            open: source.open,
        }
    }

    /// True if requests may come from there. An address that is not known (a local socket's) is no address.
    pub(super) fn lets_in(&self, from: Option<IpAddr>) -> bool {
        self.allow_from.is_empty()
            || from.is_some_and(|address| self.allow_from.iter().any(|network| network.contains(address)))
    }

    /// What a signing source claims, before its body is read; `None` for a source that does not sign.
    pub(super) fn claim(&self, headers: &HeaderMap, now: Time) -> Result<Option<Claim>, Unsigned> {
        self.signature.as_ref().map(|signature| signature.claim(headers, now)).transpose()
    }

    /// Whether a claim was true.
    pub(super) fn verify(&self, claim: &Claim, body: &[u8]) -> Result<(), Unsigned> {
        self.signature.as_ref().map_or(Err(Unsigned::Wrong), |signature| signature.verify(claim, body))
    }

    /// True if everything that is asked for, but for the signature, is shown. Looks at all of it, whatever the first comparison says.
    pub(super) fn opens(&self, headers: &HeaderMap, secret: Option<&str>) -> bool {
        let mut opens = match (&self.path_secret, secret) {
            (Some(expected), Some(given)) => equal(expected, &hash(given.as_bytes())),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        for (name, expected) in &self.headers {
            let mut given = name.iter().flat_map(|name| headers.get_all(name).iter());
            let shown = match (given.next(), given.next()) {
                (Some(value), None) => Some(hash(value.as_bytes())),
                // A header sent twice is somebody trying, or a proxy to be mended.
                _ => None,
            };
            let mut matches = false;
            for value in expected {
                matches |= shown.as_ref().is_some_and(|shown| equal(value, shown));
            }
            opens &= matches;
        }
        // A door without any lock opens only where the configuration says so, in as many words.
        opens && (self.open || !self.headers.is_empty() || self.path_secret.is_some() || self.signature.is_some())
    }
}

fn equal(a: &Digest, b: &Digest) -> bool {
    verify_slices_are_equal(a.as_ref(), b.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::InboundPii;

    fn source(headers: &[(&str, &[&str])], path: Option<&str>, open: bool) -> Door {
        Door::new(&config::Source {
            headers: headers
                .iter()
                .map(|(name, values)| ((*name).into(), values.iter().map(|v| (*v).into()).collect()))
                .collect(),
            path_secret: path.map(Into::into),
            hmac: None,
            allow_from: vec![],
            open,
            inbound_pii: InboundPii::Strip,
            orgs: vec![],
        })
    }

    fn shown(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        map
    }

    #[test]
    fn a_door_opens_only_to_everything_it_asks_for() {
        let two: &[(&str, &[&str])] = &[("X-Key", &["old", "new"]), ("Authorization", &["Basic dTpw"])];
        let cases = [
            (two, None, vec![("x-key", "old"), ("authorization", "Basic dTpw")], None, true),
            (two, None, vec![("x-key", "new"), ("authorization", "Basic dTpw")], None, true),
            (two, None, vec![("x-key", "other"), ("authorization", "Basic dTpw")], None, false),
            (two, None, vec![("x-key", "old")], None, false),
            (two, None, vec![], None, false),
            (two, None, vec![("x-key", "old"), ("x-key", "old"), ("authorization", "Basic dTpw")], None, false),
            (&[("X-Key", &["k"][..])][..], Some("path"), vec![("x-key", "k")], Some("path"), true),
            (&[("X-Key", &["k"][..])][..], Some("path"), vec![("x-key", "k")], Some("other"), false),
            (&[("X-Key", &["k"][..])][..], Some("path"), vec![("x-key", "k")], None, false),
            (&[("X-Key", &["k"][..])][..], None, vec![("x-key", "k")], Some("path"), false),
            (&[("not a header", &["k"][..])][..], None, vec![], None, false),
        ];
        for (number, (headers, path, given, secret, expected)) in cases.into_iter().enumerate() {
            assert_eq!(source(headers, path, false).opens(&shown(&given), secret), expected, "case {number}");
        }
    }

    #[test]
    fn a_door_without_a_lock_opens_only_if_configured_so() {
        assert!(!source(&[], None, false).opens(&HeaderMap::new(), None));
        assert!(source(&[], None, true).opens(&HeaderMap::new(), None));
    }
}
