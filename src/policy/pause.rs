//! Pauses: what a person has stopped, by relay, org, template or channel.
//!
//! Promises: a pause holds until a person ends it, restarts included; pauses are independent: ending one leaves the others; the
//! state is plain data.
//! Never: a pause of a person.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{Channel, IdError, OrgId, TemplateId};

/// What is stopped. Its text (`relay`, `org:41007`, `template:welcome`, `channel:sms`) is what people type and what is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Everything.
    Relay,
    /// One organisation.
    Org(OrgId),
    /// One template.
    Template(TemplateId),
    /// One channel.
    Channel(Channel),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay => f.write_str("relay"),
            Self::Org(org) => write!(f, "org:{org}"),
            Self::Template(template) => write!(f, "template:{template}"),
            Self::Channel(channel) => write!(f, "channel:{channel}"),
        }
    }
}

impl FromStr for Scope {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let scope = match text.split_once(':') {
            None if text == "relay" => Some(Self::Relay),
            Some(("org", id)) => id.parse().ok().map(|id| Self::Org(OrgId(id))),
            Some(("template", name)) => name.parse().ok().map(Self::Template),
            Some(("channel", word)) => {
                [Channel::Email, Channel::Sms].into_iter().find(|channel| channel.as_str() == word).map(Self::Channel)
            }
            _ => None,
        };
        scope.ok_or_else(|| IdError {
            what: "scope",
            text: text.into(),
            expected: "`relay`, `org:<id>`, `template:<name>` or `channel:<email or sms>`",
        })
    }
}
impl TryFrom<String> for Scope {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}
impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// Since when and by whom something is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Time,
    /// The operator, as the admin door names them.
    pub by: String,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Everything that is stopped. Serialises as JSON for the ledger's run-time state, under the name `pauses`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pauses(BTreeMap<Scope, Pause>);

impl Pauses {
    /// Stops a scope. False, and nothing changes, if it is stopped already: the first pause keeps its name and time.
    pub fn pause(&mut self, scope: Scope, pause: Pause) -> bool {
        let vacant = !self.0.contains_key(&scope);
        if vacant {
            self.0.insert(scope, pause);
        }
        vacant
    }

    /// Ends the pause of exactly this scope. `None` if there is none.
    pub fn resume(&mut self, scope: &Scope) -> Option<Pause> {
        self.0.remove(scope)
    }

    /// True if anything stops a notification of this org, template and channel.
    pub fn covers(&self, org: OrgId, template: &TemplateId, channel: Channel) -> bool {
        self.covering(org, template, channel).is_some()
    }

    /// The widest pause that stops a notification of this org, template and channel.
    pub fn covering(&self, org: OrgId, template: &TemplateId, channel: Channel) -> Option<(&Scope, &Pause)> {
        if self.0.is_empty() {
            return None;
        }
        // The order of scopes is from wide to narrow, and with it the order of the map.
        self.0.iter().find(|(scope, _)| match scope {
            Scope::Relay => true,
            Scope::Org(paused) => *paused == org,
            Scope::Template(paused) => paused == template,
            Scope::Channel(paused) => *paused == channel,
        })
    }

    /// Every pause, widest scope first.
    pub fn iter(&self) -> impl Iterator<Item = (&Scope, &Pause)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Time = Time::from_millis(1_793_092_797_616);

    fn by(name: &str) -> Pause {
        Pause { since: NOW, by: name.into(), reason: None }
    }

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn a_pause_covers_its_scope_and_nothing_else() {
        let welcome: TemplateId = "welcome".parse().unwrap();
        for (paused, org, template, channel, expected) in [
            ("relay", 1, "points", Channel::Email, true),
            ("org:41007", 41_007, "points", Channel::Email, true),
            ("org:41007", 41_008, "welcome", Channel::Sms, false),
            ("template:welcome", 1, "welcome", Channel::Email, true),
            ("template:welcome", 1, "welcome-back", Channel::Email, false),
            ("channel:sms", 1, "welcome", Channel::Sms, true),
            ("channel:sms", 1, "welcome", Channel::Email, false),
        ] {
            let mut pauses = Pauses::default();
            assert!(!pauses.covers(OrgId(org), &welcome, channel));
            assert!(pauses.pause(scope(paused), by("asha")));
            let covers = pauses.covers(OrgId(org), &template.parse().unwrap(), channel);
            assert_eq!(covers, expected, "{paused}: {org} {template} {channel}");
        }
    }

    #[test]
    fn ending_one_pause_leaves_the_others() {
        let mut pauses = Pauses::default();
        let welcome: TemplateId = "welcome".parse().unwrap();
        assert!(pauses.pause(scope("channel:sms"), by("asha")) && pauses.pause(scope("relay"), by("ben")));
        assert!(!pauses.pause(scope("relay"), by("chen")), "the first pause keeps its name");
        assert_eq!(pauses.covering(OrgId(1), &welcome, Channel::Sms).map(|(scope, _)| scope), Some(&Scope::Relay));
        assert_eq!(pauses.resume(&Scope::Relay), Some(by("ben")));
        assert_eq!(pauses.resume(&Scope::Relay), None);
        assert!(pauses.covers(OrgId(1), &welcome, Channel::Sms));
        assert!(!pauses.covers(OrgId(1), &welcome, Channel::Email));
    }

    #[test]
    fn scopes_and_pauses_survive_their_texts() {
        let mut pauses = Pauses::default();
        for text in ["relay", "org:41007", "org:-1", "template:welcome", "channel:sms", "channel:email"] {
            assert_eq!(scope(text).to_string(), text);
            pauses.pause(scope(text), by("asha"));
        }
        let why = Some("the gateway moves tonight".to_owned());
        pauses.pause(scope("template:points"), Pause { reason: why, ..by("asha") });
        let json = serde_json::to_value(&pauses).unwrap();
        assert_eq!(json["template:points"]["reason"], "the gateway moves tonight");
        assert_eq!(json["org:41007"]["by"], "asha");
        assert_eq!(serde_json::from_value::<Pauses>(json).unwrap(), pauses);
        for wrong in
            ["", "Relay", "relay:", "org", "org:x", "org:", "template:", "template:A b", "channel:fax", "person:1"]
        {
            let error = wrong.parse::<Scope>().unwrap_err();
            assert!(error.to_string().contains("template:<name>"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_scope_never_panics(text in "\\PC{0,30}|(org|template|channel):\\PC{0,10}") {
            if let Ok(scope) = text.parse::<Scope>() {
                prop_assert_eq!(scope.to_string().parse::<Scope>(), Ok(scope));
            }
        }
    }
}
