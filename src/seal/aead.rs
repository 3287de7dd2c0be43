//! Sealing of single records.
//!
//! Promises: authenticated encryption bound to epoch, store and record; every value has a key of its own.
//! Never: a key used for two values, a plaintext left in memory by this file.
//!
//! A sealed value is
//!
//! ```text
//! version (1) | epoch, big endian (4) | salt (24) | AES-256-GCM ciphertext | tag (16)
//! ```
//!
//! The key of a value is HMAC-SHA-256 of its random salt under a key that HKDF makes of the epoch's KEK and the
//! store's name: the construction of derive-key AEADs. GCM breaks when a nonce repeats under one key; here no
//! key is used for a second value (two of 2^64 salts of 192 bits meet with probability 2^-65), so the nonce may
//! be zero and there is no limit on how many values an epoch seals. Wrapping a random data key instead would
//! cost a second AEAD and about 40 bytes a record and would buy nothing: what erases is the end of an epoch,
//! since a wrapped key that is removed stays in the store's file as long as any other removed bytes do.
//!
//! Associated data: the header, then store name and the parts of the record's name, each behind its length.

use std::sync::Arc;

use aws_lc_rs::{aead, hmac};
use zeroize::Zeroizing;

use super::{Epoch, length, random};

const VERSION: u8 = 1;
const SALT: usize = 24;
const HEADER: usize = 1 + 4 + SALT;
const TAG: usize = 16;

/// Seals and opens the values of one store. Cheap to clone.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    store: &'static str,
    /// Keys from which value keys come, oldest epoch first; the last is the current one.
    epochs: Vec<(Epoch, hmac::Key)>,
}

/// A sealed value that does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum OpenError {
    #[error("record is too short or of an unknown version")]
    Malformed,
    #[error("record was sealed in epoch {0}, whose key is not in the key ring")]
    UnknownEpoch(Epoch),
    #[error("record does not open: it was changed, moved, or sealed with another key")]
    Unauthentic,
}

impl Sealer {
    /// How many bytes longer a sealed value is.
    pub const OVERHEAD: usize = HEADER + TAG;

    pub(super) fn new(store: &'static str, epochs: Vec<(Epoch, hmac::Key)>) -> Self {
        Self(Arc::new(Inner { store, epochs }))
    }

    /// Seals `plain` as the record `record` (its table and key).
    pub fn seal(&self, record: &[&[u8]], plain: &[u8]) -> Vec<u8> {
        let (epoch, epoch_key) = self.0.epochs.last().expect("a ring is made with one epoch at least");
        let mut sealed = Vec::with_capacity(plain.len() + Self::OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&epoch.to_be_bytes());
        sealed.extend_from_slice(&random::<SALT>());
        let bound = self.associated_data(&sealed, record);
        let key = value_key(epoch_key, &sealed[5..HEADER]);
        sealed.extend_from_slice(plain);
        let tag = key
            .seal_in_place_separate_tag(zero_nonce(), aead::Aad::from(&bound), &mut sealed[HEADER..])
            .expect("GCM refuses only values of more than 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what [`Sealer::seal`] made for the same record.
    pub fn open(&self, record: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let epoch = Self::epoch_of(sealed)?;
        let found = self.0.epochs.binary_search_by_key(&epoch, |(number, _)| *number);
        let (_, epoch_key) = found.ok().and_then(|at| self.0.epochs.get(at)).ok_or(OpenError::UnknownEpoch(epoch))?;
        let (header, body) = sealed.split_at(HEADER);
        let (cipher, tag) = body.split_at(body.len() - TAG);
        let mut plain = Zeroizing::new(vec![0; cipher.len()]);
        value_key(epoch_key, &header[5..])
            .open_separate_gather(
                zero_nonce(),
                aead::Aad::from(&self.associated_data(header, record)),
                cipher,
                tag,
                &mut plain,
            )
            .map_err(|_| OpenError::Unauthentic)?;
        Ok(plain)
    }

    /// The epoch a sealed value names, without opening it.
    pub fn epoch_of(sealed: &[u8]) -> Result<Epoch, OpenError> {
        match sealed {
            [VERSION, a, b, c, d, rest @ ..] if rest.len() >= SALT + TAG => Ok(Epoch::from_be_bytes([*a, *b, *c, *d])),
            _ => Err(OpenError::Malformed),
        }
    }

    fn associated_data(&self, header: &[u8], record: &[&[u8]]) -> Vec<u8> {
        let parts: usize = record.iter().map(|part| 8 + part.len()).sum();
        let mut bound = Vec::with_capacity(HEADER + 8 + self.0.store.len() + parts);
        bound.extend_from_slice(header);
        for part in std::iter::once(&self.0.store.as_bytes()).chain(record) {
            bound.extend_from_slice(&length(part));
            bound.extend_from_slice(part);
        }
        bound
    }
}

fn value_key(epoch_key: &hmac::Key, salt: &[u8]) -> aead::LessSafeKey {
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(hmac::sign(epoch_key, salt).as_ref());
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, bytes.as_slice()).expect("AES-256 takes 32 bytes");
    aead::LessSafeKey::new(key)
}

/// Sound only because [`value_key`] gives each value its own key; see the head of this file.
fn zero_nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}
