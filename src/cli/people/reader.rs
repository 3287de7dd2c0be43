//! Reading a file of people beside the relay that stores them, so that neither waits for the other.
//!
//! Promises: at most three batches are in memory; rows keep their order.
//! Never: a copy of the file on the disk.

use serde_json::Value;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use crate::vault::import::{Fault, Import, RowFault};
use crate::vault::json::row_json;

/// Rows in one request: enough to share a sync, few enough to bound memory and a request's time.
const ROWS: usize = 8_000;
/// Bytes in one request: rows with long attributes are sent in smaller batches.
const BYTES: usize = 4 << 20;

/// Rows that are sent together, and what was wrong with others on the way.
#[derive(Default)]
pub(super) struct Batch {
    /// The rows as the relay takes them: JSON objects, with commas between.
    pub(super) rows: Vec<u8>,
    /// The line of each row.
    pub(super) lines: Vec<u64>,
    /// Rows that cannot be sent.
    pub(super) faults: Vec<RowFault>,
    /// Rows that can, and that repeat an identifier.
    pub(super) repeats: Vec<(u64, Fault)>,
    /// Records of the file, good or bad, up to the end of this batch.
    pub(super) records: u64,
    /// True if repeats were looked for up to the end of this batch.
    pub(super) looked_for_repeats: bool,
}

/// Reads on a thread of its own, from after the first `skip` records. Await the handle once the channel is empty.
pub(super) fn read_ahead(import: Import, skip: u64) -> (Receiver<Batch>, JoinHandle<()>) {
    let (give, take) = channel(1);
    let reader = tokio::task::spawn_blocking(move || {
        for batch in batches(import, skip) {
            // Whoever took them failed; the failure is theirs to tell.
            if give.blocking_send(batch).is_err() {
                return;
            }
        }
    });
    (take, reader)
}

fn batches(mut import: Import, skip: u64) -> impl Iterator<Item = Batch> {
    let mut records = 0;
    std::iter::from_fn(move || {
        let mut batch = Batch::default();
        while batch.lines.len() < ROWS && batch.rows.len() < BYTES && batch.faults.len() < ROWS {
            let Some(row) = import.next() else { break };
            records += 1;
            if records > skip {
                batch.add(row);
            }
        }
        batch.records = records;
        batch.looked_for_repeats = import.looks_for_repeats();
        (!batch.lines.is_empty() || !batch.faults.is_empty()).then_some(batch)
    })
}

impl Batch {
    fn add(&mut self, row: Result<crate::vault::import::Row, RowFault>) {
        let row = match row {
            Ok(row) => row,
            Err(fault) => return self.faults.push(fault),
        };
        if let Some((kind, line)) = row.repeats {
            self.repeats.push((row.line, Fault::of(kind.as_str(), format!("stands on line {line} too"))));
        }
        if !self.lines.is_empty() {
            self.rows.push(b',');
        }
        self.lines.push(row.line);
        let json: Value = row_json(&row);
        self.rows.extend_from_slice(json.to_string().as_bytes());
    }
}
