//! Decisions from facts: may this notification go now? Pure.
//!
//! Promises: no I/O, no clock of its own, no chance of its own; every "no" has a name; the run-time state (modes, pauses,
//! brakes) is plain data that the dispatcher keeps in the ledger.
//! Never: a decision that looks at who the person is.

pub mod brake;
pub mod modes;
pub mod pause;
pub mod retry;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{Category, Channel};

/// What the relay or a rule may do with real people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything but send.
    Shadow,
    /// Send only to listed subjects.
    Pilot,
    /// Send.
    Live,
}

/// Every way a notification can wait has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// Its time has not come (rule delay).
    DueLater,
    /// Nobody in the vault yet; woken when the contact or alias arrives.
    ContactUnknown,
    /// The provider's circuit breaker is open.
    ProviderDown,
    /// The last attempt failed for now.
    Retry,
    /// The provider's concurrency or rate limit is reached.
    RateLimited,
    /// The template's hourly brake has tripped; released by a person.
    Brake,
    /// Stopped by a person: relay, org, template or channel.
    Paused,
    /// It may or may not have gone; the policy says hold.
    AmbiguousHold,
    /// Our configuration or account is at fault; the channel is stopped until it is mended.
    Misconfigured,
}

/// Why a notification is not sent, by choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressReason {
    /// Mode is shadow.
    Shadow,
    /// Mode is pilot and the subject is not on the list.
    NotInPilot,
    /// The event's org is not configured.
    OrgNotConfigured,
    /// Category needs a consent policy that does not exist.
    PolicyMissing,
    /// The event is older than the rule's `live_from`.
    BeforeLiveFrom,
    /// The address hard-bounced before.
    AddressSuppressed,
    /// The person was erased.
    Erased,
}

macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $name {
            /// The word used in configuration, metrics, logs and answers.
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $word),+ } }
            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}
words!(Mode { Shadow => "shadow", Pilot => "pilot", Live => "live" });
words!(WaitReason { DueLater => "due_later", ContactUnknown => "contact_unknown", ProviderDown => "provider_down",
    Retry => "retry", RateLimited => "rate_limited", Brake => "brake", Paused => "paused", AmbiguousHold => "ambiguous_hold",
    Misconfigured => "misconfigured" });
words!(SuppressReason { Shadow => "shadow", NotInPilot => "not_in_pilot", OrgNotConfigured => "org_not_configured",
    PolicyMissing => "policy_missing", BeforeLiveFrom => "before_live_from",
    AddressSuppressed => "address_suppressed", Erased => "erased" });

/// The facts a decision is made from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Now.
    pub now: Time,
    /// The strictest of the relay's, the template's and the rule's mode: see [`modes::Modes::effective`].
    pub mode: Mode,
    /// True if the subject is on the pilot list.
    pub in_pilot: bool,
    /// True if the org is configured.
    pub org_configured: bool,
    /// True if a pause covers it (relay, org, template or channel).
    pub paused: bool,
    /// True if the template's brake has tripped and no person has released this notification from it.
    pub brake_tripped: bool,
    /// The template's category.
    pub category: Category,
    /// The channel in question.
    pub channel: Channel,
    /// When the event was made.
    pub event_at: Time,
    /// The rule's `live_from`.
    pub live_from: Time,
    /// After this it is too old to send.
    pub expires_at: Time,
}

/// What policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on to join, render and send.
    Go,
    /// Wait, for a named reason.
    Wait(WaitReason),
    /// Do not send, for a named reason.
    Suppress(SuppressReason),
    /// Too old to send.
    Expire,
}

impl Mode {
    /// The stricter of two modes.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        self.min(other)
    }
}

/// Decides. The order is the contract:
///
/// 1. expiry: nothing old is ever sent, whatever else is true;
/// 2. what no person can change by waiting: an org that is not configured, an event from before `live_from`;
/// 3. pauses: they hold even what a mode would drop, so that a resume decides afresh;
/// 4. category and mode: what would not be sent does not fill the brake;
/// 5. the brake.
///
/// After `Go` and before the first attempt the dispatcher still asks [`brake::Brake::admit`], which counts.
pub fn decide(facts: &Facts) -> Decision {
    if facts.now >= facts.expires_at {
        return Decision::Expire;
    }
    if !facts.org_configured {
        return Decision::Suppress(SuppressReason::OrgNotConfigured);
    }
    if facts.event_at < facts.live_from {
        return Decision::Suppress(SuppressReason::BeforeLiveFrom);
    }
    if facts.paused {
        return Decision::Wait(WaitReason::Paused);
    }
    if facts.category == Category::Promotional {
        return Decision::Suppress(SuppressReason::PolicyMissing);
    }
    match facts.mode {
        Mode::Shadow => return Decision::Suppress(SuppressReason::Shadow),
        Mode::Pilot if !facts.in_pilot => return Decision::Suppress(SuppressReason::NotInPilot),
        Mode::Pilot | Mode::Live => {}
    }
    if facts.brake_tripped {
        return Decision::Wait(WaitReason::Brake);
    }
    Decision::Go
}
