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
    mode: Mode,
    intake: String,
    journal_head: DeliverySeq,
    planned: DeliverySeq,
    waiting: BTreeMap<&'static str, u64>,
    quarantined_shown: usize,
    ledger_bytes: u64,
    vault: crate::vault::VaultStats,
    paused: crate::policy::pause::Pauses,
    brake: crate::policy::brake::Brake,
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
        intake,
        journal_head: *house.ledger.journal_head().borrow(),
        planned: house.ledger.cursor(),
        waiting: house.ledger.waiting_counts(),
        quarantined_shown: house.ledger.quarantined(None, 1_000)?.len(),
        ledger_bytes: house.ledger.disk_bytes(),
        vault: house.vault.stats()?,
        paused: house.control.pauses(),
        brake: house.control.brake(),
    }))
}
