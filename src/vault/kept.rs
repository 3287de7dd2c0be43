//! Contacts that were only looked up: kept for a time, then forgotten.
//!
//! Promises: nobody who was only looked up is kept longer than was said; what the brand put itself is never forgotten here.
//! Never: a name or an alias removed: who is who stays known, how to reach them does not.

use super::draft::Draft;
use super::link::{self, United};
use super::store::Table;
use super::{Contact, ContactId, Vault, VaultError};
use crate::clock::Time;

impl Contact {
    /// True if it was only looked up, and its time is over.
    pub fn is_stale(&self, now: Time) -> bool {
        self.keep_until.is_some_and(|until| until <= now)
    }
}

impl Vault {
    /// Forgets this contact if it is stale; false if it is not, or is not there. Written, not yet synced.
    ///
    /// # Errors
    /// When the vault is at fault.
    pub fn forget_stale(&self, id: ContactId, now: Time) -> Result<bool, VaultError> {
        let mut forgotten = false;
        self.change(|draft| {
            forgotten = forget(draft, id, now)?;
            Ok(United::default())
        })?;
        Ok(forgotten)
    }

    /// Forgets at most `most` stale contacts, the oldest first; how many it was. Written, not yet synced.
    ///
    /// # Errors
    /// When the vault is at fault; some may be forgotten.
    pub fn forget_all_stale(&self, now: Time, most: usize) -> Result<usize, VaultError> {
        let mut forgotten = 0;
        for key in self.0.store.some_keys(Table::Kept, &[], most)? {
            let Some((_, id)) = read_key(&key).filter(|(until, _)| *until <= now) else { break };
            match self.forget_stale(id, now) {
                Ok(is_forgotten) => forgotten += usize::from(is_forgotten),
                // Those behind it must not be kept for its sake.
                Err(error) if error.is_unreadable() => {
                    tracing::error!(%error, "a looked-up contact could not be forgotten")
                }
                Err(error) => return Err(error),
            }
        }
        Ok(forgotten)
    }
}

fn forget(draft: &mut Draft<'_>, id: ContactId, now: Time) -> Result<bool, VaultError> {
    if !draft.contact(id)?.is_some_and(|contact| contact.is_stale(now)) {
        return Ok(false);
    }
    draft.take_contact(id)?;
    link::index_addresses(draft, id)?;
    Ok(true)
}

/// Ordered by time, so that what is stale stands first.
pub(super) fn key(until: Time, id: ContactId) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&(until.as_millis().cast_unsigned() ^ (1 << 63)).to_be_bytes());
    key[8..].copy_from_slice(&id.0);
    key
}

fn read_key(key: &[u8]) -> Option<(Time, ContactId)> {
    let (until, id) = key.split_first_chunk::<8>()?;
    let until = Time::from_millis((u64::from_be_bytes(*until) ^ (1 << 63)).cast_signed());
    Some((until, ContactId(id.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_read_back_and_ordered_by_time(one: i64, two: i64, id: [u8; 16]) {
            let (early, late) = (Time::from_millis(one.min(two)), Time::from_millis(one.max(two)));
            prop_assert_eq!(read_key(&key(late, ContactId(id))), Some((late, ContactId(id))));
            prop_assert!(key(early, ContactId([0; 16])) <= key(late, ContactId(id)));
        }
    }

    #[test]
    fn a_key_of_another_length_is_nobodys() {
        assert!(read_key(&[0; 7]).is_none() && read_key(&[0; 25]).is_none());
    }
}
