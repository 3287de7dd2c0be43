//! The end of fjall's newest journal, as a power cut can leave it.
//!
//! Promises: the last batch is cut off if its checksum says that not all of it reached the disk; there is at most one such
//! batch, because each is synced before the next is written, and so it was never acknowledged.
//! Never: a batch that another follows; a look at what a batch holds.
//!
//! fjall 3 cuts off a batch whose end is missing. If the end is there and something before it is not (a disk writes the
//! sectors of one write in any order), it refuses to open. The layout is that of `journal/entry.rs` of fjall 3.1.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// What closes the end of a batch.
const MAGIC: [u8; 4] = *b"FJL\x03";

/// Cuts it off, if it is as described; true if it was. `lock` is what fjall locks: nobody else may have the ledger.
pub(super) fn cut_torn_batch(dir: &Path, lock: &Path) -> io::Result<bool> {
    let lock = File::open(lock)?;
    if lock.try_lock().is_err() {
        return Ok(false);
    }
    let Some(journal) = newest_journal(dir)? else { return Ok(false) };
    let Some(end) = torn_at(&fs::read(&journal)?) else { return Ok(false) };
    let file = File::options().write(true).open(&journal)?;
    file.set_len(end as u64)?;
    file.sync_all()?;
    Ok(true)
}

fn newest_journal(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number =
            path.extension().filter(|kind| *kind == "jnl").and_then(|_| path.file_stem()?.to_str()?.parse().ok());
        newest = newest.max(number.map(|number: u64| (number, path)));
    }
    Ok(newest.map(|(_, path)| path))
}

/// Where a batch begins that is whole in form, wrong by its checksum, and the last.
fn torn_at(journal: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (length, is_sound) = batch(&journal[at..])?;
        if !is_sound {
            return (journal.get(at + length) != Some(&START)).then_some(at);
        }
        at += length;
    }
}

/// Length of the batch that stands at the beginning, and whether its checksum is right.
fn batch(bytes: &[u8]) -> Option<(usize, bool)> {
    if *bytes.first()? != START {
        return None;
    }
    let count = u32::from_le_bytes(*bytes.get(1..)?.first_chunk()?);
    // Tag, number of items, sequence number.
    let items = 13;
    let mut at = items;
    for _ in 0..count {
        at += match *bytes.get(at)? {
            // Tag, type, compression, keyspace (8), lengths of key (2), value (4) and value as stored (4).
            ITEM => {
                let key = u16::from_le_bytes(*bytes.get(at + 11..)?.first_chunk()?);
                let stored = u32::from_le_bytes(*bytes.get(at + 17..)?.first_chunk()?);
                21 + usize::from(key) + stored as usize
            }
            CLEAR => 9,
            _ => return None,
        };
    }
    let end = bytes.get(at..)?.first_chunk::<13>()?;
    if end[0] != END || end[9..] != MAGIC {
        return None;
    }
    let checksum = u64::from_le_bytes(*end[1..].first_chunk()?);
    Some((at + end.len(), xxh3_64(&bytes[items..at]) == checksum))
}
