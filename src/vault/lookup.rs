//! Reading: who is it, what do we know of them, may their address be used.
//!
//! Promises: a person is known only if a contact stands behind the alias; nobody is taken for somebody else who
//! merely shares a phone; an erasure speaks for whom it erased and for facts of that time or older, for nobody else.
//! Never: a write, a lock.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::record::Person;
use super::{Contact, ContactId, NamedAlias, Resolution, Vault, VaultError, contact};
use crate::clock::Time;
use crate::event::{Alias, AliasKind};
use crate::id::{Channel, KeyedHash, Namespace};

impl Vault {
    /// Who is it, by a fact of `at` (an event's own time; [`Time::MAX`] for a question of now)? Microseconds when cached.
    ///
    /// Unique aliases are tried in order, and where there is one, shared ones decide nothing: families share phones, and
    /// the husband's contact may be the only one that the vault has. What is for the wife waits until her identifier
    /// is known; sent to him it could not be called back. Of a subject with shared aliases only, exactly one person with
    /// a contact must have all of those that anybody has.
    pub fn resolve(&self, _namespace: &Namespace, aliases: &[Alias], at: Time) -> Result<Resolution, VaultError> {
        self.who(aliases, at)
    }

    /// The same: hashes of aliases have their namespace in them.
    pub(super) fn who(&self, aliases: &[Alias], at: Time) -> Result<Resolution, VaultError> {
        let (unique, shared): (Vec<Alias>, Vec<Alias>) = aliases.iter().partition(|alias| alias.kind.is_unique());
        if unique.is_empty() { self.who_shares(&shared, at) } else { self.who_bears(&unique, at) }
    }

    fn who_bears(&self, unique: &[Alias], at: Time) -> Result<Resolution, VaultError> {
        let store = &self.0.store;
        let mut erased = false;
        for (before, alias) in unique.iter().enumerate() {
            let tombstone = store.tombstone(alias.hash)?;
            // Whoever bears the name now came back since; what is told of before belongs to the life that was erased.
            if tombstone.is_some_and(|erased| erased >= at) {
                return Ok(Resolution::Erased);
            }
            match store.link(alias.hash)? {
                // Whoever bears another id of a stronger kind has this one by an older fact, or by a mistake.
                Some(link) if store.has_contact(link.id)? && !self.is_somebody_else(link.id, &unique[..before])? => {
                    return Ok(Resolution::Known(link.id));
                }
                // A newer fact leads to somebody of whom the brand has not told yet.
                Some(_) => {}
                None => erased |= tombstone.is_some(),
            }
        }
        Ok(if erased { Resolution::Erased } else { Resolution::Unknown })
    }

    fn who_shares(&self, shared: &[Alias], at: Time) -> Result<Resolution, VaultError> {
        let store = &self.0.store;
        let mut candidates: Option<BTreeSet<ContactId>> = None;
        for alias in shared {
            let mut people = BTreeSet::new();
            for id in store.sharers(alias.hash)? {
                if store.has_contact(id)? {
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
            None => {
                for alias in shared {
                    // Of later than the erasure it is somebody new, or nobody knows who.
                    if store.tombstone(alias.hash)?.is_some_and(|erased| erased >= at) {
                        return Ok(Resolution::Erased);
                    }
                }
                Ok(Resolution::Unknown)
            }
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

    /// Makes what is known of a person unreadable, for tests of what then goes on: their contact, or all that leads to it.
    #[cfg(test)]
    pub(crate) fn spoil(&self, id: ContactId, contact_only: bool) {
        let store = &self.0.store;
        if contact_only {
            return store.spoil(super::store::Table::Contact, &id.0);
        }
        let person = store.person(id).expect("readable so far").expect("a person");
        for entry in person.aliases.iter().filter(|entry| entry.kind.is_unique()) {
            store.spoil(super::store::Table::Unique, &entry.hash.0);
        }
        store.spoil(super::store::Table::Person, &id.0);
    }

    /// True if the person bears an id of a kind that everybody has one of, and it is not the one given.
    fn is_somebody_else(&self, id: ContactId, given: &[Alias]) -> Result<bool, VaultError> {
        if given.is_empty() {
            return Ok(false);
        }
        let Some(person) = self.0.store.person(id)? else { return Ok(false) };
        let differs = |given: &&Alias| {
            matches!(given.kind, AliasKind::CustomerId | AliasKind::ExternalId)
                && person.aliases.iter().any(|e| e.kind == given.kind)
                && !person.aliases.iter().any(|e| e.alias() == **given)
        };
        Ok(given.iter().find(differs).is_some())
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
