//! Reports: what became of a day's messages.
//!
//! Promises: a day is the day of each org; `outcomes` answers figures, bounded by groups and not by messages; `unreachable` is an
//! audited exit.
//! Never: a person in an answer of `outcomes`; a name, a number or an address in one of `unreachable`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::feed::{self, Days, FeedError, Row, Unreachable};
use crate::id::OrgId;

use super::audit::{Action, Entry};
use super::caller::Caller;
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

/// Which day, and who asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DayOfPeople {
    day: String,
    org: Option<OrgId>,
    #[serde(default)]
    by: String,
}

/// People of a day, by their ids.
#[derive(Serialize)]
pub(super) struct Missed {
    day: String,
    #[serde(flatten)]
    list: Unreachable,
}

pub(super) async fn unreachable(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Asked(asked): Asked<DayOfPeople>,
) -> Answer<Missed> {
    let days = desk.days(&asked.day, asked.org)?;
    let list = desk.unreachable(&caller, &asked.by, &days, asked.org).await?;
    Ok(Json(Missed { day: days.date.to_string(), list }))
}

impl Desk {
    /// The list that goes into the daily file: an audited exit, too.
    ///
    /// # Errors
    /// When a store or the audit fails.
    pub async fn unreachable_for_the_file(&self, days: Days) -> Result<Vec<serde_json::Value>, AdminError> {
        let list = self.unreachable(&Caller::of_the_house("daily file"), "relay", &days, None).await?;
        Ok(list.rows)
    }

    async fn unreachable(
        &self,
        caller: &Caller,
        by: &str,
        days: &Days,
        org: Option<OrgId>,
    ) -> Result<Unreachable, AdminError> {
        let entry = Entry::new(Action::UnreachableListed, caller, by).about("day", days.date).about_some("org", org);
        let listing = async {
            let list = feed::unreachable(&self.house.ledger, &self.house.vault, days).await?;
            let count = list.rows.len();
            Ok((list, count))
        };
        self.audited(entry, listing).await
    }

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
            FeedError::Vault(error) => Self::Vault(error),
            FeedError::File { .. } | FeedError::People(_) => Self::Invalid(error.to_string()),
        }
    }
}
