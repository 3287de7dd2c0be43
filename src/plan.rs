//! The planner: journal in, events and notifications out. There is exactly one.
//!
//! Promises: an event is planned at most once, however often it is delivered; aliases are durable in the vault before
//! the batch that uses them is committed; the batch (event, notifications, timeline, cursor) is atomic, so a crash
//! anywhere repeats a delivery and never loses one.
//! Never: a send, a look at a contact, or two planners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Time};
use crate::config::{Config, Org};
use crate::control::Waker;
use crate::event::{self, Alias, Decoded, Event, Nobody, Refusal, Special};
use crate::failpoint::{self, Point};
use crate::id::{DeliverySeq, EventKey, KeyedHasher, Namespace, OrgId, SourceId};
use crate::ledger::{
    Changes, Delivery, EventRecord, FindBy, Happening, Ledger, LedgerError, Quarantined, TimelineEntry,
};
use crate::rules::RuleSet;
use crate::seal::Keyring;
use crate::tasks::{Panicked, contained};
use crate::telemetry::{Metrics, Reason};
use crate::template::TemplateSet;
use crate::vault::{Learned, Vault, VaultError};

mod explain;
mod intent;
mod replay;

pub use explain::{Explained, Question, explain};
pub use replay::{Counts, Difference, EXAMPLES, Replay};

/// Deliveries planned in one atomic batch.
const BATCH: usize = 128;

/// What the planner works with; everything is shared with the rest of the house.
#[derive(Clone)]
pub struct Planner {
    /// Journal, events, queue.
    pub ledger: Ledger,
    /// Where aliases go.
    pub vault: Vault,
    /// Which events lead to what.
    pub rules: Arc<RuleSet>,
    /// Versions and categories.
    pub templates: Arc<TemplateSet>,
    /// Keyed hashes.
    pub keys: Keyring,
    /// Orgs, sources, defaults of rules.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
}

/// Planning cannot go on; the process should be restarted, nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The ledger failed.
    #[error("planner stopped: {0}")]
    Ledger(#[from] LedgerError),
    /// The vault failed.
    #[error("planner stopped: {0}")]
    Vault(#[from] VaultError),
}

/// What one delivery, or one batch of them, comes to before it is committed.
#[derive(Default)]
struct Draft {
    changes: Changes,
    seen: BTreeSet<EventKey>,
    woken: Vec<Alias>,
    vault_dirty: bool,
}

impl Draft {
    fn take_in(&mut self, one: Self) {
        self.changes.append(one.changes);
        self.seen.extend(one.seen);
        self.woken.extend(one.woken);
        self.vault_dirty |= one.vault_dirty;
    }
}

impl Planner {
    /// Plans until `stop`, then returns after the batch in hand.
    ///
    /// # Errors
    /// When a store fails for good; the journal keeps what was not planned.
    pub async fn run(self, stop: CancellationToken) -> Result<(), PlanError> {
        // Registered before the first look: an append between look and wait must wake us.
        let mut head = self.ledger.journal_head();
        let waker = Waker::new(self.ledger.clone(), self.clock.clone());
        loop {
            head.borrow_and_update();
            while self.plan_next(&waker).await? {
                if stop.is_cancelled() {
                    return Ok(());
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = head.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }

    /// Plans one batch; false when the journal is empty.
    async fn plan_next(&self, waker: &Waker) -> Result<bool, PlanError> {
        let cursor = self.ledger.cursor();
        let deliveries = self.ledger.journal_after(cursor, BATCH)?;
        let Some(last) = deliveries.last().map(|(seq, _)| *seq) else {
            return Ok(false);
        };
        let mut draft = Draft::default();
        for (seq, delivery) in deliveries {
            match delivery {
                Some(delivery) => self.plan_contained(seq, delivery, &mut draft)?,
                None => tracing::error!(delivery.seq = %seq, "journal record cannot be read; skipped"),
            }
            // A batch takes tens of milliseconds, and an acknowledgement may wait behind it on the same thread.
            tokio::task::yield_now().await;
        }
        draft.changes.advance(DeliverySeq(cursor.0 + 1), last);
        // The order is the promise: what the notifications will be joined by is durable before they are.
        if draft.vault_dirty {
            failpoint::at(Point::PlanBeforeVaultSync);
            self.vault.sync().await?;
        }
        failpoint::at(Point::PlanBeforeCommit);
        self.commit(draft.changes).await?;
        failpoint::at(Point::PlanAfterCommit);
        self.metrics.journal_backlog.set(i64::try_from(self.backlog()).unwrap_or(i64::MAX));
        for alias in draft.woken {
            waker.wake(alias.hash).await?;
        }
        Ok(true)
    }

    /// A stuck commit may still become durable; planning again after it is safe because events are de-duplicated,
    /// but only once the store answers.
    async fn commit(&self, changes: Changes) -> Result<(), PlanError> {
        Ok(self.ledger.commit(changes).await?)
    }

    fn backlog(&self) -> u64 {
        self.ledger.journal_head().borrow().0.saturating_sub(self.ledger.cursor().0)
    }

    /// One delivery that the relay stumbles over must not stop those behind it: it is set aside, and of what was
    /// collected for it nothing is kept.
    fn plan_contained(&self, seq: DeliverySeq, delivery: Delivery, batch: &mut Draft) -> Result<(), PlanError> {
        let again = delivery.clone();
        let mut one = Draft::default();
        match contained("plan", || self.plan_one(seq, delivery, &batch.seen, &mut one)) {
            Ok(planned) => {
                planned?;
                batch.take_in(one);
            }
            Err(Panicked) => {
                // What it taught the vault before it stumbled stays there, and whoever waits for that would not hear of it again.
                batch.vault_dirty = true;
                batch.woken.append(&mut one.woken);
                self.set_aside(seq, again, Refusal::Stumbled, batch);
            }
        }
        Ok(())
    }

    fn set_aside(&self, seq: DeliverySeq, delivery: Delivery, refusal: Refusal, draft: &mut Draft) {
        self.metrics.quarantined.get_or_create(&Reason { reason: refusal.reason() }).inc();
        tracing::warn!(delivery.seq = %seq, source = %delivery.source, reason = refusal.reason(),
            "delivery quarantined; see `sealpost quarantine show {seq}`");
        draft.changes.quarantine(Quarantined { seq, delivery, refusal });
    }

    /// `before`: events of this batch that are planned already.
    fn plan_one(
        &self,
        seq: DeliverySeq,
        delivery: Delivery,
        before: &BTreeSet<EventKey>,
        draft: &mut Draft,
    ) -> Result<(), PlanError> {
        let only_org = self.only_org(&delivery.source);
        let namespace_of = |org: OrgId| self.namespace(if org.0 == 0 { only_org.unwrap_or(org) } else { org });
        let Decoded { mut event, stripped } = match event::decode(&delivery.body, &self.keys, &namespace_of) {
            Ok(decoded) => decoded,
            Err(refusal) => {
                self.set_aside(seq, delivery, refusal, draft);
                return Ok(());
            }
        };
        // Workflow events carry org 0 (capillary/reference.md 3, `requestWorkflowEvent`); a source of one org says which it is.
        if event.org.0 == 0 {
            event.org = only_org.unwrap_or(event.org);
        }
        self.count_personal_values(&delivery.source, &stripped);
        // From every copy, before de-duplication: two webhooks may enrich the same event differently.
        let linked = self.learn(&event, delivery.received_at, draft)?;
        let is_duplicate = before.contains(&event.key) || self.ledger.has_event(event.key)?;
        if is_duplicate {
            self.count("duplicate");
            draft.changes.add_copy(event.key, delivery.source, delivery.received_at);
            return Ok(());
        }
        draft.seen.insert(event.key);
        self.plan_event(event, delivery, linked, stripped.values().sum(), draft);
        Ok(())
    }

    fn plan_event(&self, event: Event, delivery: Delivery, linked: usize, stripped: u64, draft: &mut Draft) {
        let now = self.clock.now();
        let key = event.key;
        let mut note = |at: Time, what: Happening| {
            draft.changes.add_timeline(key, TimelineEntry { at, notification: None, what });
        };
        note(delivery.received_at, Happening::Received { source: delivery.source.clone() });
        if stripped > 0 {
            note(now, Happening::PersonalValuesStripped { count: stripped });
        }
        if linked > 0 {
            note(now, Happening::AliasesLearned { linked });
        }
        if let Some(Special::Deleted { .. }) = event.special() {
            tracing::warn!(event.key = %key, "Capillary reports a deleted customer; erase them with `sealpost vault delete`");
            note(now, Happening::ErasureRequested);
        }
        let notifications = match sender_org(&self.config, &event, Some(&delivery.source)) {
            Err(why) => {
                note(now, Happening::NoRecipient { why });
                Vec::new()
            }
            Ok(org) => self.intents(&event, org, now, &mut note),
        };
        self.count(if notifications.is_empty() { "no_notification" } else { "planned" });
        let find = self.search_keys(&event);
        for (notification, planned) in notifications {
            let at = now;
            draft.changes.add_timeline(key, TimelineEntry { at, notification: Some(notification.id), what: planned });
            draft.changes.add_notification(notification);
        }
        draft
            .changes
            .add_event(EventRecord { event, source: delivery.source, received_at: delivery.received_at }, find);
    }

    fn learn(&self, event: &Event, received_at: Time, draft: &mut Draft) -> Result<usize, PlanError> {
        // A sender's clock that is ahead must not win over every later fact.
        let at = event.created_at.min(received_at);
        let namespace = self.namespace(event.org);
        let mut linked = 0;
        for person in event.learnable() {
            let learned = self.vault.learn(&namespace, &person.subject, at);
            linked += self.note_learned(event, learned, draft)?;
        }
        if let Some(Special::Merge { survivor, victim }) = event.special() {
            let learned = self.vault.merge(&namespace, survivor, victim, at);
            linked += self.note_learned(event, learned, draft)?;
        }
        Ok(linked)
    }

    /// How many were linked. A record that cannot be read costs what this event teaches of one person, and no more.
    fn note_learned(
        &self,
        event: &Event,
        learned: Result<Learned, VaultError>,
        draft: &mut Draft,
    ) -> Result<usize, PlanError> {
        let learned = match learned {
            Ok(learned) => learned,
            Err(error) if error.is_unreadable() => {
                self.metrics.corrupt_records.get_or_create(&Reason { reason: "vault" }).inc();
                tracing::error!(event.key = %event.key, %error, "what the vault has of a person cannot be read; nothing is learned");
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        draft.vault_dirty |= learned.dirty;
        draft.woken.extend(learned.woken);
        if learned.conflicts > 0 {
            self.metrics.alias_conflicts.inc_by(learned.conflicts as u64);
        }
        Ok(learned.linked)
    }

    fn search_keys(&self, event: &Event) -> Vec<(FindBy, crate::id::KeyedHash)> {
        let of = |by, value: &str| (by, self.ledger.find_hash(by, value));
        event
            .search_values()
            .iter()
            .map(|(kind, value)| match kind {
                event::SearchKind::BillNumber => of(FindBy::BillNumber, value),
                event::SearchKind::CouponCode => of(FindBy::CouponCode, value),
            })
            .collect()
    }

    fn namespace(&self, org: OrgId) -> Namespace {
        match self.config.orgs.get(&org) {
            Some(org) => org.namespace.clone(),
            // People of an unknown org must never meet those of a known one.
            None => format!("org-{}", org.0.unsigned_abs()).parse().expect("digits are a valid namespace"),
        }
    }

    fn only_org(&self, source: &SourceId) -> Option<OrgId> {
        match self.config.sources.get(source).map(|s| s.orgs.as_slice()) {
            Some([only]) => Some(*only),
            Some([]) if self.config.orgs.len() == 1 => self.config.orgs.keys().next().copied(),
            _ => None,
        }
    }

    fn count(&self, reason: &'static str) {
        self.metrics.events.get_or_create(&Reason { reason }).inc();
    }

    fn count_personal_values(&self, source: &SourceId, stripped: &BTreeMap<String, u64>) {
        for (path, count) in stripped {
            self.metrics.count_personal_values(source.as_str(), path, *count);
        }
    }

    fn hasher(&self) -> &dyn KeyedHasher {
        &self.keys
    }
}

/// The brand that may send for this event, or why none may. Without a source, its permission is taken for granted.
fn sender_org<'c>(config: &'c Config, event: &Event, source: Option<&SourceId>) -> Result<&'c Org, String> {
    if let Some(nobody) = event.nobody {
        return Err(match nobody {
            Nobody::Group => "the event is about a group and names no customer",
            Nobody::Definition => "the event is about a definition, not a person",
            Nobody::Unnamed => "the event names nobody",
        }
        .into());
    }
    let source = source.and_then(|name| Some((name, config.sources.get(name)?)));
    if let Some((name, _)) = source.filter(|(_, s)| !s.orgs.is_empty() && !s.orgs.contains(&event.org)) {
        return Err(format!("org {} is not allowed for source {name}", event.org));
    }
    config.orgs.get(&event.org).ok_or_else(|| format!("org {} is not configured", event.org))
}
