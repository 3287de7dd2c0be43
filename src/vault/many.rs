//! Many people in few batches: what an import and a bulk call do.
//!
//! Promises: means exactly what putting them one by one means, in their order; a bad row is its own fault.
//! Never: a batch so long that other writers starve.
//!
//! Each batch of sled rolls its log buffer twice, which is two writes that are waited for: one batch for each person
//! would cost a million people two million writes.

use std::sync::mpsc;

use super::absent::Since;
use super::draft::Draft;
use super::link::{self, Name, Teller, United};
use super::store::Table;
use super::{Contact, Learned, NamedAlias, PutMode, Vault, VaultError, contact};
use crate::event::Alias;
use crate::id::{KeyedHash, Namespace};

/// People put in one batch.
const AT_ONCE: usize = 250;
/// Threads that make batches ready. sled lets nobody read while it applies a batch, so the reading has to be done by two at a time in
/// between.
const PREPARERS: usize = 2;

/// One of many.
pub struct PutRow {
    /// Their identifiers.
    pub aliases: Vec<NamedAlias>,
    /// What is known of them; only its time counts where identifiers alone are linked.
    pub contact: Contact,
    /// False if the time is not the row's own: then it brings nobody back who was erased.
    pub dated: bool,
}

/// What a row does with what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutHow {
    /// Puts the contact.
    Contact(PutMode),
    /// Links the identifiers.
    Aliases,
}

/// What putting many did.
#[derive(Default)]
pub struct ManyPut {
    /// For each row what was linked, or why it was refused. Whom it woke is told once, for all.
    pub rows: Vec<Result<Learned, VaultError>>,
    /// Aliases that now lead to a contact and did not before.
    pub woken: Vec<Alias>,
    /// True if anything was written: a [`Vault::sync`] is owed.
    pub dirty: bool,
}

/// A row that may be put.
struct Fit<'r> {
    at: usize,
    names: Vec<Name>,
    contact: Contact,
    /// Names that led nowhere, and when that was.
    absent: (Since, Vec<KeyedHash>),
    row: &'r PutRow,
}

impl Vault {
    /// Puts or links rows in their order. Written, not yet synced.
    ///
    /// # Errors
    /// When the vault is at fault; rows before that may be stored. The fault of a row is in its result.
    pub fn put_many(&self, namespace: &Namespace, rows: &[PutRow], how: PutHow) -> Result<ManyPut, VaultError> {
        let mut done = ManyPut::default();
        if rows.len() <= AT_ONCE {
            self.put_chunk(namespace, self.prepare(namespace, rows, how), how, &mut done)?;
            return Ok(done);
        }
        std::thread::scope(|scope| {
            let prepared: Vec<_> = (0..PREPARERS)
                .map(|first| {
                    // Each is one batch ahead at most: the reader's pages are to be in the cache still when they are written.
                    let (ahead, prepared) = mpsc::sync_channel(0);
                    let mut own = rows.chunks(AT_ONCE).skip(first).step_by(PREPARERS);
                    // Whoever no longer takes them has failed, and says so.
                    scope.spawn(move || own.all(|rows| ahead.send(self.prepare(namespace, rows, how)).is_ok()));
                    prepared
                })
                .collect();
            // They take turns as the batches do; the first that has none left had the last one.
            for chunk in prepared.iter().cycle().map_while(|prepared| prepared.recv().ok()) {
                self.put_chunk(namespace, chunk, how, &mut done)?;
            }
            Ok(done)
        })
    }

    /// What can be done before a row's turn comes: its form, the keyed hashes of its names; and the pages of the store where they will be
    /// written are read, which is most of the work where the store is larger than its cache.
    fn prepare<'r>(&self, namespace: &Namespace, rows: &'r [PutRow], how: PutHow) -> Vec<Result<Fit<'r>, VaultError>> {
        rows.iter()
            .map(|row| {
                let (names, contact) = self.fit(namespace, row, how)?;
                let mut absent = (self.0.store.names.now(), Vec::new());
                for alias in names.iter().map(|name| name.alias).filter(|alias| alias.kind.is_unique()) {
                    if !self.0.store.contains(Table::Unique, &alias.hash.0)? {
                        absent.1.push(alias.hash);
                    }
                }
                for alias in contact::address_aliases(&self.0.store.keys, namespace, &contact) {
                    self.0.store.warm(Table::Shared, &alias.hash.0)?;
                }
                Ok(Fit { at: 0, names, contact, absent, row })
            })
            .collect()
    }

    fn put_chunk(
        &self,
        namespace: &Namespace,
        prepared: Vec<Result<Fit<'_>, VaultError>>,
        how: PutHow,
        done: &mut ManyPut,
    ) -> Result<(), VaultError> {
        let mut fit = Vec::with_capacity(prepared.len());
        for row in prepared {
            let at = done.rows.len();
            match row {
                Ok(row) => {
                    fit.push(Fit { at, ..row });
                    done.rows.push(Ok(Learned::default()));
                }
                Err(fault) if fault.is_of_the_record() => done.rows.push(Err(fault)),
                Err(fault) => return Err(fault),
            }
        }
        if !self.put_together(namespace, &fit, how, done)? {
            for one in fit.chunks(1) {
                self.put_alone(namespace, one, how, done)?;
            }
        }
        Ok(())
    }

    fn fit(&self, namespace: &Namespace, row: &PutRow, how: PutHow) -> Result<(Vec<Name>, Contact), VaultError> {
        let contact = match how {
            PutHow::Contact(_) => contact::normalise(row.contact.clone())?,
            PutHow::Aliases => Contact { updated_at: row.contact.updated_at, ..Contact::default() },
        };
        Ok((self.names(namespace, &row.aliases)?, contact))
    }

    /// All in one batch; false, and nothing changed, if one of them cannot be put with others.
    fn put_together(
        &self,
        namespace: &Namespace,
        rows: &[Fit<'_>],
        how: PutHow,
        done: &mut ManyPut,
    ) -> Result<bool, VaultError> {
        let mut ends = Vec::with_capacity(rows.len());
        let put = self.change(|draft| {
            for fit in rows {
                match put_row(draft, namespace, fit, how)? {
                    Some(united) => ends.push((fit.at, united)),
                    None => {
                        ends.clear();
                        draft.abandon();
                        break;
                    }
                }
            }
            Ok(United::default())
        });
        let learned = match put {
            // A person with too many long names, together with the rest: the fault is told when they are alone.
            Err(fault) if (fault.is_of_the_record() || fault.is_unreadable()) && rows.len() > 1 => return Ok(false),
            put => put?,
        };
        if ends.len() < rows.len() {
            return Ok(false);
        }
        for (at, united) in ends {
            done.rows[at] = Ok(told(&united));
        }
        done.add(learned);
        Ok(true)
    }

    fn put_alone(
        &self,
        namespace: &Namespace,
        one: &[Fit<'_>],
        how: PutHow,
        done: &mut ManyPut,
    ) -> Result<(), VaultError> {
        match self.put_together(namespace, one, how, done) {
            Ok(true) => {}
            // It would have touched somebody who was erased, and was undone.
            Ok(false) => done.rows[one[0].at] = Ok(Learned { erased: true, ..Learned::default() }),
            Err(fault) if fault.is_of_the_record() || fault.is_unreadable() => done.rows[one[0].at] = Err(fault),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}

impl ManyPut {
    fn add(&mut self, learned: Learned) {
        self.woken.extend(learned.woken);
        self.dirty |= learned.dirty;
    }
}

fn told(united: &United) -> Learned {
    Learned { linked: united.linked, conflicts: united.conflicts, erased: united.erased, ..Learned::default() }
}

/// `None` if the change has to be undone as a whole.
fn put_row(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    fit: &Fit<'_>,
    how: PutHow,
) -> Result<Option<United>, VaultError> {
    let (since, absent) = &fit.absent;
    absent.iter().for_each(|hash| draft.was_absent(*hash, *since));
    if !fit.row.dated {
        for name in &fit.names {
            let hash = name.alias.hash;
            if draft.tombstone(hash)?.is_some() && draft.link(hash)?.is_none() {
                return Ok(Some(United { erased: true, ..United::default() }));
            }
        }
    }
    match how {
        PutHow::Contact(mode) => put_contact(draft, namespace, &fit.names, fit.contact.clone(), mode),
        PutHow::Aliases if fit.names.len() < 2 => Ok(Some(United::default())),
        PutHow::Aliases => link::unite(draft, namespace, &fit.names, fit.contact.updated_at, Teller::Event).map(Some),
    }
}

/// Puts one contact under its names. `None` if it would stand behind a name of somebody who was erased: then the change
/// has to be undone.
pub(super) fn put_contact(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    names: &[Name],
    contact: Contact,
    mode: PutMode,
) -> Result<Option<United>, VaultError> {
    let at = contact.updated_at;
    let teller = if contact.keep_until.is_some() { Teller::Directory } else { Teller::Brand };
    let united = link::unite(draft, namespace, names, at, teller)?;
    let Some(id) = united.id else { return Ok(Some(united)) };
    let old = draft.contact(id)?.cloned();
    if old.is_none() && united.erased {
        // Where a name was erased nothing was linked, so nothing is to be undone.
        return Ok(Some(United { erased: true, ..United::default() }));
    }
    if old.is_none() && draft.buried(id, at)? {
        return Ok(None);
    }
    let is_kept = |contact: &Contact| contact.keep_until.is_some();
    let (looked_up, over_looked_up) = (is_kept(&contact), old.as_ref().is_some_and(is_kept));
    // What the brand put itself stands above what was only looked up, whichever is newer.
    let wins = match &old {
        Some(_) if looked_up != over_looked_up => over_looked_up,
        Some(old) => old.updated_at <= at,
        None => true,
    };
    if wins {
        let new = contact::put_over(old.as_ref(), contact, mode);
        if !old.is_some_and(|old| contact::same(&old, &new)) {
            draft.set_contact(id, Some(new))?;
            link::index_addresses(draft, id)?;
        }
    }
    Ok(Some(united))
}
