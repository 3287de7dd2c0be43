//! Reports: what became of a day's messages.
//!
//! Promises: figures and ids; a day is the day of each org; bounded by groups, not by messages.
//! Never: a person in an answer of `outcomes`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::feed::{self, Days, FeedError, Row};
use crate::id::OrgId;

use super::read::Asked;
use super::{AdminError, Answer, Desk};

/// Which day.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Day {
    day: String,
    org: Option<OrgId>,
}

/// Figures of a day.
#[derive(Serialize)]
pub(super) struct Outcomes {
    day: String,
    rows: Vec<Row>,
}

pub(super) async fn outcomes(State(desk): State<Arc<Desk>>, Asked(asked): Asked<Day>) -> Answer<Outcomes> {
    let days = desk.days(&asked.day, asked.org)?;
    let rows = feed::outcomes(&desk.house.ledger, &days).await?;
    Ok(Json(Outcomes { day: days.date.to_string(), rows }))
}

impl Desk {
    /// The day asked for, of one org or of all.
    fn days(&self, day: &str, org: Option<OrgId>) -> Result<Days, AdminError> {
        let expected = || AdminError::Invalid("field `day` does not fit; expected a date such as 2026-11-22".into());
        let date = day.parse().map_err(|_| expected())?;
        let orgs = &self.house.config.orgs;
        match org {
            None => Ok(Days::of(date, orgs)),
            Some(id) => match orgs.get(&id) {
                Some(org) => Ok(Days::of_some(date, std::iter::once((id, org)))),
                None => Err(AdminError::Unknown("no org that is configured has this id".into())),
            },
        }
    }
}

impl From<FeedError> for AdminError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Ledger(error) => Self::Ledger(error),
            FeedError::File { .. } => Self::Invalid(error.to_string()),
        }
    }
}
