//! The vault: who people are. The one module that opens sled.
//!
//! Promises: every value sealed, every key a keyed hash or a random id; durable after [`Vault::sync`].
//! Never: anything of the ledger; `flush_async`; a person in an error.
//!
//! A *person* is a random id with a list of aliases and, once the brand told, a contact. Unique aliases (customer
//! id, external id, cards) lead to one person, shared ones (phone, mail) to everybody who has them. What events
//! teach and what the brand tells comes late, twice and out of order; `vault/link.rs` says how it is settled. An erasure
//! leaves a tombstone for each alias, for good: no fact of that time or older gets past it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::{Alias, AliasKind, Subject, alias_hash, is_no_identifier};
use crate::id::{Channel, KeyedHash, Namespace};
use crate::personal::Personal;
use crate::seal::Keyring;

mod absent;
mod barred;
mod committer;
mod contact;
mod draft;
mod find;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod import;
pub mod json;
mod kept;
mod known;
mod link;
mod lookup;
mod many;
mod record;
mod store;

use committer::Committer;
use draft::{Committed, Counts, Draft};
use known::KnownSets;
use link::{Name, Teller, United};
use store::Store;

pub use barred::{Edition, ListState};
pub use find::{Reach, Reached};
pub use many::{ManyPut, PutHow, PutRow};

/// The PII store. Cheap to clone. When the last clone goes, what is owed is synced; only [`Vault::close`] tells
/// whether that went well.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    // First, so that it is dropped first: its thread holds the store's files.
    committer: Committer,
    store: Store,
    /// One writer at a time: every change reads what it changes.
    writer: Mutex<Counts>,
    known: KnownSets,
}

/// Random id of a person in the vault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ContactId(pub [u8; 16]);

/// What the brand knows of a person. No `Debug`, no `Serialize`.
#[derive(Clone, Default)]
pub struct Contact {
    /// Given name.
    pub first_name: Option<Personal>,
    /// Family name.
    pub last_name: Option<Personal>,
    /// Mail address.
    pub email: Option<Personal>,
    /// Mobile number in E.164 (`+9198…`).
    pub mobile: Option<Personal>,
    /// BCP 47 language tag.
    pub locale: Option<String>,
    /// IANA time zone.
    pub time_zone: Option<String>,
    /// Attributes of the brand; they may be anything, so they are treated as personal.
    pub attributes: std::collections::BTreeMap<String, Personal>,
    /// When the brand last changed it (last writer wins on this).
    pub updated_at: Time,
    /// Until when it is kept, if it was only looked up; what the brand put itself is kept until the brand removes it.
    pub keep_until: Option<Time>,
}

/// Raw names of a person, as an import or an API call gives them.
#[derive(Clone)]
pub struct NamedAlias {
    /// Kind of identifier.
    pub kind: AliasKind,
    /// The identifier itself.
    pub value: Personal,
}

/// Who a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// No alias is known, or the person has no contact record yet.
    Unknown,
    /// Only shared identifiers (phone, mail) match, and they match several people.
    Several,
    /// The person was erased.
    Erased,
    /// This one.
    Known(ContactId),
}

/// What learning or putting changed.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Aliases that now lead to a contact and did not before: whoever waits for them can be woken.
    pub woken: Vec<Alias>,
    /// New alias links made.
    pub linked: usize,
    /// Identifiers that belonged to somebody else; the newer fact has them.
    pub conflicts: usize,
    /// True if anything was written: a [`Vault::sync`] is owed.
    pub dirty: bool,
    /// True if (part of) it was left out because the person was erased at that time or later.
    pub erased: bool,
}

/// Whether a put keeps fields that it does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// Fields not given stay.
    Patch,
    /// Fields not given go.
    Replace,
}

/// How many of what. Counts only.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "names say it")]
pub struct VaultStats {
    pub contacts: u64,
    pub aliases: u64,
    pub bytes_on_disk: u64,
}

/// A vault that cannot do what was asked. Names no person.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum VaultError {
    #[error("vault at {path} is in use by another process; stop it, or talk to the running daemon")]
    Locked { path: std::path::PathBuf },
    #[error("vault at {path} cannot be opened: {source}")]
    Open { path: std::path::PathBuf, source: std::io::Error },
    #[error("vault at {path} was made with another key file; give that one, or another directory")]
    OtherKeys { path: std::path::PathBuf },
    #[error("vault was closed")]
    Closed,
    #[error("vault write or read failed: {0}")]
    Store(String),
    #[error("vault record cannot be opened: {0}")]
    Sealed(#[from] crate::seal::OpenError),
    #[error("vault record cannot be read: version {0} is not known")]
    Version(u8),
    #[error("vault record cannot be read: it is not of the shape its version says")]
    Shape,
    #[error("contact would take {size} bytes; at most {limit} fit")]
    TooLarge { size: usize, limit: usize },
    #[error("field `{field}` is not {expected}")]
    Invalid { field: &'static str, expected: &'static str },
    #[error("vault could not be synced to disk; it refuses writes until it is reopened")]
    Poisoned,
}

impl VaultError {
    /// True if the record given is at fault, not the vault.
    pub fn is_of_the_record(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::TooLarge { .. })
    }

    /// True if one stored record cannot be read: that is one person's fault, and everybody else's messages go on.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Sealed(_) | Self::Version(_) | Self::Shape)
    }
}

impl Vault {
    /// Opens or makes the vault in `dir` and starts its one committer thread. `cache_bytes` bounds sled's cache.
    ///
    /// A new one is made beside its place and moved there when it is whole: of files that were half made when the power
    /// went, sled can open some and not others.
    pub fn open(dir: &Path, keys: &Keyring, cache_bytes: u64) -> Result<Self, VaultError> {
        if !dir.exists() {
            let fail = |source| VaultError::Open { path: dir.into(), source };
            let unfinished = store::unfinished(dir).map_err(fail)?;
            Self::open_at(&unfinished, keys, cache_bytes)?.close()?;
            store::finish(&unfinished, dir).map_err(fail)?;
        }
        Self::open_at(dir, keys, cache_bytes)
    }

    fn open_at(dir: &Path, keys: &Keyring, cache_bytes: u64) -> Result<Self, VaultError> {
        let fail = |source| VaultError::Open { path: dir.into(), source };
        let store = Store::open(dir, keys, cache_bytes)?;
        let counts = match store.get(store::Table::Meta, b"counts")? {
            Some(plain) => record::read_json(&plain)?,
            None => Counts::default(),
        };
        let committer = Committer::start(store.poison.clone(), store.syncer(dir).map_err(fail)?).map_err(fail)?;
        // A new vault has written its identity.
        committer.wrote();
        committer.sync_blocking()?;
        store::sync_files(dir).map_err(fail)?;
        Ok(Self(Arc::new(Inner { committer, store, writer: Mutex::new(counts), known: KnownSets::new() })))
    }

    /// Links all aliases of one subject to one person. Written, not yet synced. Last writer wins on `at`: the time
    /// at which a link was first stated; saying it again is free and changes nothing.
    pub fn learn(&self, namespace: &Namespace, subject: &Subject, at: Time) -> Result<Learned, VaultError> {
        self.learn_names(namespace, &link::names_of(subject), at)
    }

    fn learn_names(&self, namespace: &Namespace, names: &[Name], at: Time) -> Result<Learned, VaultError> {
        if names.len() < 2 {
            return Ok(Learned::default());
        }
        let print = self.0.known.print(names);
        if self.0.known.contains(print) {
            return Ok(Learned::default());
        }
        if link::all_known(&self.0.store, names)? {
            self.0.known.insert(print);
            return Ok(Learned::default());
        }
        self.change(|draft| link::unite(draft, namespace, names, at, Teller::Event))
    }

    /// Follows a merge: the victim's aliases lead to the survivor from now on. The survivor's contact stays; if
    /// there is none, the victim's does.
    pub fn merge(
        &self,
        namespace: &Namespace,
        survivor: &Subject,
        victim: &Subject,
        at: Time,
    ) -> Result<Learned, VaultError> {
        let (survivor, victim) = (link::names_of(survivor), link::names_of(victim));
        self.change(|draft| link::merge(draft, namespace, &survivor, &victim, at))
    }

    /// Waits until everything written before this call is durable against power loss. Calls are grouped, and free
    /// if nothing was written.
    pub async fn sync(&self) -> Result<(), VaultError> {
        self.0.committer.sync().await
    }

    /// [`Vault::sync`] for threads outside the async runtime.
    pub fn sync_blocking(&self) -> Result<(), VaultError> {
        self.0.committer.sync_blocking()
    }

    /// Puts a contact under its aliases (the first unique one decides who it is). Written, not yet synced.
    ///
    /// An older `updated_at` than the stored one changes no field, but links. In a patch a blank field removes the
    /// stored one. Nothing happens to an erased person unless `updated_at` is later than the erasure.
    pub fn put(
        &self,
        namespace: &Namespace,
        aliases: &[NamedAlias],
        contact: Contact,
        mode: PutMode,
    ) -> Result<Learned, VaultError> {
        let names = self.names(namespace, aliases)?;
        let contact = contact::normalise(contact)?;
        self.change(|draft| match many::put_contact(draft, namespace, &names, contact, mode)? {
            Some(united) => Ok(united),
            None => {
                draft.abandon();
                Ok(United { erased: true, ..United::default() })
            }
        })
    }

    /// Links aliases without a contact (an alias-only file). Written, not yet synced.
    pub fn link(&self, namespace: &Namespace, aliases: &[NamedAlias], at: Time) -> Result<Learned, VaultError> {
        let names = self.names(namespace, aliases)?;
        self.learn_names(namespace, &names, at)
    }

    /// Removes the person's contact, aliases and marks; leaves a keyed-hash tombstone with `at` (or with the time
    /// of the newest thing that was known, if that is later: what was erased must not come back by itself).
    /// False if unknown; the tombstone is left all the same, for whatever comes late.
    pub fn delete(&self, namespace: &Namespace, alias: Alias, at: Time) -> Result<bool, VaultError> {
        let _ = namespace; // The alias's hash holds it already.
        let mut found = false;
        self.change(|draft| {
            let people = draft.bearers(alias)?;
            let mut at = at;
            let mut aliases = vec![alias];
            if let [id] = people[..] {
                found = true;
                let contact = draft.take_contact(id)?;
                let person = draft.take_person(id)?.unwrap_or_default();
                at = at.max(contact.map_or(at, |contact| contact.updated_at));
                for entry in &person.aliases {
                    at = at.max(entry.at);
                    draft.unpoint(entry.alias(), id)?;
                    aliases.push(entry.alias());
                }
            } else if people.len() > 1 {
                // A shared number does not say whom to erase, and must not brand the others as erased.
                return Ok(United::default());
            }
            for alias in aliases {
                draft.bury(alias.hash, at)?;
            }
            Ok(United::default())
        })?;
        Ok(found)
    }

    /// Marks the contact's address on this channel as not to be used (hard bounce). A changed address clears it.
    pub fn suppress_address(&self, id: ContactId, channel: Channel, at: Time) -> Result<(), VaultError> {
        self.change(|draft| {
            let (Some(person), Some(contact)) = (draft.person(id)?.cloned(), draft.contact(id)?) else {
                return Ok(United::default());
            };
            let marked = |address| person.marks.iter().any(|m| (m.channel, m.address) == (channel, address));
            if let Some(address) = self.mark(&person, contact, channel).filter(|address| !marked(*address))
                && let Some(person) = draft.person_mut(id)?
            {
                person.marks.push(record::Mark { channel, address, at });
            }
            Ok(United::default())
        })?;
        Ok(())
    }

    /// The keyed hash of an alias, for commands that are given one.
    pub fn alias(&self, namespace: &Namespace, named: &NamedAlias) -> Alias {
        let hash = alias_hash(&self.0.store.keys, namespace, named.kind, named.value.expose());
        Alias { kind: named.kind, hash }
    }

    /// Counts.
    pub fn stats(&self) -> Result<VaultStats, VaultError> {
        let Counts { contacts, aliases, .. } = *self.writer();
        Ok(VaultStats { contacts, aliases, bytes_on_disk: self.0.store.bytes_on_disk()? })
    }

    /// False once a sync failed.
    pub fn is_healthy(&self) -> bool {
        self.0.committer.is_healthy()
    }

    /// Stops the committer after a last sync. Reads go on; writes are refused.
    pub fn close(&self) -> Result<(), VaultError> {
        // Behind the writer's back a batch could slip in after the last sync.
        let _writer = self.writer();
        self.0.committer.stop()
    }

    /// Waits until a write or a sync has failed: nothing is written from then on, and only opening it again helps.
    pub async fn poisoned(&self) {
        self.0.store.poison.came().await;
    }

    fn writer(&self) -> MutexGuard<'_, Counts> {
        // The counts are replaced whole after a batch; a panic cannot leave them half changed.
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works a change out and writes it in one batch.
    fn change(&self, work: impl FnOnce(&mut Draft<'_>) -> Result<United, VaultError>) -> Result<Learned, VaultError> {
        let mut counts = self.writer();
        self.0.committer.check()?;
        let mut draft = Draft::new(&self.0.store, *counts);
        let united = work(&mut draft)?;
        let Committed { woken, dirty, moved } = draft.commit(&mut counts)?;
        if moved {
            // After the batch: a set that was looked up before it must not count as known after it.
            self.0.known.forget();
        }
        if dirty {
            self.0.committer.wrote();
        }
        Ok(Learned { woken, linked: united.linked, conflicts: united.conflicts, dirty, erased: united.erased })
    }

    fn names(&self, namespace: &Namespace, aliases: &[NamedAlias]) -> Result<Vec<Name>, VaultError> {
        let mut names: Vec<Name> = Vec::with_capacity(aliases.len());
        for named in aliases.iter().filter(|named| !is_no_identifier(named.kind, named.value.expose())) {
            if named.value.expose().len() > contact::FIELD_LIMIT {
                return Err(VaultError::Invalid { field: named.kind.as_str(), expected: "of at most 8192 bytes" });
            }
            let alias = self.alias(namespace, named);
            if !names.iter().any(|name| name.alias == alias) {
                names.push(Name { alias, raw: Some(Personal::new(named.value.expose().trim())) });
            }
        }
        if !names.iter().any(|name| name.alias.kind.is_unique()) {
            let expected = "given: one of customer_id, external_id, card or card_external_id is needed";
            return Err(VaultError::Invalid { field: "aliases", expected });
        }
        Ok(names)
    }
}

/// The keyed hash under which an address is marked; house tests know that nothing else of it leaves this module.
pub type AddressMark = KeyedHash;

#[cfg(test)]
mod tests;
