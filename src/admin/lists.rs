//! Lists of numbers that must not get promotional messages: what `vault ndnc` asks.
//!
//! Promises: a number is taken and never given back; an answer comes when what it says is durable.
//! Never: a number in a log, an error or an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::personal::Personal;
use crate::vault::{Edition, ListState};

use super::audit::{Action, Entry};
use super::caller::Caller;
use super::read::Read;
use super::{Answer, Desk};

/// Which list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    list: String,
    /// True if what is given from now on takes the place of the whole list once it is finished.
    #[serde(default)]
    replace: bool,
    #[serde(default)]
    by: String,
}

/// What later calls name.
#[derive(Serialize)]
pub(super) struct Begun {
    edition: Edition,
}

pub(super) async fn begin(State(desk): State<Arc<Desk>>, caller: Caller, Read(begin): Read<Begin>) -> Answer<Begun> {
    // The list's name was typed, so it is not told here.
    let entry = Entry::new(Action::ListBegun, &caller, &begin.by).about("replace", begin.replace);
    let beginning = async {
        let edition = desk.house.vault.begin_list(&begin.list, begin.replace, desk.house.clock.now())?;
        desk.house.vault.sync().await?;
        Ok((Begun { edition }, 1))
    };
    desk.audited(entry, beginning).await.map(Json)
}

/// Numbers in E.164.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    list: String,
    edition: Edition,
    numbers: Vec<String>,
    #[serde(default)]
    by: String,
}

#[derive(Serialize)]
pub(super) struct Added {
    added: u64,
}

pub(super) async fn add(State(desk): State<Arc<Desk>>, caller: Caller, Read(add): Read<Add>) -> Answer<Added> {
    let entry = Entry::new(Action::ListFilled, &caller, &add.by).about("numbers", add.numbers.len());
    let adding = async {
        let numbers: Vec<Personal> = add.numbers.into_iter().map(Personal::new).collect();
        let added = desk.house.vault.add_to_list(&add.list, add.edition, &numbers, desk.house.clock.now())?;
        desk.house.vault.sync().await?;
        Ok((Added { added }, usize::try_from(added).unwrap_or(usize::MAX)))
    };
    desk.audited(entry, adding).await.map(Json)
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

pub(super) async fn finish(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(finish): Read<Finish>,
) -> Answer<Finished> {
    let entry = Entry::new(Action::ListFinished, &caller, &finish.by);
    let finishing = async {
        let numbers = desk.house.vault.finish_list(&finish.list, finish.edition, desk.house.clock.now())?;
        desk.house.vault.sync().await?;
        Ok((Finished { numbers }, usize::try_from(numbers).unwrap_or(usize::MAX)))
    };
    desk.audited(entry, finishing).await.map(Json)
}

pub(super) async fn states(State(desk): State<Arc<Desk>>) -> Answer<BTreeMap<String, ListState>> {
    Ok(Json(desk.house.vault.list_states()?))
}
