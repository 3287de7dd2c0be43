//! Rules: which events lead to which notifications. Pure: an event in, matches out.
//!
//! Promises: a condition is bounded in length, depth and work before it runs; a missing field has a total meaning
//! (the table is in `rules/condition.rs`: what depends on a field that is not there does not hold, and is no fault);
//! evaluation never panics, never aborts, and never sees a person.
//! Never: I/O, the vault, a template's parts.

mod condition;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use condition::fuzz;
mod expiry;
mod explain;
mod parse;
mod recipients;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use condition::{Answer, Condition, Facts};
use recipients::{Key, Recipient};

use crate::clock::Time;
use crate::config::Fault;
use crate::event::{Event, Role, Subject};
use crate::id::{Channel, RuleId, TemplateId};

pub use explain::Explanation;

/// All rules of all enabled templates, compiled.
pub struct RuleSet {
    /// In the order of their names.
    rules: Vec<Compiled>,
    /// Positions in `rules`, in the same order.
    by_event: HashMap<String, Vec<usize>>,
}

/// A rule that can be run.
struct Compiled {
    rule: Rule,
    condition: Option<Condition>,
    expires_at: Option<expiry::Path>,
}

/// One `[[rule]]`, checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// Event names it listens to.
    pub on: Vec<String>,
    /// CEL text of the condition.
    pub when: Option<String>,
    /// Whom it writes to.
    pub recipients: Recipients,
    /// Which channels.
    pub send: Send,
    /// Rules of one group compete: only the highest priority that matches fires.
    pub group: Option<String>,
    /// Higher wins in its group.
    pub priority: i64,
    /// Wait after the event's `createdAt`.
    pub delay: Duration,
    /// How long to wait for an unknown contact; default of the relay if absent.
    pub wait_for_contact: Option<Duration>,
    /// Too old to send after this; default of the relay if absent.
    pub expires_after: Option<Duration>,
    /// Expiry as a path into the event (`item.valid_till`, epoch milliseconds, ISO date or date-time).
    pub expires_at: Option<String>,
    /// Events made before this are not sent.
    pub live_from: Time,
}

/// Whom a rule writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Everybody the event means by default.
    Default,
    /// Everybody in this role.
    Role(Role),
    /// The people in the elements of an array of the event, `data.coupons`.
    Each(String),
}

/// Which channels a rule uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Send {
    /// One notification for each channel.
    All(Vec<Channel>),
    /// One notification; the first channel that has an address.
    FirstOf(Vec<Channel>),
}

/// A rule that fires for a person.
#[derive(Clone)]
pub struct Match<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// Whom for.
    pub subject: Subject,
    /// The part they play.
    pub role: Role,
    /// Places of their elements (`data.coupons.3`), for `each`.
    pub items: Vec<String>,
    /// When it becomes too old, if the rule names a path and the event has a value there.
    pub expires_at: Option<Time>,
}

/// What the rules say of an event.
pub struct Verdict<'r> {
    /// Who gets what.
    pub matches: Vec<Match<'r>>,
    /// What could not be evaluated, with the kind of fault (no values); each alarms. A condition counts as not holding, an
    /// `expires_at` as absent (the rule's other expiry still counts).
    pub faults: Vec<(RuleId, String)>,
}

/// How far a rule came with an event.
enum Stage<'r> {
    /// Its condition does not hold.
    Stopped(Answer<'r>),
    /// It fires for these, unless its group has a better rule for them.
    Fires(Vec<Recipient<'r>>),
}

/// The rule that wins a group for somebody: the highest priority, of equal ones the first by name.
type Winners<'r> = HashMap<(&'r str, Key), &'r Rule>;

impl RuleSet {
    /// Reads the `[[rule]]` tables of one `template.toml` (`text`), reporting every fault with line and hint.
    /// `file` is for messages only. A text without rules gives none: such a template never sends.
    pub fn parse(template: &TemplateId, file: &Path, text: &str) -> Result<Vec<Rule>, Vec<Fault>> {
        parse::parse(template, file, text)
    }

    /// Compiles rules. Order does not matter.
    ///
    /// Rules that [`RuleSet::parse`] gave compile; rules made otherwise may have faults, all of which are reported.
    pub fn compile(rules: Vec<Rule>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut compiled = Vec::new();
        for rule in rules {
            let mut fault = |key: &str, what: String, hint: Option<String>| {
                let file = PathBuf::from(format!("{}/template.toml", rule.id.template));
                faults.push(Fault { file, line: None, key: format!("rule[{}].{key}", rule.id.index), what, hint });
            };
            let condition = match rule.when.as_deref().map(Condition::compile).transpose() {
                Ok(condition) => condition,
                Err(problem) => {
                    fault("when", problem.what, problem.hint);
                    None
                }
            };
            let expires_at = match rule.expires_at.as_deref().map(expiry::Path::parse).transpose() {
                Ok(path) => path,
                Err(what) => {
                    fault("expires_at", what, None);
                    None
                }
            };
            compiled.push(Compiled { rule, condition, expires_at });
        }
        compiled.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
        for pair in compiled.windows(2) {
            if pair[0].rule.id == pair[1].rule.id {
                faults.push(Fault {
                    file: PathBuf::from(format!("{}/template.toml", pair[0].rule.id.template)),
                    line: None,
                    key: format!("rule[{}]", pair[0].rule.id.index),
                    what: "is there twice".to_owned(),
                    hint: Some("load each template once".to_owned()),
                });
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut by_event: HashMap<String, Vec<usize>> = HashMap::new();
        for (position, compiled) in compiled.iter().enumerate() {
            for name in &compiled.rule.on {
                let positions = by_event.entry(name.clone()).or_default();
                if positions.last() != Some(&position) {
                    positions.push(position);
                }
            }
        }
        Ok(Self { rules: compiled, by_event })
    }

    /// Applies every rule to an event. `zone` reads date-only expiries (end of that day).
    ///
    /// Matches come in the order of rule names, and within a rule in the order in which the event names people.
    pub fn apply<'r>(&'r self, event: &Event, zone: &jiff::tz::TimeZone) -> Verdict<'r> {
        let stages = self.stages(event);
        let winners = winners(&stages);
        let mut verdict = Verdict { matches: Vec::new(), faults: Vec::new() };
        for (compiled, stage) in &stages {
            let rule = &compiled.rule;
            let people = match stage {
                Stage::Fires(people) => people,
                Stage::Stopped(Answer::Fault(fault)) => {
                    verdict.faults.push((rule.id.clone(), format!("when: {fault}")));
                    continue;
                }
                Stage::Stopped(_) => continue,
            };
            let mut unreadable = None;
            for person in people.iter().filter(|person| outranked_by(rule, person, &winners).is_none()) {
                let items: Vec<String> = person.items.iter().map(|item| (*item).to_owned()).collect();
                let expires_at = match &compiled.expires_at {
                    Some(path) => path.resolve(&event.data, &items, zone).unwrap_or_else(|fault| {
                        unreadable = Some(fault);
                        None
                    }),
                    None => None,
                };
                verdict.matches.push(Match {
                    rule,
                    subject: person.subject.clone(),
                    role: person.role,
                    items,
                    expires_at,
                });
            }
            if let Some(fault) = unreadable {
                let path = rule.expires_at.as_deref().unwrap_or_default();
                verdict.faults.push((rule.id.clone(), format!("expires_at: `{path}` {fault}")));
            }
        }
        verdict
    }

    /// Why each rule does or does not fire for an event; every rule once, in the order of their names.
    pub fn explain(&self, event: &Event, zone: &jiff::tz::TimeZone) -> Vec<(RuleId, Explanation)> {
        explain::explain(self, event, zone)
    }

    /// A rule by name.
    pub fn get(&self, id: &RuleId) -> Option<&Rule> {
        let position = self.rules.binary_search_by(|compiled| compiled.rule.id.cmp(id)).ok()?;
        self.rules.get(position).map(|compiled| &compiled.rule)
    }

    /// Every rule, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    /// The rules that listen to this event, in the order of their names, and how far each came.
    fn stages<'r: 'e, 'e>(&'r self, event: &'e Event) -> Vec<(&'r Compiled, Stage<'e>)> {
        let facts = Facts::of(event);
        let listening = self.by_event.get(&event.name).map(Vec::as_slice).unwrap_or_default();
        let stage = |compiled: &'r Compiled| match compiled.condition.as_ref().map(|condition| condition.holds(facts)) {
            None | Some(Answer::Yes) => Stage::Fires(recipients::of(&compiled.rule.recipients, event)),
            Some(answer) => Stage::Stopped(answer),
        };
        listening.iter().filter_map(|position| self.rules.get(*position)).map(|rule| (rule, stage(rule))).collect()
    }
}

fn winners<'r>(stages: &[(&'r Compiled, Stage<'_>)]) -> Winners<'r> {
    let mut winners = Winners::new();
    for (compiled, stage) in stages {
        let (Some(group), Stage::Fires(people)) = (compiled.rule.group.as_deref(), stage) else { continue };
        for person in people {
            let winner = winners.entry((group, person.key)).or_insert(&compiled.rule);
            // Rules come in the order of their names, so of equal ones the first stays.
            if compiled.rule.priority > winner.priority {
                *winner = &compiled.rule;
            }
        }
    }
    winners
}

/// The rule of its group that wins against this one for somebody.
fn outranked_by<'r>(rule: &'r Rule, person: &Recipient<'_>, winners: &Winners<'r>) -> Option<&'r RuleId> {
    let winner = winners.get(&(rule.group.as_deref()?, person.key))?;
    (winner.id != rule.id).then_some(&winner.id)
}
