//! Modes as set by people: for the relay, a template, a rule.
//!
//! Promises: the strictest word wins, so a template or rule can only be held back, never let through, by its own setting;
//! settings last until a person changes them, restarts included; the state is plain data.
//! Never: a mode above the configuration's permission for a template.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Mode;
use crate::clock::Time;
use crate::id::{IdError, RuleId, TemplateId};

/// What a mode is set for. Its text (`relay`, `template:welcome`, `rule:welcome/0`) is what people type and what is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// Everything.
    Relay,
    /// One template.
    Template(TemplateId),
    /// One rule.
    Rule(RuleId),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay => f.write_str("relay"),
            Self::Template(template) => write!(f, "template:{template}"),
            Self::Rule(rule) => write!(f, "rule:{rule}"),
        }
    }
}

impl FromStr for Target {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let rule = |text: &str| {
            let (template, index) = text.split_once('/')?;
            Some(RuleId { template: template.parse().ok()?, index: index.parse().ok()? })
        };
        let target = match text.split_once(':') {
            None if text == "relay" => Some(Self::Relay),
            Some(("template", name)) => name.parse().ok().map(Self::Template),
            Some(("rule", name)) => rule(name).map(Self::Rule),
            _ => None,
        };
        target.ok_or_else(|| IdError {
            what: "mode target",
            text: text.into(),
            expected: "`relay`, `template:<name>` or `rule:<template>/<number>`",
        })
    }
}
impl TryFrom<String> for Target {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}
impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

/// A mode that a person set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The mode.
    pub mode: Mode,
    /// Since when.
    pub since: Time,
    /// The operator, as the admin door names them.
    pub by: String,
}

/// Every mode that a person set. Serialises as JSON for the ledger's run-time state, under the name `modes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Modes(BTreeMap<Target, Setting>);

impl Modes {
    /// Sets a mode; gives the setting before.
    pub fn set(&mut self, target: Target, mode: Mode, by: &str, now: Time) -> Option<Setting> {
        self.0.insert(target, Setting { mode, since: now, by: by.to_owned() })
    }

    /// Takes a setting back: the relay falls to its configured mode, a template or rule to the relay's. Gives what was set.
    pub fn clear(&mut self, target: &Target) -> Option<Setting> {
        self.0.remove(target)
    }

    /// The relay's own mode: as set, else as configured.
    pub fn relay(&self, configured: Mode) -> Mode {
        self.0.get(&Target::Relay).map_or(configured, |setting| setting.mode)
    }

    /// The mode that counts for a rule: the strictest of the relay's (set, else `configured`), the most that the configuration
    /// allows the template (`allowed`), and what is set for the template and the rule.
    pub fn effective(&self, configured: Mode, allowed: Mode, rule: &RuleId) -> Mode {
        let own = self.0.iter().filter_map(|(target, setting)| match target {
            Target::Template(template) if *template == rule.template => Some(setting.mode),
            Target::Rule(id) if id == rule => Some(setting.mode),
            _ => None,
        });
        own.fold(self.relay(configured).stricter(allowed), Mode::stricter)
    }

    /// Every setting; the relay first, then templates, then rules.
    pub fn iter(&self) -> impl Iterator<Item = (&Target, &Setting)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Time = Time::from_millis(1_793_092_797_616);

    fn rule(text: &str) -> RuleId {
        match format!("rule:{text}").parse().unwrap() {
            Target::Rule(rule) => rule,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_strictest_word_wins() {
        use Mode::{Live, Pilot, Shadow};
        for (configured, allowed, set, expected) in [
            (Shadow, Live, &[][..], Shadow),
            (Live, Live, &[], Live),
            (Live, Pilot, &[], Pilot),
            (Shadow, Live, &[("relay", Live)], Live),
            (Live, Live, &[("relay", Shadow)], Shadow),
            (Shadow, Pilot, &[("relay", Live)], Pilot),
            (Live, Live, &[("template:welcome", Pilot)], Pilot),
            (Live, Live, &[("template:welcome", Pilot), ("rule:welcome/1", Shadow)], Shadow),
            (Live, Live, &[("template:points", Shadow), ("rule:welcome/0", Shadow)], Live),
            (Shadow, Live, &[("template:welcome", Live), ("rule:welcome/1", Live)], Shadow),
            (Pilot, Live, &[("rule:welcome/1", Live)], Pilot),
        ] {
            let mut modes = Modes::default();
            for (target, mode) in set {
                modes.set(target.parse().unwrap(), *mode, "asha", NOW);
            }
            let effective = modes.effective(configured, allowed, &rule("welcome/1"));
            assert_eq!(effective, expected, "{configured} {allowed} {set:?}");
        }
    }

    #[test]
    fn a_cleared_setting_falls_back_to_the_configuration() {
        let mut modes = Modes::default();
        assert_eq!(modes.set(Target::Relay, Mode::Live, "asha", NOW), None);
        assert_eq!(modes.set(Target::Relay, Mode::Pilot, "ben", NOW).unwrap().mode, Mode::Live);
        assert_eq!(modes.relay(Mode::Shadow), Mode::Pilot);
        assert_eq!(modes.clear(&Target::Relay).unwrap().by, "ben");
        assert_eq!((modes.clear(&Target::Relay), modes.relay(Mode::Shadow)), (None, Mode::Shadow));
    }

    #[test]
    fn targets_and_settings_survive_their_texts() {
        let mut modes = Modes::default();
        for text in ["relay", "template:welcome", "rule:welcome/12"] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
            modes.set(target, Mode::Pilot, "asha", NOW);
        }
        let json = serde_json::to_value(&modes).unwrap();
        assert_eq!(json["rule:welcome/12"]["mode"], "pilot");
        assert_eq!(serde_json::from_value::<Modes>(json).unwrap(), modes);
        for wrong in
            ["", "org:1", "rule:welcome", "rule:welcome/", "rule:welcome/70000", "rule:/1", "template:", "relay:x"]
        {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_setting_of_a_template_or_rule_lets_more_through(configured in 0..3_usize, allowed in 0..3_usize, own in 0..3_usize,
                                                              of_rule: bool) {
            let [configured, allowed, own] = [configured, allowed, own].map(|n| Mode::ALL[n]);
            let target = if of_rule { "rule:welcome/1" } else { "template:welcome" };
            let mut modes = Modes::default();
            let before = modes.effective(configured, allowed, &rule("welcome/1"));
            modes.set(target.parse().unwrap(), own, "asha", NOW);
            let after = modes.effective(configured, allowed, &rule("welcome/1"));
            prop_assert!(after <= before && after <= own && after <= allowed);
        }
    }
}
