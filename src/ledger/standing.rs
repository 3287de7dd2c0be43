//! How a notification stands: what changes after it was planned.
//!
//! Promises: the plan is written once, and from then on only this, a fifth of its size; a notification without one stands as it was
//! planned; one whose standing cannot be read cannot be read at all, or what was sent would count as waiting.
//! Never: anything of the plan: whom, which event, which rule, until when.

use std::ops::Bound;

use fjall::Snapshot;
use serde::{Deserialize, Serialize};

use crate::id::{Channel, NotificationId, ProviderId};

use super::key::{self, Key, Space};
use super::store::{Found, Store};
use super::{LedgerError, Notification, SentAs, State, record};

/// Everything of a notification that may change. The names are the stored format (add, never rename).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) channels: Vec<Channel>,
    #[serde(default)]
    pub(super) attempts: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) attempts_before: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) brake_released: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refused_by: Option<ProviderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) freed_by: Option<ProviderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sent_as: Option<SentAs>,
    pub(super) state: State,
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

fn stands(planned: Found<Notification>, standing: Found<Standing>) -> Found<Notification> {
    match (planned, standing) {
        (Found::Value(planned), Found::Value(standing)) => Found::Value(standing.apply(planned)),
        (Found::Value(_), Found::Corrupt) => Found::Corrupt,
        (planned, _) => planned,
    }
}

/// One of the two records of a notification.
enum Row {
    Planned(Box<Notification>),
    Standing(Standing),
}

impl Store {
    /// Reads one notification. How it stands comes first: one that retention removes in between is gone then, not as it was planned. And not
    /// at a moment of the engine's, which comes only after the queue shows a new one.
    pub(super) fn notification(&self, id: NotificationId) -> Result<Found<Notification>, LedgerError> {
        let standing = self.get(Space::Notifications, &key::standing(id), record::read_standing)?;
        Ok(stands(self.planned(id)?, standing))
    }

    /// The same, at a moment of the caller's.
    pub(super) fn notification_at(
        &self,
        moment: &Snapshot,
        id: NotificationId,
    ) -> Result<Found<Notification>, LedgerError> {
        let standing = self.get_at(moment, Space::Notifications, &key::standing(id), record::read_standing)?;
        let planned = self.get_at(moment, Space::Notifications, &key::notification(id), record::read_notification)?;
        Ok(stands(planned, standing))
    }

    /// What was planned of it, however it stands.
    pub(super) fn planned(&self, id: NotificationId) -> Result<Found<Notification>, LedgerError> {
        self.get(Space::Notifications, &key::notification(id), record::read_notification)
    }

    /// Walks notifications in the order of their ids until `each` says stop (`false`); unreadable ones come as `None`.
    pub(super) fn notifications(
        &self,
        from: Bound<Key>,
        mut each: impl FnMut(NotificationId, Option<Notification>) -> bool,
    ) -> Result<(), LedgerError> {
        let read = |key: &[u8], plain: &[u8]| match key::read_notification(key) {
            Some(_) => record::read_notification(plain).map(|planned| Row::Planned(Box::new(planned))),
            None => record::read_standing(plain).map(Row::Standing),
        };
        // Told once what stands behind it has been seen.
        let mut planned: Option<(NotificationId, Option<Notification>)> = None;
        let mut goes_on = true;
        self.records(Space::Notifications, (from, Bound::Unbounded), read, |key, row| {
            match (key::read_notification(key), row) {
                (Some(id), row) => {
                    let next = (id, if let Some(Row::Planned(planned)) = row { Some(*planned) } else { None });
                    goes_on = planned.replace(next).is_none_or(|(id, before)| each(id, before));
                }
                (None, row) => {
                    let standing = if let Some(Row::Standing(standing)) = row { Some(standing) } else { None };
                    if let Some((_, planned)) = planned.as_mut().filter(|(id, _)| key == key::standing(*id)) {
                        *planned = planned.take().zip(standing).map(|(planned, standing)| standing.apply(planned));
                    }
                }
            }
            goes_on
        })?;
        if let Some((id, last)) = planned.filter(|_| goes_on) {
            each(id, last);
        }
        Ok(())
    }
}
