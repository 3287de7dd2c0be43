//! Who is who: linking, joining and merging people by their aliases.
//!
//! Promises: the same facts in another order lead a unique alias to the same contact wherever their times tell
//! them apart; a contact is never left behind without a name that leads to it; what names somebody else already is counted.
//! Never: two people with contacts joined because one event mixed them up, while each has a name of its own; two customer ids,
//! or two external ids that were not told of one person, brought together by anything but a merge.

use super::contact::address_aliases;
use super::draft::Draft;
use super::record::{Entry, Link, Text};
use super::store::Store;
use super::{ContactId, VaultError};
use crate::clock::Time;
use crate::event::{Alias, AliasKind, Subject};
use crate::id::Namespace;
use crate::personal::Personal;

/// Identifiers longer than this are linked but not kept for export.
const MAX_RAW: usize = 128;

/// One name of a person: its alias and, where it was told, the identifier itself.
pub(super) struct Name {
    pub(super) alias: Alias,
    pub(super) raw: Option<Personal>,
}

/// What linking came to.
#[derive(Default)]
pub(super) struct United {
    /// Whom the names lead to now; `None` if nothing was to be linked.
    pub(super) id: Option<ContactId>,
    pub(super) linked: usize,
    /// Names that belonged to somebody else: the newer fact has them.
    pub(super) conflicts: usize,
    /// True if a name belongs to somebody erased at that time or later; then nothing is linked.
    pub(super) erased: bool,
}

/// The names of a subject, strongest kind first.
pub(super) fn names_of(subject: &Subject) -> Vec<Name> {
    let mut aliases: Vec<Alias> = Vec::with_capacity(subject.aliases.len());
    for alias in &subject.aliases {
        if !aliases.contains(alias) {
            aliases.push(*alias);
        }
    }
    // Stable: of two of one kind, the first stays the first.
    aliases.sort_by_key(|alias| alias.kind);
    let raw = |kind| match kind {
        AliasKind::CustomerId => subject.customer_id.clone(),
        AliasKind::ExternalId => subject.external_id.clone(),
        _ => None,
    };
    aliases.into_iter().map(|alias| Name { alias, raw: raw(alias.kind) }).collect()
}

/// Who states a fact: it decides how much the fact may change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Teller {
    /// An event, or a file of identifiers: one name alone says nothing.
    Event,
    /// The brand, of a contact; or a merge.
    Brand,
    /// The brand's directory, asked for somebody: it takes no name from anybody else.
    Directory,
}

impl Teller {
    fn moves(self, at: Time, link: Link) -> bool {
        self != Self::Directory && at > link.at
    }
}

/// Leads all names to one person: whom the first unique name leads to who can be meant.
///
/// Nobody is meant who bears another customer id or external id than the fact gives. Then it is about somebody else, and
/// those names of it that belong to other people come along only if the fact is newer than what made them theirs.
pub(super) fn unite(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    names: &[Name],
    at: Time,
    teller: Teller,
) -> Result<United, VaultError> {
    let mut united = United::default();
    let first = names.iter().find(|name| name.alias.kind.is_unique()).map(|name| name.alias);
    let mut customer = None;
    let (mut told, mut unknown, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for name in names.iter().filter(|name| name.alias.kind.is_unique()) {
        // Even if it leads somewhere: a fact older than an erasure says nothing about who bears the name now.
        if draft.tombstone(name.alias.hash)?.is_some_and(|erased| erased >= at) {
            united.erased = true;
            continue;
        }
        // One person has one customer id, whatever one fact says; two that became one come as a merge.
        if name.alias.kind == AliasKind::CustomerId && *customer.get_or_insert(name.alias) != name.alias {
            united.conflicts += 1;
            continue;
        }
        told.push(name.alias);
        match draft.link(name.alias.hash)? {
            Some(link) => known.push((name, link)),
            None => unknown.push(name),
        }
    }

    if united.erased {
        // Who bears the other names now is not for an old fact to say. Only the name that decides may be found.
        united.id = known.first().filter(|(name, _)| Some(name.alias) == first).map(|(_, link)| link.id);
        return Ok(united);
    }
    let shared = names.iter().filter(|name| !name.alias.kind.is_unique()).count();
    let base = match meant(draft, &told, &known)? {
        Some(id) => id,
        None => {
            let gained = unknown.len() + known.iter().filter(|(_, link)| teller.moves(at, *link)).count();
            if gained == 0 || (teller == Teller::Event && gained + shared < 2) {
                united.conflicts += known.len();
                return Ok(united);
            }
            draft.create(namespace.as_str())
        }
    };

    for (name, link) in known {
        // Looked up again: an earlier join may have brought it here already.
        if link.id == base || draft.link(name.alias.hash)?.is_none_or(|now| now.id == base) {
            continue;
        }
        if !draft.has_contact(link.id)? && fits(draft, link.id, &told)? && may_be_one(draft, link.id, base)? {
            join(draft, link.id, base, Keep::Own)?;
            continue;
        }
        united.conflicts += 1;
        if teller.moves(at, link) {
            draft.attach(base, entry(name, at))?;
            let nameless = |aliases: &[Entry]| !aliases.iter().any(|e| e.kind.is_unique());
            if draft.person(link.id)?.is_some_and(|left| nameless(&left.aliases)) {
                // Nobody else bore that name: it was this person all along, under a name that has changed.
                join(draft, link.id, base, Keep::Newest)?;
            }
        }
    }
    for name in unknown {
        united.linked += usize::from(draft.attach(base, entry(name, at))?);
    }
    for name in names.iter().filter(|name| !name.alias.kind.is_unique()) {
        if draft.tombstone(name.alias.hash)?.is_none_or(|erased| erased < at) {
            united.linked += usize::from(draft.attach(base, entry(name, at))?);
        }
    }
    united.id = Some(base);
    Ok(united)
}

/// Of those whom the names lead to and who can be meant: the first with a contact, else the first.
fn meant(draft: &mut Draft<'_>, told: &[Alias], known: &[(&Name, Link)]) -> Result<Option<ContactId>, VaultError> {
    let mut first = None;
    for (_, link) in known {
        if fits(draft, link.id, told)? {
            if draft.has_contact(link.id)? {
                return Ok(Some(link.id));
            }
            first = first.or(Some(link.id));
        }
    }
    Ok(first)
}

/// True if the person can be the one of whom these names are told.
fn fits(draft: &mut Draft<'_>, id: ContactId, told: &[Alias]) -> Result<bool, VaultError> {
    Ok(!is_other(draft, id, told, AliasKind::CustomerId)? && !is_other(draft, id, told, AliasKind::ExternalId)?)
}

/// True if a name of this kind is told, and the person bears others of it only.
fn is_other(draft: &mut Draft<'_>, id: ContactId, told: &[Alias], kind: AliasKind) -> Result<bool, VaultError> {
    let Some(person) = draft.person(id)? else { return Ok(false) };
    let borne = person.count_of(kind);
    // Whoever was merged has several customer ids, and each brings its external id along, whenever that is learned.
    let room = kind == AliasKind::ExternalId && borne < person.count_of(AliasKind::CustomerId);
    if borne == 0 || room || !told.iter().any(|alias| alias.kind == kind) {
        return Ok(false);
    }
    Ok(!told.iter().any(|alias| alias.kind == kind && person.aliases.iter().any(|e| e.alias() == *alias)))
}

/// True if making one of two people brings no two ids together that only a merge may.
fn may_be_one(draft: &mut Draft<'_>, one: ContactId, two: ContactId) -> Result<bool, VaultError> {
    let mut ids = |id| -> Result<_, VaultError> {
        let person = draft.person(id)?;
        Ok(person.map_or((0, 0), |p| (p.count_of(AliasKind::CustomerId), p.count_of(AliasKind::ExternalId))))
    };
    let ((customers, externals), (customers_too, externals_too)) = (ids(one)?, ids(two)?);
    let fit = externals == 0 || externals_too == 0 || externals + externals_too <= customers + customers_too;
    Ok((customers == 0 || customers_too == 0) && fit)
}

/// Follows a merge: the victim's person becomes part of the survivor's, whose contact stays if there is one.
pub(super) fn merge(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    survivor: &[Name],
    victim: &[Name],
    at: Time,
) -> Result<United, VaultError> {
    let mut united = unite(draft, namespace, survivor, at, Teller::Brand)?;
    // The strongest name says who survives, also where a weaker one belongs to somebody else.
    let strongest = survivor.iter().find(|name| name.alias.kind.is_unique()).filter(|_| !united.erased);
    let leads = strongest.map(|name| draft.link(name.alias.hash)).transpose()?.flatten();
    let Some(base) = leads.map(|link| link.id).or(united.id) else { return Ok(united) };
    united.id = Some(base);
    let named: Vec<Alias> = victim.iter().map(|name| name.alias).collect();
    let mut decided = false;
    for name in victim.iter().filter(|name| name.alias.kind.is_unique()) {
        if draft.tombstone(name.alias.hash)?.is_some_and(|erased| erased >= at) {
            continue;
        }
        match draft.link(name.alias.hash)? {
            Some(link) if link.id == base => decided = true,
            // The victim's strongest name says who the victim is, whenever it was learned.
            Some(link) if !decided && !is_other(draft, link.id, &named, AliasKind::CustomerId)? => {
                decided = true;
                united.linked += draft.person(link.id)?.map_or(0, |victim| victim.aliases.len());
                join(draft, link.id, base, Keep::Own)?;
            }
            // A weaker name may have gone to somebody else since: a card that was issued again.
            Some(link) => {
                united.conflicts += 1;
                if at > link.at {
                    draft.attach(base, entry(name, at))?;
                    if draft.person(link.id)?.is_some_and(|left| !left.aliases.iter().any(|e| e.kind.is_unique())) {
                        join(draft, link.id, base, Keep::Own)?;
                    }
                }
            }
            None => united.linked += usize::from(draft.attach(base, entry(name, at))?),
        }
    }
    for name in victim.iter().filter(|name| !name.alias.kind.is_unique()) {
        if draft.tombstone(name.alias.hash)?.is_none_or(|erased| erased < at) {
            united.linked += usize::from(draft.attach(base, entry(name, at))?);
        }
    }
    Ok(united)
}

/// Whose contact stays when two people become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// That of the one who stays, if there is one.
    Own,
    /// The one that the brand changed last.
    Newest,
}

fn join(draft: &mut Draft<'_>, from: ContactId, into: ContactId, keep: Keep) -> Result<(), VaultError> {
    let Some(gone) = draft.take_person(from)? else { return Ok(()) };
    let theirs = draft.take_contact(from)?;
    for entry in gone.aliases {
        let alias = entry.alias();
        let at = entry.at;
        if !alias.kind.is_unique() {
            draft.unpoint(alias, from)?;
        }
        draft.point(alias, into, at)?;
        let Some(person) = draft.person_mut(into)? else { continue };
        if !person.aliases.iter().any(|e| e.alias() == alias) {
            person.aliases.push(entry);
            draft.evict(into, alias)?;
        }
    }
    if let Some(person) = draft.person_mut(into)? {
        person.marks.extend(gone.marks.into_iter().filter(|mark| !person.marks.contains(mark)).collect::<Vec<_>>());
    }
    if let Some(theirs) = theirs {
        let ours = draft.contact(into)?.map(|contact| contact.updated_at);
        if ours.is_none_or(|ours| keep == Keep::Newest && theirs.updated_at > ours) {
            draft.set_contact(into, Some(theirs))?;
        }
    }
    index_addresses(draft, into)
}

/// Makes the contact's own phone and mail, and no former ones, lead to the person; clears marks on former ones.
pub(super) fn index_addresses(draft: &mut Draft<'_>, id: ContactId) -> Result<(), VaultError> {
    let keys = draft.keys().clone();
    let Some(person) = draft.person(id)? else { return Ok(()) };
    let Ok(namespace) = person.namespace.parse::<Namespace>() else { return Ok(()) };
    let held: Vec<Alias> = person.aliases.iter().filter(|e| e.own).map(Entry::alias).collect();
    let (at, wanted, marks) = match draft.contact(id)? {
        Some(contact) => (
            contact.updated_at,
            address_aliases(&keys, &namespace, contact),
            Some(super::contact::address_marks(&keys, &namespace, contact)),
        ),
        // What is known of an address outlives a contact that comes back: a look-up finds the same address again.
        None => (Time::default(), Vec::new(), None),
    };
    for alias in held.into_iter().filter(|alias| !wanted.contains(alias)) {
        if let Some(person) = draft.person_mut(id)? {
            person.aliases.retain(|e| e.alias() != alias);
        }
        draft.unpoint(alias, id)?;
    }
    for alias in wanted {
        draft.attach(id, Entry { kind: alias.kind, hash: alias.hash, at, raw: None, own: true })?;
    }
    let Some(marks) = marks else { return Ok(()) };
    let stale = |person: &super::record::Person| person.marks.iter().any(|m| !marks.contains(&(m.channel, m.address)));
    if draft.person(id)?.is_some_and(stale)
        && let Some(person) = draft.person_mut(id)?
    {
        person.marks.retain(|m| marks.contains(&(m.channel, m.address)));
    }
    Ok(())
}

/// True if there is nothing to learn: every name leads to the same person already.
pub(super) fn all_known(store: &Store, names: &[Name]) -> Result<bool, VaultError> {
    let mut id = None;
    for name in names.iter().filter(|name| name.alias.kind.is_unique()) {
        match (store.link(name.alias.hash)?, id) {
            (None, _) => return Ok(false),
            (Some(link), Some(id)) if link.id != id => return Ok(false),
            (Some(link), _) => id = Some(link.id),
        }
    }
    let Some(id) = id else { return Ok(true) };
    for name in names.iter().filter(|name| !name.alias.kind.is_unique()) {
        if !store.contains(super::store::Table::Shared, &[name.alias.hash.0, id.0].concat())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn entry(name: &Name, at: Time) -> Entry {
    let raw = name.raw.clone().filter(|raw| raw.expose().len() <= MAX_RAW).map(Text);
    Entry { kind: name.alias.kind, hash: name.alias.hash, at, raw, own: false }
}
