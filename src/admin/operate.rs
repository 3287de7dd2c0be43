//! Operating: cancel, requeue, pause, resume, modes, the brake.
//!
//! Promises: one or in bulk, in bounded batches; what is being sent at this moment is not touched, and said so; every change
//! is logged with who asked.
//! Never: a bulk change without an explicit filter or `all`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::id::{NotificationId, OrgId, TemplateId};
use crate::ledger::{Changes, Happening, Notification, State as Stand, TimelineEntry};
use crate::policy::modes::{Modes, Target};
use crate::policy::pause::{Pauses, Scope};
use crate::policy::{Mode, WaitReason};

use super::{AdminError, Answer, Desk};

/// Notifications changed in one commit.
const BATCH: usize = 256;

/// Which notifications.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Of this template.
    pub template: Option<TemplateId>,
    /// Of this org.
    pub org: Option<OrgId>,
    /// In this state: `waiting`, `sent`, `suppressed`, `expired`, `dead_letter`, `cancelled`, `attempting`.
    pub state: Option<String>,
    /// Waiting or dead for this reason word: `brake`, `contact_unknown`, `refused`, ….
    pub reason: Option<String>,
    /// At most this many.
    pub limit: Option<usize>,
    /// After this id.
    pub after: Option<NotificationId>,
}

impl Filter {
    /// True if a notification is meant.
    pub fn matches(&self, n: &Notification) -> bool {
        self.template.as_ref().is_none_or(|t| *t == n.rule.template)
            && self.org.is_none_or(|o| o == n.org)
            && self.state.as_deref().is_none_or(|s| s == n.state.as_str())
            && self.reason.as_deref().is_none_or(|r| n.state.reason() == Some(r))
    }

    fn is_unbounded(&self) -> bool {
        self.template.is_none() && self.org.is_none() && self.state.is_none() && self.reason.is_none()
    }
}

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
    /// Being sent at this moment.
    in_hand: usize,
}

pub(super) async fn cancel(State(desk): State<Arc<Desk>>, Json(operate): Json<Operate>) -> Answer<Done> {
    desk.operate(operate, |n, now, by| {
        let waits = matches!(n.state, Stand::Waiting { .. } | Stand::DeadLetter { .. });
        waits.then_some((Stand::Cancelled { at: now }, Happening::Cancelled { by }))
    })
    .await
}

pub(super) async fn requeue(State(desk): State<Arc<Desk>>, Json(operate): Json<Operate>) -> Answer<Done> {
    desk.operate(operate, |n, now, by| {
        // Sent ones are never sent again; expired and suppressed ones may be judged afresh.
        let again = matches!(
            n.state,
            Stand::DeadLetter { .. } | Stand::Suppressed { .. } | Stand::Expired { .. } | Stand::Waiting { .. }
        );
        let state = Stand::Waiting { reason: WaitReason::DueLater, due_at: now.max(n.not_before) };
        again.then_some((state, Happening::Requeued { by }))
    })
    .await
}

impl Desk {
    async fn operate(
        &self,
        operate: Operate,
        change: impl Fn(&Notification, crate::clock::Time, String) -> Option<(Stand, Happening)>,
    ) -> Answer<Done> {
        let by = if operate.by.is_empty() { "operator".to_owned() } else { operate.by.clone() };
        let mut done = Done::default();
        if !operate.ids.is_empty() {
            for ids in operate.ids.chunks(BATCH) {
                self.change_batch(ids.iter().copied(), &by, &change, &mut done).await?;
            }
            return Ok(Json(done));
        }
        let filter = operate.filter.unwrap_or_default();
        if filter.is_unbounded() && !operate.all {
            return Err(AdminError::Invalid(
                "nothing was chosen: give ids, a filter (template, org, state, reason), or `all`".into(),
            ));
        }
        let most = filter.limit.unwrap_or(usize::MAX);
        let mut after = filter.after;
        loop {
            let wanted = BATCH.min(most - done.changed);
            let (batch, next) = self.house.ledger.notifications(after, wanted, &|n| filter.matches(n))?;
            self.change_batch(batch.iter().map(|n| n.id), &by, &change, &mut done).await?;
            after = next;
            if after.is_none() || done.changed >= most {
                break;
            }
        }
        tracing::info!(by, changed = done.changed, "notifications changed in bulk");
        Ok(Json(done))
    }

    async fn change_batch(
        &self,
        ids: impl Iterator<Item = NotificationId>,
        by: &str,
        change: &impl Fn(&Notification, crate::clock::Time, String) -> Option<(Stand, Happening)>,
        done: &mut Done,
    ) -> Result<(), AdminError> {
        let now = self.house.clock.now();
        let mut changes = Changes::new();
        let mut leases = Vec::new();
        for id in ids {
            let Some(leased) = self.house.ledger.lease(id)? else {
                match self.house.ledger.notification(id)? {
                    Some(_) => done.in_hand += 1,
                    None => return Err(AdminError::NotFound("notification")),
                }
                continue;
            };
            let old = &leased.notification;
            let Some((state, what)) = change(old, now, by.to_owned()) else {
                done.not_applicable += 1;
                continue;
            };
            let mut new = old.clone();
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

/// A pause or its end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeBody {
    scope: String,
    #[serde(default)]
    by: String,
}

impl ScopeBody {
    fn scope(&self) -> Result<Scope, AdminError> {
        self.scope.parse().map_err(|e| AdminError::Invalid(format!("{e}")))
    }
}

/// How many a release freed.
#[derive(Serialize)]
pub(super) struct Released {
    released: usize,
}

pub(super) async fn pauses(State(desk): State<Arc<Desk>>) -> Answer<Pauses> {
    Ok(Json(desk.house.control.pauses()))
}

pub(super) async fn pause(State(desk): State<Arc<Desk>>, Json(body): Json<ScopeBody>) -> Answer<Pauses> {
    let scope = body.scope()?;
    let house = &desk.house;
    let known = match &scope {
        Scope::Relay => true,
        Scope::Channel(channel) => house.config.channels.get(channel).is_some_and(|c| !c.providers.is_empty()),
        Scope::Org(org) => house.config.orgs.contains_key(org),
        Scope::Template(template) => house.templates.get(template).is_some(),
    };
    if !known {
        return Err(AdminError::NotFound("org, template or channel of this scope"));
    }
    house.control.pause(scope, &body.by).await?;
    tracing::warn!(scope = body.scope, by = body.by, "paused");
    Ok(Json(desk.house.control.pauses()))
}

pub(super) async fn resume(State(desk): State<Arc<Desk>>, Json(body): Json<ScopeBody>) -> Answer<Released> {
    let released = desk.house.control.resume(&body.scope()?, &body.by).await?;
    tracing::warn!(scope = body.scope, by = body.by, released, "resumed");
    Ok(Json(Released { released }))
}

/// The mode of the relay, what was set at run time, and what comes out for each rule.
#[derive(Serialize)]
pub(super) struct ModesView {
    relay: Mode,
    set: Modes,
    rules: std::collections::BTreeMap<String, Mode>,
}

pub(super) async fn modes(State(desk): State<Arc<Desk>>) -> Answer<ModesView> {
    let house = &desk.house;
    let rules = house.rules.iter().map(|rule| (rule.id.to_string(), house.control.mode(&rule.id))).collect();
    Ok(Json(ModesView { relay: house.control.relay_mode(), set: house.control.modes(), rules }))
}

/// A change of mode; without `mode` the setting is taken back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModeBody {
    mode: Option<Mode>,
    /// `relay`, `template:<name>` or `rule:<template>/<number>`.
    target: Option<Target>,
    #[serde(default)]
    by: String,
}

pub(super) async fn set_mode(State(desk): State<Arc<Desk>>, Json(body): Json<ModeBody>) -> Answer<ModesView> {
    let target = body.target.unwrap_or(Target::Relay);
    let known = match &target {
        Target::Relay => true,
        Target::Template(template) => desk.house.templates.get(template).is_some(),
        Target::Rule(rule) => desk.house.rules.get(rule).is_some(),
    };
    if !known {
        return Err(AdminError::NotFound("template or rule"));
    }
    tracing::warn!(%target, mode = body.mode.map_or("unset", Mode::as_str), by = body.by, "mode set");
    desk.house.control.set_mode(target, body.mode, &body.by).await?;
    modes(State(desk)).await
}

pub(super) async fn brake(State(desk): State<Arc<Desk>>) -> Answer<crate::policy::brake::Brake> {
    Ok(Json(desk.house.control.brake()))
}

/// A release of a template's brake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseBody {
    template: TemplateId,
    #[serde(default)]
    by: String,
}

pub(super) async fn release_brake(State(desk): State<Arc<Desk>>, Json(body): Json<ReleaseBody>) -> Answer<Released> {
    let released = desk.house.control.release_brake(&body.template, &body.by).await?;
    tracing::warn!(template.id = %body.template, by = body.by, released, "brake released");
    Ok(Json(Released { released }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::{ORG, TestHouse};

    #[tokio::test]
    async fn a_pause_of_what_is_not_configured_is_refused() {
        let test = TestHouse::open_bare("[channel.email]\nproviders = [\"mail\"]\n");
        let desk = Arc::new(Desk::new(test.house.clone()));
        for (scope, known) in [
            ("relay", true),
            (&*format!("org:{ORG}"), true),
            ("org:1", false),
            ("template:welcome", true),
            ("template:welcom", false),
            ("channel:email", true),
            ("channel:sms", false),
            ("channel:fax", false),
        ] {
            let body = ScopeBody { scope: scope.into(), by: "asha".into() };
            let answer = pause(State(desk.clone()), Json(body)).await;
            assert_eq!(answer.is_ok(), known, "{scope}");
            assert_eq!(test.house.control.pauses().iter().any(|(set, _)| set.to_string() == scope), known, "{scope}");
        }
    }
}
