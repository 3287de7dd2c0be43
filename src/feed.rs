//! Feeds: what the relay tells the brand's other systems by itself or when asked, from the ledger's log of outcomes.
//!
//! Promises: counts and ids, but for the one list of people that is asked for by name; a day is the day of its org; memory is
//! bounded by groups or by a page, not by a day's messages.
//! Never: a look that slows sending: it reads a page and lets others have their turn.

use crate::ledger::LedgerError;

mod daily;
mod day;
mod outcomes;
mod table;

pub use daily::Daily;
pub use day::Days;
pub use outcomes::{COLUMNS, Row, outcomes};
pub use table::{Format, table, write_atomically};

/// A report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file cannot be written.
    #[error("{path} cannot be written: {kind}; look at the disk and at who may write there")]
    File {
        /// Where.
        path: String,
        /// How.
        kind: std::io::ErrorKind,
    },
}
