//! People by phone or mail address: a caller, a STOP, a request for access comes with a number and not with an id.
//!
//! Promises: everybody who has the number now or had it in an event, since families share phones; however the number is
//! written; at most as many as were asked for.
//! Never: a name or an address in an answer: identifiers only; a write.

use serde_json::{Value, json};

use super::record::Person;
use super::{ContactId, Resolution, Vault, VaultError};
use crate::clock::Time;
use crate::event::{Alias, AliasKind, Subject, alias_hash};
use crate::id::Namespace;
use crate::personal::Personal;

/// What people are looked for by.
#[derive(Clone)]
pub enum Reach {
    /// A phone number: `+91 98123 45678`, `919812345678`, `00919812345678`.
    Phone(Personal),
    /// A mail address in any case.
    Email(Personal),
}

/// Somebody who can be reached so, or could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Who.
    pub id: ContactId,
    /// True if the contact has this number or address now; false if only an event once said so.
    pub current: bool,
}

impl Vault {
    /// At most `most` people, and whether there are more. Nobody, if what was given is no number or no address.
    pub fn find(&self, namespace: &Namespace, reach: &Reach, most: usize) -> Result<(Vec<Reached>, bool), VaultError> {
        let store = &self.0.store;
        let mut found: Vec<Reached> = Vec::new();
        if let Some(alias) = self.alias_of(namespace, reach) {
            for id in store.some_sharers(alias.hash, most + 1)? {
                let Some(person) = store.person(id)? else { continue };
                let current = person.aliases.iter().any(|entry| entry.own && entry.alias() == alias);
                match found.iter_mut().find(|other| other.id == id) {
                    Some(known) => known.current |= current,
                    None => found.push(Reached { id, current }),
                }
            }
        }
        let more = found.len() > most;
        found.truncate(most);
        Ok((found, more))
    }

    /// A person's identifiers: kind, the identifier where it was told, its keyed hash.
    pub fn identifiers_json(&self, id: ContactId) -> Result<Option<Value>, VaultError> {
        Ok(self.0.store.person(id)?.as_ref().map(|person| Value::Array(identifiers(person))))
    }

    /// What the brand and Capillary know somebody by: `external_id` and `customer_id`, each a text or null. Where the vault leads to nobody
    /// it is what the event said; `None` if that is nothing.
    pub fn brand_ids(&self, subject: &Subject) -> Result<Option<Value>, VaultError> {
        let store = &self.0.store;
        let mut people = Vec::new();
        for alias in subject.aliases.iter().filter(|alias| alias.kind.is_unique()) {
            people.extend(store.link(alias.hash)?.map(|link| link.id));
        }
        if people.is_empty()
            && let Resolution::Known(id) = self.who(&subject.aliases, Time::MAX)?
        {
            people.push(id);
        }
        let (mut external, mut customer) = (None, None);
        for id in people {
            let Some(person) = store.person(id)? else { continue };
            let told = |kind| {
                let entry = person.aliases.iter().find(|entry| entry.kind == kind && entry.raw.is_some())?;
                entry.raw.as_ref().map(|raw| raw.0.expose().to_owned())
            };
            external = external.or_else(|| told(AliasKind::ExternalId));
            customer = customer.or_else(|| told(AliasKind::CustomerId));
        }
        let own = |id: &Option<Personal>| id.as_ref().map(|id| id.expose().to_owned());
        let external = external.or_else(|| own(&subject.external_id));
        let customer = customer.or_else(|| own(&subject.customer_id));
        let is_known = external.is_some() || customer.is_some();
        Ok(is_known.then(|| json!({ "external_id": external, "customer_id": customer })))
    }

    /// The alias of a number or an address, however it is written; nothing if it is none.
    fn alias_of(&self, namespace: &Namespace, reach: &Reach) -> Option<Alias> {
        let (kind, value) = match reach {
            Reach::Phone(given) => (AliasKind::Mobile, phone_digits(given)),
            Reach::Email(given) => (AliasKind::Email, Personal::new(given.expose().trim())),
        };
        let hash = || alias_hash(&self.0.store.keys, namespace, kind, value.expose());
        (!value.is_blank()).then(|| Alias { kind, hash: hash() })
    }
}

fn phone_digits(given: &Personal) -> Personal {
    let digits = Personal::new(given.expose().chars().filter(char::is_ascii_digit).collect::<String>());
    match (given.expose().trim_start().starts_with('+'), digits.expose().strip_prefix("00")) {
        (false, Some(international)) => Personal::new(international),
        _ => digits,
    }
}

/// Identifiers that a person bears; those of their own addresses are not among them.
pub(super) fn identifiers(person: &Person) -> Vec<Value> {
    let borne = person.aliases.iter().filter(|entry| !entry.own);
    borne
        .map(|entry| {
            let value = entry.raw.as_ref().map(|raw| raw.0.expose());
            json!({"kind": entry.kind, "value": value, "hash": entry.hash, "at": entry.at.to_string()})
        })
        .collect()
}
