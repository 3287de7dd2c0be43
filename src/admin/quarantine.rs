//! Quarantine: what could not be decoded, and how it goes on.
//!
//! Promises: listing and showing tell source, time, size and reason; the body is shown by `reveal` only; reveal, re-drive
//! and drop are audited.
//! Never: a body in a list, a log or an error.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::Refusal;
use crate::id::{DeliverySeq, SourceId};
use crate::ledger::{Changes, Delivery, Quarantined};

use super::audit::{Action, Entry};
use super::caller::Caller;
use super::read::{Asked, Number, Read};
use super::view::as_text;
use super::{AdminError, Answer, Desk};

/// A quarantined delivery without its body.
#[derive(Serialize)]
pub(super) struct QuarantineView {
    seq: DeliverySeq,
    source: SourceId,
    #[serde(serialize_with = "as_text")]
    received_at: Time,
    bytes: usize,
    reason: String,
    refusal: Refusal,
}

impl From<&Quarantined> for QuarantineView {
    fn from(q: &Quarantined) -> Self {
        Self {
            seq: q.seq,
            source: q.delivery.source.clone(),
            received_at: q.delivery.received_at,
            bytes: q.delivery.body.len(),
            reason: q.refusal.to_string(),
            refusal: q.refusal.clone(),
        }
    }
}

/// Bounds of the list.
#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<DeliverySeq>,
    limit: Option<usize>,
}

pub(super) async fn list(State(desk): State<Arc<Desk>>, Asked(page): Asked<Page>) -> Answer<Vec<QuarantineView>> {
    let found = desk.house.ledger.quarantined(page.after, page.limit.unwrap_or(100).min(1_000))?;
    Ok(Json(found.iter().map(QuarantineView::from).collect()))
}

pub(super) async fn show(State(desk): State<Arc<Desk>>, Number(seq): Number) -> Answer<QuarantineView> {
    Ok(Json(QuarantineView::from(&desk.quarantined(seq)?)))
}

/// Who asks to see a body.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asker {
    #[serde(default)]
    by: String,
}

/// A body in the clear: an audited exit.
#[derive(Serialize)]
pub(super) struct Revealed {
    #[serde(flatten)]
    about: QuarantineView,
    body: String,
}

pub(super) async fn reveal(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Number(seq): Number,
    Read(asker): Read<Asker>,
) -> Answer<Revealed> {
    let entry = Entry::new(Action::BodyRevealed, &caller, &asker.by).about("seq", seq);
    let show = async {
        let found = desk.quarantined(seq)?;
        let body = String::from_utf8_lossy(&found.delivery.body).into_owned();
        Ok((Revealed { about: QuarantineView::from(&found), body }, 1))
    };
    desk.audited(entry, show).await.map(Json)
}

/// Where a re-driven delivery is now.
#[derive(Serialize)]
pub(super) struct Redriven {
    seq: DeliverySeq,
}

pub(super) async fn redrive(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Number(seq): Number,
    Read(asker): Read<Asker>,
) -> Answer<Redriven> {
    let entry = Entry::new(Action::Redriven, &caller, &asker.by).about("seq", seq);
    let again = async {
        let ledger = &desk.house.ledger;
        let Quarantined { seq, delivery, .. } = desk.quarantined(seq)?;
        // First the new place, then the old: a crash in between decodes it twice, and events are de-duplicated.
        let Delivery { source, received_at, body } = delivery;
        let new = ledger.append(Delivery { source, received_at, body }).await?;
        let mut changes = Changes::new();
        changes.release_quarantined(seq);
        ledger.commit(changes).await?;
        Ok((Redriven { seq: new }, 1))
    };
    desk.audited(entry, again).await.map(Json)
}

pub(super) async fn drop_one(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Number(seq): Number,
    Read(asker): Read<Asker>,
) -> Answer<QuarantineView> {
    let entry = Entry::new(Action::Dropped, &caller, &asker.by).about("seq", seq);
    let dropping = async {
        let found = desk.quarantined(seq)?;
        let mut changes = Changes::new();
        changes.release_quarantined(found.seq);
        desk.house.ledger.commit(changes).await?;
        Ok((QuarantineView::from(&found), 1))
    };
    desk.audited(entry, dropping).await.map(Json)
}

impl Desk {
    fn quarantined(&self, seq: u64) -> Result<Quarantined, AdminError> {
        self.house.ledger.quarantined_one(DeliverySeq(seq))?.ok_or(AdminError::NotFound("quarantined delivery"))
    }
}
