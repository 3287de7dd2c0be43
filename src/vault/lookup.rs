//! Reading: who is it, what do we know of them, may their address be used.
//!
//! Promises: a person is known only if a contact stands behind the alias; nobody is taken for somebody else who
//! merely shares a phone.
//! Never: a write, a lock.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::record::Person;
use super::{Contact, ContactId, NamedAlias, Resolution, Vault, VaultError, contact};
use crate::clock::Time;
use crate::event::{Alias, AliasKind};
use crate::id::{Channel, KeyedHash, Namespace};

impl Vault {
    /// Who is it? Tries unique aliases in order, then shared ones. Microseconds when cached.
    ///
    /// A shared alias counts only if exactly one person with a contact has all the shared ones given that anybody
    /// has, and if that person does not bear another customer id or external id than the one given: the wife
    /// must not get her husband's message because they share a phone.
    pub fn resolve(&self, _namespace: &Namespace, aliases: &[Alias]) -> Result<Resolution, VaultError> {
        self.who(aliases)
    }

    /// The same: hashes of aliases have their namespace in them.
    pub(super) fn who(&self, aliases: &[Alias]) -> Result<Resolution, VaultError> {
        let store = &self.0.store;
        let (unique, shared): (Vec<Alias>, Vec<Alias>) = aliases.iter().partition(|alias| alias.kind.is_unique());
        for (at, alias) in unique.iter().enumerate() {
            // Whoever bears another id of a stronger kind has this one by an older fact, or by a mistake.
            if let Some(link) = store.link(alias.hash)?
                && store.has_contact(link.id)?
                && !self.is_somebody_else(link.id, &unique[..at])?
            {
                return Ok(Resolution::Known(link.id));
            }
        }
        if self.any_erased(&unique)? {
            return Ok(Resolution::Erased);
        }
        let mut candidates: Option<BTreeSet<ContactId>> = None;
        for alias in &shared {
            let mut people = BTreeSet::new();
            for id in store.sharers(alias.hash)? {
                if store.has_contact(id)? && !self.is_somebody_else(id, &unique)? {
                    people.insert(id);
                }
            }
            if !people.is_empty() {
                candidates = Some(match candidates {
                    Some(before) => before.intersection(&people).copied().collect(),
                    None => people,
                });
            }
        }
        match candidates.map(|ids| ids.into_iter().collect::<Vec<_>>()).as_deref() {
            Some([id]) => Ok(Resolution::Known(*id)),
            Some(_) => Ok(Resolution::Several),
            None if self.any_erased(&shared)? => Ok(Resolution::Erased),
            None => Ok(Resolution::Unknown),
        }
    }

    /// True if any of these names was erased and leads to nobody since: only a fact that is known to be newer brings
    /// such a person back.
    pub fn is_erased(&self, namespace: &Namespace, aliases: &[NamedAlias]) -> Result<bool, VaultError> {
        for named in aliases {
            let alias = self.alias(namespace, named);
            if self.0.store.tombstone(alias.hash)?.is_some() && self.0.store.link(alias.hash)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if any of the unique ones leads to a person, of whom the brand may have told nothing.
    pub fn knows_alias(&self, aliases: &[Alias]) -> Result<bool, VaultError> {
        for alias in aliases.iter().filter(|alias| alias.kind.is_unique()) {
            if self.0.store.link(alias.hash)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn any_erased(&self, aliases: &[Alias]) -> Result<bool, VaultError> {
        for alias in aliases {
            if self.0.store.tombstone(alias.hash)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True if the person bears an id of a kind that everybody has one of, and it is not the one given.
    fn is_somebody_else(&self, id: ContactId, unique: &[Alias]) -> Result<bool, VaultError> {
        let Some(person) = self.0.store.person(id)? else { return Ok(false) };
        let differs = |given: &&Alias| {
            matches!(given.kind, AliasKind::CustomerId | AliasKind::ExternalId)
                && person.aliases.iter().any(|e| e.kind == given.kind)
                && !person.aliases.iter().any(|e| e.alias() == **given)
        };
        Ok(unique.iter().find(differs).is_some())
    }

    /// The decrypted record; `None` if it is gone or the person has aliases only.
    pub fn contact(&self, id: ContactId) -> Result<Option<Contact>, VaultError> {
        self.0.store.contact(id)
    }

    /// True if the contact's present address on this channel is marked.
    pub fn address_suppressed(&self, id: ContactId, channel: Channel) -> Result<bool, VaultError> {
        let Some(person) = self.0.store.person(id)? else { return Ok(false) };
        if !person.marks.iter().any(|mark| mark.channel == channel) {
            return Ok(false);
        }
        let Some(contact) = self.0.store.contact(id)? else { return Ok(false) };
        let address = self.mark(&person, &contact, channel);
        Ok(person.marks.iter().any(|mark| mark.channel == channel && Some(mark.address) == address))
    }

    pub(super) fn mark(&self, person: &Person, contact: &Contact, channel: Channel) -> Option<KeyedHash> {
        let namespace: Namespace = person.namespace.parse().ok()?;
        contact::address_mark(&self.0.store.keys, &namespace, contact, channel)
    }
}

impl Draft<'_> {
    /// The people an alias names: at most one if it is unique. Of those who share one, people with a contact count
    /// first.
    pub(super) fn bearers(&mut self, alias: Alias) -> Result<Vec<ContactId>, VaultError> {
        if alias.kind.is_unique() {
            return Ok(self.link(alias.hash)?.map(|link| link.id).into_iter().collect());
        }
        let everybody: Vec<_> = self.sharers(alias.hash)?.into_iter().collect();
        let mut reachable = Vec::new();
        for id in &everybody {
            if self.has_contact(*id)? {
                reachable.push(*id);
            }
        }
        Ok(if reachable.is_empty() { everybody } else { reachable })
    }

    /// True if one of the person's unique aliases was erased at `at` or later.
    pub(super) fn buried(&mut self, id: ContactId, at: Time) -> Result<bool, VaultError> {
        let aliases: Vec<_> = self.person(id)?.into_iter().flat_map(|p| &p.aliases).map(|e| e.alias()).collect();
        for alias in aliases.into_iter().filter(|alias| alias.kind.is_unique()) {
            if self.tombstone(alias.hash)?.is_some_and(|erased| erased >= at) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
