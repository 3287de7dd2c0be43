//! Cancel and requeue, one or in bulk.
//!
//! Promises: in bounded batches; what is being sent at this moment is not touched, and said so; a limit bounds what is changed, and
//! the answer says where to go on; what may have gone already is sent again only if somebody names it; audited.
//! Never: a bulk change without an explicit filter or `all`; half of a list of ids, because one of them is not known.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::NotificationId;
use crate::ledger::{Changes, Happening, Notification, State as Stand, TimelineEntry};
use crate::policy::WaitReason;

use super::audit::{Action, Entry};
use super::caller::{Caller, calls_themselves};
use super::filter::Filter;
use super::read::Read;
use super::{AdminError, Answer, Desk};

/// Notifications changed in one commit.
const BATCH: usize = 256;

/// A change to one or many.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Operate {
    /// These.
    #[serde(default)]
    pub ids: Vec<NotificationId>,
    /// Or all that match.
    pub filter: Option<Filter>,
    /// Required for a filter that names nothing.
    #[serde(default)]
    pub all: bool,
    /// Who asks, for the timeline: a user or token name.
    #[serde(default)]
    pub by: String,
}

/// What a change did.
#[derive(Debug, Default, Serialize)]
pub(super) struct Done {
    changed: usize,
    /// In a state that does not allow it.
    not_applicable: usize,
    /// Past their expiry: sent again they would only expire.
    too_old: usize,
    /// Left out by a requeue, because they may have gone: named by id or by the reason `ambiguous_hold` only.
    ambiguous: usize,
    /// Being sent at this moment.
    in_hand: usize,
    /// Where a limit stopped it: give this as `after` to go on.
    next: Option<NotificationId>,
}

/// What is asked for. What becomes of a notification; nothing if its state does not allow it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Cancel,
    Requeue,
}

impl Verb {
    fn change(self, n: &Notification, now: Time, by: String) -> Option<(Stand, Happening)> {
        match self {
            Self::Cancel => {
                let waits = matches!(n.state, Stand::Waiting { .. } | Stand::DeadLetter { .. });
                waits.then_some((Stand::Cancelled { at: now }, Happening::Cancelled { by }))
            }
            Self::Requeue => {
                // Sent ones are never sent again, expired ones are too old; suppressed ones may be judged afresh.
                let again =
                    matches!(n.state, Stand::DeadLetter { .. } | Stand::Suppressed { .. } | Stand::Waiting { .. });
                let state = Stand::Waiting { reason: WaitReason::DueLater, due_at: now.max(n.not_before) };
                again.then_some((state, Happening::Requeued { by }))
            }
        }
    }
}

/// A change that somebody asked for.
struct Asked<'a> {
    verb: Verb,
    by: &'a str,
    /// True if what may have gone already is meant too.
    ambiguous_too: bool,
}

fn is_ambiguous(n: &Notification) -> bool {
    matches!(n.state, Stand::Waiting { reason: WaitReason::AmbiguousHold, .. })
}

pub(super) async fn cancel(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(operate): Read<Operate>,
) -> Answer<Done> {
    desk.operate(Action::Cancelled, &caller, operate, Verb::Cancel).await
}

pub(super) async fn requeue(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(operate): Read<Operate>,
) -> Answer<Done> {
    desk.operate(Action::Requeued, &caller, operate, Verb::Requeue).await
}

impl Desk {
    async fn operate(&self, action: Action, caller: &Caller, operate: Operate, verb: Verb) -> Answer<Done> {
        let Operate { ids, filter, all, by } = operate;
        let by_ids = !ids.is_empty();
        if by_ids && (all || filter.is_some()) {
            return Err(AdminError::Invalid("give ids, or a filter, not both".into()));
        }
        let filter = filter.unwrap_or_default();
        filter.check()?;
        if !by_ids && filter.is_unbounded() && !all {
            return Err(AdminError::Invalid(
                "nothing was chosen: give ids, a filter (template, org, state, reason), or `all`".into(),
            ));
        }
        let entry = Entry::new(action, caller, &by)
            .about_ids(&ids)
            .about_some("template", filter.template.as_ref())
            .about_some("org", filter.org)
            .about_some("state", filter.state)
            .about_some("reason", filter.reason)
            .about_some("limit", filter.limit)
            .about_some("after", filter.after);
        let by = calls_themselves(&by);
        let named = by_ids || filter.reason.is_some_and(|reason| reason.is(WaitReason::AmbiguousHold.as_str()));
        let asked = Asked { verb, by: &by, ambiguous_too: verb == Verb::Cancel || named };
        let work = async {
            let done =
                if by_ids { self.change_ids(&ids, &asked).await } else { self.change_all(&filter, &asked).await }?;
            let changed = done.changed;
            Ok((done, changed))
        };
        self.audited(entry, work).await.map(Json)
    }

    async fn change_ids(&self, ids: &[NotificationId], asked: &Asked<'_>) -> Result<Done, AdminError> {
        for id in ids {
            self.house.ledger.notification(*id)?.ok_or(AdminError::NotFound("notification"))?;
        }
        let mut done = Done::default();
        for ids in ids.chunks(BATCH) {
            self.change_batch(ids.iter().copied(), asked, &mut done).await?;
        }
        Ok(done)
    }

    async fn change_all(&self, filter: &Filter, asked: &Asked<'_>) -> Result<Done, AdminError> {
        let most = filter.limit.unwrap_or(usize::MAX);
        let mut done = Done { next: filter.after, ..Done::default() };
        while done.changed < most {
            let wanted = BATCH.min(most - done.changed);
            let (batch, next) = self.house.ledger.notifications(done.next, wanted, &|n| filter.matches(n))?;
            self.change_batch(batch.iter().map(|n| n.id), asked, &mut done).await?;
            done.next = next;
            if next.is_none() {
                break;
            }
            // Other requests have their turn between pages.
            tokio::task::yield_now().await;
        }
        Ok(done)
    }

    async fn change_batch(
        &self,
        ids: impl Iterator<Item = NotificationId>,
        asked: &Asked<'_>,
        done: &mut Done,
    ) -> Result<(), AdminError> {
        let now = self.house.clock.now();
        let mut changes = Changes::new();
        let mut leases = Vec::new();
        for id in ids {
            let Some(leased) = self.house.ledger.lease(id)? else {
                // Retention may have removed it since it was found; then there is nothing to change.
                done.in_hand += usize::from(self.house.ledger.notification(id)?.is_some());
                continue;
            };
            let old = &leased.notification;
            let is_late = now >= old.expires_at && !matches!(old.state, Stand::Sent { .. } | Stand::Cancelled { .. });
            if asked.verb == Verb::Requeue && is_late {
                done.too_old += 1;
                continue;
            }
            let Some((state, what)) = asked.verb.change(old, now, asked.by.to_owned()) else {
                done.not_applicable += 1;
                continue;
            };
            if is_ambiguous(old) && !asked.ambiguous_too {
                done.ambiguous += 1;
                continue;
            }
            let mut new = old.clone();
            if asked.verb == Verb::Requeue && matches!(old.state, Stand::DeadLetter { .. }) {
                // The cause was mended: it has all its retries again. What was made stays counted.
                new.attempts_before = new.attempts;
            }
            new.state = state;
            changes.add_timeline(old.event, TimelineEntry { at: now, notification: Some(id), what });
            changes.update_notification(old, new);
            leases.push(leased);
        }
        if !leases.is_empty() {
            self.house.ledger.commit(changes).await?;
        }
        done.changed += leases.len();
        Ok(())
    }
}
