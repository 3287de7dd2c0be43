//! What Capillary sends, made plain: envelope, shapes, recipients, and personal values taken out.
//!
//! Promises: pure; any bytes give an [`Event`] or a [`Refusal`], never a panic; after [`decode`] no
//! value of the payload names a person except inside [`Subject`].
//! Never: I/O, a clock, or a guess about what an unknown field means.

mod envelope;
mod fingerprint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod ids;
mod names;
mod people;
mod query;
mod record;
mod strip;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Time;
use crate::id::{EventKey, KeyedHash, KeyedHasher, Namespace, OrgId};
use crate::personal::Personal;

pub use ids::kept_id;
pub use names::is_no_identifier;
pub use query::{SearchKind, Special};
pub use record::{RecordError, SubjectRecord};

/// Deepest nesting that is read. The known payloads need 9 levels; `serde_json` itself stops at 128.
pub const DEPTH_LIMIT: usize = 64;

/// One decoded fact. Serialises as JSON into sealed records (its subjects hold raw ids).
#[derive(Clone)]
pub struct Event {
    /// De-duplication key.
    pub key: EventKey,
    /// Capillary's event name, case-sensitive (`pointsIssued`, `CouponIssue`).
    pub name: String,
    /// Capillary's event id, if it sent one: as [`kept_id`] has it, and so are the two below.
    pub event_id: Option<String>,
    /// The organisation the event is about; 0 in `requestWorkflowEvent`.
    pub org: OrgId,
    /// `apiRequestId`: several events share one.
    pub request_id: Option<String>,
    /// `refId`: opaque.
    pub ref_id: Option<String>,
    /// When Capillary made the event.
    pub created_at: Time,
    /// Which of the four shapes it came in.
    pub shape: Shape,
    /// The payload's `data` without personal values and without identifier objects.
    pub data: Value,
    /// Whom it is about.
    pub people: Vec<Person>,
    /// Why there is nobody, where there is nobody.
    pub nobody: Option<Nobody>,
}

/// The shape of an envelope (capillary/reference.md 2.1, 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named in the reference")]
pub enum Shape {
    Flat,
    Wrapped,
    ApiStyle,
    Capture,
}

/// Which part of an event somebody plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named after Capillary's fields")]
pub enum Role {
    Customer,
    Survivor,
    Victim,
    Sender,
    Receiver,
    PrimaryMember,
    MemberAdded,
    MemberRemoved,
    ContributingMember,
    Requester,
    Actor,
}

/// Somebody in an event.
#[derive(Clone)]
pub struct Person {
    /// The part they play.
    pub role: Role,
    /// Who, by keyed hash and sealed raw id.
    pub subject: Subject,
    /// Where they stand, as a path with positions: `data`, `data.coupons.3`.
    pub place: String,
    /// True if the rule word `default` means them.
    pub is_default: bool,
}

/// What an event says about nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nobody {
    /// The entity is a group without a named customer.
    Group,
    /// The event is about a definition (a reward, a promotion), not about a person.
    Definition,
    /// The event names nobody in any known place.
    Unnamed,
}

/// Kinds of identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named after Capillary's fields")]
pub enum AliasKind {
    CustomerId,
    ExternalId,
    Card,
    CardExternalId,
    Mobile,
    Email,
}

/// One keyed-hash name of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Alias {
    /// What kind of identifier was hashed.
    pub kind: AliasKind,
    /// Keyed hash over namespace, kind and value: see [`alias_hash`].
    pub hash: KeyedHash,
}

/// A person as an event names them: every alias, strongest first, and the raw ids that Capillary's APIs need.
#[derive(Clone, Default)]
pub struct Subject {
    /// Every alias, strongest kind first.
    pub aliases: Vec<Alias>,
    /// Capillary's customer id, raw. Only ever inside sealed records.
    pub customer_id: Option<Personal>,
    /// The brand's own id, raw. Only ever inside sealed records.
    pub external_id: Option<Personal>,
}

/// A delivery that cannot become an event. Holds no payload value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("body is not JSON: line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    #[error("body is JSON but not an object")]
    NotAnObject,
    #[error("no known envelope: expected eventName and data, attributes, or data.eventName")]
    UnknownEnvelope,
    #[error("envelope field `{field}` is missing")]
    Missing { field: String },
    #[error("envelope field `{field}` is not {expected}")]
    WrongType { field: String, expected: String },
    #[error("nested deeper than {limit} levels")]
    TooDeep { limit: usize },
    #[error("the relay stumbled over it; this is a fault of ours: please report it, and re-drive it after an update")]
    Stumbled,
}

impl Refusal {
    /// A bounded word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::UnknownEnvelope => "unknown_envelope",
            Self::Missing { .. } => "missing_field",
            Self::WrongType { .. } => "wrong_type",
            Self::TooDeep { .. } => "too_deep",
            Self::Stumbled => "stumbled",
        }
    }
}

/// What decoding made of a delivery.
pub struct Decoded {
    /// The event, stripped.
    pub event: Event,
    /// How many personal values were taken out, by field path without array positions (`data.firstName`).
    pub stripped: BTreeMap<String, u64>,
}

/// Reads a body of any of the four shapes, finds the people, and takes personal values out.
///
/// `namespace_of` gives the vault namespace of an org; aliases are hashed within it.
pub fn decode(
    body: &[u8],
    hasher: &dyn KeyedHasher,
    namespace_of: &dyn Fn(OrgId) -> Namespace,
) -> Result<Decoded, Refusal> {
    let envelope = envelope::read(body)?;
    if !ids::is_event_name(&envelope.name) {
        return Err(Refusal::WrongType { field: "eventName".into(), expected: "the name of an event".into() });
    }
    let key = match &envelope.event_id {
        Some(id) => event_key(hasher, envelope.org, id),
        None => fingerprint::key(hasher, &envelope),
    };
    let namespace = namespace_of(envelope.org);
    let found = people::find(&envelope.name, &envelope.data, &names::Namer { hasher, namespace: &namespace });
    let envelope::Envelope { name, event_id, org, request_id, ref_id, created_at, shape, mut data } = envelope;
    let stripped = strip::strip(&name, &mut data);
    let kept = |id: Option<String>| id.map(|id| kept_id(hasher, &id));
    let event = Event {
        key,
        name,
        event_id: kept(event_id),
        org,
        request_id: kept(request_id),
        ref_id: kept(ref_id),
        created_at,
        shape,
        data,
        people: found.people,
        nobody: found.nobody,
    };
    Ok(Decoded { event, stripped })
}

/// The de-duplication key of an event that has an id: what support needs to find one by org and event id.
pub fn event_key(hasher: &dyn KeyedHasher, org: OrgId, event_id: &str) -> EventKey {
    EventKey(hasher.keyed_hash("event", &[org.to_string().as_bytes(), event_id.trim().as_bytes()]))
}

/// The keyed hash of one identifier. Values are opaque: only surrounding white space is cut, and what is a way of writing rather than
/// of naming: the `+` of a phone number, which Capillary leaves out, and the case of a mail address.
pub fn alias_hash(hasher: &dyn KeyedHasher, namespace: &Namespace, kind: AliasKind, value: &str) -> KeyedHash {
    let value = value.trim();
    let lower = (kind == AliasKind::Email).then(|| Personal::new(value.to_lowercase()));
    let value = match kind {
        AliasKind::Mobile => value.strip_prefix('+').unwrap_or(value),
        _ => lower.as_ref().map_or(value, Personal::expose),
    };
    hasher.keyed_hash("alias", &[namespace.as_str().as_bytes(), kind.as_str().as_bytes(), value.as_bytes()])
}

impl AliasKind {
    /// The word used in alias texts (`customer_id:381003288`), files and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CustomerId => "customer_id",
            Self::ExternalId => "external_id",
            Self::Card => "card",
            Self::CardExternalId => "card_external_id",
            Self::Mobile => "mobile",
            Self::Email => "email",
        }
    }
    /// True for kinds that name exactly one person; families share phones and mail addresses.
    pub fn is_unique(self) -> bool {
        !matches!(self, Self::Mobile | Self::Email)
    }
}
