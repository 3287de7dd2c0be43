//! Lists of numbers that must not get promotional messages, such as India's NDNC.
//!
//! Promises: a number is a keyed hash and nothing else; a list that is replaced holds until the new one is whole; adding a
//! number again changes nothing; a look-up costs one read for each list.
//! Never: a number in clear, in a store or an error.
//!
//! Each list has one *edition* that counts. A replacement fills another one and then takes its place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::store::Table;
use super::{Vault, VaultError, record};
use crate::clock::Time;
use crate::id::{KeyedHash, KeyedHasher};
use crate::personal::Personal;

/// Lists there may be: each is asked for each promotional message.
const MOST_LISTS: usize = 16;
/// Keys removed at once.
const SWEEP: usize = 2_000;

/// Which edition of a list is being filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Edition(u64);

/// What is known of a list. Counts only.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ListState {
    /// Numbers on it.
    pub numbers: u64,
    /// When it was last changed, milliseconds.
    pub updated_at: i64,
}

#[derive(Default, Serialize, Deserialize)]
struct Lists(BTreeMap<String, List>);

#[derive(Serialize, Deserialize)]
struct List {
    edition: Edition,
    numbers: u64,
    updated_at: i64,
    /// The replacement that is being filled, and its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<(Edition, u64)>,
}

impl Vault {
    /// Begins to fill a list: the one that counts, or a replacement, which ends one that was begun before and not
    /// finished. Written, not yet synced.
    ///
    /// # Errors
    /// When the name is no name, or there are too many lists.
    pub fn begin_list(&self, name: &str, replace: bool, now: Time) -> Result<Edition, VaultError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=32).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(VaultError::Invalid { field: "list", expected: "a name of a-z, 0-9 and -" });
        }
        // 53 bits, which every reader of JSON can hold.
        let fresh = || Edition(u64::from_be_bytes(crate::seal::random()) >> 11);
        let mut given_up = None;
        let edition = self.change_lists(|lists| {
            if !lists.0.contains_key(name) && lists.0.len() >= MOST_LISTS {
                return Err(VaultError::Invalid { field: "list", expected: "one of at most 16 lists" });
            }
            let at = now.as_millis();
            let new = || List { edition: fresh(), numbers: 0, updated_at: at, next: None };
            let list = lists.0.entry(name.to_owned()).or_insert_with(new);
            if !replace {
                return Ok(list.edition);
            }
            let edition = fresh();
            given_up = list.next.replace((edition, 0)).map(|(before, _)| before);
            Ok(edition)
        })?;
        given_up.map_or(Ok(()), |edition| self.sweep(edition))?;
        Ok(edition)
    }

    /// Adds numbers in E.164; gives how many were new. Written, not yet synced.
    ///
    /// # Errors
    /// When the edition is no longer being filled, or a number is none.
    pub fn add_to_list(
        &self,
        name: &str,
        edition: Edition,
        numbers: &[Personal],
        now: Time,
    ) -> Result<u64, VaultError> {
        let mut keys = Vec::with_capacity(numbers.len());
        for number in numbers {
            keys.push(self.barred_key(edition, digits(number)?));
        }
        keys.sort_unstable();
        keys.dedup();
        let mut added = 0;
        self.change_lists(|lists| {
            let Some(list) = lists.0.get_mut(name) else { return Err(gone()) };
            let store = &self.0.store;
            let mut batch = store.batch();
            for key in &keys {
                if !store.contains(Table::Barred, key)? {
                    added += 1;
                    batch.put(Table::Barred, key, &record::write_time(now))?;
                }
            }
            match &mut list.next {
                Some((next, count)) if *next == edition => *count += added,
                _ if list.edition == edition => {
                    list.numbers += added;
                    list.updated_at = now.as_millis();
                }
                _ => return Err(gone()),
            }
            // Before the counts: a crash between the two makes a count too small, never a list too short.
            batch.apply()
        })?;
        Ok(added)
    }

    /// Makes a replacement count and forgets what it replaced; gives the list's numbers. Written, not yet synced.
    ///
    /// # Errors
    /// When the edition is no longer being filled.
    pub fn finish_list(&self, name: &str, edition: Edition, now: Time) -> Result<u64, VaultError> {
        let mut replaced = None;
        let numbers = self.change_lists(|lists| {
            let Some(list) = lists.0.get_mut(name) else { return Err(gone()) };
            match list.next {
                Some((next, count)) if next == edition => {
                    replaced = Some(list.edition);
                    *list = List { edition, numbers: count, updated_at: now.as_millis(), next: None };
                }
                _ if list.edition == edition => {}
                _ => return Err(gone()),
            }
            Ok(list.numbers)
        })?;
        replaced.map_or(Ok(()), |old| self.sweep(old))?;
        Ok(numbers)
    }

    /// True if the number must not get promotional messages. `mobile` is a contact's, in E.164.
    pub fn is_barred(&self, mobile: &Personal) -> Result<bool, VaultError> {
        let Ok(digits) = digits(mobile) else { return Ok(false) };
        for list in self.lists()?.0.values() {
            if self.0.store.contains(Table::Barred, &self.barred_key(list.edition, digits))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The lists there are.
    pub fn list_states(&self) -> Result<BTreeMap<String, ListState>, VaultError> {
        let state = |list: List| ListState { numbers: list.numbers, updated_at: list.updated_at };
        Ok(self.lists()?.0.into_iter().map(|(name, list)| (name, state(list))).collect())
    }

    fn lists(&self) -> Result<Lists, VaultError> {
        let found = self.0.store.get(Table::Meta, b"lists")?;
        Ok(found.map(|plain| record::read_json(&plain)).transpose()?.unwrap_or_default())
    }

    fn change_lists<T>(&self, work: impl FnOnce(&mut Lists) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let _writer = self.writer();
        self.0.committer.check()?;
        let mut lists = self.lists()?;
        let done = work(&mut lists)?;
        let mut batch = self.0.store.batch();
        batch.put(Table::Meta, b"lists", &record::write_json(&lists)?)?;
        batch.apply()?;
        self.0.committer.wrote();
        Ok(done)
    }

    /// Edition, then the number's hash: an edition can be forgotten without looking into another.
    fn barred_key(&self, edition: Edition, digits: &str) -> [u8; 24] {
        let KeyedHash(hash) = self.0.store.keys.keyed_hash("barred", &[digits.as_bytes()]);
        let mut key = [0; 24];
        key[..8].copy_from_slice(&edition.0.to_be_bytes());
        key[8..].copy_from_slice(&hash);
        key
    }

    fn sweep(&self, edition: Edition) -> Result<(), VaultError> {
        loop {
            // Other writers have their turn between two rounds.
            let _writer = self.writer();
            self.0.committer.check()?;
            let keys = self.0.store.some_keys(Table::Barred, &edition.0.to_be_bytes(), SWEEP)?;
            if keys.is_empty() {
                return Ok(());
            }
            let mut batch = self.0.store.batch();
            keys.iter().for_each(|key| batch.remove(Table::Barred, key));
            batch.apply()?;
            self.0.committer.wrote();
        }
    }
}

/// The digits of a number in E.164.
fn digits(number: &Personal) -> Result<&str, VaultError> {
    let digits = number.expose().strip_prefix('+').unwrap_or_default();
    let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some(digits).ok_or(VaultError::Invalid { field: "numbers", expected: "E.164" })
}

fn gone() -> VaultError {
    VaultError::Invalid { field: "edition", expected: "being filled; begin the list anew" }
}
