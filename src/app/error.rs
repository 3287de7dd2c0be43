//! Why a relay does not start, and how a run ended badly.
//!
//! Promises: each says whether a restart can help.
//! Never: a person.

use std::path::PathBuf;

use crate::config::{Faults, WebhookFeedError};
use crate::ledger::LedgerError;
use crate::lookup::LookupError;
use crate::seal::KeyError;
use crate::serve::CertificateError;
use crate::vault::VaultError;

/// A house that cannot be built.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BuildError {
    #[error(transparent)]
    Faults(#[from] Faults),
    #[error(transparent)]
    Webhook(#[from] WebhookFeedError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("storage directory {path} cannot be made: {source}")]
    Storage { path: PathBuf, source: std::io::Error },
    #[error("intake.tls: {0}")]
    Certificate(#[from] CertificateError),
    #[error("cannot listen on {address}: {source}; choose another address, or end what listens there")]
    Listen { address: String, source: std::io::Error },
    #[error("admin.socket {path}: {source}; name another place, or move what is there")]
    Socket { path: PathBuf, source: std::io::Error },
}

impl BuildError {
    /// True if a restart cannot help before somebody changes a file.
    pub fn is_of_the_configuration(&self) -> bool {
        if let Self::Socket { source, .. } = self {
            return source.kind() == std::io::ErrorKind::AlreadyExists;
        }
        matches!(
            self,
            Self::Faults(_)
                | Self::Webhook(_)
                | Self::Lookup(_)
                | Self::Keys(_)
                | Self::Certificate(_)
                | Self::Vault(VaultError::OtherKeys { .. })
                | Self::Ledger(LedgerError::OtherKeys { .. })
        )
    }

    /// True if another process has the stores: it may be gone in a moment.
    pub fn is_of_the_moment(&self) -> bool {
        matches!(self, Self::Vault(VaultError::Locked { .. }) | Self::Ledger(LedgerError::Locked { .. }))
    }
}

/// How a run ended.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RunError {
    #[error("task `{0}` failed; restart the daemon, nothing acknowledged is lost")]
    TaskFailed(String),
    #[error(
        "a store failed ({0}); look at the disk below storage.dir, a restart opens the stores again, nothing acknowledged is lost"
    )]
    StoreFailed(String),
    #[error("still running when the drain timeout ended: {0}; their outcomes will be ambiguous")]
    DrainIncomplete(String),
}
