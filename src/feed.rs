//! Feeds: what the relay tells the brand's other systems by itself or when asked, from the ledger's log of outcomes.
//!
//! Promises: counts and ids, but for the one list of people that is asked for by name; a day is the day of its org; memory is
//! bounded by groups or by a page, not by a day's messages.
//! Never: a look that slows sending: it reads a page and lets others have their turn.

use crate::ledger::LedgerError;
use crate::vault::VaultError;

mod daily;
mod day;
mod outcomes;
mod table;
mod unreachable;
mod webhook;

pub use daily::{Daily, People};
pub use day::Days;
pub use outcomes::{COLUMNS, Row, outcomes};
pub use table::{Format, table, write_atomically};
pub use unreachable::{COLUMNS as UNREACHABLE_COLUMNS, Unreachable, unreachable};
pub use webhook::Webhook;

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The vault cannot be read.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The list of people was not given, in the words of the door.
    #[error("the list of people who could not be reached was refused: {0}")]
    People(String),
    /// The file cannot be written.
    #[error("{path} cannot be written: {kind}; look at the disk and at who may write there")]
    File {
        /// Where.
        path: String,
        /// How.
        kind: std::io::ErrorKind,
    },
}
