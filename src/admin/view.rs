//! What the admin API shows of the ledger's records.
//!
//! Promises: ids, names, codes, times and counts. Raw customer ids stay in the sealed records.
//! Never: a field of a `Subject` but its kinds; a reference id, which Capillary often makes of the customer's id: it is searched by, not shown.

use serde::Serialize;

use crate::clock::Time;
use crate::event::{Role, Shape};
use crate::id::{Category, Channel, EventKey, NotificationId, OrgId, RuleId, SourceId};
use crate::ledger::{EventRecord, Notification, State, TimelineEntry};

/// An event as support sees it.
#[derive(Serialize)]
pub(super) struct EventView {
    key: EventKey,
    name: String,
    event_id: Option<String>,
    request_id: Option<String>,
    org: OrgId,
    source: SourceId,
    shape: Shape,
    people: Vec<Role>,
    #[serde(serialize_with = "as_text")]
    created_at: Time,
    #[serde(serialize_with = "as_text")]
    received_at: Time,
}

impl From<&EventRecord> for EventView {
    fn from(record: &EventRecord) -> Self {
        let event = &record.event;
        Self {
            key: event.key,
            name: event.name.clone(),
            event_id: event.event_id.clone(),
            request_id: event.request_id.clone(),
            org: event.org,
            source: record.source.clone(),
            shape: event.shape,
            people: event.people.iter().map(|person| person.role).collect(),
            created_at: event.created_at,
            received_at: record.received_at,
        }
    }
}

/// A notification as support sees it.
#[derive(Serialize)]
pub(super) struct NotificationView {
    id: NotificationId,
    event: EventKey,
    event_name: String,
    org: OrgId,
    rule: RuleId,
    category: Category,
    role: Role,
    channels: Vec<Channel>,
    items: usize,
    attempts: u32,
    #[serde(flatten)]
    state: State,
    #[serde(serialize_with = "as_text")]
    planned_at: Time,
    #[serde(serialize_with = "as_text")]
    expires_at: Time,
}

impl From<&Notification> for NotificationView {
    fn from(n: &Notification) -> Self {
        Self {
            id: n.id,
            event: n.event,
            event_name: n.event_name.clone(),
            org: n.org,
            rule: n.rule.clone(),
            category: n.category,
            role: n.role,
            channels: n.channels.clone(),
            items: n.items.len(),
            attempts: n.attempts,
            state: n.state.clone(),
            planned_at: n.planned_at,
            expires_at: n.expires_at,
        }
    }
}

/// Everything that happened to one event and its notifications, on one screen.
#[derive(Serialize)]
pub(super) struct TimelineView {
    pub(super) event: EventView,
    pub(super) timeline: Vec<LineView>,
    pub(super) notifications: Vec<NotificationView>,
}

/// One line of a timeline.
#[derive(Serialize)]
pub(super) struct LineView {
    #[serde(serialize_with = "as_text")]
    time: Time,
    #[serde(flatten)]
    entry: TimelineEntry,
}

impl From<TimelineEntry> for LineView {
    fn from(entry: TimelineEntry) -> Self {
        Self { time: entry.at, entry }
    }
}

/// RFC 3339, for people; the stored form is milliseconds.
pub(super) fn as_text<S: serde::Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}
