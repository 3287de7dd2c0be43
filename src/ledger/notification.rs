//! A notification: the durable intent to tell one person one thing.
//!
//! Promises: holds no person in clear (raw ids sit in the sealed record only); its state says where in the queue it stands.
//! Never: a rendered text, an address, a name.

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::{Role, Subject};
use crate::id::{Category, Channel, EventKey, NotificationId, OrgId, ProviderId, RuleId, TemplateId};
use crate::policy::{SuppressReason, WaitReason};

use super::SentAs;

/// The durable intent to tell one person one thing.
#[derive(Clone)]
pub struct Notification {
    /// Its id, deterministic.
    pub id: NotificationId,
    /// The event it tells about.
    pub event: EventKey,
    /// The event's name, for lists and metrics.
    pub event_name: String,
    /// The brand.
    pub org: OrgId,
    /// The rule that asked for it.
    pub rule: RuleId,
    /// Hash of the template's parts when it was planned; rendering uses the present version and records it.
    pub template_version: String,
    /// What it is for.
    pub category: Category,
    /// Whom it is for.
    pub subject: Subject,
    /// The part they play.
    pub role: Role,
    /// Channels in order of preference; one after the first attempt.
    pub channels: Vec<Channel>,
    /// Places of the elements this message is about (`data.coupons.3`), for `each`.
    pub items: Vec<String>,
    /// When the event was made.
    pub event_at: Time,
    /// When it was planned.
    pub planned_at: Time,
    /// From this time on it may be sent.
    pub not_before: Time,
    /// After this it becomes a dead letter while its contact is unknown.
    pub contact_deadline: Time,
    /// After this it is too old to send.
    pub expires_at: Time,
    /// Events before this are not sent.
    pub live_from: Time,
    /// Attempts recorded so far.
    pub attempts: u32,
    /// How many of them were made before a person last took it from the dead letters: the schedule of retries begins anew.
    pub attempts_before: u32,
    /// The provider that refused us, while it waits for that one's configuration to be mended.
    pub refused_by: Option<ProviderId>,
    /// The provider that refused it, then took others, and so freed it: refused by that one again it is itself at fault.
    pub freed_by: Option<ProviderId>,
    /// How the last attempt was made; none before the first, and in records older than this field.
    pub sent_as: Option<SentAs>,
    /// True once a person released it from the brake: it does not count again.
    pub brake_released: bool,
    /// Where it stands.
    pub state: State,
}

/// Where a notification stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// In the queue until `due_at`.
    Waiting {
        /// Why.
        reason: WaitReason,
        /// When it is looked at next. For held reasons: when it expires.
        due_at: Time,
    },
    /// An attempt is recorded and its outcome is not.
    Attempting {
        /// By which channel.
        channel: Channel,
        /// Through which provider.
        provider: ProviderId,
        /// Since when.
        since: Time,
    },
    /// The provider took responsibility.
    Sent {
        /// By which channel.
        channel: Channel,
        /// Through which provider.
        provider: ProviderId,
        /// When.
        at: Time,
        /// The provider's own id, if it gave one.
        provider_ref: Option<String>,
    },
    /// Not sent, by choice.
    Suppressed {
        /// Why.
        reason: SuppressReason,
        /// When.
        at: Time,
    },
    /// Too old to send.
    Expired {
        /// When.
        at: Time,
    },
    /// Parked for a person.
    DeadLetter {
        /// Why.
        reason: DeadReason,
        /// When.
        at: Time,
    },
    /// Withdrawn by a person.
    Cancelled {
        /// When.
        at: Time,
    },
}

/// Why something is a dead letter. Names fields and codes, never values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum DeadReason {
    /// No contact arrived in time.
    ContactUnknown,
    /// Only shared identifiers, and several people have them.
    SeveralPeople,
    /// The contact has no address for any of its channels.
    NoAddress,
    /// A value the message needs is missing.
    MissingValue {
        /// The field's name.
        field: String,
    },
    /// The template could not be rendered.
    RenderFailed {
        /// Part, line and kind of fault, no values.
        detail: String,
    },
    /// The template is gone, disabled, or not allowed.
    TemplateUnavailable,
    /// The provider refused it for good.
    Refused {
        /// Reply or error code.
        code: String,
    },
    /// The retry schedule ran out.
    RetriesExhausted {
        /// Reply or error code of the last attempt.
        code: String,
    },
    /// The stored event could not be read.
    EventUnreadable,
    /// What the vault has of the person could not be read.
    ContactUnreadable,
    /// The relay itself stumbled while joining or rendering it: a fault of ours.
    Stumbled,
}

/// Why a set of notifications is held without a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hold {
    /// `WaitReason::Paused`
    Paused,
    /// `WaitReason::Brake` of one template
    Brake(TemplateId),
    /// `WaitReason::AmbiguousHold`
    Ambiguous,
    /// `WaitReason::Misconfigured`, by the provider that refused us. `None`: of no provider in particular (none was
    /// configured, or the record is older than this field); asked for, it stands for those of every provider.
    Misconfigured(Option<ProviderId>),
}

/// Where in the queue a notification stands; derived from its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Looked at when due.
    Timed(Time),
    /// Held until released; looked at again at the given time, to expire.
    Held(Hold, Time),
    /// An attempt is open: not in the queue, found by `open_attempts` after a crash.
    Attempting,
    /// Nowhere: finished.
    Done,
}

impl Hold {
    /// True if a look for this hold finds what is held under `held`.
    pub fn includes(&self, held: &Self) -> bool {
        self == held || matches!((self, held), (Self::Misconfigured(None), Self::Misconfigured(_)))
    }
}

impl Notification {
    /// Where in the queue it stands.
    pub fn place(&self) -> Place {
        match &self.state {
            State::Waiting { reason, due_at } => match reason {
                WaitReason::Paused => Place::Held(Hold::Paused, *due_at),
                WaitReason::Brake => Place::Held(Hold::Brake(self.rule.template.clone()), *due_at),
                WaitReason::AmbiguousHold => Place::Held(Hold::Ambiguous, *due_at),
                WaitReason::Misconfigured => Place::Held(Hold::Misconfigured(self.refused_by.clone()), *due_at),
                WaitReason::DueLater
                | WaitReason::ContactUnknown
                | WaitReason::ProviderDown
                | WaitReason::Retry
                | WaitReason::RateLimited => Place::Timed(*due_at),
            },
            State::Attempting { .. } => Place::Attempting,
            _ => Place::Done,
        }
    }
}

impl State {
    /// The word of every state.
    pub const WORDS: &'static [&'static str] =
        &["waiting", "attempting", "sent", "suppressed", "expired", "dead_letter", "cancelled"];

    /// The word of the state, as in records, filters and lists.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Attempting { .. } => "attempting",
            Self::Sent { .. } => "sent",
            Self::Suppressed { .. } => "suppressed",
            Self::Expired { .. } => "expired",
            Self::DeadLetter { .. } => "dead_letter",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// The word of the reason, where the state has one.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Waiting { reason, .. } => Some(reason.as_str()),
            Self::Suppressed { reason, .. } => Some(reason.as_str()),
            Self::DeadLetter { reason, .. } => Some(reason.as_str()),
            Self::Attempting { .. } | Self::Sent { .. } | Self::Expired { .. } | Self::Cancelled { .. } => None,
        }
    }
}

impl DeadReason {
    /// The word of every reason.
    pub const WORDS: &'static [&'static str] = &[
        "contact_unknown",
        "several_people",
        "no_address",
        "missing_value",
        "render_failed",
        "template_unavailable",
        "refused",
        "retries_exhausted",
        "event_unreadable",
        "contact_unreadable",
        "stumbled",
    ];

    /// The word of the reason.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ContactUnknown => "contact_unknown",
            Self::SeveralPeople => "several_people",
            Self::NoAddress => "no_address",
            Self::MissingValue { .. } => "missing_value",
            Self::RenderFailed { .. } => "render_failed",
            Self::TemplateUnavailable => "template_unavailable",
            Self::Refused { .. } => "refused",
            Self::RetriesExhausted { .. } => "retries_exhausted",
            Self::EventUnreadable => "event_unreadable",
            Self::ContactUnreadable => "contact_unreadable",
            Self::Stumbled => "stumbled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_every_dead_reason_has_its_word_in_the_list() {
        let at = Time::from_millis(0);
        let (channel, provider): (_, ProviderId) = (Channel::Email, "mail".parse().unwrap());
        let states = [
            State::Waiting { reason: WaitReason::Retry, due_at: at },
            State::Attempting { channel, provider: provider.clone(), since: at },
            State::Sent { channel, provider, at, provider_ref: None },
            State::Suppressed { reason: SuppressReason::Shadow, at },
            State::Expired { at },
            State::DeadLetter { reason: DeadReason::NoAddress, at },
            State::Cancelled { at },
        ];
        assert_eq!(states.each_ref().map(State::as_str), State::WORDS);
        for state in &states {
            assert_eq!(
                serde_json::to_value(state).unwrap()["state"],
                state.as_str(),
                "filters use the words of answers"
            );
        }
        let text = String::new;
        let reasons = [
            DeadReason::ContactUnknown,
            DeadReason::SeveralPeople,
            DeadReason::NoAddress,
            DeadReason::MissingValue { field: text() },
            DeadReason::RenderFailed { detail: text() },
            DeadReason::TemplateUnavailable,
            DeadReason::Refused { code: text() },
            DeadReason::RetriesExhausted { code: text() },
            DeadReason::EventUnreadable,
            DeadReason::ContactUnreadable,
            DeadReason::Stumbled,
        ];
        assert_eq!(reasons.each_ref().map(DeadReason::as_str), DeadReason::WORDS);
    }
}
