//! The log of outcomes: what became of each notification, in the order in which it became durable.
//!
//! Promises: written in the batch that makes it true, whoever writes that batch: it is read from the timeline's own lines; numbers
//! have no gaps and follow the commits, so that a reader who goes on behind a place misses nothing; ids, names, codes, counts.
//! Never: a person, not even by hash; a second opinion on what happened.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{Channel, EventKey, NotificationId, OrgId, ProviderId, TemplateId};
use crate::policy::WaitReason;

use super::{DeadReason, Happening, Notification, TimelineEntry};

/// What became of a notification, for now or for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeWord {
    /// The provider took it.
    Sent,
    /// It may or may not have gone.
    Ambiguous,
    /// It is parked for a person.
    DeadLetter,
    /// It began to wait for something that people can mend: a contact, a provider, a pause, the brake.
    Waiting,
    /// Too old.
    Expired,
    /// Withdrawn by a person.
    Cancelled,
    /// Not sent, by choice.
    Suppressed,
}

impl OutcomeWord {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Sent,
        Self::Ambiguous,
        Self::DeadLetter,
        Self::Waiting,
        Self::Expired,
        Self::Cancelled,
        Self::Suppressed,
    ];
    /// Their words, in the same order.
    pub const WORDS: [&str; 7] = ["sent", "ambiguous", "dead_letter", "waiting", "expired", "cancelled", "suppressed"];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// The outcome of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// One line of the log. Names nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// When.
    pub at: Time,
    /// Of which notification.
    pub notification: NotificationId,
    /// Of which event.
    pub event: EventKey,
    /// For which brand.
    pub org: OrgId,
    /// From which template.
    pub template: TemplateId,
    /// By which channel; while none was chosen, the first of its list.
    pub channel: Option<Channel>,
    /// What.
    pub outcome: OutcomeWord,
    /// The word of the reason, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The provider's reply or error code, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// True if the provider said that the address is at fault.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bad_address: bool,
    /// Through which provider, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// As which sender, if a provider was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Segments of a text message that was taken, or may have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
}

/// A place in the log. Places sort as the log does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutcomePlace {
    /// Not before the record's own time, and never earlier than the place before; milliseconds.
    pub time: i64,
    /// Its number, from 1, without gaps.
    pub number: u64,
}

/// Where the clock was set back by more than [`SetBack::SLACK`]: from there on, lines are of an earlier time than their places say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBack {
    /// The place of the first line after it.
    pub place: OutcomePlace,
    /// That line's own time.
    pub at: Time,
}

impl SetBack {
    /// How far a line may be behind those before it without a word, milliseconds.
    pub const SLACK: i64 = 3_600_000;
    /// So many are remembered, the newest.
    pub(super) const MOST: usize = 64;
}

/// How an attempt was made; kept with the notification from before the provider is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentAs {
    /// Through which provider.
    pub provider: ProviderId,
    /// As which sender: the mailbox of a mail, the sender id of a text message. The brand's, never a person's.
    pub sender: String,
    /// Segments of a text message, as gateways bill them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
}

/// What the lines of one batch say of a notification, as it stands after them.
pub(super) fn outcomes<'l>(new: &Notification, lines: impl Iterator<Item = &'l TimelineEntry>) -> Vec<OutcomeRecord> {
    let (mut found, mut bad_address, mut last_code) = (Vec::new(), false, None);
    for TimelineEntry { at, what, .. } in lines {
        let plain = |outcome| record(new, *at, outcome);
        match what {
            Happening::Sent { code, .. } => {
                found.push(OutcomeRecord { code: Some(code.clone()), ..attempted(new, *at, OutcomeWord::Sent) });
            }
            Happening::Ambiguous { code } => {
                let mut ambiguous = attempted(new, *at, OutcomeWord::Ambiguous);
                ambiguous.code = Some(code.clone());
                found.push(ambiguous);
            }
            Happening::Permanent { code, bad_address: bad } => (bad_address, last_code) = (*bad, Some(code)),
            Happening::DeadLetter { dead } => {
                let by_provider = matches!(dead, DeadReason::Refused { .. } | DeadReason::RetriesExhausted { .. });
                let base = if by_provider {
                    attempted(new, *at, OutcomeWord::DeadLetter)
                } else {
                    plain(OutcomeWord::DeadLetter)
                };
                found.push(OutcomeRecord {
                    reason: Some(dead.as_str().into()),
                    code: code_of(dead).or(last_code).cloned(),
                    bad_address,
                    // Nobody bills what was refused.
                    segments: None,
                    ..base
                });
            }
            Happening::Waiting { reason, .. } if is_for_people(*reason) => {
                found.push(OutcomeRecord { reason: Some(reason.as_str().into()), ..plain(OutcomeWord::Waiting) });
            }
            Happening::Suppressed { reason } => {
                found.push(OutcomeRecord { reason: Some(reason.as_str().into()), ..plain(OutcomeWord::Suppressed) });
            }
            Happening::Expired => found.push(plain(OutcomeWord::Expired)),
            Happening::Cancelled { .. } => found.push(plain(OutcomeWord::Cancelled)),
            _ => {}
        }
    }
    found
}

fn code_of(dead: &DeadReason) -> Option<&String> {
    match dead {
        DeadReason::Refused { code } | DeadReason::RetriesExhausted { code } => Some(code),
        _ => None,
    }
}

/// Waits that end by themselves are no outcome, and of an ambiguous one the attempt was told.
fn is_for_people(reason: WaitReason) -> bool {
    match reason {
        WaitReason::ContactUnknown
        | WaitReason::ProviderDown
        | WaitReason::Brake
        | WaitReason::Paused
        | WaitReason::Misconfigured => true,
        WaitReason::DueLater | WaitReason::Retry | WaitReason::RateLimited | WaitReason::AmbiguousHold => false,
    }
}

fn attempted(n: &Notification, at: Time, outcome: OutcomeWord) -> OutcomeRecord {
    let sent_as = n.sent_as.as_ref();
    OutcomeRecord {
        provider: sent_as.map(|sent| sent.provider.clone()),
        sender: sent_as.map(|sent| sent.sender.clone()),
        segments: sent_as.and_then(|sent| sent.segments),
        ..record(n, at, outcome)
    }
}

fn record(n: &Notification, at: Time, outcome: OutcomeWord) -> OutcomeRecord {
    OutcomeRecord {
        at,
        notification: n.id,
        event: n.event,
        org: n.org,
        template: n.rule.template.clone(),
        channel: n.channels.first().copied(),
        outcome,
        reason: None,
        code: None,
        bad_address: false,
        provider: None,
        sender: None,
        segments: None,
    }
}
