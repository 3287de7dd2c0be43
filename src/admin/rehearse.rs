//! What the rules would do: explained for one stored event.
//!
//! Promises: nothing is planned, nothing is sent, nothing is written; stored events stay in this process.
//! Never: a value of an event, a person: people appear by role and by the kinds of their identifiers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use crate::app;
use crate::id::EventKey;
use crate::plan::{self, Explained, Question};

use super::find::not_an_id;
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
