//! The daily file: yesterday's outcomes of each org, in a directory where others fetch it.
//!
//! Promises: each org's day is written once, when it is over there, and also after a stop that lasted over midnight; how far it came is
//! in the ledger, so that a file that was fetched and removed does not come back, unless a clock that was days ahead wrote it; a file is whole or not there; files older than
//! `feed.keep` are removed, and no other.
//! Never: a person, unless `feed.unreachable` asks for the list of those who could not be reached; that list is audited, and its file is
//! the owner's alone.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::civil::Date;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Time};
use crate::config::{Config, DailyFeed};
use crate::failpoint::{self, Point};
use crate::id::OrgId;
use crate::ledger::{Changes, Ledger};

use super::day::last_complete;
use super::outcomes::{COLUMNS, Row, outcomes};
use super::table::{Format, table, write_atomically};
use super::{Days, FeedError, unreachable};

/// Between two looks at the clock.
const LOOK: Duration = Duration::from_secs(60);
/// Days that are made up for after a long stop.
const MOST_DAYS: i64 = 31;
/// Where the ledger has the last day of each org.
const STATE: &str = "feed.daily";
/// Others of the group may fetch it.
const MODE: u32 = 0o640;
/// A list of people is nobody else's.
const OWNER_ONLY: u32 = 0o600;

/// The door that lists people, and puts that into the audit.
pub type People = Arc<dyn Fn(Days) -> BoxFuture<'static, Result<Vec<Value>, String>> + Send + Sync>;

/// What writes the daily files. Cheap to clone.
#[derive(Clone)]
pub struct Daily {
    /// Where outcomes are.
    pub ledger: Ledger,
    /// Orgs, and where files go.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Clock,
    /// Who could not be reached, if `feed.unreachable` asks for it.
    pub people: People,
}

impl Daily {
    /// Writes what is due until `stop`; does nothing if no directory is configured.
    pub async fn run(self, stop: CancellationToken) {
        let Some(daily) = self.config.feed.daily.clone() else { return };
        loop {
            if let Err(error) = self.catch_up(&daily).await {
                tracing::error!(%error, "the daily file could not be written; it is tried again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(LOOK) => {}
            }
        }
    }

    /// Writes every day that is over and was not written yet.
    async fn catch_up(&self, daily: &DailyFeed) -> Result<(), FeedError> {
        let now = self.clock.now();
        let mut done = self.done()?;
        if self.come_back(daily, now, &mut done) {
            self.note(&done).await?;
        }
        for (date, orgs) in self.due(daily, now, &done) {
            self.write(daily, date, &orgs).await?;
            failpoint::at(Point::DailyBeforeNote);
            done.extend(orgs.into_iter().map(|org| (org, date)));
            self.note(&done).await?;
            remove_old(&daily.dir, date, daily.keep);
        }
        Ok(())
    }

    /// A day that is not even over yet was written by a clock that was ahead: it and those before it are written when they are over. True
    /// if there are such. Not for a day or so, which an hour, a new zone or a new `feed.at` make of it too.
    fn come_back(&self, daily: &DailyFeed, now: Time, done: &mut BTreeMap<OrgId, Date>) -> bool {
        let mut came_back = false;
        for (id, org) in &self.config.orgs {
            let Some(last) = last_complete(now, daily.at, &org.time_zone) else { continue };
            let Some(done) = done.get_mut(id).filter(|done| last.tomorrow().is_ok_and(|next| **done > next)) else {
                continue;
            };
            tracing::warn!(org.id = %id, day = %done, "daily files were written for days to come, by a clock that was ahead; they are written again when they are over");
            *done = last;
            came_back = true;
        }
        came_back
    }

    /// The days to write, oldest first, each with the orgs for which it is over.
    fn due(&self, daily: &DailyFeed, now: Time, done: &BTreeMap<OrgId, Date>) -> BTreeMap<Date, Vec<OrgId>> {
        let mut due: BTreeMap<Date, Vec<OrgId>> = BTreeMap::new();
        for (id, org) in &self.config.orgs {
            let Some(last) = last_complete(now, daily.at, &org.time_zone) else { continue };
            let oldest = last.checked_sub(jiff::Span::new().days(MOST_DAYS - 1)).unwrap_or(last);
            // An org that is new here has no past to make up for.
            let first = done.get(id).map_or(Some(last), |done| done.tomorrow().ok());
            for date in first.map(|first| first.max(oldest)).into_iter().flat_map(|first| dates(first, last)) {
                due.entry(date).or_default().push(*id);
            }
        }
        due
    }

    async fn write(&self, daily: &DailyFeed, date: Date, orgs: &[OrgId]) -> Result<(), FeedError> {
        let some = orgs.iter().filter_map(|id| Some((*id, self.config.orgs.get(id)?)));
        let mut of_orgs: BTreeMap<OrgId, Vec<Row>> = orgs.iter().map(|org| (*org, Vec::new())).collect();
        let days = Days::of_some(date, some);
        for row in outcomes(&self.ledger, &days).await? {
            of_orgs.entry(row.org).or_default().push(row);
        }
        if daily.unreachable {
            self.write_people(daily, days, orgs).await?;
        }
        for (org, rows) in of_orgs {
            let path = daily.dir.join(name("outcomes", org, date, daily.format));
            let rows: Vec<Value> = rows.iter().filter_map(|row| serde_json::to_value(row).ok()).collect();
            let text = table(COLUMNS, &rows, daily.format);
            put(&path, text, MODE).await?;
            tracing::info!(org.id = %org, day = %date, rows = rows.len(), "daily file written");
        }
        Ok(())
    }

    async fn write_people(&self, daily: &DailyFeed, days: Days, orgs: &[OrgId]) -> Result<(), FeedError> {
        let date = days.date;
        let rows = (self.people)(days).await.map_err(FeedError::People)?;
        for org in orgs {
            let own: Vec<Value> = rows.iter().filter(|row| row["org"] == org.0).cloned().collect();
            let path = daily.dir.join(name("unreachable", *org, date, daily.format));
            put(&path, table(unreachable::COLUMNS, &own, daily.format), OWNER_ONLY).await?;
        }
        Ok(())
    }

    fn done(&self) -> Result<BTreeMap<OrgId, Date>, FeedError> {
        let state = self.ledger.state(STATE)?.unwrap_or_default();
        let read = |(org, date): (&String, &Value)| Some((OrgId(org.parse().ok()?), date.as_str()?.parse().ok()?));
        Ok(state.as_object().map(|days| days.iter().filter_map(read).collect()).unwrap_or_default())
    }

    async fn note(&self, done: &BTreeMap<OrgId, Date>) -> Result<(), FeedError> {
        let days: serde_json::Map<_, _> =
            done.iter().map(|(org, date)| (org.0.to_string(), date.to_string().into())).collect();
        let mut changes = Changes::new();
        changes.set_state(STATE, Value::Object(days));
        Ok(self.ledger.commit(changes).await?)
    }
}

/// All dates from one to another, both included.
fn dates(first: Date, last: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(move |date| *date <= last)
}

/// `outcomes-41007-2026-11-22.csv`
fn name(what: &str, org: OrgId, date: Date, format: Format) -> String {
    format!("{what}-{org}-{date}.{}", format.as_str())
}

/// The date in the name of a file of ours.
fn date_of(name: &str) -> Option<Date> {
    let (stem, end) = name.rsplit_once('.')?;
    Format::of(end)?;
    let rest = stem.strip_prefix("outcomes-").or_else(|| stem.strip_prefix("unreachable-"))?;
    let (org, date) = rest.split_once('-')?;
    org.parse::<i64>().ok()?;
    date.parse().ok()
}

async fn put(path: &Path, text: String, mode: u32) -> Result<(), FeedError> {
    let place = path.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        let dir = place.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
        write_atomically(&place, &text, mode)
    });
    let written = written.await.unwrap_or_else(|_| Err(std::io::Error::other("the writer stopped")));
    written.map_err(|error| FeedError::File { path: path.display().to_string(), kind: error.kind() })
}

/// A file that cannot be removed is tried again tomorrow: it keeps nothing from being written.
fn remove_old(dir: &Path, today: Date, keep: Duration) {
    let days = i64::try_from(keep.as_secs() / 86_400).unwrap_or(i64::MAX).min(36_500);
    let Ok(oldest) = today.checked_sub(jiff::Span::new().days(days)) else { return };
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let is_old = entry.file_name().to_str().and_then(date_of).is_some_and(|date| date < oldest);
        if is_old && let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(%error, file = %entry.path().display(), "a daily file is older than feed.keep and cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests;
