//! Tests of the ledger as a whole, over real files. Never a sleep: time is in the arguments.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::clock::{Clock, Time};
use crate::event::{Alias, AliasKind, Event, Person, Role, Shape, Subject};
use crate::id::{Category, Channel, EventKey, KeyedHash, NotificationId, OrgId, RuleId};
use crate::personal::Personal;
use crate::policy::WaitReason;
use crate::seal::Keyring;
use crate::telemetry::Metrics;

use super::*;

mod events;
mod faults;
mod journal;
mod model;
mod outcomes;
mod queue;
mod standing;

/// A made-up person, never to be seen on disk.
const CANARY: &str = "canary-7f3a";

struct House {
    dir: tempfile::TempDir,
    keys: Keyring,
    metrics: Metrics,
    options: LedgerOptions,
}

impl House {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            keys: Keyring::generate(),
            metrics: Metrics::new(),
            options: LedgerOptions {
                cache_bytes: 1 << 20,
                stuck_after: Duration::from_secs(20),
                places_in_memory: 1000,
            },
        }
    }
    fn path(&self) -> &Path {
        self.dir.path()
    }
    fn try_open(&self) -> Result<Ledger, LedgerError> {
        let clock = Clock::manual(at(0));
        Ledger::open(self.path(), &self.keys, clock, self.metrics.clone(), self.options.clone())
    }
    fn open(&self) -> Ledger {
        self.try_open().unwrap()
    }
}

fn at(millis: i64) -> Time {
    Time::from_millis(millis)
}
fn event_key(n: u8) -> EventKey {
    EventKey(KeyedHash([n; 16]))
}
fn alias(n: u8) -> KeyedHash {
    KeyedHash([n ^ 0x80; 16])
}
fn id(n: u8) -> NotificationId {
    NotificationId::new(at(1_000), KeyedHash([n; 16]))
}

fn subject(n: u8) -> Subject {
    Subject {
        aliases: vec![Alias { kind: AliasKind::CustomerId, hash: alias(n) }],
        customer_id: Some(Personal::new(format!("{CANARY}-id-{n}"))),
        external_id: None,
    }
}

fn delivery(body: &str) -> Delivery {
    Delivery { source: "main".parse().unwrap(), received_at: at(5), body: body.to_owned().into() }
}

fn event(n: u8, received_at: i64) -> EventRecord {
    let person = Person { role: Role::Customer, subject: subject(n), place: "data".into(), is_default: true };
    let event = Event {
        key: event_key(n),
        name: "pointsIssued".into(),
        event_id: Some(format!("event-{n}")),
        org: OrgId(7),
        request_id: Some("request".into()),
        ref_id: None,
        created_at: at(1_000),
        shape: Shape::Flat,
        data: json!({"note": format!("{CANARY}-data")}),
        people: vec![person],
        nobody: None,
    };
    EventRecord { event, source: "main".parse().unwrap(), received_at: at(received_at) }
}

fn waiting(reason: WaitReason, due: i64) -> State {
    State::Waiting { reason, due_at: at(due) }
}
fn attempting() -> State {
    State::Attempting { channel: Channel::Email, provider: "smtp".parse().unwrap(), since: at(1) }
}
fn sent() -> State {
    State::Sent { channel: Channel::Email, provider: "smtp".parse().unwrap(), at: at(2), provider_ref: None }
}

/// Notification `n` of event `n`.
fn notification(n: u8, state: State) -> Notification {
    Notification {
        id: id(n),
        event: event_key(n),
        event_name: "pointsIssued".into(),
        org: OrgId(7),
        rule: RuleId { template: "points".parse().unwrap(), index: 0 },
        template_version: "0123456789abcdef".into(),
        category: Category::Transactional,
        subject: subject(n),
        role: Role::Customer,
        channels: vec![Channel::Email, Channel::Sms],
        items: vec!["data.coupons.3".into()],
        event_at: at(1_000),
        planned_at: at(1_001),
        not_before: at(1_002),
        contact_deadline: at(1_003),
        expires_at: at(1_004),
        live_from: at(0),
        attempts: 2,
        attempts_before: 0,
        brake_released: false,
        refused_by: None,
        freed_by: None,
        sent_as: None,
        state,
    }
}

fn with_state(n: &Notification, state: State) -> Notification {
    Notification { state, ..n.clone() }
}

async fn add(ledger: &Ledger, n: Notification) {
    let mut changes = Changes::new();
    changes.add_notification(n);
    ledger.commit(changes).await.unwrap();
}

async fn update(ledger: &Ledger, leased: &Leased, state: State) {
    let mut changes = Changes::new();
    changes.update_notification(&leased.notification, with_state(&leased.notification, state));
    ledger.commit(changes).await.unwrap();
}

fn due_ids(ledger: &Ledger, now: i64) -> Vec<NotificationId> {
    ledger.lease_due(at(now), 100).unwrap().iter().map(|leased| leased.notification.id).collect()
}
