//! What an import says of the rows it could not take, and of those it took with a doubt.
//!
//! Promises: line, field and fault; the terminal shows the first few, the file of `--faults` a bounded number.
//! Never: a value of the file.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use indicatif::ProgressBar;
use serde_json::json;

use crate::vault::import::{Fault, RowFault};

use super::print;

/// Lines shown on the terminal, of each sort.
const SHOWN: u64 = 20;
/// Lines written to the file.
const WRITTEN: u64 = 100_000;

/// Takes faults and notices as they come.
pub(super) struct Report {
    bar: ProgressBar,
    file: Option<BufWriter<std::fs::File>>,
    written: u64,
    faults: u64,
    notices: u64,
}

impl Report {
    /// `file` is made for its owner only. An import that goes on adds to it, behind as many bytes as [`Report::keep`] gave
    /// last, if it did: what was written after that is told again.
    pub(super) fn open(bar: ProgressBar, file: Option<&Path>, goes_on: Option<Option<u64>>) -> anyhow::Result<Self> {
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.create(true).mode(0o600).append(goes_on.is_some()).write(true).truncate(goes_on.is_none());
            let open = || {
                let file = options.open(path)?;
                if let Some(kept) = goes_on.flatten()
                    && kept < file.metadata()?.len()
                {
                    file.set_len(kept)?;
                }
                Ok::<_, std::io::Error>(BufWriter::new(file))
            };
            open().with_context(|| format!("{} cannot be written", path.display()))
        };
        Ok(Self { bar, file: file.map(open).transpose()?, written: 0, faults: 0, notices: 0 })
    }

    /// Makes what was written durable; gives how many bytes that is, if there is a file.
    pub(super) fn keep(&mut self) -> anyhow::Result<Option<u64>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut keep = || {
            file.flush()?;
            file.get_ref().sync_data()?;
            Ok::<_, std::io::Error>(file.get_ref().metadata()?.len())
        };
        keep().map(Some).context("fault file cannot be written")
    }

    /// A row was left out.
    pub(super) fn refused(&mut self, fault: &RowFault) -> anyhow::Result<()> {
        self.faults += 1;
        if self.faults <= SHOWN {
            self.bar.suspend(|| print::err(&fault.to_string()));
        }
        self.write("refused", fault.line, &fault.fault)
    }

    /// A row was taken, and something about it is worth a look.
    pub(super) fn noticed(&mut self, line: u64, fault: &Fault) -> anyhow::Result<()> {
        self.notices += 1;
        if self.notices <= SHOWN {
            self.bar.suspend(|| print::err(&format!("line {line}: note: {fault}")));
        }
        self.write("stored", line, fault)
    }

    /// Says what was not shown, and closes the file.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        let hidden = self.faults.saturating_sub(SHOWN) + self.notices.saturating_sub(SHOWN);
        if hidden > 0 && self.file.is_none() {
            print::err(&format!("{hidden} further lines are not shown; --faults FILE writes them all"));
        }
        let more = (self.faults + self.notices).saturating_sub(WRITTEN);
        if more > 0 && self.file.is_some() {
            print::err(&format!("the fault file has the first {WRITTEN} lines; {more} further ones are only counted"));
        }
        self.file.as_mut().map_or(Ok(()), Write::flush).context("fault file cannot be written")
    }

    fn write(&mut self, row: &str, line: u64, fault: &Fault) -> anyhow::Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| self.written < WRITTEN) else { return Ok(()) };
        self.written += 1;
        let entry = json!({ "line": line, "row": row, "field": fault.field, "fault": fault.what });
        writeln!(file, "{entry}").context("fault file cannot be written")
    }
}
