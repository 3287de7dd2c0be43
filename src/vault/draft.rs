//! One change of the vault, worked out in memory and then written in one batch.
//!
//! Promises: reads see the change's own writes; indexes, alias lists and counters move together or not at all;
//! what was woken is computed by comparing before and after, not by remembering cases.
//! Never: a write before [`Draft::commit`].

use std::collections::{BTreeMap, BTreeSet};

use super::absent::Since;
use super::record::{self, Entry, Link, Person};
use super::store::{Store, Table};
use super::{Contact, ContactId, VaultError, kept};
use crate::clock::Time;
use crate::event::{Alias, AliasKind};
use crate::id::KeyedHash;

/// More than this and it is a till or a test account, not a person: the oldest go. Keeps records small.
pub(super) const MAX_ALIASES: usize = 64;

/// How many of what; kept beside the records so that asking is cheap.
#[derive(Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Counts {
    pub(super) contacts: u64,
    pub(super) aliases: u64,
    /// People ever made, for ids.
    #[serde(default)]
    pub(super) made: u64,
}

pub(super) struct Draft<'s> {
    store: &'s Store,
    /// People ever made, before and with this change.
    made: (u64, u64),
    persons: BTreeMap<ContactId, Slot<Person>>,
    contacts: BTreeMap<ContactId, Slot<Contact>>,
    /// Until when a stored contact was kept before this change, if it was only looked up.
    kept: BTreeMap<ContactId, Time>,
    links: BTreeMap<KeyedHash, (Option<Link>, Option<Link>)>,
    shared: BTreeMap<(KeyedHash, ContactId), (bool, Option<Time>)>,
    /// As read, and what they are now.
    tombstones: BTreeMap<KeyedHash, (Option<Time>, Option<Time>)>,
    touched: BTreeSet<Alias>,
}

struct Slot<T> {
    was: bool,
    now: Option<T>,
    changed: bool,
}

/// What a commit did.
pub(super) struct Committed {
    pub(super) woken: Vec<Alias>,
    pub(super) dirty: bool,
    /// True if some alias no longer leads where it did.
    pub(super) moved: bool,
}

/// What is forgotten last if somebody has too many names.
fn worth(kind: AliasKind) -> u8 {
    match kind {
        AliasKind::CustomerId | AliasKind::ExternalId => 2,
        AliasKind::Card | AliasKind::CardExternalId => 1,
        AliasKind::Mobile | AliasKind::Email => 0,
    }
}

impl<'s> Draft<'s> {
    pub(super) fn new(store: &'s Store, counts: Counts) -> Self {
        Self {
            store,
            made: (counts.made, counts.made),
            persons: BTreeMap::new(),
            contacts: BTreeMap::new(),
            kept: BTreeMap::new(),
            links: BTreeMap::new(),
            shared: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    /// Forgets the change.
    pub(super) fn abandon(&mut self) {
        *self = Self::new(self.store, Counts { made: self.made.0, ..Counts::default() });
    }

    pub(super) fn keys(&self) -> &'s crate::seal::Keyring {
        &self.store.keys
    }

    /// Where a unique alias leads. One that leads to a missing person leads nowhere.
    pub(super) fn link(&mut self, hash: KeyedHash) -> Result<Option<Link>, VaultError> {
        let link = match self.links.get(&hash) {
            Some((_, now)) => *now,
            None => {
                let found = self.store.link(hash)?;
                self.links.insert(hash, (found, found));
                found
            }
        };
        match link {
            Some(link) if self.person(link.id)?.is_some() => Ok(Some(link)),
            _ => Ok(None),
        }
    }

    /// Spares the look for a name that a reader found nowhere, unless somebody has written it since.
    pub(super) fn was_absent(&mut self, hash: KeyedHash, since: Since) {
        if self.store.names.is_untouched(hash, since) {
            self.links.entry(hash).or_insert((None, None));
        }
    }

    fn person_slot(&mut self, id: ContactId) -> Result<&mut Slot<Person>, VaultError> {
        match self.persons.entry(id) {
            std::collections::btree_map::Entry::Occupied(slot) => Ok(slot.into_mut()),
            std::collections::btree_map::Entry::Vacant(slot) => {
                let now = self.store.person(id)?;
                Ok(slot.insert(Slot { was: now.is_some(), now, changed: false }))
            }
        }
    }

    fn contact_slot(&mut self, id: ContactId) -> Result<&mut Slot<Contact>, VaultError> {
        match self.contacts.entry(id) {
            std::collections::btree_map::Entry::Occupied(slot) => Ok(slot.into_mut()),
            std::collections::btree_map::Entry::Vacant(slot) => {
                let now = self.store.contact(id)?;
                if let Some(until) = now.as_ref().and_then(|contact| contact.keep_until) {
                    self.kept.insert(id, until);
                }
                Ok(slot.insert(Slot { was: now.is_some(), now, changed: false }))
            }
        }
    }

    pub(super) fn person(&mut self, id: ContactId) -> Result<Option<&Person>, VaultError> {
        Ok(self.person_slot(id)?.now.as_ref())
    }

    /// The person, to be changed.
    pub(super) fn person_mut(&mut self, id: ContactId) -> Result<Option<&mut Person>, VaultError> {
        let slot = self.person_slot(id)?;
        slot.changed = true;
        Ok(slot.now.as_mut())
    }

    /// A person of whom nothing is known yet. Ids count up, so that people who come together are stored together: an import writes a
    /// few pages of the store again and again instead of all of them. The rest of an id is random.
    pub(super) fn create(&mut self, namespace: &str) -> ContactId {
        self.made.1 += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.made.1.to_be_bytes());
        id[8..].copy_from_slice(&crate::seal::random::<8>());
        let id = ContactId(id);
        let now = Some(Person { namespace: namespace.into(), ..Person::default() });
        self.persons.insert(id, Slot { was: false, now, changed: true });
        // Nothing of somebody new is stored: there is no need to look.
        self.contacts.insert(id, Slot { was: false, now: None, changed: false });
        id
    }

    fn is_new(&self, id: ContactId) -> bool {
        self.persons.get(&id).is_some_and(|slot| !slot.was)
    }

    pub(super) fn take_person(&mut self, id: ContactId) -> Result<Option<Person>, VaultError> {
        let slot = self.person_slot(id)?;
        slot.changed = true;
        Ok(slot.now.take())
    }

    pub(super) fn contact(&mut self, id: ContactId) -> Result<Option<&Contact>, VaultError> {
        Ok(self.contact_slot(id)?.now.as_ref())
    }

    pub(super) fn has_contact(&mut self, id: ContactId) -> Result<bool, VaultError> {
        match self.contacts.get(&id) {
            Some(slot) => Ok(slot.now.is_some()),
            None => self.store.has_contact(id),
        }
    }

    pub(super) fn set_contact(&mut self, id: ContactId, contact: Option<Contact>) -> Result<(), VaultError> {
        let slot = self.contact_slot(id)?;
        slot.changed = true;
        slot.now = contact;
        Ok(())
    }

    pub(super) fn take_contact(&mut self, id: ContactId) -> Result<Option<Contact>, VaultError> {
        let slot = self.contact_slot(id)?;
        slot.changed |= slot.now.is_some();
        Ok(slot.now.take())
    }

    pub(super) fn tombstone(&mut self, hash: KeyedHash) -> Result<Option<Time>, VaultError> {
        match self.tombstones.entry(hash) {
            std::collections::btree_map::Entry::Occupied(slot) => Ok(slot.get().1),
            std::collections::btree_map::Entry::Vacant(slot) => {
                let at = self.store.tombstone(hash)?;
                Ok(slot.insert((at, at)).1)
            }
        }
    }

    /// Marks an alias as erased at `at`, or later if it was already.
    pub(super) fn bury(&mut self, hash: KeyedHash, at: Time) -> Result<(), VaultError> {
        if self.tombstone(hash)?.is_none_or(|before| before < at) {
            self.tombstones.entry(hash).or_default().1 = Some(at);
        }
        Ok(())
    }

    pub(super) fn sharers(&self, hash: KeyedHash) -> Result<BTreeSet<ContactId>, VaultError> {
        let mut found = self.store.sharers(hash)?;
        let low = (hash, ContactId([0; 16]));
        let high = (hash, ContactId([u8::MAX; 16]));
        for ((_, id), (_, now)) in self.shared.range(low..=high) {
            if now.is_some() {
                found.insert(*id)
            } else {
                found.remove(id)
            };
        }
        Ok(found)
    }

    /// Adds an alias to a person and to the index; a unique one leaves whom it named before.
    /// True if it did not lead here before.
    pub(super) fn attach(&mut self, id: ContactId, entry: Entry) -> Result<bool, VaultError> {
        let alias = entry.alias();
        if alias.kind.is_unique() {
            match self.link(alias.hash)? {
                Some(link) if link.id != id => {
                    if let Some(other) = self.person_mut(link.id)? {
                        other.aliases.retain(|e| e.alias() != alias);
                    }
                }
                _ => {}
            }
        }
        let at = entry.at;
        let Some(person) = self.person_slot(id)?.now.as_mut() else { return Ok(false) };
        if let Some(known) = person.aliases.iter_mut().find(|e| e.alias() == alias) {
            // An address of the contact that was learned before belongs to the contact from now on.
            if entry.own && !known.own {
                known.own = true;
                self.person_slot(id)?.changed = true;
            }
            return Ok(false);
        }
        person.aliases.push(entry);
        self.person_slot(id)?.changed = true;
        self.point(alias, id, at)?;
        self.evict(id, alias)?;
        Ok(true)
    }

    /// Makes the index lead from an alias to a person.
    pub(super) fn point(&mut self, alias: Alias, id: ContactId, at: Time) -> Result<(), VaultError> {
        self.touched.insert(alias);
        if alias.kind.is_unique() {
            self.link(alias.hash)?;
            self.links.entry(alias.hash).or_insert((None, None)).1 = Some(Link { id, at });
        } else {
            self.shared_slot(alias.hash, id)?.1 = Some(at);
        }
        Ok(())
    }

    /// Makes the index no longer lead from an alias to a person; the person's list is the caller's.
    pub(super) fn unpoint(&mut self, alias: Alias, id: ContactId) -> Result<(), VaultError> {
        self.touched.insert(alias);
        if alias.kind.is_unique() {
            self.link(alias.hash)?;
            if let Some((_, now)) = self.links.get_mut(&alias.hash).filter(|(_, now)| now.is_some_and(|l| l.id == id)) {
                *now = None;
            }
        } else {
            self.shared_slot(alias.hash, id)?.1 = None;
        }
        Ok(())
    }

    fn shared_slot(&mut self, hash: KeyedHash, id: ContactId) -> Result<&mut (bool, Option<Time>), VaultError> {
        let is_new = self.is_new(id);
        match self.shared.entry((hash, id)) {
            std::collections::btree_map::Entry::Occupied(slot) => Ok(slot.into_mut()),
            std::collections::btree_map::Entry::Vacant(slot) => {
                let at = match is_new {
                    true => None,
                    false => self.store.get(Table::Shared, &[hash.0, id.0].concat())?,
                };
                let at = at.map(|plain| record::read_time(&plain)).transpose()?;
                Ok(slot.insert((at.is_some(), at)))
            }
        }
    }

    /// Forgets the oldest aliases of a person who has too many: shared ones first, then cards; `keep` and the
    /// contact's own never.
    pub(super) fn evict(&mut self, id: ContactId, keep: Alias) -> Result<(), VaultError> {
        while let Some(person) = self.person_slot(id)?.now.as_mut().filter(|p| p.aliases.len() > MAX_ALIASES) {
            let oldest = person.aliases.iter().enumerate().filter(|(_, e)| !e.own && e.alias() != keep);
            let Some((at, _)) = oldest.min_by_key(|(_, e)| (worth(e.kind), e.at)) else { break };
            let gone = person.aliases.remove(at).alias();
            self.person_slot(id)?.changed = true;
            self.unpoint(gone, id)?;
        }
        Ok(())
    }

    /// Writes everything in one batch.
    pub(super) fn commit(mut self, counts: &mut Counts) -> Result<Committed, VaultError> {
        let woken = self.woken()?;
        let mut batch = self.store.batch();
        let mut dirty = false;
        let mut moved = false;
        let mut after = Counts { made: self.made.1, ..*counts };
        let count = |counter: &mut u64, was: bool, now: bool| {
            *counter = counter.saturating_add(u64::from(now && !was)).saturating_sub(u64::from(was && !now));
        };
        for (id, slot) in self.persons.iter().filter(|(_, slot)| slot.changed) {
            dirty |= slot.was || slot.now.is_some();
            match &slot.now {
                Some(person) => batch.put(Table::Person, &id.0, &record::write_person(person)?)?,
                None => batch.remove(Table::Person, &id.0),
            }
        }
        for (id, slot) in self.contacts.iter().filter(|(_, slot)| slot.changed) {
            dirty |= slot.was || slot.now.is_some();
            count(&mut after.contacts, slot.was, slot.now.is_some());
            match &slot.now {
                Some(contact) => batch.put(Table::Contact, &id.0, &record::write_contact(contact)?)?,
                None => batch.remove(Table::Contact, &id.0),
            }
            let (before, until) =
                (self.kept.get(id).copied(), slot.now.as_ref().and_then(|contact| contact.keep_until));
            if let Some(before) = before.filter(|before| Some(*before) != until) {
                batch.remove(Table::Kept, &kept::key(before, *id));
            }
            if let Some(until) = until.filter(|until| Some(*until) != before) {
                batch.put(Table::Kept, &kept::key(until, *id), &record::write_time(until))?;
            }
        }
        for (hash, (was, now)) in self.links.iter().filter(|(_, (was, now))| was != now) {
            dirty = true;
            moved |= was.is_some_and(|was| now.is_none_or(|now| now.id != was.id));
            count(&mut after.aliases, was.is_some(), now.is_some());
            self.store.names.touch(*hash);
            match now {
                Some(link) => batch.put(Table::Unique, &hash.0, &record::write_link(*link))?,
                None => batch.remove(Table::Unique, &hash.0),
            }
        }
        for ((hash, id), (was, now)) in self.shared.iter().filter(|(_, (was, now))| *was != now.is_some()) {
            dirty = true;
            moved |= *was;
            count(&mut after.aliases, *was, now.is_some());
            let key = [hash.0, id.0].concat();
            match now {
                Some(at) => batch.put(Table::Shared, &key, &record::write_time(*at))?,
                None => batch.remove(Table::Shared, &key),
            }
        }
        for (hash, (was, now)) in &self.tombstones {
            if let Some(at) = now.filter(|_| was != now) {
                dirty = true;
                batch.put(Table::Tombstone, &hash.0, &record::write_time(at))?;
            }
        }
        if dirty {
            batch.put(Table::Meta, b"counts", &record::write_json(&after)?)?;
            let applied = batch.apply();
            self.store.names.applied();
            applied?;
            *counts = after;
        }
        Ok(Committed { woken, dirty, moved })
    }

    /// Unique aliases that lead to a contact after this change and did not before, and shared ones that lead to somebody
    /// with a contact more than before: that somebody else was found by it says nothing about whoever waits.
    fn woken(&mut self) -> Result<Vec<Alias>, VaultError> {
        let gained = self.contacts.iter().filter(|(_, slot)| slot.now.is_some() && !slot.was).map(|(id, _)| *id);
        let mut leads = BTreeSet::new();
        for id in gained.collect::<Vec<_>>() {
            leads.extend(self.person(id)?.into_iter().flat_map(|p| &p.aliases).map(Entry::alias));
        }
        self.touched.extend(&leads);
        let mut woken = Vec::new();
        for alias in std::mem::take(&mut self.touched) {
            let wakes = match (leads.contains(&alias), alias.kind.is_unique()) {
                (true, false) => true,
                (false, false) => self.gains_somebody(alias.hash)?,
                (leads, true) => (leads || self.leads_now(alias.hash)?) && !self.led_before(alias.hash)?,
            };
            if wakes {
                woken.push(alias);
            }
        }
        Ok(woken)
    }

    /// True if somebody with a contact shares it after this change and did not before.
    fn gains_somebody(&mut self, hash: KeyedHash) -> Result<bool, VaultError> {
        let all = (hash, ContactId([0; 16]))..=(hash, ContactId([u8::MAX; 16]));
        let new = self.shared.range(all).filter(|(_, (was, now))| !was && now.is_some());
        for id in new.map(|((_, id), _)| *id).collect::<Vec<_>>() {
            if self.has_contact(id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn leads_now(&mut self, hash: KeyedHash) -> Result<bool, VaultError> {
        match self.link(hash)? {
            Some(link) => self.has_contact(link.id),
            None => Ok(false),
        }
    }

    fn led_before(&self, hash: KeyedHash) -> Result<bool, VaultError> {
        match self.links.get(&hash).and_then(|(was, _)| *was) {
            Some(link) => self.store.has_contact(link.id),
            None => Ok(false),
        }
    }
}
