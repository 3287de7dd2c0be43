//! What happened to an event and its notifications, in order.
//!
//! Promises: ids, names, codes and times only; the JSON names of variants are the stored format (add, never rename).
//! Never: a value of the payload, an address, a reply text.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{Channel, NotificationId, ProviderId, RuleId, SourceId};
use crate::policy::{SuppressReason, WaitReason};

use super::DeadReason;

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When.
    pub at: Time,
    /// Which notification it is about; none for the event itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<NotificationId>,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
#[expect(missing_docs, reason = "names and fields say it; they are printed as they are")]
pub enum Happening {
    Received {
        source: SourceId,
    },
    /// All copies by one source in one line, which stands where the first came.
    Duplicate {
        source: SourceId,
        #[serde(default = "one")]
        copies: u64,
        /// When the last came; none if one came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<Time>,
    },
    AliasesLearned {
        linked: usize,
    },
    PersonalValuesStripped {
        count: u64,
    },
    NoRecipient {
        why: String,
    },
    NoRuleMatched,
    RuleFaulted {
        rule: RuleId,
        detail: String,
    },
    Planned {
        rule: RuleId,
        channels: Vec<Channel>,
        due_at: Time,
    },
    Waiting {
        reason: WaitReason,
        until: Time,
    },
    Woken,
    Released {
        by: String,
    },
    Attempt {
        number: u32,
        channel: Channel,
        provider: ProviderId,
        template_version: String,
    },
    Sent {
        channel: Channel,
        provider: ProviderId,
        code: String,
    },
    Transient {
        code: String,
    },
    Permanent {
        code: String,
        /// The provider says that the address is at fault.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bad_address: bool,
    },
    Misconfigured {
        code: String,
    },
    Ambiguous {
        code: String,
    },
    Suppressed {
        reason: SuppressReason,
    },
    Expired,
    DeadLetter {
        #[serde(flatten)]
        dead: DeadReason,
    },
    Cancelled {
        by: String,
    },
    Requeued {
        by: String,
    },
    Erased,
    ErasureRequested,
}

fn one() -> u64 {
    1
}

/// One more copy of an event: counted in the line of its source.
pub(super) fn add_copy(lines: &mut Vec<TimelineEntry>, from: &SourceId, came: Time) {
    for line in &mut *lines {
        if let Happening::Duplicate { source, copies, last } = &mut line.what
            && source == from
        {
            *copies += 1;
            *last = Some(last.unwrap_or(came).max(came));
            return;
        }
    }
    lines.push(TimelineEntry {
        at: came,
        notification: None,
        what: Happening::Duplicate { source: from.clone(), copies: 1, last: None },
    });
}

/// A timeline as it is read: the lines about copies come last and are put in between the others by time; those stay in the order in
/// which they came.
pub(super) fn in_order(mut lines: Vec<TimelineEntry>) -> Vec<TimelineEntry> {
    let is_copy = |line: &&TimelineEntry| matches!(line.what, Happening::Duplicate { .. });
    let copies = lines.split_off(lines.len() - lines.iter().rev().take_while(is_copy).count());
    for copy in copies {
        let after = lines.iter().rposition(|line| line.at <= copy.at).map_or(0, |before| before + 1);
        lines.insert(after, copy);
    }
    lines
}
