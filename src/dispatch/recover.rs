//! What a process that died left in the middle.
//!
//! Promises: an attempt without outcome is ambiguous, visible as such, and handled by the channel's policy.
//! Never: silence, in either direction.

use crate::failpoint::{self, Point};
use crate::ledger::{Hold, State};
use crate::provider::Outcome;

use super::{DispatchError, Dispatcher};

impl Dispatcher {
    /// Settles every attempt that was open when the process last ended.
    pub(super) async fn recover_open_attempts(&self) -> Result<(), DispatchError> {
        for id in self.ledger.open_attempts()? {
            let Some(leased) = self.ledger.lease(id)? else { continue };
            let State::Attempting { channel, provider, .. } = leased.notification.state.clone() else { continue };
            tracing::warn!(notification.id = %id, provider.id = %provider, "attempt had no outcome when the process ended");
            failpoint::at(Point::RecoveryBeforeCommit);
            let outcome = Outcome::Ambiguous { code: "process_ended".into() };
            self.settle(&leased.notification, channel, &provider, outcome).await?;
        }
        // A restart is how configuration is mended.
        self.control.release(&Hold::Misconfigured(None), "restart").await?;
        Ok(())
    }
}
