//! Reading the log of outcomes, and removing what is old.
//!
//! Promises: pages are bounded by lines; a reader goes on behind a place, and one that fell behind retention is told how many lines are gone
//! by the numbers; the last line stays, so that numbers are never given twice.
//! Never: a scan from the beginning once retention has removed a part of it.

use std::ops::Bound;

use tokio::sync::watch;

use crate::clock::Time;

use super::changes::Prepared;
use super::committer::Command;
use super::key::{self, Space};
use super::store::Direction;
use super::{Ledger, LedgerError, OutcomePlace, OutcomeRecord, SetBack, record};

/// Lines removed in one batch.
const BATCH: usize = 500;

impl Ledger {
    /// The last durable place of the log; changes wake its readers.
    pub fn logged(&self) -> watch::Receiver<OutcomePlace> {
        self.0.shared.logged.subscribe()
    }

    /// The place before everything that was logged at `at` or later.
    pub fn outcomes_before(at: Time) -> OutcomePlace {
        OutcomePlace { time: at.as_millis(), number: 0 }
    }

    /// Where the clock was set back, oldest first.
    pub fn set_backs(&self) -> Result<Vec<SetBack>, LedgerError> {
        Ok(self.0.store()?.get_value(key::SET_BACKS)?.value().unwrap_or_default())
    }

    /// Lines behind `after`, at most `max`, each with its place; those that cannot be read are `None` (reported, to be skipped).
    pub fn outcomes_after(
        &self,
        after: OutcomePlace,
        max: usize,
    ) -> Result<Vec<(OutcomePlace, Option<OutcomeRecord>)>, LedgerError> {
        let mut found = Vec::new();
        if max == 0 {
            return Ok(found);
        }
        self.0.store()?.records(
            Space::Outcomes,
            (Bound::Excluded(key::outcome(after)), Bound::Unbounded),
            |_, plain| record::read_outcome(plain),
            |key, outcome| {
                found.extend(key::read_outcome(key).map(|place| (place, outcome)));
                found.len() < max
            },
        )?;
        Ok(found)
    }

    /// Removes lines that were logged before `before`, at most `max`; returns how many. The last of all stays.
    pub async fn expire_outcomes_before(&self, before: Time, max: usize) -> Result<usize, LedgerError> {
        let mut retention = self.0.retention.lock().await;
        let last = *self.0.shared.logged.borrow();
        let mut removed = 0;
        while removed < max {
            let mut found = Vec::new();
            let from = retention.outcomes_after.map_or(Bound::Unbounded, |place| Bound::Excluded(key::outcome(place)));
            let most = BATCH.min(max - removed);
            let range = (from, Bound::Excluded(key::outcomes_from(before)));
            self.0.store()?.keys(Space::Outcomes, range, Direction::Up, |key| {
                found.extend(key::read_outcome(key).filter(|place| *place != last));
                found.len() < most
            })?;
            let Some(end) = found.last().copied() else { break };
            let mut prepared = Prepared::default();
            found.iter().for_each(|place| prepared.remove(Space::Outcomes, key::outcome(*place)));
            self.0.ask(|reply| Command::Commit(prepared, Some(reply))).await?;
            retention.outcomes_after = Some(end);
            removed += found.len();
            tokio::task::yield_now().await;
        }
        Ok(removed)
    }
}
