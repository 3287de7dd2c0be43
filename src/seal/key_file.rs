//! The key file: a short text that a person can read, copy to paper and check.
//!
//! Promises: written with mode 0600 and synced with its directory before anybody may seal with it; read only
//! if nobody else can read it, but for whom root's own file was handed to; every fault names the file and the remedy.
//! Never: key material in an error, a file half replaced, a guess about a damaged line.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Epoch, EpochKey, Key, Keyring};
use crate::clock::Time;

const VERSION: i64 = 1;

/// Thousands of epochs fit; anything larger is not a key file.
const MAX_SIZE: u64 = 1 << 20;

const HEAD: &str = "\
# Sealpost key file. Whoever has it can read the vault and the ledger; without it nobody can.
# Keep a copy apart from the data (on paper, in a safe), never in a backup of the data. Mode 0600.
# `index` makes the keyed hashes that records are found by; it must never change.
# Values are sealed with the highest epoch; removing an epoch destroys for ever what was sealed in it.
";

/// A key file that cannot be used. Names no key material.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum KeyError {
    #[error("key file {path} does not exist; make one with `sealpost keys init`, or restore it")]
    Missing { path: PathBuf },
    #[error("key file {path} exists already; it was left as it is, since what it sealed needs it")]
    Exists { path: PathBuf },
    #[error("key file {path} can be read by others (mode {mode:04o}); run `chmod 600 {path}`")]
    OthersMayRead { path: PathBuf, mode: u32 },
    #[error("key file {path} is of version {version}, this program reads version 1; use the program that wrote it")]
    Version { path: PathBuf, version: i64 },
    #[error("key file {path}, line {line}: {expected}; restore it from its copy")]
    Syntax { path: PathBuf, line: usize, expected: &'static str },
    #[error("key file {path}: key of {key} is not 64 hexadecimal digits; restore it from its copy")]
    NotAKey { path: PathBuf, key: String },
    #[error("key file {path}: {what} stands there twice; restore the file from its copy")]
    Duplicate { path: PathBuf, what: String },
    #[error("key file {path} has no [[epoch]]; restore it from its copy")]
    NoEpoch { path: PathBuf },
    #[error("key file {path} cannot be {action}: {source}")]
    Io { path: PathBuf, action: &'static str, source: io::Error },
}

#[derive(Deserialize)]
struct Versioned {
    version: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[expect(dead_code, reason = "read by `Versioned`, named here so that it is no unknown field")]
    version: i64,
    index: Secret,
    #[serde(default)]
    epoch: Vec<EpochEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochEntry {
    number: Epoch,
    created: String,
    key: Secret,
}

/// Text that is wiped when dropped.
struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(|text| Self(Zeroizing::new(text)))
    }
}

pub(super) fn load(path: &Path) -> Result<Keyring, KeyError> {
    let text = read(path)?;
    let syntax = |error: &toml::de::Error, expected| {
        // Only the line: the parser's own message and snippet quote what they stumbled over.
        let before = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.as_bytes()[..before].iter().filter(|byte| **byte == b'\n').count();
        KeyError::Syntax { path: path.into(), line, expected }
    };
    let found: Versioned = toml::from_str(&text).map_err(|e| syntax(&e, "expected TOML with `version = 1`"))?;
    if found.version != VERSION {
        return Err(KeyError::Version { path: path.into(), version: found.version });
    }
    let document: Document = toml::from_str(&text)
        .map_err(|e| syntax(&e, "expected `index`, and `number`, `created` and `key` in each [[epoch]]"))?;

    let index = key(path, "index", &document.index.0)?;
    let mut epochs = BTreeMap::new();
    for entry in &document.epoch {
        let name = || format!("epoch {}", entry.number);
        let created: jiff::Timestamp = entry.created.parse().map_err(|_| KeyError::Syntax {
            path: path.into(),
            line: 1 + text.lines().take_while(|line| !line.contains(entry.created.as_str())).count(),
            expected: "expected a time like 2027-01-31T00:00:00Z",
        })?;
        let entry_key = key(path, &name(), &entry.key.0)?;
        if entry_key == index || epochs.values().any(|other: &EpochKey| other.key == entry_key) {
            return Err(KeyError::Duplicate { path: path.into(), what: format!("the key of {}", name()) });
        }
        if epochs.insert(entry.number, EpochKey { created: created.into(), key: entry_key }).is_some() {
            return Err(KeyError::Duplicate { path: path.into(), what: name() });
        }
    }
    if epochs.is_empty() {
        return Err(KeyError::NoEpoch { path: path.into() });
    }
    Ok(Keyring::from_parts(epochs, index))
}

pub(super) fn create(ring: &Keyring, path: &Path) -> Result<(), KeyError> {
    write_new(ring, path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.into() },
        _ => KeyError::Io { path: path.into(), action: "written", source },
    })
}

pub(super) fn replace(ring: &Keyring, path: &Path) -> Result<(), KeyError> {
    let fail = |source| KeyError::Io { path: path.into(), action: "replaced", source };
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let next = path.with_file_name(name);
    // A rotation that was killed may have left one; nothing was sealed with it, since it never took its place.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    write_new(ring, &next).map_err(fail)?;
    fs::rename(&next, path).map_err(fail)?;
    sync_directory_of(path).map_err(fail)
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let fail = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.into() },
        _ => KeyError::Io { path: path.into(), action: "read", source },
    };
    let file = File::open(path).map_err(fail)?;
    // Of the opened file, not of the path: it cannot be exchanged in between.
    let about = file.metadata().map_err(fail)?;
    let mode = about.permissions().mode() & 0o7777;
    if others_may_use(mode, about.uid(), rustix::process::geteuid().as_raw()) {
        return Err(KeyError::OthersMayRead { path: path.into(), mode });
    }
    if !about.is_file() || about.len() > MAX_SIZE {
        return Err(KeyError::Syntax { path: path.into(), line: 1, expected: "expected a text file of at most 1 MiB" });
    }
    // One byte of room more than the size, so that reading never moves the text and leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1));
    match file.take(MAX_SIZE).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(KeyError::Syntax { path: path.into(), line: 1, expected: "expected text in UTF-8" })
        }
        Err(error) => Err(fail(error)),
    }
}

/// True if a file of `owner` with this mode is open to more than the user `own` (and root).
///
/// Platforms hand a file of root's to a service by its group: systemd's credentials (an access list shows as mode 0440 since
/// version 254) and the secrets of Kubernetes below an `fsGroup`. Only root could have opened it so, and nobody can change it.
pub(super) fn others_may_use(mode: u32, owner: u32, own: u32) -> bool {
    let handed_over = owner == 0 && own != 0;
    mode & if handed_over { 0o037 } else { 0o077 } != 0
}

fn write_new(ring: &Keyring, path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file
        // A umask can only take bits away, an inherited ACL can add some.
        .set_permissions(fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(text(ring).as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_directory_of(path));
    if written.is_err() {
        // Half a key file is worse than none: `create` would refuse to write over it.
        let _ = fs::remove_file(path);
    }
    written
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn text(ring: &Keyring) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(HEAD.len() + 128 + 160 * ring.0.epochs.len()));
    text.push_str(HEAD);
    text.push_str("version = 1\nindex = \"");
    push_hex(&mut text, &ring.0.index);
    text.push_str("\"\n");
    for (number, epoch) in &ring.0.epochs {
        text.push_str(&format!("\n[[epoch]]\nnumber = {number}\ncreated = \"{}\"\nkey = \"", stamp(epoch.created)));
        push_hex(&mut text, &epoch.key);
        text.push_str("\"\n");
    }
    text
}

/// A time that [`load`] reads back, whatever the clock said.
fn stamp(time: Time) -> jiff::Timestamp {
    time.to_jiff().unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn push_hex(text: &mut String, key: &Key) {
    for byte in key.iter() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).expect("four bits are a hexadecimal digit"));
        }
    }
}

fn key(path: &Path, name: &str, digits: &str) -> Result<Key, KeyError> {
    let refuse = || KeyError::NotAKey { path: path.into(), key: name.into() };
    let mut key = Zeroizing::new([0; 32]);
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return Err(refuse());
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16).and_then(|v| u8::try_from(v).ok()).ok_or_else(refuse)?;
            *byte = *byte << 4 | value;
        }
    }
    Ok(key)
}
