//! Cutting a text into records: rows of CSV, lines of JSON.
//!
//! Promises: a record that is too long is passed over to its end, quotes and all, without being held; the next one
//! is found where it really begins.
//! Never: more memory than one record may take.

use std::io;

use csv_core::ReadRecordResult;

use super::source::Text;

/// Longest row of CSV, all fields together, bytes.
pub(super) const ROW_LIMIT: usize = 256 << 10;
/// Most columns.
pub(super) const COLUMN_LIMIT: usize = 1_024;
/// Longest line of JSON, bytes.
pub(super) const LINE_LIMIT: usize = 256 << 10;
/// A row that goes on for so many bytes and over the ends of lines has a quote that is never closed; where it would end nobody can say.
pub(super) const LOST_AFTER: u64 = 64 << 20;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record that began on this line.
    Record { line: u64 },
    /// One that began on this line and was passed over; the field that was read when it became too much, from 0.
    TooLong { line: u64, field: usize },
    /// Like `TooLong`, and there is no telling where the next one begins.
    Lost { line: u64 },
    /// No more.
    End,
}

/// Rows of a CSV file.
pub(super) struct Rows {
    text: Text,
    parser: csv_core::Reader,
    bytes: Box<[u8]>,
    ends: Box<[usize]>,
    fields: usize,
}

impl Rows {
    pub(super) fn new(text: Text) -> Self {
        let bytes = vec![0; ROW_LIMIT].into_boxed_slice();
        let ends = vec![0; COLUMN_LIMIT].into_boxed_slice();
        Self { text, parser: csv_core::Reader::new(), bytes, ends, fields: 0 }
    }

    /// The fields of the record that [`Rows::read`] found.
    pub(super) fn fields(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.fields).map(|at| {
            let from = if at == 0 { 0 } else { self.ends[at - 1] };
            &self.bytes[from..self.ends[at]]
        })
    }

    pub(super) fn read(&mut self) -> io::Result<Found> {
        let (mut written, mut ended) = (0, 0);
        let mut too_long = None;
        let mut within = 0;
        let mut passed = 0;
        self.fields = 0;
        loop {
            let input = self.text.fill()?;
            let at_end = input.is_empty();
            let (result, read, wrote, ends) =
                self.parser.read_record(input, &mut self.bytes[written..], &mut self.ends[ended..]);
            self.text.consume(read);
            within += self.bytes[written..written + wrote].iter().filter(|byte| **byte == b'\n').count() as u64;
            written += wrote;
            ended += ends;
            // Counted back from the end: the parser's own place is before any blank lines.
            let line = self.parser.line().saturating_sub(1 + within);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    too_long.get_or_insert(ended);
                    passed += written as u64;
                    (written, ended) = (0, 0);
                    // Only within quotes a line's end is part of a field; without one the row ends with its line, however long.
                    if passed > LOST_AFTER && within > 0 {
                        return Ok(Found::Lost { line: line + 1 });
                    }
                }
                // Every line ends with `\n`: what only the end of the file ends is a quote that is not closed.
                ReadRecordResult::Record if at_end => return Ok(Found::Lost { line: line + 1 }),
                ReadRecordResult::Record => {
                    self.fields = ended;
                    return Ok(match too_long {
                        Some(field) => Found::TooLong { line, field },
                        None => Found::Record { line },
                    });
                }
                ReadRecordResult::End => return Ok(Found::End),
            }
        }
    }
}

/// Lines of a file of JSON objects.
pub(super) struct Lines {
    text: Text,
    line: u64,
    bytes: Vec<u8>,
}

impl Lines {
    pub(super) fn new(text: Text) -> Self {
        Self { text, line: 0, bytes: Vec::with_capacity(4 << 10) }
    }

    /// The line that [`Lines::read`] found.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The next line that is not blank.
    pub(super) fn read(&mut self) -> io::Result<Found> {
        loop {
            self.bytes.clear();
            let mut too_long = false;
            loop {
                let input = self.text.fill()?;
                if input.is_empty() {
                    return Ok(Found::End);
                }
                let end = input.iter().position(|byte| *byte == b'\n');
                let piece = &input[..end.unwrap_or(input.len())];
                too_long |= self.bytes.len() + piece.len() > LINE_LIMIT;
                if !too_long {
                    self.bytes.extend_from_slice(piece);
                }
                let taken = piece.len() + usize::from(end.is_some());
                self.text.consume(taken);
                if end.is_some() {
                    break;
                }
            }
            self.line += 1;
            if too_long {
                return Ok(Found::TooLong { line: self.line, field: 0 });
            }
            if !self.bytes.trim_ascii().is_empty() {
                return Ok(Found::Record { line: self.line });
            }
        }
    }
}
