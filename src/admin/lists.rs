//! Lists of numbers that must not get promotional messages: what `vault ndnc` asks.
//!
//! Promises: a number is taken and never given back; an answer comes when what it says is durable.
//! Never: a number in a log, an error or an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::personal::Personal;
use crate::vault::{Edition, ListState};

use super::people::read;
use super::{Answer, Desk};

/// Which list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    list: String,
    /// True if what is given from now on takes the place of the whole list once it is finished.
    #[serde(default)]
    replace: bool,
}

/// What later calls name.
#[derive(Serialize)]
pub(super) struct Begun {
    edition: Edition,
}

pub(super) async fn begin(State(desk): State<Arc<Desk>>, body: Bytes) -> Answer<Begun> {
    let begin: Begin = read(&body)?;
    let edition = desk.house.vault.begin_list(&begin.list, begin.replace, desk.house.clock.now())?;
    desk.house.vault.sync().await?;
    Ok(Json(Begun { edition }))
}

/// Numbers in E.164.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    list: String,
    edition: Edition,
    numbers: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Added {
    added: u64,
}

pub(super) async fn add(State(desk): State<Arc<Desk>>, body: Bytes) -> Answer<Added> {
    let add: Add = read(&body)?;
    let numbers: Vec<Personal> = add.numbers.into_iter().map(Personal::new).collect();
    let added = desk.house.vault.add_to_list(&add.list, add.edition, &numbers, desk.house.clock.now())?;
    desk.house.vault.sync().await?;
    Ok(Json(Added { added }))
}

/// All were given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    list: String,
    edition: Edition,
    #[serde(default)]
    by: String,
}

#[derive(Serialize)]
pub(super) struct Finished {
    numbers: u64,
}

pub(super) async fn finish(State(desk): State<Arc<Desk>>, body: Bytes) -> Answer<Finished> {
    let finish: Finish = read(&body)?;
    let numbers = desk.house.vault.finish_list(&finish.list, finish.edition, desk.house.clock.now())?;
    desk.house.vault.sync().await?;
    tracing::warn!(list = finish.list, by = finish.by, numbers, audit = true, "list of barred numbers loaded");
    Ok(Json(Finished { numbers }))
}

pub(super) async fn states(State(desk): State<Arc<Desk>>) -> Answer<BTreeMap<String, ListState>> {
    Ok(Json(desk.house.vault.list_states()?))
}
