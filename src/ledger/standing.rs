//! How a notification stands: what changes after it was planned.
//!
//! Promises: the plan is written once, and from then on only this, a fifth of its size; a notification without one stands as it was
//! planned; one whose standing cannot be read cannot be read at all, or what was sent would count as waiting.
//! Never: anything of the plan: whom, which event, which rule, until when.

use serde::{Deserialize, Serialize};

use crate::id::{Channel, NotificationId, ProviderId};

use super::key::{self, Space};
use super::store::{Found, Store};
use super::{LedgerError, Notification, SentAs, State, record};

/// Everything of a notification that may change. The names are the stored format (add, never rename).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    channels: Vec<Channel>,
    #[serde(default)]
    attempts: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempts_before: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    brake_released: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused_by: Option<ProviderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    freed_by: Option<ProviderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent_as: Option<SentAs>,
    state: State,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Standing {
    /// How it stands now.
    pub(super) fn of(n: &Notification) -> Self {
        Self {
            channels: n.channels.clone(),
            attempts: n.attempts,
            attempts_before: n.attempts_before,
            brake_released: n.brake_released,
            refused_by: n.refused_by.clone(),
            freed_by: n.freed_by.clone(),
            sent_as: n.sent_as.clone(),
            state: n.state.clone(),
        }
    }

    /// What was planned, as it stands.
    fn apply(self, planned: Notification) -> Notification {
        let Self { channels, attempts, attempts_before, brake_released, refused_by, freed_by, sent_as, state } = self;
        Notification {
            channels,
            attempts,
            attempts_before,
            brake_released,
            refused_by,
            freed_by,
            sent_as,
            state,
            ..planned
        }
    }
}

/// A notification from its two records.
pub(super) fn stands(planned: Found<Notification>, standing: Found<Standing>) -> Found<Notification> {
    match (planned, standing) {
        (Found::Value(planned), Found::Value(standing)) => Found::Value(standing.apply(planned)),
        (Found::Value(_), Found::Corrupt) => Found::Corrupt,
        (planned, _) => planned,
    }
}

impl Store {
    /// Reads one notification. The plan first: it does not change, so what lands in between is seen.
    pub(super) fn notification(&self, id: NotificationId) -> Result<Found<Notification>, LedgerError> {
        let planned = self.get(Space::Notifications, &key::notification(id), record::read_notification)?;
        let standing = self.get(Space::Notifications, &key::standing(id), record::read_standing)?;
        Ok(stands(planned, standing))
    }
}
