//! One question to a directory, and what becomes of the answer.
//!
//! Promises: a question is tried a few times and then given up, for the queue to ask again; of an answer each row stands for itself: a
//! bad one is counted and costs the others nothing; the vault is synced before anybody is woken.
//! Never: a row of somebody who was not asked for, a value of a row in a log.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::asked::Asked;
use crate::clock::{Clock, Time};
use crate::control::Waker;
use crate::event::{Alias, AliasKind, Subject};
use crate::id::{KeyedHash, Namespace};
use crate::ledger::LedgerError;
use crate::personal::Personal;
use crate::provider::Readiness;
use crate::provider::directory::Directory;
use crate::provider::post::NotTaken;
use crate::telemetry::{Metrics, Reason};
use crate::vault::json::ContactJson;
use crate::vault::{NamedAlias, PutHow, PutMode, PutRow, Resolution, Vault, VaultError};

/// Tries of one question, those that find the circuit open not counted.
const TRIES: u32 = 4;
/// Longest wait between two of them.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// People could not be stored or woken; the process should be restarted, nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum LookupFailed {
    /// The vault failed.
    #[error("look-ups stopped: {0}")]
    Vault(#[from] VaultError),
    /// The ledger failed.
    #[error("look-ups stopped: {0}")]
    Ledger(#[from] LedgerError),
}

/// What one directory's questions have in common.
pub(super) struct Asking {
    pub(super) namespace: Namespace,
    pub(super) directory: Directory,
    pub(super) asked: Asked,
    pub(super) keep: Duration,
    pub(super) waker: Waker,
    pub(super) vault: Vault,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
}

/// Somebody to be asked for, by what the directory may know them by.
pub(super) struct Wanted {
    /// Of the message that misses them.
    hash: KeyedHash,
    /// As keyed hashes.
    names: Vec<Alias>,
    ids: Value,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    customers: Vec<&'a RawValue>,
}

/// Whether somebody is missed, and by which ids the directory may know them.
enum Missing {
    No,
    WithoutId,
    By(Value),
}

/// What came of one question.
#[derive(Default)]
struct Tally {
    found: u64,
    refused: u64,
    unasked: u64,
    /// Identifiers that belong to somebody else and stayed theirs.
    conflicts: u64,
}

impl Asking {
    /// Whom to ask for, each once: not those who are known by now, were asked for a moment ago, nor those whom the directory cannot know.
    pub(super) fn people(&self, missed: &[Subject]) -> Result<Vec<Wanted>, VaultError> {
        let mut people = Vec::new();
        for subject in missed {
            let Some(hash) = subject.aliases.first().map(|alias| alias.hash) else { continue };
            // Found since they were missed: whoever put them there wakes those who wait.
            let ids = match self.missing(subject) {
                Ok(Missing::No) => continue,
                Ok(Missing::By(ids)) => ids,
                Ok(Missing::WithoutId) => {
                    self.count("without_id", 1);
                    continue;
                }
                // Told when their message is looked at.
                Err(error) if error.is_unreadable() => continue,
                Err(error) => return Err(error),
            };
            if self.asked.begin(hash, self.clock.now()) {
                people.push(Wanted { hash, names: self.names(&ids), ids });
            }
        }
        Ok(people)
    }

    fn missing(&self, subject: &Subject) -> Result<Missing, VaultError> {
        if matches!(self.vault.resolve(&self.namespace, &subject.aliases, Time::MAX)?, Resolution::Known(_)) {
            return Ok(Missing::No);
        }
        Ok(self.vault.brand_ids(subject)?.map_or(Missing::WithoutId, Missing::By))
    }

    /// Asks and stores. Whoever is not found stays known as asked for, so that others who miss them do not ask again at once.
    pub(super) async fn carry_out(&self, people: Vec<Wanted>) -> Result<(), LookupFailed> {
        let asked: Vec<&Value> = people.iter().map(|wanted| &wanted.ids).collect();
        let body = json!({ "customers": asked }).to_string();
        let Some(answer) = self.ask(&body, people.len()).await else {
            people.iter().for_each(|wanted| self.asked.forget(wanted.hash));
            self.count("failed", people.len() as u64);
            return Ok(());
        };
        let mut tally = Tally::default();
        let Some(rows) = self.rows(&answer, &people, &mut tally) else {
            tracing::error!(vault.namespace = %self.namespace,
                "the directory's answer is not {{\"customers\": […]}}; see docs/lookup.md");
            self.count("failed", people.len() as u64);
            return Ok(());
        };
        drop(answer);
        let names = rows.iter().flat_map(|row| &row.aliases);
        let found: BTreeSet<Alias> = names.map(|named| self.vault.alias(&self.namespace, named)).collect();
        for wanted in people.iter().filter(|wanted| wanted.names.iter().any(|name| found.contains(name))) {
            // Should they be missed again, there is a reason to ask: they were forgotten, or have another name.
            self.asked.forget(wanted.hash);
        }
        self.store(&rows, &mut tally).await?;
        self.tell(&tally, people.len() as u64);
        Ok(())
    }

    /// The answer's body, or nothing if the question is given up.
    async fn ask(&self, body: &str, people: usize) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        let mut tries = 0;
        loop {
            if let Readiness::OpenUntil(until) = self.directory.readiness() {
                // No longer than it is open now: of a clock that is set back it closes at once.
                self.clock.sleep(until.since(self.clock.now())).await;
                continue;
            }
            let NotTaken { code, retry_after } = match self.directory.ask(body.as_bytes().to_vec(), people).await {
                Ok(answer) => return Some(answer),
                Err(refused) if refused.is_refusal() => {
                    tracing::error!(vault.namespace = %self.namespace, reply.code = %refused.code,
                        "the directory refuses to be asked; correct [lookup] or its permission for us");
                    return None;
                }
                Err(failed) => failed,
            };
            tries += 1;
            tracing::warn!(vault.namespace = %self.namespace, tries, reply.code = %code, "the directory did not answer");
            if tries >= TRIES {
                return None;
            }
            let own = Duration::from_secs(1 << tries);
            let wait = own.max(retry_after.unwrap_or_default()).min(LONGEST_WAIT);
            self.clock.sleep(wait.mul_f64(1.0 + fastrand::f64() / 4.0)).await;
        }
    }

    /// The rows that can be stored; nothing if the answer cannot be read at all.
    fn rows(&self, answer: &[u8], people: &[Wanted], tally: &mut Tally) -> Option<Vec<PutRow>> {
        let answer: Answer<'_> = serde_json::from_slice(answer).ok()?;
        let asked: BTreeSet<Alias> = people.iter().flat_map(|wanted| wanted.names.iter().copied()).collect();
        let now = self.clock.now();
        let mut rows = Vec::new();
        for raw in answer.customers {
            let Ok(json) = ContactJson::parse(raw.get().as_bytes()) else {
                tally.refused += 1;
                continue;
            };
            let dated = json.is_dated();
            let Ok((mut contact, aliases)) = json.into_parts(now) else {
                tally.refused += 1;
                continue;
            };
            if !aliases.iter().any(|named| asked.contains(&self.vault.alias(&self.namespace, named))) {
                tally.unasked += 1;
                continue;
            }
            contact.keep_until = Some(now.plus(self.keep));
            rows.push(PutRow { aliases, contact, dated });
        }
        Some(rows)
    }

    async fn store(&self, rows: &[PutRow], tally: &mut Tally) -> Result<(), LookupFailed> {
        let put = self.vault.put_many(&self.namespace, rows, PutHow::Contact(PutMode::Replace))?;
        for end in &put.rows {
            tally.conflicts += end.as_ref().map_or(0, |learned| learned.conflicts as u64);
            match end {
                Ok(learned) if !learned.erased => tally.found += 1,
                Ok(_) => {}
                Err(_) => tally.refused += 1,
            }
        }
        if put.dirty {
            self.vault.sync().await?;
        }
        for alias in put.woken {
            self.waker.wake(alias.hash).await?;
        }
        Ok(())
    }

    fn tell(&self, tally: &Tally, asked: u64) {
        self.count("found", tally.found);
        self.count("not_found", asked.saturating_sub(tally.found));
        self.count("refused", tally.refused);
        self.count("not_asked_for", tally.unasked);
        if tally.conflicts > 0 {
            self.metrics.alias_conflicts.inc_by(tally.conflicts);
            tracing::warn!(vault.namespace = %self.namespace, identifiers = tally.conflicts,
                "the directory gave identifiers that belong to somebody else; they were left where they are");
        }
        if tally.refused + tally.unasked > 0 {
            tracing::warn!(vault.namespace = %self.namespace, rows.refused = tally.refused, rows.not_asked_for = tally.unasked,
                "the directory gave rows that cannot be used; see docs/lookup.md for what a row may have");
        }
    }

    fn names(&self, ids: &Value) -> Vec<Alias> {
        [(AliasKind::ExternalId, "external_id"), (AliasKind::CustomerId, "customer_id")]
            .into_iter()
            .filter_map(|(kind, name)| Some(NamedAlias { kind, value: Personal::new(ids[name].as_str()?) }))
            .map(|named| self.vault.alias(&self.namespace, &named))
            .collect()
    }

    fn count(&self, reason: &'static str, by: u64) {
        self.metrics.lookups.get_or_create(&Reason { reason }).inc_by(by);
    }
}
