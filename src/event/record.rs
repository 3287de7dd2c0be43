//! Events and subjects as sealed records: JSON, versioned, self-describing.
//!
//! Promises: what a later version adds defaults when an older record lacks it; a record of a newer version is an error,
//! not a guess.
//! Never: a record outside a sealed store: subjects hold raw ids, so no type here has `Debug`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Alias, Event, Nobody, Person, Role, Shape, Subject};
use crate::clock::Time;
use crate::id::{EventKey, OrgId};
use crate::personal::Personal;

/// The version written now. It grows only when an older reader would misread a record.
const VERSION: u32 = 1;

/// A subject inside another room's sealed record. Holds raw ids.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SubjectRecord {
    /// Every alias, strongest kind first.
    #[serde(default)]
    pub aliases: Vec<Alias>,
    /// Capillary's customer id, raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// The brand's own id, raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

impl From<&Subject> for SubjectRecord {
    fn from(subject: &Subject) -> Self {
        let raw = |id: &Option<Personal>| id.as_ref().map(|id| id.expose().to_owned());
        Self {
            aliases: subject.aliases.clone(),
            customer_id: raw(&subject.customer_id),
            external_id: raw(&subject.external_id),
        }
    }
}

impl From<SubjectRecord> for Subject {
    fn from(record: SubjectRecord) -> Self {
        Self {
            aliases: record.aliases,
            customer_id: record.customer_id.map(Personal::new),
            external_id: record.external_id.map(Personal::new),
        }
    }
}

/// A record that cannot be read. Holds nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("event record cannot be read: fault at line {line}, column {column}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Written by a newer release.
    #[error("event record has version {found}; this release reads up to {VERSION}: upgrade")]
    Version {
        /// What it says.
        found: u32,
    },
}

#[derive(Deserialize)]
struct VersionOnly {
    #[serde(rename = "v")]
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct EventRecord<'e> {
    #[serde(rename = "v")]
    version: u32,
    key: EventKey,
    name: Cow<'e, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<Cow<'e, str>>,
    org: OrgId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<Cow<'e, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ref_id: Option<Cow<'e, str>>,
    created_at: Time,
    shape: Shape,
    data: Cow<'e, Value>,
    #[serde(default)]
    people: Vec<PersonRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nobody: Option<Nobody>,
}

#[derive(Serialize, Deserialize)]
struct PersonRecord {
    role: Role,
    subject: SubjectRecord,
    place: String,
    #[serde(default)]
    is_default: bool,
}

impl Event {
    /// The event as a record, to be sealed.
    pub fn to_record(&self) -> Vec<u8> {
        let people = self.people.iter().map(|person| PersonRecord {
            role: person.role,
            subject: SubjectRecord::from(&person.subject),
            place: person.place.clone(),
            is_default: person.is_default,
        });
        let record = EventRecord {
            version: VERSION,
            key: self.key,
            name: Cow::Borrowed(&self.name),
            event_id: self.event_id.as_deref().map(Cow::Borrowed),
            org: self.org,
            request_id: self.request_id.as_deref().map(Cow::Borrowed),
            ref_id: self.ref_id.as_deref().map(Cow::Borrowed),
            created_at: self.created_at,
            shape: self.shape,
            data: Cow::Borrowed(&self.data),
            people: people.collect(),
            nobody: self.nobody,
        };
        serde_json::to_vec(&record).expect("maps with text keys and finite numbers serialise")
    }

    /// Reads what [`Event::to_record`] wrote, in this release or an older one.
    pub fn from_record(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: EventRecord<'_> = serde_json::from_slice(bytes).map_err(|fault| {
            // A newer release's record need not parse here; what it says of its version is the better answer then.
            match serde_json::from_slice(bytes) {
                Ok(VersionOnly { version }) if version > VERSION => RecordError::Version { found: version },
                _ => RecordError::Malformed { line: fault.line(), column: fault.column() },
            }
        })?;
        if record.version > VERSION {
            return Err(RecordError::Version { found: record.version });
        }
        let people = record.people.into_iter().map(|person| Person {
            role: person.role,
            subject: person.subject.into(),
            place: person.place,
            is_default: person.is_default,
        });
        Ok(Self {
            key: record.key,
            name: record.name.into_owned(),
            event_id: record.event_id.map(Cow::into_owned),
            org: record.org,
            request_id: record.request_id.map(Cow::into_owned),
            ref_id: record.ref_id.map(Cow::into_owned),
            created_at: record.created_at,
            shape: record.shape,
            data: record.data.into_owned(),
            people: people.collect(),
            nobody: record.nobody,
        })
    }
}
