//! Changed rules held against what was planned: event by event, notification by notification.
//!
//! Promises: pure; the same functions and the same ids as in planning, so that what is told as new is what would be planned;
//! memory grows with the number of rules, not of events.
//! Never: a person: events appear by their keys, people are counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::clock::Time;
use crate::config::Config;
use crate::event::Role;
use crate::id::{EventKey, KeyedHash, KeyedHasher, NotificationId, RuleId};
use crate::ledger::{EventRecord, Notification};
use crate::rules::RuleSet;

use super::intent::{Times, notification_id, sets};
use super::sender_org;

/// Events named for each kind of difference of a rule.
pub const EXAMPLES: usize = 3;

/// The rules to try.
pub struct Replay<'r> {
    /// The rules.
    pub rules: &'r RuleSet,
    /// Orgs, sources, permissions.
    pub config: &'r Config,
    /// As in planning, or every id would differ.
    pub hasher: &'r dyn KeyedHasher,
    /// The present.
    pub now: Time,
}

/// What differs, by rule.
#[derive(Default)]
pub struct Difference {
    rules: BTreeMap<RuleId, Counts>,
}

/// What differs for one rule, in notifications.
#[derive(Default, Serialize)]
pub struct Counts {
    /// Planned then, and by the changed rules too.
    pub same: u64,
    /// By the changed rules only.
    pub new: u64,
    /// Of `new`, how many would be suppressed because their event is from before `live_from`.
    pub new_before_live_from: u64,
    /// Planned then only.
    pub gone: u64,
    /// Both, and by other channels or in another order.
    pub other_channels: u64,
    /// Events on which the rule could not be evaluated; it counts as not firing.
    pub faults: u64,
    /// Events with something new.
    pub new_in: BTreeSet<EventKey>,
    /// Events with something gone.
    pub gone_in: BTreeSet<EventKey>,
    /// Events with other channels.
    pub other_channels_in: BTreeSet<EventKey>,
}

/// Somebody within one event, as one rule sees them.
type Who = (RuleId, KeyedHash, Role);

/// What the changed rules ask for.
struct Asked {
    who: Who,
    in_force: bool,
}

impl Replay<'_> {
    /// Holds one event against what was planned for it.
    pub fn look(&self, record: &EventRecord, planned: &[Notification], into: &mut Difference) {
        let event = record.event.key;
        let asked = self.asked(record, into);
        let mut gone: BTreeMap<Who, u64> = BTreeMap::new();
        for notification in planned {
            if asked.contains_key(&notification.id) {
                into.of(&notification.rule).same += 1;
            } else {
                *gone.entry(who(notification)).or_default() += 1;
            }
        }
        let before: BTreeSet<NotificationId> = planned.iter().map(|notification| notification.id).collect();
        for new in asked.into_iter().filter(|(id, _)| !before.contains(id)).map(|(_, asked)| asked) {
            let counts = into.of(&new.who.0);
            // Somebody whom the rule wrote to before, and still does, is not new: their channels are.
            if let Some(left) = gone.get_mut(&new.who).filter(|left| **left > 0) {
                *left -= 1;
                counts.other_channels += 1;
                example(&mut counts.other_channels_in, event);
                continue;
            }
            counts.new += 1;
            counts.new_before_live_from += u64::from(!new.in_force);
            example(&mut counts.new_in, event);
        }
        for ((rule, ..), count) in gone.into_iter().filter(|(_, count)| *count > 0) {
            let counts = into.of(&rule);
            counts.gone += count;
            example(&mut counts.gone_in, event);
        }
    }

    /// Everything that the rules ask for, by the id that it would have.
    fn asked(&self, record: &EventRecord, into: &mut Difference) -> BTreeMap<NotificationId, Asked> {
        let event = &record.event;
        let mut asked = BTreeMap::new();
        let Ok(org) = sender_org(self.config, event, Some(&record.source)) else { return asked };
        let verdict = self.rules.apply(event, &org.time_zone);
        for (rule, _) in verdict.faults {
            into.of(&rule).faults += 1;
        }
        for found in &verdict.matches {
            let rule = found.rule;
            let of_allow = self.config.templates.allow.get(&rule.id.template).and_then(|allow| allow.live_from);
            let live_from = of_allow.map_or(rule.live_from, |own| own.max(rule.live_from));
            let times = Times::of(event, rule, found.expires_at, self.now, &self.config.relay);
            let subject = found.subject.aliases.first().map_or(KeyedHash([0; 16]), |alias| alias.hash);
            for channels in sets(&rule.send) {
                let who = (rule.id.clone(), subject, found.role);
                let id = notification_id(self.hasher, event, found, &channels);
                asked.insert(id, Asked { who, in_force: times.event_at >= live_from });
            }
        }
        asked
    }
}

impl Difference {
    fn of(&mut self, rule: &RuleId) -> &mut Counts {
        self.rules.entry(rule.clone()).or_default()
    }

    /// Each rule with its counts, in the order of their names.
    pub fn rules(self) -> impl Iterator<Item = (RuleId, Counts)> {
        self.rules.into_iter()
    }
}

fn who(notification: &Notification) -> Who {
    let subject = notification.subject.aliases.first().map_or(KeyedHash([0; 16]), |alias| alias.hash);
    (notification.rule.clone(), subject, notification.role)
}

fn example(of: &mut BTreeSet<EventKey>, event: EventKey) {
    if of.len() < EXAMPLES {
        of.insert(event);
    }
}
