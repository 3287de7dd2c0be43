//! The file of the audit: lines, appended and synced.
//!
//! Promises: mode 0600; when an append returns, the line rests on the disk, behind whole lines only; a file that has grown large
//! is put aside under a number and kept.
//! Never: a line changed or removed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Name below `storage.dir`.
const NAME: &str = "audit.log";

/// Lines in one directory. It is opened for each line, so that whoever moves it away loses nothing and breaks nothing.
pub(super) struct Lines {
    dir: PathBuf,
    /// Size from which the file is put aside, bytes.
    most: u64,
    // One writer at a time: a file is not put aside under a line that is being written.
    writing: Mutex<()>,
}

impl Lines {
    pub(super) fn new(dir: &Path, most: u64) -> Self {
        Self { dir: dir.into(), most, writing: Mutex::new(()) }
    }

    /// Writes one line and waits until it is durable.
    pub(super) fn append(&self, line: &str) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.dir.join(NAME);
        if fs::metadata(&path).is_ok_and(|about| about.len() >= self.most) {
            self.put_aside(&path)?;
        }
        let is_new = !path.exists();
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
        if is_new {
            // A umask can only take bits away, an inherited ACL can add some.
            file.set_permissions(Permissions::from_mode(0o600))?;
            self.sync_dir()?;
        }
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if ends_in_the_middle(&mut file)? {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        file.write_all(&bytes)?;
        file.sync_data()
    }

    fn put_aside(&self, path: &Path) -> io::Result<()> {
        let mut number = 1_u32;
        let mut aside = path.with_extension("log.1");
        while aside.exists() {
            number += 1;
            aside = path.with_extension(format!("log.{number}"));
        }
        fs::rename(path, aside)?;
        self.sync_dir()
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// True if a power cut or a full disk left half a line.
fn ends_in_the_middle(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        for line in ["one", "two"] {
            Lines::new(dir.path(), 1 << 20).append(line).unwrap();
        }
        let path = dir.path().join(NAME);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "whole\nhal").unwrap();
        Lines::new(dir.path(), 1 << 20).append("next").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(NAME)).unwrap(), "whole\nhal\nnext\n");
    }

    #[test]
    fn a_large_file_is_put_aside_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let lines = Lines::new(dir.path(), 8);
        for n in 0..7 {
            lines.append(&format!("line {n}")).unwrap();
        }
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let all = [text("audit.log.1"), text("audit.log.2"), text("audit.log.3"), text("audit.log")].concat();
        assert_eq!(all, (0..7).map(|n| format!("line {n}\n")).collect::<String>());
    }

    #[test]
    fn a_directory_that_is_gone_is_a_fault_and_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(Lines::new(&gone, 8).append("x").is_err());
        assert!(!gone.exists());
    }
}
