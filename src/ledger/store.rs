//! The fjall handles: open, read, scan, commit.
//!
//! Promises: a commit is one atomic batch, written and `fdatasync`ed before it is visible; reading reports and skips
//! what it cannot open; nothing but ids reaches a log.
//! Never: a fjall type beyond this file; a scan from the beginning of a keyspace whose front is removed all the time.

use std::ops::{Bound, RangeBounds};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use fjall::config::CompressionPolicy;
use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot,
};
use serde::de::DeserializeOwned;

use crate::seal::Sealer;
use crate::telemetry::{Metrics, Reason};

use super::changes::Op;
use super::key::{Key, Space};
use super::record::{self, Plain, Unreadable};
use super::{LedgerError, LedgerOptions, tail};

/// Open handles. Clones share them; the directory's lock is released with the last.
#[derive(Clone)]
pub(super) struct Store {
    db: Database,
    spaces: Vec<Keyspace>,
    /// A file of fjall's that lives as long as the ledger, and which one it was when it was opened.
    landmark: (PathBuf, (u64, u64)),
    sealer: Sealer,
    metrics: Metrics,
}

/// What was found under a key.
pub(super) enum Found<T> {
    Value(T),
    /// There, and counted as unreadable.
    Corrupt,
    Missing,
}

impl<T> Found<T> {
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Corrupt | Self::Missing => None,
        }
    }
}

/// How often an opening tries again while a process is just ending, or a child of one has not yet let go of the lock it
/// inherited. fjall itself waits 200 ms in each try: longer patience would look like a command that hangs.
const LOCK_RETRIES: u32 = 2;
/// Bytes of full journals (64 MiB each) from which on fjall writes also those tables that fill slowly, so that the oldest can go. The next
/// opening reads what is left, and the journal that was being written.
const JOURNALS: u64 = 128 << 20;
/// What fjall 3 locks.
const LOCK_FILE: &str = "lock";
/// Where fjall 3 keeps a directory for each keyspace.
const KEYSPACES: &str = "keyspaces";

impl Store {
    pub(super) fn open(
        dir: &Path,
        sealer: Sealer,
        metrics: Metrics,
        options: &LedgerOptions,
    ) -> Result<Self, LedgerError> {
        let open_error = |error: fjall::Error| match error {
            fjall::Error::Locked => LedgerError::Locked { path: dir.into() },
            error => LedgerError::Open { path: dir.into(), cause: describe(&error) },
        };
        let io_error = |error: std::io::Error| LedgerError::Open { path: dir.into(), cause: error.to_string() };

        let made: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error)?;
        let (mut retries, mut mended) = (LOCK_RETRIES, false);
        let db = loop {
            let opened = Database::builder(dir)
                .cache_size(options.cache_bytes)
                // With two, one spins while the other compacts.
                .worker_threads(1)
                .max_journaling_size(JOURNALS)
                .manual_journal_persist(true)
                .journal_compression(CompressionType::None)
                .open();
            match opened {
                Ok(db) => break db,
                Err(fjall::Error::Locked) if retries > 0 => retries -= 1,
                Err(fjall::Error::JournalRecovery(fjall::JournalRecoveryError::ChecksumMismatch))
                    if !mended && tail::cut_torn_batch(dir, &dir.join(LOCK_FILE)).map_err(io_error)? =>
                {
                    mended = true;
                    tracing::warn!(
                        "the ledger's last batch was only partly on the disk, and nobody was told of it; it is dropped"
                    );
                }
                Err(error) => return Err(open_error(error)),
            }
        };
        let spaces = Space::ALL
            .iter()
            .map(|space| {
                let create = || {
                    KeyspaceCreateOptions::default()
                        .max_memtable_size(space.memtable_bytes())
                        // What is sealed or hashed has nothing left to compress.
                        .data_block_compression_policy(CompressionPolicy::disabled())
                };
                db.keyspace(space.name(), create).map_err(open_error)
            })
            .collect::<Result<Vec<_>, _>>()?;
        // fjall syncs what it makes, except the directory in which it makes keyspaces: their names are ours to make durable,
        // as are those of the directories made here.
        let parents = made.iter().filter_map(|made| made.parent()).filter(|parent| !parent.as_os_str().is_empty());
        let parents = parents.map(Path::to_owned);
        for path in parents.chain([dir.to_owned(), dir.join(KEYSPACES)]) {
            std::fs::File::open(path).and_then(|handle| handle.sync_all()).map_err(io_error)?;
        }
        let landmark = dir.join(LOCK_FILE);
        let identity = identity(&landmark).map_err(io_error)?;
        Ok(Self { db, spaces, landmark: (landmark, identity), sealer, metrics })
    }

    pub(super) fn space(&self, space: Space) -> &Keyspace {
        &self.spaces[space as usize]
    }

    /// Seals a value as the record that `key` names.
    pub(super) fn seal(&self, space: Space, key: &[u8], plain: &Plain) -> Vec<u8> {
        self.sealer.seal(&[space.name().as_bytes(), key], plain)
    }

    pub(super) fn contains(&self, space: Space, key: &[u8]) -> Result<bool, LedgerError> {
        self.space(space).contains_key(key).map_err(read_error)
    }

    /// Reads one record.
    pub(super) fn get<T>(
        &self,
        space: Space,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<Found<T>, LedgerError> {
        let sealed = self.space(space).get(key).map_err(read_error)?;
        Ok(self.opened(space, key, sealed.as_deref(), read))
    }

    /// Reads one record as it was at a moment.
    pub(super) fn get_at<T>(
        &self,
        moment: &Snapshot,
        space: Space,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
    ) -> Result<Found<T>, LedgerError> {
        let sealed = moment.get(self.space(space), key).map_err(read_error)?;
        Ok(self.opened(space, key, sealed.as_deref(), read))
    }

    /// What a sealed value holds.
    pub(super) fn opened<T>(
        &self,
        space: Space,
        key: &[u8],
        sealed: Option<&[u8]>,
        read: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
    ) -> Found<T> {
        let Some(sealed) = sealed else { return Found::Missing };
        self.unseal(space, key, sealed, read).map_or(Found::Corrupt, Found::Value)
    }

    /// All tables as they are now.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.db.snapshot()
    }

    /// Reads one meta value.
    pub(super) fn get_value<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Found<T>, LedgerError> {
        self.get(Space::Meta, key, record::read_value)
    }

    /// Opens and parses; `None` is counted and logged.
    fn unseal<T>(
        &self,
        space: Space,
        key: &[u8],
        sealed: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
    ) -> Option<T> {
        let opened = self.sealer.open(&[space.name().as_bytes(), key], sealed).map_err(Unreadable::from);
        match opened.and_then(|plain| read(&plain)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.count_corrupt(space, key, &error.to_string());
                None
            }
        }
    }

    /// Reports a record that cannot be used. Keys name nobody.
    pub(super) fn count_corrupt(&self, space: Space, key: &[u8], error: &str) {
        self.metrics.corrupt_records.get_or_create(&Reason { reason: space.name() }).inc();
        tracing::warn!(keyspace = space.name(), key = %Hex(key), error, "ledger record is unreadable and was skipped");
    }

    /// Walks keys in order until `each` says stop (`false`).
    pub(super) fn keys(
        &self,
        space: Space,
        range: impl RangeBounds<Key>,
        direction: Direction,
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), LedgerError> {
        let Some(bounds) = bounds(&range) else { return Ok(()) };
        let mut iter = self.space(space).range::<Key, _>(bounds);
        while let Some(guard) = direction.step(&mut iter) {
            if !each(&guard.key().map_err(read_error)?) {
                break;
            }
        }
        Ok(())
    }

    /// Walks records in order until `each` says stop (`false`); unreadable ones come as `None`.
    pub(super) fn records<T>(
        &self,
        space: Space,
        range: impl RangeBounds<Key>,
        read: impl Fn(&[u8], &[u8]) -> Result<T, Unreadable>,
        mut each: impl FnMut(&[u8], Option<T>) -> bool,
    ) -> Result<(), LedgerError> {
        let Some(bounds) = bounds(&range) else { return Ok(()) };
        for guard in self.space(space).range::<Key, _>(bounds) {
            let (key, sealed) = guard.into_inner().map_err(read_error)?;
            let value = self.unseal(space, &key, &sealed, |plain| read(&key, plain));
            if !each(&key, value) {
                break;
            }
        }
        Ok(())
    }

    /// Writes and syncs one atomic batch. An error poisons fjall for good. Each key may occur once.
    pub(super) fn commit(&self, ops: impl Iterator<Item = Op>) -> Result<(), String> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for (space, key, value) in ops {
            match value {
                Some(value) => batch.insert(self.space(space), key, value),
                None => batch.remove(self.space(space), key),
            }
        }
        batch.commit().map_err(|error| describe(&error))?;
        // A file without a name takes writes and syncs like any other, and is gone with the process.
        match identity(&self.landmark.0) {
            Ok(found) if found == self.landmark.1 => Ok(()),
            _ => Err("its files were removed or replaced while it was open".into()),
        }
    }

    /// Hands full tables over to be written. fjall does so by itself, but asks its worker for it with every commit until it is done:
    /// requests that fill its queue while the worker compacts, and then the first that is carried out waits for room in that same queue,
    /// for ever. Handed over here, before fjall would ask, nothing but the work itself is queued. Waits for locks that are held while files are
    /// synced and removed: not on the committer's thread.
    pub(super) fn rotate_full(&self) -> Result<(), String> {
        for space in Space::ALL {
            if self.active_bytes(space) >= space.memtable_bytes() / 8 * 7 {
                self.space(space).rotate_memtable().map_err(|error| describe(&error))?;
            }
        }
        Ok(())
    }

    /// Asks fjall whether a background worker has poisoned it. Takes its journal's lock: only while no commit runs.
    pub(super) fn probe(&self) -> Result<(), String> {
        self.db.persist(PersistMode::Buffer).map_err(|error| describe(&error))
    }

    /// Bytes in tables that are in memory only.
    pub(super) fn unwritten_bytes(&self) -> u64 {
        self.db.write_buffer_size()
    }

    /// So many at most while the engine is well: of each keyspace the table that is written and the four behind which the engine stops
    /// its writers, and three more for large batches.
    pub(super) fn most_unwritten_bytes() -> u64 {
        Space::ALL.into_iter().map(Space::memtable_bytes).sum::<u64>() * 8
    }

    /// Bytes of the table that is being written to.
    pub(super) fn active_bytes(&self, space: Space) -> u64 {
        self.space(space).tree.active_memtable().size()
    }

    /// Puts raw bytes under a key, past the sealer.
    #[cfg(test)]
    pub(super) fn put_raw(&self, space: Space, key: &[u8], value: &[u8]) {
        self.space(space).insert(key, value).unwrap();
    }
    #[cfg(test)]
    pub(super) fn get_raw(&self, space: Space, key: &[u8]) -> Option<Vec<u8>> {
        self.space(space).get(key).unwrap().map(|value| value.to_vec())
    }
    /// Moves everything from memory into tables.
    #[cfg(test)]
    pub(super) fn flush(&self) {
        self.spaces.iter().for_each(|space| space.rotate_memtable_and_wait().unwrap());
    }
}

/// Which way a scan walks.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Up,
    Down,
}

impl Direction {
    fn step(self, iter: &mut fjall::Iter) -> Option<fjall::Guard> {
        match self {
            Self::Up => iter.next(),
            Self::Down => iter.next_back(),
        }
    }
}

/// `None` for a range that is empty or upside down, which the engine's skip list need not take.
fn bounds(range: &impl RangeBounds<Key>) -> Option<(Bound<Key>, Bound<Key>)> {
    let (start, end) = (range.start_bound().cloned(), range.end_bound().cloned());
    match (&start, &end) {
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) if from >= to => None,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to)) if from > to => None,
        _ => Some((start, end)),
    }
}

/// Bytes that the files below `dir` take on disk. Walks the directory: fjall's own count waits for its journal's lock,
/// which a stuck disk holds.
pub(super) fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            // Blocks, not length: fjall allocates journals sparsely.
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

pub(super) fn read_error(error: fjall::Error) -> LedgerError {
    LedgerError::Read(describe(&error))
}

/// fjall's errors print themselves as code; the inner one says more to people.
fn describe(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            format!("{error}; free space and start again")
        }
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write or a background worker failed".into(),
        error => format!("{error:?}"),
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
