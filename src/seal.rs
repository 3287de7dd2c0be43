//! Keys and sealing: key ring, epochs, AEAD, keyed hashes.
//!
//! Promises: a sealed value can be opened only with its epoch's key and only as the record it was sealed as;
//! there is no plaintext mode and no no-op cipher; any bytes give a value or an error.
//! Never: a key in `Debug` or in an error, a salt used twice, a panic on malformed input.
//!
//! Two kinds of keys, both 32 random bytes, live in one key file ([`Keyring::load`]):
//!
//! * one *key-encryption key* for each [`Epoch`]: every sealed value names the epoch it was sealed in, so that
//!   erasure is final once everything alive was sealed anew and the old epoch's key is gone;
//! * one *index master*, from which the keys of all keyed hashes come. It does not rotate with the epochs: a
//!   keyed hash that changed would no longer find what it names.
//!
//! From these, every key in use is derived by one block of HKDF-Expand (RFC 5869, section 2.3) with SHA-256.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::clock::{Clock, Time};
use crate::id::{KeyedHash, KeyedHasher};

mod aead;
mod key_file;

pub use aead::{OpenError, Sealer};
pub use key_file::KeyError;

/// Number of a key generation, from 1; rotation makes the next one.
pub type Epoch = u32;

/// 32 random bytes that are wiped when dropped.
type Key = Zeroizing<[u8; 32]>;

/// Domains whose keys are kept. The program has a handful; the bound only keeps a mistake from growing memory.
const KEPT_DOMAINS: usize = 64;

/// The key-encryption keys by epoch, and the index master. Cheap to clone.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    epochs: BTreeMap<Epoch, EpochKey>,
    index: Key,
    domains: RwLock<BTreeMap<Box<str>, hmac::Key>>,
}

#[derive(Clone)]
struct EpochKey {
    created: Time,
    key: Key,
}

impl Keyring {
    /// A ring with one fresh epoch and a fresh index master.
    pub fn generate() -> Self {
        let first = EpochKey { created: Clock::system().now(), key: Zeroizing::new(random()) };
        Self::from_parts(BTreeMap::from([(1, first)]), Zeroizing::new(random()))
    }

    /// Reads a key file. Refuses one that others may read (mode must be 0600 or stricter), one of another
    /// version, and one with a short, repeated or missing key; no error names key material.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        key_file::load(path)
    }

    /// Writes a new key file (mode 0600, synced with its directory, never over an existing file).
    pub fn create(&self, path: &Path) -> Result<(), KeyError> {
        key_file::create(self, path)
    }

    /// Puts this ring in the place of the key file at `path`, atomically: after a crash the old or the new file
    /// stands there, never half of one. The blocks of the old file may stay on the medium; keep key files on
    /// a medium that may be destroyed.
    pub fn replace_file(&self, path: &Path) -> Result<(), KeyError> {
        key_file::replace(self, path)
    }

    /// This ring and one fresh epoch, which becomes the current one.
    #[must_use]
    pub fn add_epoch(&self) -> Self {
        let mut epochs = self.0.epochs.clone();
        let fresh = EpochKey { created: Clock::system().now(), key: Zeroizing::new(random()) };
        epochs.insert(self.current_epoch().saturating_add(1), fresh);
        Self::from_parts(epochs, self.0.index.clone())
    }

    /// This ring without `epoch`: what was sealed in it can never be opened again. `None` if `epoch` is the
    /// current one or is not in the ring.
    pub fn without_epoch(&self, epoch: Epoch) -> Option<Self> {
        let mut epochs = self.0.epochs.clone();
        if epoch == self.current_epoch() || epochs.remove(&epoch).is_none() {
            return None;
        }
        Some(Self::from_parts(epochs, self.0.index.clone()))
    }

    /// The epoch that new values are sealed in.
    pub fn current_epoch(&self) -> Epoch {
        *self.0.epochs.keys().next_back().expect("a ring is made with one epoch at least")
    }

    /// All epochs that can be opened, oldest first.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.0.epochs.keys().copied().collect()
    }

    /// When an epoch was made; `None` if it is not in the ring.
    pub fn epoch_created(&self, epoch: Epoch) -> Option<Time> {
        self.0.epochs.get(&epoch).map(|e| e.created)
    }

    /// The sealer of one store (`ledger`, `vault`); the store's name is bound into every value.
    pub fn sealer(&self, store: &'static str) -> Sealer {
        let keys = self.0.epochs.iter().map(|(epoch, e)| (*epoch, hmac_key(&expand(&e.key, "seal", store))));
        Sealer::new(store, keys.collect())
    }

    fn from_parts(epochs: BTreeMap<Epoch, EpochKey>, index: Key) -> Self {
        Self(Arc::new(Inner { epochs, index, domains: RwLock::default() }))
    }

    fn with_domain<T>(&self, domain: &str, use_key: impl FnOnce(&hmac::Key) -> T) -> T {
        // A poisoned lock only says that some thread panicked while it held a map that is always whole.
        if let Some(key) = self.0.domains.read().unwrap_or_else(PoisonError::into_inner).get(domain) {
            return use_key(key);
        }
        let key = hmac_key(&expand(&self.0.index, "index", domain));
        let answer = use_key(&key);
        let mut domains = self.0.domains.write().unwrap_or_else(PoisonError::into_inner);
        if domains.len() < KEPT_DOMAINS {
            domains.insert(domain.into(), key);
        }
        answer
    }
}

impl KeyedHasher for Keyring {
    fn keyed_hash(&self, domain: &str, parts: &[&[u8]]) -> KeyedHash {
        self.with_domain(domain, |key| {
            let mut context = hmac::Context::with_key(key);
            for part in parts {
                context.update(&length(part));
                context.update(part);
            }
            let mut short = [0; 16];
            short.copy_from_slice(&context.sign().as_ref()[..16]);
            KeyedHash(short)
        })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("epochs", &self.epochs()).field("keys", &"redacted").finish()
    }
}

/// Random bytes of the system's generator, fit for keys, salts and ids.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the library aborts rather than run without a random source");
    bytes
}

/// One block of HKDF-Expand; the info is unambiguous because `purpose` is one of ours and holds no `/`.
fn expand(key: &Key, purpose: &'static str, name: &str) -> Key {
    let mut context = hmac::Context::with_key(&hmac_key(key));
    for part in ["sealpost/v1/", purpose, "/", name] {
        context.update(part.as_bytes());
    }
    context.update(&[1]);
    let mut derived = Zeroizing::new([0; 32]);
    derived.copy_from_slice(context.sign().as_ref());
    derived
}

fn hmac_key(key: &Key) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.as_slice())
}

/// The length that goes before every part of a hash or of associated data, so that borders are part of it.
fn length(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}

#[cfg(test)]
mod tests;
