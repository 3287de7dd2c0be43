//! What rules would do: explained for one stored event, replayed for those of a day.
//!
//! Promises: nothing is planned, nothing is sent, nothing is written; stored events stay in this process.
//! Never: a value of an event, a person: people appear by role and by the kinds of their identifiers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use crate::app;
use crate::clock::Time;
use crate::id::{EventKey, TemplateId};
use crate::plan::{self, Counts, Difference, Explained, Question, Replay};
use crate::rules::RuleSet;

use super::find::not_an_id;
use super::read::Read;
use super::view::as_text;
use super::window::Window;
use super::{AdminError, Answer, Desk};

/// Why each rule does or does not fire for a stored event, by the rules and the configuration of this moment.
pub(super) async fn explain(State(desk): State<Arc<Desk>>, Path(key): Path<String>) -> Answer<Explained> {
    let key = EventKey(key.parse().map_err(|e| not_an_id(&e))?);
    let house = &desk.house;
    let record = house.ledger.event(key)?.ok_or(AdminError::NotFound("event"))?;
    let not_allowed = app::not_allowed(&house.config, &app::template_source(&house.config));
    Ok(Json(plan::explain(&Question {
        event: &record.event,
        // What was taken out was counted on the timeline when the event came.
        stripped: &BTreeMap::new(),
        source: Some(&record.source),
        rules: &house.rules,
        not_allowed: &not_allowed,
        config: &house.config,
        any_org: false,
        now: house.clock.now(),
    })))
}

/// Events of one page.
const PAGE: usize = 1_000;

/// Rules to try on stored events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// Text of each `template.toml`, by template.
    templates: BTreeMap<TemplateId, String>,
    /// Also templates that the configuration does not allow.
    #[serde(default)]
    all: bool,
    since: Option<String>,
    to: Option<String>,
    after: Option<Place>,
}

/// Where a page ended.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub(super) struct Place {
    at: Time,
    key: EventKey,
}

/// One page of differences; pages add up.
#[derive(Serialize)]
pub(super) struct Replayed {
    #[serde(serialize_with = "as_text")]
    from: Time,
    /// Give this as `to` for the next page.
    #[serde(serialize_with = "as_text")]
    to: Time,
    events: usize,
    rules: Vec<Row>,
    /// Templates whose rules were not asked because the configuration does not allow them.
    not_allowed: Vec<TemplateId>,
    /// Give this as `after` for the next page.
    next: Option<Place>,
}

#[derive(Serialize)]
struct Row {
    rule: String,
    #[serde(flatten)]
    counts: Counts,
}

/// Holds rules against what was planned for stored events.
pub(super) async fn replay(State(desk): State<Arc<Desk>>, Read(trial): Read<Trial>) -> Answer<Replayed> {
    let house = &desk.house;
    let now = house.clock.now();
    let window = Window::read(trial.since.as_deref(), trial.to.as_deref(), now)?;
    let allowed = |id: &TemplateId| house.config.templates.allow.get(id).is_some_and(|allow| allow.enabled);
    let (asked, not_allowed): (BTreeMap<_, _>, BTreeMap<_, _>) =
        trial.templates.into_iter().partition(|(id, _)| trial.all || allowed(id));
    let rules = compile(&asked)?;
    let replay = Replay { rules: &rules, config: &house.config, hasher: &house.keys, now };
    let after = trial.after.map(|place| (place.at, place.key));
    let found = house.ledger.events_received(window.from, window.to, after, PAGE)?;
    let mut difference = Difference::default();
    let mut events = 0;
    for (_, key) in &found {
        let Some(record) = house.ledger.event(*key)? else { continue };
        replay.look(&record, &house.ledger.notifications_of(*key)?, &mut difference);
        events += 1;
        // Other requests have their turn between events.
        tokio::task::yield_now().await;
    }
    let next = (found.len() == PAGE).then(|| found.last().map(|(at, key)| Place { at: *at, key: *key })).flatten();
    let rules = difference.rules().map(|(rule, counts)| Row { rule: rule.to_string(), counts });
    Ok(Json(Replayed {
        from: window.from,
        to: window.to,
        events,
        rules: rules.collect(),
        not_allowed: not_allowed.into_keys().collect(),
        next,
    }))
}

/// What the text of a rule says is not repeated: `check` tells its author more than a refusal could.
fn compile(templates: &BTreeMap<TemplateId, String>) -> Result<RuleSet, AdminError> {
    let mut rules = Vec::new();
    for (id, text) in templates {
        let parsed = RuleSet::parse(id, &PathBuf::from(format!("{id}/template.toml")), text);
        rules.extend(parsed.map_err(|_| {
            AdminError::Invalid(format!(
                "the rules of template {id} have faults; `sealpost check --templates DIR` tells them"
            ))
        })?);
    }
    RuleSet::compile(rules)
        .map_err(|_| AdminError::Invalid("the rules have faults; `sealpost check --templates DIR` tells them".into()))
}
