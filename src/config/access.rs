//! What the holder of an admin token may do, and the tokens themselves.
//!
//! Promises: a token is known by its SHA-256 only; a scope is one word, the same in the configuration, in refusals and in
//! `docs/openapi.json`.
//! Never: a token in the clear; a scope that includes another, so that what a token may do is what its line says.

use std::collections::BTreeSet;
use std::fmt;

use crate::clock::Time;

/// A part of what people do at the relay. Every request of the admin API belongs to exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Looking: status, events, timelines, waits, explanations, counts. Nobody is named.
    Read,
    /// Changing what is sent: pause, resume, mode, brake, cancel, requeue, re-drive, drop.
    Operate,
    /// People: whatever shows, changes, imports or looks for them.
    Pii,
    /// Trying and changing rules and templates.
    Templates,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Operate, Self::Pii, Self::Templates];
    /// Their words, in the same order.
    pub const WORDS: [&str; 4] = ["read", "operate", "pii", "templates"];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// The scope of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.as_str() == word)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `[admin.token.<name>]`: a bearer token.
#[derive(Clone)]
pub struct Token {
    /// `sha256 = "…"`, or two while the token is changed: SHA-256 of the token in lower-case hexadecimal.
    pub sha256: Vec<String>,
    /// `scopes = ["read"]`
    pub scopes: BTreeSet<Access>,
    /// `not_after`: from then on it is refused.
    pub not_after: Option<Time>,
}

impl Token {
    /// True from `not_after` on.
    pub fn is_expired(&self, now: Time) -> bool {
        self.not_after.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_is_found_by_its_own_word_only() {
        for access in Access::ALL {
            assert_eq!(Access::of(access.as_str()), Some(access));
        }
        assert_eq!(Access::ALL.map(Access::as_str), Access::WORDS);
        assert_eq!(Access::of("Read"), None);
    }

    #[test]
    fn a_token_ends_at_its_last_moment() {
        let token = |not_after| Token { sha256: Vec::new(), scopes: BTreeSet::new(), not_after };
        let end = Time::from_millis(1_000);
        for (not_after, now, expired) in
            [(None, Time::MAX, false), (Some(end), Time::from_millis(999), false), (Some(end), end, true)]
        {
            assert_eq!(token(not_after).is_expired(now), expired);
        }
    }
}
