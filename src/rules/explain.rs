//! Why a rule does or does not fire for an event.
//!
//! Promises: one of a few named answers for each rule; names of fields, operators, types and rules only.
//! Never: a value of the event, a person.

use std::fmt;

use super::condition::{Answer, Facts};
use super::{RuleSet, Stage, outranked_by, winners};
use crate::event::Event;
use crate::id::RuleId;

/// What a rule makes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// It does not listen to events of this name.
    OtherEvent,
    /// Its condition is false.
    ConditionFalse {
        /// The first part of it that is false, as the rule writes it, where that is short.
        clause: Option<String>,
    },
    /// Its condition depends on a field that is not there, so it does not hold.
    ConditionUnknown {
        /// The path, as the condition writes it.
        missing: String,
    },
    /// Its condition cannot be evaluated on this event.
    ConditionFaulted {
        /// Where and why, by names and types.
        fault: String,
    },
    /// Its condition holds, but the event names nobody that it writes to.
    NoRecipient,
    /// It would fire, but its group has a better rule for everybody.
    Outranked {
        /// The better rule (of the first recipient, should they differ).
        by: RuleId,
    },
    /// It fires.
    Fires {
        /// For how many people.
        people: usize,
        /// For how many more its group has a better rule.
        outranked: usize,
        /// Why `expires_at` could not be read, if so.
        expiry_fault: Option<String>,
    },
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherEvent => f.write_str("listens to other events"),
            Self::ConditionFalse { clause: None } => f.write_str("condition is false"),
            Self::ConditionFalse { clause: Some(clause) } => write!(f, "condition is false: `{clause}` does not hold"),
            Self::ConditionUnknown { missing } => {
                write!(f, "condition needs `{missing}`, which the event does not have")
            }
            Self::ConditionFaulted { fault } => write!(f, "condition cannot be evaluated: {fault}"),
            Self::NoRecipient => f.write_str("condition holds, but the event names nobody it writes to"),
            Self::Outranked { by } => write!(f, "condition holds, but {by} of the same group goes first"),
            Self::Fires { people, outranked, expiry_fault } => {
                write!(f, "fires for {people}")?;
                if *outranked > 0 {
                    write!(f, "; for {outranked} more another rule of its group goes first")?;
                }
                expiry_fault.iter().try_for_each(|fault| write!(f, "; {fault}"))
            }
        }
    }
}

pub(super) fn explain(rules: &RuleSet, event: &Event, zone: &jiff::tz::TimeZone) -> Vec<(RuleId, Explanation)> {
    let stages = rules.stages(event);
    let winners = winners(&stages);
    let faults = rules.apply(event, zone).faults;
    let explain = |id: &RuleId| {
        let Some((compiled, stage)) = stages.iter().find(|(compiled, _)| compiled.rule.id == *id) else {
            return Explanation::OtherEvent;
        };
        match stage {
            Stage::Stopped(Answer::Unknown(place)) => Explanation::ConditionUnknown { missing: place.to_string() },
            Stage::Stopped(Answer::Fault(fault)) => Explanation::ConditionFaulted { fault: fault.to_string() },
            Stage::Stopped(Answer::Yes | Answer::No) => Explanation::ConditionFalse {
                clause: compiled.condition.as_ref().and_then(|condition| condition.first_false(Facts::of(event))),
            },
            Stage::Fires(people) if people.is_empty() => Explanation::NoRecipient,
            Stage::Fires(people) => {
                let mut better =
                    people.iter().filter_map(|person| outranked_by(&compiled.rule, person, &winners)).peekable();
                let first = better.peek().copied().cloned();
                let outranked = better.count();
                match first {
                    Some(by) if outranked == people.len() => Explanation::Outranked { by },
                    _ => Explanation::Fires {
                        people: people.len() - outranked,
                        outranked,
                        expiry_fault: faults.iter().find(|(rule, _)| rule == id).map(|(_, fault)| fault.clone()),
                    },
                }
            }
        }
    };
    rules.iter().map(|rule| (rule.id.clone(), explain(&rule.id))).collect()
}
