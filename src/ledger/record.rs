//! Stored formats: one version byte, the length of a JSON header, the header, then a raw body where there is one.
//!
//! Promises: self-describing (unknown fields are ignored, new ones have defaults), so that an older and a newer relay
//! of one format read each other's files; any bytes give a value or [`Unreadable`], never a panic; plain bytes are wiped on drop.
//! Never: an unsealed value on its way to disk (the store seals what this makes).

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Time;
use crate::event::{Event, Refusal, Role, SubjectRecord};
use crate::id::{Category, DeliverySeq, EventKey, KeyedHash, NotificationId, OrgId, RuleId, SourceId};

use super::standing::Standing;
use super::{Delivery, EventRecord, FindBy, Notification, OutcomeRecord, Quarantined, TimelineEntry, key};

/// The one version so far.
const VERSION: u8 = 1;

/// A stored value that does not open or does not parse. Names no value.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0}")]
    Sealed(#[from] crate::seal::OpenError),
    #[error("record version {0} is not known")]
    Version(u8),
    #[error("record is cut short")]
    Short,
    // The parser's own text may quote the value it stumbled over; line and column do not.
    #[error("record does not parse at line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("record's event does not parse")]
    Event,
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

/// Plain bytes of a record, wiped on drop.
pub(super) type Plain = Zeroizing<Vec<u8>>;

fn frame(header: &impl Serialize, body: &[u8]) -> Plain {
    // One allocation: growing would leave unwiped copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(2048 + body.len()));
    plain.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    serde_json::to_writer(&mut *plain, header).expect("headers are plain structs with text keys, written to memory");
    let length = u32::try_from(plain.len() - 5).expect("headers are far below 4 GiB");
    plain[1..5].copy_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(body);
    plain
}

fn unframe<T: DeserializeOwned>(plain: &[u8]) -> Result<(T, &[u8]), Unreadable> {
    let (version, rest) = plain.split_first().ok_or(Unreadable::Short)?;
    if *version != VERSION {
        return Err(Unreadable::Version(*version));
    }
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(Unreadable::Short)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Unreadable::Short)?;
    let (header, body) = rest.split_at_checked(length).ok_or(Unreadable::Short)?;
    Ok((serde_json::from_slice(header)?, body))
}

#[derive(Serialize, Deserialize)]
struct DeliveryHeader {
    source: SourceId,
    received_at: Time,
    /// Only in quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
}

pub(super) fn delivery(delivery: &Delivery) -> Plain {
    let header = DeliveryHeader { source: delivery.source.clone(), received_at: delivery.received_at, refusal: None };
    frame(&header, &delivery.body)
}

pub(super) fn read_delivery(plain: &[u8]) -> Result<Delivery, Unreadable> {
    let (header, body) = unframe::<DeliveryHeader>(plain)?;
    Ok(Delivery { source: header.source, received_at: header.received_at, body: Bytes::copy_from_slice(body) })
}

pub(super) fn quarantined(q: &Quarantined) -> Plain {
    let header = DeliveryHeader {
        source: q.delivery.source.clone(),
        received_at: q.delivery.received_at,
        refusal: Some(q.refusal.clone()),
    };
    frame(&header, &q.delivery.body)
}

pub(super) fn read_quarantined(seq: DeliverySeq, plain: &[u8]) -> Result<Quarantined, Unreadable> {
    let (header, body) = unframe::<DeliveryHeader>(plain)?;
    let refusal = header.refusal.ok_or(Unreadable::Short)?;
    let body = Bytes::copy_from_slice(body);
    Ok(Quarantined {
        seq,
        delivery: Delivery { source: header.source, received_at: header.received_at, body },
        refusal,
    })
}

/// The search keys of an event, kept with it so that retention can take them out again.
pub(super) type Searches = Vec<(FindBy, KeyedHash)>;

#[derive(Serialize)]
struct NewEvent<'a> {
    source: &'a SourceId,
    received_at: Time,
    find: Vec<(u8, KeyedHash)>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    lines: &'a [TimelineEntry],
}

/// What most readers ask for: the first lines are passed over.
#[derive(Deserialize)]
struct EventHeader {
    source: SourceId,
    received_at: Time,
    #[serde(default)]
    find: Vec<(u8, KeyedHash)>,
}

#[derive(Deserialize)]
struct FirstLines {
    #[serde(default)]
    lines: Vec<TimelineEntry>,
}

/// An event, its search keys, and the lines of its timeline that were written with it.
pub(super) fn event(record: &EventRecord, find: &Searches, lines: &[TimelineEntry]) -> Plain {
    let header = NewEvent {
        source: &record.source,
        received_at: record.received_at,
        find: find.iter().map(|(by, hash)| (key::find_code(*by), *hash)).collect(),
        lines,
    };
    frame(&header, &Zeroizing::new(record.event.to_record()))
}

pub(super) fn read_event(plain: &[u8]) -> Result<(EventRecord, Searches), Unreadable> {
    let (header, body) = unframe::<EventHeader>(plain)?;
    let event = Event::from_record(body).map_err(|_| Unreadable::Event)?;
    let find = header.find.into_iter().filter_map(|(code, hash)| Some((key::find_by(code)?, hash))).collect();
    Ok((EventRecord { event, source: header.source, received_at: header.received_at }, find))
}

/// The first lines of an event's timeline.
pub(super) fn read_first_lines(plain: &[u8]) -> Result<Vec<TimelineEntry>, Unreadable> {
    Ok(unframe::<FirstLines>(plain)?.0.lines)
}

#[derive(Serialize, Deserialize)]
struct NotificationHeader {
    id: NotificationId,
    event: EventKey,
    event_name: String,
    org: OrgId,
    rule: RuleId,
    template_version: String,
    category: Category,
    subject: SubjectRecord,
    role: Role,
    #[serde(default)]
    items: Vec<String>,
    event_at: Time,
    planned_at: Time,
    not_before: Time,
    contact_deadline: Time,
    expires_at: Time,
    live_from: Time,
    /// As it was planned to stand.
    #[serde(flatten)]
    standing: Standing,
}

pub(super) fn notification(n: &Notification) -> Plain {
    let header = NotificationHeader {
        id: n.id,
        event: n.event,
        event_name: n.event_name.clone(),
        org: n.org,
        rule: n.rule.clone(),
        template_version: n.template_version.clone(),
        category: n.category,
        subject: SubjectRecord::from(&n.subject),
        role: n.role,
        items: n.items.clone(),
        event_at: n.event_at,
        planned_at: n.planned_at,
        not_before: n.not_before,
        contact_deadline: n.contact_deadline,
        expires_at: n.expires_at,
        live_from: n.live_from,
        standing: Standing::of(n),
    };
    frame(&header, &[])
}

pub(super) fn read_notification(plain: &[u8]) -> Result<Notification, Unreadable> {
    let (n, _) = unframe::<NotificationHeader>(plain)?;
    let Standing { channels, attempts, attempts_before, brake_released, refused_by, freed_by, sent_as, state } =
        n.standing;
    Ok(Notification {
        id: n.id,
        event: n.event,
        event_name: n.event_name,
        org: n.org,
        rule: n.rule,
        template_version: n.template_version,
        category: n.category,
        subject: n.subject.into(),
        role: n.role,
        channels,
        items: n.items,
        event_at: n.event_at,
        planned_at: n.planned_at,
        not_before: n.not_before,
        contact_deadline: n.contact_deadline,
        expires_at: n.expires_at,
        live_from: n.live_from,
        attempts,
        attempts_before,
        brake_released,
        refused_by,
        freed_by,
        sent_as,
        state,
    })
}

pub(super) fn standing(standing: &Standing) -> Plain {
    frame(standing, &[])
}
pub(super) fn read_standing(plain: &[u8]) -> Result<Standing, Unreadable> {
    Ok(unframe(plain)?.0)
}

/// The lines that one batch adds to the timeline of an event that is stored already.
pub(super) fn timeline(entries: &[TimelineEntry]) -> Plain {
    match entries {
        [entry] => frame(entry, &[]),
        entries => frame(&entries, &[]),
    }
}
pub(super) fn read_timeline(plain: &[u8]) -> Result<Vec<TimelineEntry>, Unreadable> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lines {
        Several(Vec<TimelineEntry>),
        One(TimelineEntry),
    }
    Ok(match unframe(plain)?.0 {
        Lines::Several(entries) => entries,
        Lines::One(entry) => vec![entry],
    })
}

pub(super) fn outcome(outcome: &OutcomeRecord) -> Plain {
    frame(outcome, &[])
}
pub(super) fn read_outcome(plain: &[u8]) -> Result<OutcomeRecord, Unreadable> {
    Ok(unframe(plain)?.0)
}

/// Meta values: the cursor, numbers, run-time state.
pub(super) fn value(value: &impl Serialize) -> Plain {
    frame(value, &[])
}
pub(super) fn read_value<T: DeserializeOwned>(plain: &[u8]) -> Result<T, Unreadable> {
    Ok(unframe(plain)?.0)
}
