//! Checks of the tokens of people's doors.
//!
//! Promises: a token that could never open anything is said to be so.
//! Never: a token or its hash in a message; the time (who asks has a clock: `sealpost check` tells expired tokens).

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::Check;
use crate::config::kind::is_digest;
use crate::config::schema::dotted;
use crate::config::secrets::join;
use crate::config::settings::at;

const HOW: &str = "`sealpost token new` prints a token and these lines";

pub(super) fn check(check: &mut Check<'_>) {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for name in check.names(&["admin", "token"]) {
        let place = at(&["admin", "token", &name]);
        let (hash, file, scopes) = (join(&place, "sha256"), join(&place, "sha256_file"), join(&place, "scopes"));
        if check.settings.get(&hash).is_none() && check.settings.get(&file).is_none() {
            check.fault(&place, "has no sha256, so nothing would open it", HOW);
        }
        if check.settings.items(&scopes).is_some_and(<[_]>::is_empty) {
            check.warn(
                &scopes,
                "empty, so this token opens nothing",
                "list what it is for: read, operate, pii, templates",
            );
        }
        let hashes: Vec<String> =
            check.secrets.all(&hash).iter().map(|hash| hash.expose_secret().to_ascii_lowercase()).collect();
        for hash_of in hashes {
            // A hash in the configuration itself was checked where it stands.
            if !is_digest(&hash_of) && check.settings.get(&file).is_some() {
                check.fault(&file, "`<hidden>` is not the 64 hexadecimal digits of a SHA-256", HOW);
            } else if let Some(other) = seen.insert(hash_of, dotted(&hash)) {
                if other == dotted(&hash) {
                    check.warn(&hash, "the same hash twice", "two are for the time in which a token is changed");
                    continue;
                }
                let what = format!("the hash of {other} again: one token with two names");
                check.warn(&hash, what, "give each holder a token of their own, so that the audit tells them apart");
            }
        }
    }
}
