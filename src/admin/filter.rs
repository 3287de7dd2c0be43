//! Which notifications: the words of lists and bulk changes.
//!
//! Promises: a state or reason that does not exist, or that the state cannot have, is refused with the words that do exist.
//! Never: a filter that silently matches nothing because of a typo.

use std::sync::LazyLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{NotificationId, OrgId, TemplateId};
use crate::ledger::{DeadReason, Notification, State};
use crate::policy::{SuppressReason, WaitReason};

use super::AdminError;

/// Which notifications.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Of this template.
    pub template: Option<TemplateId>,
    /// Of this org.
    pub org: Option<OrgId>,
    /// In this state.
    pub state: Option<StateWord>,
    /// Waiting, suppressed or dead for this reason.
    pub reason: Option<ReasonWord>,
    /// At most this many.
    pub limit: Option<usize>,
    /// After this id.
    pub after: Option<NotificationId>,
}

/// The word of a state: `waiting`, `dead_letter`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StateWord(&'static str);

/// The word of a reason: `brake`, `contact_unknown`, `refused`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ReasonWord(&'static str);

impl ReasonWord {
    /// True if it is this one.
    pub(super) fn is(self, word: &str) -> bool {
        self.0 == word
    }
}

/// Every reason of every state, each once.
static REASONS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut words: Vec<_> = State::WORDS.iter().flat_map(|state| reasons_of(state)).collect();
    words.sort_unstable();
    words.dedup();
    words
});

fn reasons_of(state: &str) -> Vec<&'static str> {
    match state {
        "waiting" => WaitReason::ALL.iter().map(|reason| reason.as_str()).collect(),
        "suppressed" => SuppressReason::ALL.iter().map(|reason| reason.as_str()).collect(),
        "dead_letter" => DeadReason::WORDS.to_vec(),
        _ => Vec::new(),
    }
}

fn known<'de, D: Deserializer<'de>>(deserializer: D, words: &'static [&'static str]) -> Result<&'static str, D::Error> {
    let text = String::deserialize(deserializer)?;
    words.iter().find(|word| **word == text).copied().ok_or_else(|| D::Error::unknown_variant(&text, words))
}

impl<'de> Deserialize<'de> for StateWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        known(deserializer, State::WORDS).map(Self)
    }
}

impl<'de> Deserialize<'de> for ReasonWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        known(deserializer, &REASONS).map(Self)
    }
}

impl std::fmt::Display for StateWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::fmt::Display for ReasonWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Filter {
    /// True if a notification is meant.
    pub fn matches(&self, n: &Notification) -> bool {
        self.template.as_ref().is_none_or(|t| *t == n.rule.template)
            && self.org.is_none_or(|o| o == n.org)
            && self.state.is_none_or(|s| s.0 == n.state.as_str())
            && self.reason.is_none_or(|r| n.state.reason() == Some(r.0))
    }

    /// True if it names nothing, so that every notification matches.
    pub(super) fn is_unbounded(&self) -> bool {
        self.template.is_none() && self.org.is_none() && self.state.is_none() && self.reason.is_none()
    }

    /// Refuses a state and a reason that never come together.
    pub(super) fn check(&self) -> Result<(), AdminError> {
        let (Some(StateWord(state)), Some(ReasonWord(reason))) = (self.state, self.reason) else { return Ok(()) };
        let possible = reasons_of(state);
        if possible.contains(&reason) {
            return Ok(());
        }
        Err(AdminError::Invalid(if possible.is_empty() {
            format!("nothing that is `{state}` has a reason; leave the reason out")
        } else {
            format!("nothing is `{state}` because of `{reason}`; its reasons are {}", possible.join(", "))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Filter, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn every_word_that_a_list_shows_can_be_asked_for() {
        for state in State::WORDS {
            assert!(read(&format!(r#"{{"state": "{state}"}}"#)).unwrap().check().is_ok());
            for reason in reasons_of(state) {
                let filter = read(&format!(r#"{{"state": "{state}", "reason": "{reason}"}}"#)).unwrap();
                assert!(filter.check().is_ok(), "{state} {reason}");
            }
        }
    }

    #[test]
    fn a_typo_is_refused_with_the_words_that_exist() {
        insta::assert_snapshot!(read(r#"{"state": "dead"}"#).unwrap_err(), @"unknown variant `dead`, expected one of `waiting`, `attempting`, `sent`, `suppressed`, `expired`, `dead_letter`, `cancelled` at line 1 column 17");
        let said = read(r#"{"reason": "brakes"}"#).unwrap_err();
        for word in ["`brake`", "`contact_unknown`", "`refused`", "`before_live_from`"] {
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn a_state_and_a_reason_that_never_meet_are_refused() {
        let said = |json| read(json).unwrap().check().unwrap_err().to_string();
        insta::assert_snapshot!(said(r#"{"state": "sent", "reason": "brake"}"#), @"nothing that is `sent` has a reason; leave the reason out");
        assert!(said(r#"{"state": "suppressed", "reason": "brake"}"#).contains("its reasons are shadow"));
    }
}
