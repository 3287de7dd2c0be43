//! Probes, metrics, status.
//!
//! Promises: `/readyz` tells whether events are taken, not whether a provider is up: degraded is not unready.
//! Never: a value that needs a token.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::id::DeliverySeq;
use crate::policy::Mode;
use crate::policy::modes::Modes;

use super::operate::{BrakeView, PauseView};
use super::{Answer, Desk};

pub(super) async fn live() -> &'static str {
    "alive\n"
}

pub(super) async fn ready(State(desk): State<Arc<Desk>>) -> Response {
    match desk.intake.as_ref().map(crate::intake::Intake::refusal) {
        None => (StatusCode::SERVICE_UNAVAILABLE, "no intake\n").into_response(),
        Some(Some(why)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
        Some(None) => (StatusCode::OK, "ready\n").into_response(),
    }
}

pub(super) async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], desk.house.metrics.encode()).into_response()
}

/// The relay on one screen.
#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    /// The relay's own.
    mode: Mode,
    /// What was set at run time, by relay, template and rule.
    modes_set: Modes,
    intake: String,
    journal_head: DeliverySeq,
    planned: DeliverySeq,
    waiting: BTreeMap<&'static str, u64>,
    dead_letters: u64,
    quarantined: u64,
    ledger_bytes: u64,
    vault: crate::vault::VaultStats,
    paused: Vec<PauseView>,
    /// Those that have tripped.
    brake: Vec<BrakeView>,
}

pub(super) async fn status(State(desk): State<Arc<Desk>>) -> Answer<Status> {
    let house = &desk.house;
    let intake = match desk.intake.as_ref().map(crate::intake::Intake::refusal) {
        None => "not running".to_owned(),
        Some(Some(why)) => format!("refusing: {why}"),
        Some(None) => "taking events".to_owned(),
    };
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        mode: house.control.relay_mode(),
        modes_set: house.control.modes(),
        intake,
        journal_head: *house.ledger.journal_head().borrow(),
        planned: house.ledger.cursor(),
        waiting: house.ledger.waiting_counts(),
        dead_letters: house.ledger.dead_letter_count()?,
        quarantined: house.ledger.quarantine_count()?,
        ledger_bytes: house.ledger.disk_bytes(),
        vault: house.vault.stats()?,
        paused: desk.pauses(),
        brake: desk.brakes(false)?,
    }))
}
