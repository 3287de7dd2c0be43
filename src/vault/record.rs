//! What stands inside the vault's sealed values.
//!
//! Promises: every value begins with its version; fields that a later version adds are skipped by an older one.
//! Never: a record in an error text; a form of these types that leaves the vault unsealed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Contact, ContactId, VaultError};
use crate::clock::Time;
use crate::event::{Alias, AliasKind};
use crate::id::{Channel, KeyedHash};
use crate::personal::Personal;

const VERSION: u8 = 1;

/// A personal text on its way into or out of a sealed value: the only serialisable form there is.
#[derive(Clone)]
pub(super) struct Text(pub(super) Personal);

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(|text| Self(Personal::new(text)))
    }
}

/// Who leads here: everything about a person but the contact, so that linking copies no names or addresses.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) namespace: String,
    pub(super) aliases: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) marks: Vec<Mark>,
}

impl Person {
    pub(super) fn count_of(&self, kind: AliasKind) -> usize {
        self.aliases.iter().filter(|entry| entry.kind == kind).count()
    }
}

/// One alias of a person. Stored under single letters: there are several for each of millions of people.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "k")]
    pub(super) kind: AliasKind,
    #[serde(rename = "h")]
    pub(super) hash: KeyedHash,
    #[serde(rename = "t")]
    pub(super) at: Time,
    /// The identifier itself, where it was told: for the privacy officer's export.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub(super) raw: Option<Text>,
    /// True if it is an address of the contact, so that it goes when the address changes.
    #[serde(rename = "o", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) own: bool,
}

impl Entry {
    pub(super) fn alias(&self) -> Alias {
        Alias { kind: self.kind, hash: self.hash }
    }
}

/// An address that is not to be used.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) channel: Channel,
    pub(super) address: KeyedHash,
    pub(super) at: Time,
}

/// Where a unique alias leads, and since which fact.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) id: ContactId,
    pub(super) at: Time,
}

#[derive(Serialize, Deserialize)]
struct StoredContact {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_name: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_name: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mobile: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    attributes: std::collections::BTreeMap<String, Text>,
    updated_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_until: Option<Time>,
}

pub(super) fn write_contact(contact: &Contact) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let text = |field: &Option<Personal>| field.clone().map(Text);
    let stored = StoredContact {
        first_name: text(&contact.first_name),
        last_name: text(&contact.last_name),
        email: text(&contact.email),
        mobile: text(&contact.mobile),
        locale: contact.locale.clone(),
        time_zone: contact.time_zone.clone(),
        attributes: contact.attributes.iter().map(|(name, value)| (name.clone(), Text(value.clone()))).collect(),
        updated_at: contact.updated_at,
        keep_until: contact.keep_until,
    };
    write_json(&stored)
}

pub(super) fn read_contact(plain: &[u8]) -> Result<Contact, VaultError> {
    let stored: StoredContact = read_json(plain)?;
    let personal = |field: Option<Text>| field.map(|text| text.0);
    Ok(Contact {
        first_name: personal(stored.first_name),
        last_name: personal(stored.last_name),
        email: personal(stored.email),
        mobile: personal(stored.mobile),
        locale: stored.locale,
        time_zone: stored.time_zone,
        attributes: stored.attributes.into_iter().map(|(name, text)| (name, text.0)).collect(),
        updated_at: stored.updated_at,
        keep_until: stored.keep_until,
    })
}

pub(super) fn write_person(person: &Person) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    write_json(person)
}

pub(super) fn read_person(plain: &[u8]) -> Result<Person, VaultError> {
    read_json(plain)
}

pub(super) fn write_link(link: Link) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(vec![VERSION]);
    plain.extend_from_slice(&link.id.0);
    plain.extend_from_slice(&link.at.as_millis().to_be_bytes());
    plain
}

pub(super) fn read_link(plain: &[u8]) -> Result<Link, VaultError> {
    let (id, at) = body(plain)?.split_first_chunk::<16>().ok_or_else(unreadable)?;
    Ok(Link { id: ContactId(*id), at: time(at)? })
}

pub(super) fn write_time(at: Time) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(vec![VERSION]);
    plain.extend_from_slice(&at.as_millis().to_be_bytes());
    plain
}

pub(super) fn read_time(plain: &[u8]) -> Result<Time, VaultError> {
    time(body(plain)?)
}

pub(super) fn write_json<T: Serialize>(value: &T) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    // Room for all but unusual records: a buffer that grows leaves a copy of its beginning behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(4096));
    plain.push(VERSION);
    serde_json::to_writer(&mut *plain, value).map_err(|_| VaultError::Store("a record cannot be written".into()))?;
    Ok(plain)
}

pub(super) fn read_json<T: DeserializeOwned>(plain: &[u8]) -> Result<T, VaultError> {
    // The parser's own message may quote the record.
    serde_json::from_slice(body(plain)?).map_err(|_| unreadable())
}

fn body(plain: &[u8]) -> Result<&[u8], VaultError> {
    match plain.split_first() {
        Some((&VERSION, body)) => Ok(body),
        Some((version, _)) => Err(VaultError::Version(*version)),
        None => Err(unreadable()),
    }
}

fn time(bytes: &[u8]) -> Result<Time, VaultError> {
    bytes.try_into().map(|bytes| Time::from_millis(i64::from_be_bytes(bytes))).map_err(|_| unreadable())
}

fn unreadable() -> VaultError {
    VaultError::Shape
}
