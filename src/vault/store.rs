//! The house's only dealings with sled 0.34.7.
//!
//! Promises: every value sealed as its table and key; a batch is applied whole or not at all, over all tables;
//! [`sync_files`] returns once the device has it.
//! Never: anything but get, range and batch; `flush_async`; sled's own flusher thread.
//!
//! All tables share one sled tree, told apart by the first byte of the key: sled's batches are atomic within one
//! tree only (it writes a batch manifest and drops unfinished batches at recovery), and a person, the aliases that
//! lead there and the counters must never disagree after a crash.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zeroize::Zeroizing;

use super::absent::LastWritten;
use super::committer::Poison;
use super::record::{self, Link, Person};
use super::{Contact, ContactId, VaultError};
use crate::clock::Time;
use crate::failpoint::{self, Point};
use crate::id::{KeyedHash, KeyedHasher};
use crate::seal::{Keyring, OpenError, Sealer};

/// Sealed records above this are refused: sled puts very large pages into files of their own.
pub(super) const RECORD_LIMIT: usize = 32 << 10;
/// The same before sealing.
pub(super) const PLAIN_LIMIT: usize = RECORD_LIMIT - Sealer::OVERHEAD;

/// sled's background work may hold its lock for a moment after the last handle is gone.
const LOCK_PATIENCE: (u32, Duration) = (25, Duration::from_millis(20));

#[derive(Clone, Copy)]
pub(super) enum Table {
    /// What the vault says of itself.
    Meta = b'm' as isize,
    /// Person id to aliases and marks.
    Person = b'p' as isize,
    /// Person id to contact.
    Contact = b'c' as isize,
    /// Unique alias to the person it names.
    Unique = b'u' as isize,
    /// Shared alias and person id.
    Shared = b's' as isize,
    /// Alias to the time its person was erased.
    Tombstone = b't' as isize,
    /// Edition of a list and number, for numbers that must not get promotional messages.
    Barred = b'b' as isize,
    /// Time and person id, for contacts that were only looked up: when they are forgotten.
    Kept = b'k' as isize,
}

impl Table {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Meta => b"meta",
            Self::Person => b"person",
            Self::Contact => b"contact",
            Self::Unique => b"unique",
            Self::Shared => b"shared",
            Self::Tombstone => b"tombstone",
            Self::Barred => b"barred",
            Self::Kept => b"kept",
        }
    }

    fn key(self, key: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(1 + key.len());
        whole.push(self as u8);
        whole.extend_from_slice(key);
        whole
    }
}

pub(super) struct Store {
    db: sled::Db,
    sealer: Sealer,
    pub(super) keys: Keyring,
    pub(super) poison: Poison,
    /// False while nobody was ever erased: then nobody need be looked up as such, which every event would do several times.
    has_tombstones: AtomicBool,
    /// Of the unique names.
    pub(super) names: LastWritten,
}

/// Writes that happen together.
pub(super) struct Batch<'s> {
    store: &'s Store,
    writes: sled::Batch,
}

impl Store {
    pub(super) fn open(dir: &Path, keys: &Keyring, cache_bytes: u64) -> Result<Self, VaultError> {
        let fail = |source| VaultError::Open { path: dir.into(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
        let config = sled::Config::new().path(dir).cache_capacity(cache_bytes.max(1 << 20)).flush_every_ms(None);
        let mut patience = LOCK_PATIENCE.0;
        let db = loop {
            drop_half_snapshots(dir).map_err(fail)?;
            match config.open() {
                Ok(db) => break db,
                Err(error) if !is_locked(&error) => return Err(fail(with_remedy(error.into()))),
                Err(_) if patience == 0 => return Err(VaultError::Locked { path: dir.into() }),
                Err(_) => {
                    patience -= 1;
                    std::thread::sleep(LOCK_PATIENCE.1);
                }
            }
        };
        let store = Self {
            db,
            sealer: keys.sealer("vault"),
            keys: keys.clone(),
            poison: Poison::default(),
            has_tombstones: AtomicBool::new(true),
            names: LastWritten::new(),
        };
        store.check_keys(dir)?;
        store.has_tombstones.store(!store.some_keys(Table::Tombstone, &[], 1)?.is_empty(), Ordering::SeqCst);
        Ok(store)
    }

    /// Another key file would find nobody and could not read anything: better said at once.
    fn check_keys(&self, dir: &Path) -> Result<(), VaultError> {
        let print = record::write_json(&self.keys.keyed_hash("vault-identity", &[]))?;
        match self.get(Table::Meta, b"identity") {
            Ok(Some(found)) if found == print => Ok(()),
            Ok(Some(_)) | Err(VaultError::Sealed(OpenError::Unauthentic | OpenError::UnknownEpoch(_))) => {
                Err(VaultError::OtherKeys { path: dir.into() })
            }
            Ok(None) if self.db.is_empty() => {
                let mut batch = self.batch();
                batch.put(Table::Meta, b"identity", &print)?;
                batch.apply()
            }
            Ok(None) => Err(VaultError::OtherKeys { path: dir.into() }),
            Err(other) => Err(other),
        }
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        match self.db.get(table.key(key)).map_err(store_error)? {
            Some(sealed) => Ok(Some(self.sealer.open(&[table.name(), key], &sealed)?)),
            None => Ok(None),
        }
    }

    pub(super) fn contains(&self, table: Table, key: &[u8]) -> Result<bool, VaultError> {
        self.db.get(table.key(key)).map(|found| found.is_some()).map_err(store_error)
    }

    /// Reads the page where a key stands or would stand, so that a writer finds it in the cache.
    pub(super) fn warm(&self, table: Table, key: &[u8]) -> Result<(), VaultError> {
        self.contains(table, key).map(drop)
    }

    pub(super) fn link(&self, hash: KeyedHash) -> Result<Option<Link>, VaultError> {
        self.get(Table::Unique, &hash.0)?.map(|plain| record::read_link(&plain)).transpose()
    }

    pub(super) fn person(&self, id: ContactId) -> Result<Option<Person>, VaultError> {
        self.get(Table::Person, &id.0)?.map(|plain| record::read_person(&plain)).transpose()
    }

    pub(super) fn contact(&self, id: ContactId) -> Result<Option<Contact>, VaultError> {
        self.get(Table::Contact, &id.0)?.map(|plain| record::read_contact(&plain)).transpose()
    }

    pub(super) fn has_contact(&self, id: ContactId) -> Result<bool, VaultError> {
        self.contains(Table::Contact, &id.0)
    }

    pub(super) fn tombstone(&self, hash: KeyedHash) -> Result<Option<Time>, VaultError> {
        if !self.has_tombstones.load(Ordering::SeqCst) {
            return Ok(None);
        }
        self.get(Table::Tombstone, &hash.0)?.map(|plain| record::read_time(&plain)).transpose()
    }

    /// Everybody who shares this phone or mail address.
    pub(super) fn sharers(&self, hash: KeyedHash) -> Result<BTreeSet<ContactId>, VaultError> {
        self.some_sharers(hash, usize::MAX)
    }

    /// At most `most` of them: a till's number may have a hundred thousand.
    pub(super) fn some_sharers(&self, hash: KeyedHash, most: usize) -> Result<BTreeSet<ContactId>, VaultError> {
        let mut found = BTreeSet::new();
        for pair in self.db.scan_prefix(Table::Shared.key(&hash.0)).take(most) {
            let (key, _) = pair.map_err(store_error)?;
            if let Some(id) = key.last_chunk::<16>() {
                found.insert(ContactId(*id));
            }
        }
        Ok(found)
    }

    /// At most `most` keys of a table that begin so, without the table's own byte.
    pub(super) fn some_keys(&self, table: Table, begin: &[u8], most: usize) -> Result<Vec<Vec<u8>>, VaultError> {
        let keys = self.db.scan_prefix(table.key(begin)).keys().take(most);
        keys.map(|key| key.map(|key| key[1..].to_vec()).map_err(store_error)).collect()
    }

    /// Makes a record unreadable, as a bad disk does.
    #[cfg(test)]
    pub(super) fn spoil(&self, table: Table, key: &[u8]) {
        let spoilt = self.db.insert(table.key(key), b"spoilt").expect("a store that can be written");
        assert!(spoilt.is_some(), "there was nothing to spoil");
    }

    /// Every key, for tests that look at the whole.
    #[cfg(test)]
    pub(super) fn all_keys(&self) -> Vec<Vec<u8>> {
        self.db.iter().keys().map(|key| key.expect("a store that can be read").to_vec()).collect()
    }

    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { store: self, writes: sled::Batch::default() }
    }

    pub(super) fn bytes_on_disk(&self) -> Result<u64, VaultError> {
        self.db.size_on_disk().map_err(store_error)
    }

    /// What the committer does in each round.
    pub(super) fn syncer(&self, dir: &Path) -> io::Result<impl FnMut() -> io::Result<()> + Send + 'static> {
        let db = self.db.clone();
        // A handle of our own: sled's own flush stops at `sync_file_range`, which leaves the device's cache
        // and the file's length alone (`pagecache/iobuf.rs` of 0.34.7).
        let file = File::options().write(true).open(dir.join("db"))?;
        let (place, identity) = (dir.join("db"), identity(&file.metadata()?));
        let mut blobs = Blobs { dir: dir.join("blobs"), synced: BTreeSet::new() };
        Ok(move || {
            failpoint::at(Point::VaultBeforeSync);
            let synced = db
                .flush()
                .map_err(io::Error::from)
                .inspect(|_| failpoint::at(Point::VaultFlushed))
                .and_then(|_| blobs.sync())
                .and_then(|()| file.sync_data());
            // A file without a name takes writes and syncs like any other, and is gone with the process.
            match fs::metadata(&place) {
                Ok(found) if self::identity(&found) == identity => {
                    synced.inspect(|()| failpoint::at(Point::VaultAfterSync))
                }
                _ => Err(io::Error::other("its files were removed or replaced while it was open")),
            }
        })
    }
}

/// sled takes a snapshot that it was still writing (`snap.N.generating`) for the newest one, finds it corrupt, and never opens
/// again. A snapshot is only a short cut through the log: without one, all of the log is read.
fn drop_half_snapshots(dir: &Path) -> io::Result<()> {
    let db = match File::open(dir.join("db")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    // Whoever has the lock may be writing one at this moment. sled takes the same lock, so ours ends with this function.
    if db.try_lock().is_err() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Makes the files' existence durable, once after opening.
pub(super) fn sync_files(dir: &Path) -> io::Result<()> {
    for name in ["conf", "db"] {
        File::open(dir.join(name))?.sync_all()?;
    }
    File::open(dir.join("blobs"))?.sync_all()?;
    File::open(dir)?.sync_all()?;
    sync_parent(dir)
}

fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn sync_parent(dir: &Path) -> io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Where a new vault is made. What an earlier try left there is not whole, and nobody has seen it.
pub(super) fn unfinished(dir: &Path) -> io::Result<PathBuf> {
    let mut name = dir.as_os_str().to_owned();
    name.push(".new");
    match fs::remove_dir_all(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(name.into()),
    }
}

/// Moves a vault that is whole to its place.
pub(super) fn finish(unfinished: &Path, dir: &Path) -> io::Result<()> {
    fs::rename(unfinished, dir)?;
    sync_parent(dir)
}

/// sled writes a page above 128 KiB (a leaf holds up to 17 records) to a file of its own, once, and never syncs it.
struct Blobs {
    dir: PathBuf,
    synced: BTreeSet<std::ffi::OsString>,
}

impl Blobs {
    fn sync(&mut self) -> io::Result<()> {
        let mut present = BTreeSet::new();
        let mut fresh = false;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if !self.synced.contains(&entry.file_name()) {
                match File::open(entry.path()) {
                    Ok(file) => file.sync_all()?,
                    // sled removed it meanwhile: the page was rewritten.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                fresh = true;
            }
            present.insert(entry.file_name());
        }
        self.synced = present;
        if fresh { File::open(&self.dir)?.sync_all() } else { Ok(()) }
    }
}

impl Batch<'_> {
    pub(super) fn put(&mut self, table: Table, key: &[u8], plain: &[u8]) -> Result<(), VaultError> {
        let sealed = self.store.sealer.seal(&[table.name(), key], plain);
        if sealed.len() > RECORD_LIMIT {
            return Err(VaultError::TooLarge { size: plain.len(), limit: PLAIN_LIMIT });
        }
        if matches!(table, Table::Tombstone) {
            // Before it can be read: a batch that fails after this costs look-ups, not an erasure.
            self.store.has_tombstones.store(true, Ordering::SeqCst);
        }
        self.writes.insert(table.key(key), sealed);
        Ok(())
    }

    pub(super) fn remove(&mut self, table: Table, key: &[u8]) {
        self.writes.remove(table.key(key));
    }

    pub(super) fn apply(self) -> Result<(), VaultError> {
        self.store.db.apply_batch(self.writes).map_err(|error| {
            // sled answers everything with its first error from here on, and what it wrote before is not known.
            tracing::error!(%error, "vault could not be written; it refuses writes until it is reopened");
            self.store.poison.set();
            store_error(error)
        })
    }
}

/// sled writes when it opens, so a full disk keeps it shut.
fn with_remedy(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::StorageFull => io::Error::new(error.kind(), format!("{error}; free space and start again")),
        _ => error,
    }
}

fn is_locked(error: &sled::Error) -> bool {
    // sled wraps the lock's own error into a text (`config.rs` of 0.34.7, pinned).
    matches!(error, sled::Error::Io(source) if source.to_string().starts_with("could not acquire lock"))
}

fn store_error(error: sled::Error) -> VaultError {
    // sled's errors name offsets and files, never keys or values.
    VaultError::Store(error.to_string())
}
