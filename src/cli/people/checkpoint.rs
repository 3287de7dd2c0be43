//! Where an import stopped, so that it can go on after a kill.
//!
//! Promises: written only after the relay said that a batch is durable; replaced whole; goes on only with the same
//! file and the same options.
//! Never: a person: sizes, counts, a time and a hash over 128 KiB of the file.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// Bytes hashed from each end of the file.
const ENDS: u64 = 64 << 10;

/// What was done so far. Counts only.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) refused: u64,
    pub(super) linked: u64,
    pub(super) conflicts: u64,
    pub(super) woken: u64,
    pub(super) erased: u64,
    pub(super) repeats: u64,
}

/// The state of an import.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    version: u8,
    /// Which file with which options.
    fingerprint: String,
    /// When the import began, milliseconds: rows without a time are of this time.
    pub(super) started_at: i64,
    /// Records of the file that are dealt with.
    pub(super) records: u64,
    /// Bytes of the fault file that are about them.
    #[serde(default)]
    pub(super) faults: Option<u64>,
    pub(super) tally: Tally,
}

impl Checkpoint {
    /// The state before the first row.
    pub(super) fn new(fingerprint: String, started_at: i64) -> Self {
        Self { version: 1, fingerprint, started_at, records: 0, faults: None, tally: Tally::default() }
    }

    /// Reads the state of an import that stopped.
    ///
    /// # Errors
    /// When there is none, or it is of another file or other options.
    pub(super) fn load(path: &Path, fingerprint: &str) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = fs::read(path)
            .with_context(|| format!("there is no import to resume: {shown} cannot be read; leave --resume away"))?;
        let found: Self = serde_json::from_slice(&text)
            .map_err(|_| anyhow::anyhow!("{shown} is not the state of an import; leave --resume away"))?;
        if found.version != 1 || found.fingerprint != fingerprint {
            bail!("{shown} is of another file, or of other options; leave --resume away to begin anew");
        }
        Ok(found)
    }

    /// Refuses a file that would be replaced and is no state of an import.
    pub(super) fn refuse_other(path: &Path) -> anyhow::Result<()> {
        match fs::read(path) {
            Ok(text) if serde_json::from_slice::<Self>(&text).is_err() => {
                bail!("{} exists and is not the state of an import; name another file by --state", path.display())
            }
            _ => Ok(()),
        }
    }

    /// Writes it beside and then over the old one.
    pub(super) fn store(&self, path: &Path) -> anyhow::Result<()> {
        let beside = beside(path, ".new");
        let text = serde_json::to_vec(self).context("the state of the import cannot be written")?;
        fs::write(&beside, text)
            .and_then(|()| fs::rename(&beside, path))
            .with_context(|| format!("the state of the import cannot be written to {}", path.display()))
    }
}

/// The path with something added to its name.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Tells one file from another, and one way to import it from another.
pub(super) fn fingerprint(path: &Path, options: &str) -> anyhow::Result<String> {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(options.as_bytes());
        let mut end = Vec::new();
        Read::by_ref(&mut file).take(ENDS).read_to_end(&mut end)?;
        file.seek(SeekFrom::Start(size.saturating_sub(ENDS)))?;
        file.take(ENDS).read_to_end(&mut end)?;
        hash.update(&end);
        let hex: String = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{size}:{hex}"))
    };
    read().with_context(|| format!("{} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_goes_on_only_with_the_same_file_and_options() {
        let dir = tempfile::tempdir().unwrap();
        let (file, state) = (dir.path().join("people.csv"), dir.path().join("state"));
        fs::write(&file, "card\n1\n").unwrap();
        let print = fingerprint(&file, "patch").unwrap();
        let none = Checkpoint::load(&state, &print).err().unwrap().to_string();
        assert!(none.starts_with("there is no import to resume"), "{none}");

        let mut checkpoint = Checkpoint::new(print.clone(), 10);
        checkpoint.records = 7;
        checkpoint.store(&state).unwrap();
        assert_eq!(Checkpoint::load(&state, &print).unwrap().records, 7);
        assert!(!fs::read_to_string(&state).unwrap().contains("card"));
        assert_ne!(fingerprint(&file, "replace").unwrap(), print);
        fs::write(&file, "card\n2\n").unwrap();
        let other = fingerprint(&file, "patch").unwrap();
        let refused = Checkpoint::load(&state, &other).err().unwrap().to_string();
        assert!(refused.contains("is of another file"), "{refused}");
        Checkpoint::refuse_other(&state).unwrap();
        fs::write(&state, "").unwrap();
        assert!(Checkpoint::refuse_other(&state).err().unwrap().to_string().contains("is not the state of an import"));
        Checkpoint::refuse_other(&dir.path().join("none")).unwrap();
        assert!(Checkpoint::load(&state, &print).err().unwrap().to_string().contains("not the state of an import"));
    }
}
