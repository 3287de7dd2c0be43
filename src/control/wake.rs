//! Wakes notifications that wait for a contact.
//!
//! Promises: whoever makes somebody reachable calls [`Waker::wake`] after the vault is synced; together with the
//! dispatcher's second look and the look at start, no wake-up is lost.
//! Never: a decision; a woken notification goes through policy like any other.

use crate::clock::{Clock, Time};
use crate::event::{Alias, AliasKind};
use crate::id::{KeyedHash, Namespace};
use crate::ledger::{Changes, Happening, Ledger, LedgerError, State, TimelineEntry};
use crate::policy::WaitReason;
use crate::vault::{Resolution, Vault, VaultError};

/// Moves waiting notifications to the front of the queue.
#[derive(Clone)]
pub struct Waker {
    ledger: Ledger,
    clock: Clock,
}

/// A store that keeps somebody from being woken; a look at the next start finds them.
#[derive(Debug, thiserror::Error)]
pub enum WakeError {
    /// The ledger failed.
    #[error("waiting notifications could not be woken: {0}")]
    Ledger(#[from] LedgerError),
    /// The vault failed.
    #[error("waiting notifications could not be woken: {0}")]
    Vault(#[from] VaultError),
}

/// Notifications changed in one commit.
const BATCH: usize = 256;

impl Waker {
    /// A waker on this ledger.
    pub fn new(ledger: Ledger, clock: Clock) -> Self {
        Self { ledger, clock }
    }

    /// Wakes everything that waits for `alias`; returns how many.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn wake(&self, alias: KeyedHash) -> Result<usize, LedgerError> {
        let mut woken = 0;
        loop {
            let waiting = self.ledger.waiting_for(alias, BATCH)?;
            let full = waiting.len() == BATCH;
            let mut changes = Changes::new();
            let mut leases = Vec::new();
            let now = self.clock.now();
            for id in waiting {
                // Somebody else has it in hand: they look again after their own commit.
                let Some(leased) = self.ledger.lease(id)? else { continue };
                let old = &leased.notification;
                if !matches!(old.state, State::Waiting { reason: WaitReason::ContactUnknown, .. }) {
                    continue;
                }
                let mut new = old.clone();
                let due_at = now.max(old.not_before);
                new.state = State::Waiting { reason: WaitReason::DueLater, due_at };
                let entry = TimelineEntry { at: now, notification: Some(id), what: Happening::Woken };
                changes.add_timeline(old.event, entry);
                changes.update_notification(old, new);
                leases.push(leased);
            }
            let count = leases.len();
            if count > 0 {
                self.ledger.commit(changes).await?;
            }
            drop(leases);
            woken += count;
            if !full || count == 0 {
                return Ok(woken);
            }
        }
    }

    /// Looks at everything that waits, once, and wakes whoever became known while the process was down.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn wake_known(&self, vault: &Vault) -> Result<usize, WakeError> {
        // A hash is made within its namespace, so the one asked for here makes no difference.
        let namespace: Namespace = "any".parse().expect("a word is a namespace");
        let mut woken = 0;
        let mut after = None;
        loop {
            let aliases = self.ledger.waited_aliases(after, BATCH)?;
            let Some(last) = aliases.last().copied() else { return Ok(woken) };
            for hash in aliases {
                // The wait index holds hashes without their kind: ask as a unique alias and as a shared one.
                for kind in [AliasKind::CustomerId, AliasKind::Mobile] {
                    match vault.resolve(&namespace, &[Alias { kind, hash }], Time::MAX) {
                        Ok(Resolution::Known(_)) => {
                            woken += self.wake(hash).await?;
                            break;
                        }
                        Ok(_) => {}
                        // Told when it is looked at; a start must not fail for one person.
                        Err(error) if error.is_unreadable() => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            after = Some(last);
        }
    }
}
