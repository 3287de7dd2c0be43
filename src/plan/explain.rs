//! What the rules make of one event, in words: the planner's own decisions, told instead of carried out.
//!
//! Promises: pure; every rule once, in the order of their names, with the reason that decided; the same functions decide here and
//! when an event is planned, so that what is told is what would happen.
//! Never: a value of the event, an id of a person: people appear by role and by the kinds of their identifiers.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::clock::Time;
use crate::config::Config;
use crate::event::{AliasKind, Event, Nobody, Role, Shape};
use crate::id::{Channel, EventKey, OrgId, RuleId, SourceId, TemplateId};
use crate::rules::{Explanation, Recipients, Rule, RuleSet};

use super::intent::{Times, sets};
use super::sender_org;

/// What is asked.
pub struct Question<'q> {
    /// About which event.
    pub event: &'q Event,
    /// What decoding took out of it, by path, where it was decoded just now.
    pub stripped: &'q BTreeMap<String, u64>,
    /// Through which source it came, if through one.
    pub source: Option<&'q SourceId>,
    /// By which rules.
    pub rules: &'q RuleSet,
    /// Templates that are there and not allowed: their rules are not asked.
    pub not_allowed: &'q [TemplateId],
    /// Orgs, permissions, defaults of rules.
    pub config: &'q Config,
    /// True on a laptop, whose configuration knows no org: every org may send.
    pub any_org: bool,
    /// The present.
    pub now: Time,
}

/// The answer.
#[derive(Serialize)]
pub struct Explained {
    event: About,
    /// Why no rule is asked at all, whatever the rules say.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_planned: Option<String>,
    rules: Vec<Line>,
    /// Templates whose rules are not asked because the configuration does not allow them.
    not_allowed: Vec<TemplateId>,
}

/// The event as it was decoded.
#[derive(Serialize)]
struct About {
    key: EventKey,
    name: String,
    shape: Shape,
    org: OrgId,
    created_at: String,
    people: Vec<Somebody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nobody: Option<Nobody>,
    /// Personal values that decoding took out, by path.
    stripped: BTreeMap<String, u64>,
}

/// Somebody in the event: their part, never who.
#[derive(Serialize)]
struct Somebody {
    role: Role,
    /// Kinds of the identifiers that the event gives of them.
    known_by: Vec<AliasKind>,
    /// Where they stand.
    place: String,
    /// True if the rule word `default` means them.
    default: bool,
}

/// One rule.
#[derive(Serialize)]
struct Line {
    rule: String,
    /// True if it leads to a notification.
    fires: bool,
    /// Why, or why not.
    why: String,
    on: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    recipients: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    priority: i64,
    live_from: String,
    /// False for an event made before `live_from`: what is planned is suppressed.
    in_force: bool,
    /// One entry for each notification that a person gets: its channels, in order of preference.
    notifications: Vec<Vec<Channel>>,
    /// From then on it may be sent.
    not_before: String,
    /// Until then it waits for an unknown contact.
    contact_until: String,
    /// Then it is too old: the earliest of all people, where the event says when.
    expires_at: String,
    /// True if that is over by now.
    expired: bool,
}

/// Answers it.
pub fn explain(question: &Question<'_>) -> Explained {
    let Question { event, config, .. } = *question;
    let org = (!question.any_org).then(|| sender_org(config, event, question.source));
    let zone = match &org {
        Some(Ok(org)) => org.time_zone.clone(),
        _ => TimeZone::UTC,
    };
    let expiries = expiries(question, &zone);
    let explanations = question.rules.explain(event, &zone).into_iter();
    let lines = explanations.filter_map(|(id, explanation)| {
        let rule = question.rules.get(&id)?;
        Some(line(question, rule, &explanation, expiries.get(&id).copied()))
    });
    Explained {
        event: About {
            key: event.key,
            name: event.name.clone(),
            shape: event.shape,
            org: event.org,
            created_at: event.created_at.to_string(),
            people: event.people.iter().map(somebody).collect(),
            nobody: event.nobody,
            stripped: question.stripped.clone(),
        },
        not_planned: match org {
            Some(org) => org.err(),
            // Without a configuration nobody knows the orgs, but an event about nobody is about nobody everywhere.
            None => event.nobody.map(|_| "the event names nobody that a message could go to".to_owned()),
        },
        rules: lines.collect(),
        not_allowed: question.not_allowed.to_vec(),
    }
}

fn somebody(person: &crate::event::Person) -> Somebody {
    let mut known_by: Vec<AliasKind> = person.subject.aliases.iter().map(|alias| alias.kind).collect();
    known_by.dedup();
    Somebody { role: person.role, known_by, place: person.place.clone(), default: person.is_default }
}

/// The earliest expiry that the event itself gives a rule.
fn expiries(question: &Question<'_>, zone: &TimeZone) -> BTreeMap<RuleId, Time> {
    let mut earliest: BTreeMap<RuleId, Time> = BTreeMap::new();
    for found in question.rules.apply(question.event, zone).matches {
        if let Some(at) = found.expires_at {
            earliest.entry(found.rule.id.clone()).and_modify(|known| *known = at.min(*known)).or_insert(at);
        }
    }
    earliest
}

fn line(question: &Question<'_>, rule: &Rule, explanation: &Explanation, by_event: Option<Time>) -> Line {
    let times = Times::of(question.event, rule, by_event, question.now, &question.config.relay);
    let of_allow = question.config.templates.allow.get(&rule.id.template).and_then(|allow| allow.live_from);
    let live_from = of_allow.map_or(rule.live_from, |own| own.max(rule.live_from));
    let fires = matches!(explanation, Explanation::Fires { .. });
    // Policy asks in this order when the time to send has come.
    let in_force = times.event_at >= live_from;
    let expired = question.now >= times.expires_at;
    let mut why = explanation.to_string();
    if fires && !in_force {
        why.push_str("; suppressed, because the event was made before `live_from`");
    }
    if fires && in_force && expired {
        why.push_str("; by now it is too old to send");
    }
    Line {
        rule: rule.id.to_string(),
        fires,
        why,
        on: rule.on.clone(),
        when: rule.when.clone(),
        recipients: recipients(&rule.recipients),
        group: rule.group.clone(),
        priority: rule.priority,
        live_from: live_from.to_string(),
        in_force,
        notifications: sets(&rule.send),
        not_before: times.not_before.to_string(),
        contact_until: times.contact_deadline.to_string(),
        expires_at: times.expires_at.to_string(),
        expired,
    }
}

/// As a rule writes it.
fn recipients(recipients: &Recipients) -> String {
    match recipients {
        Recipients::Default => "default".to_owned(),
        Recipients::Role(role) => {
            serde_json::to_value(role).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
        }
        Recipients::Each(path) => format!("each of {path}"),
    }
}
