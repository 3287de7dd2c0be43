//! Reading contacts and aliases from CSV files.
//!
//! Promises: constant memory, whatever the file holds; a bad row is a fault with its line and field, and reading
//! goes on; an empty cell says nothing (it removes nothing).
//! Never: a value of the file in a fault, a copy of the file.

use std::io::{self, Read};

use csv::ByteRecord;

use super::{Contact, Learned, NamedAlias, PutMode, Vault, VaultError, contact};
use crate::clock::Time;
use crate::event::AliasKind;
use crate::id::Namespace;
use crate::personal::Personal;

/// Longest field, in bytes.
const FIELD_LIMIT: usize = 8 << 10;
/// Longest row, in bytes: beyond it a quote was not closed, and the rest of the file would be one field.
const ROW_LIMIT: u64 = 512 << 10;
/// How far ahead a clock may be. A time beyond would win over every later change.
const AHEAD: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// Contacts under one identifier or more.
    Contacts,
    /// Identifiers of the same person, two or more in a row.
    Aliases,
}

/// One good row. No `Debug`.
pub struct Row {
    /// The line it began on, from 1.
    pub line: u64,
    /// The identifiers, in the order of the columns.
    pub aliases: Vec<NamedAlias>,
    /// The contact, unless the file is of aliases only.
    pub contact: Option<Contact>,
    /// When the row was true.
    pub at: Time,
    /// False if the file did not say when: such a row never brings back somebody who was erased.
    pub dated: bool,
}

/// A row that was left out. Names line and field, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct RowFault {
    /// The line the row began on, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

/// A file that cannot be imported at all.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ImportError {
    #[error("file cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("file has no header line")]
    Empty,
    #[error("header line is not UTF-8, or longer than it may be; save the file as CSV in UTF-8, with commas")]
    BadHeader,
    #[error("column {position} `{header}` is not known; expected {expected}")]
    UnknownColumn { position: usize, header: String, expected: &'static str },
    #[error("column `{header}` stands there twice")]
    DuplicateColumn { header: String },
    #[error("file has {found} of the columns customer_id, external_id, card, card_external_id; needed: {needed}")]
    TooFewIdentifiers { found: usize, needed: usize },
}

#[derive(Clone, PartialEq, Eq)]
enum Column {
    Alias(AliasKind),
    FirstName,
    LastName,
    Email,
    Mobile,
    Locale,
    TimeZone,
    UpdatedAt,
    Attribute(String),
}

/// Rows of a CSV file, one at a time.
pub struct Import<R> {
    reader: csv::Reader<Lines<R>>,
    columns: Vec<(String, Column)>,
    kind: ImportKind,
    default_at: Time,
    record: ByteRecord,
    done: bool,
}

impl<R: Read> Import<R> {
    /// Reads the header. `default_updated_at` (usually now) stands in where the file has no `updated_at`, and a
    /// row more than a day after it is a fault.
    pub fn open(reader: R, kind: ImportKind, default_updated_at: Time) -> Result<Self, ImportError> {
        let lines = Lines { inner: reader, left: ROW_LIMIT, last: b'\n', ended: false };
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        let mut record = ByteRecord::new();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Err(ImportError::Empty),
            Err(error) => {
                return Err(match error.into_kind() {
                    csv::ErrorKind::Io(source) if !is_bound(&source) => ImportError::Io(source),
                    _ => ImportError::BadHeader,
                });
            }
        }
        let columns = columns(&record, kind)?;
        let found = columns.iter().filter(|(_, column)| matches!(column, Column::Alias(_))).count();
        let needed = if kind == ImportKind::Aliases { 2 } else { 1 };
        if found < needed {
            return Err(ImportError::TooFewIdentifiers { found, needed });
        }
        Ok(Self { reader, columns, kind, default_at: default_updated_at, record, done: false })
    }

    /// True if the file has identifiers only: then its rows say who is who, and nothing of anybody.
    pub fn has_identifiers_only(&self) -> bool {
        self.columns.iter().all(|(_, column)| matches!(column, Column::Alias(_) | Column::UpdatedAt))
    }

    fn row(&self, line: u64) -> Result<Row, String> {
        if self.record.len() != self.columns.len() {
            return Err(format!("has {} fields, the header has {}", self.record.len(), self.columns.len()));
        }
        let mut aliases = Vec::new();
        let mut contact = Contact { updated_at: self.default_at, ..Contact::default() };
        let mut dated = false;
        for ((name, column), bytes) in self.columns.iter().zip(&self.record) {
            if bytes.len() > FIELD_LIMIT {
                return Err(format!("field `{name}` is longer than {FIELD_LIMIT} bytes"));
            }
            let text = std::str::from_utf8(bytes).map_err(|_| format!("field `{name}` is not UTF-8"))?.trim();
            if text.is_empty() {
                continue;
            }
            match column {
                Column::Alias(kind) => aliases.push(NamedAlias { kind: *kind, value: Personal::new(text) }),
                Column::FirstName => contact.first_name = Some(Personal::new(text)),
                Column::LastName => contact.last_name = Some(Personal::new(text)),
                Column::Email => contact.email = Some(Personal::new(text)),
                Column::Mobile => contact.mobile = Some(Personal::new(text)),
                Column::Locale => contact.locale = Some(text.to_owned()),
                Column::TimeZone => contact.time_zone = Some(text.to_owned()),
                Column::Attribute(name) => {
                    contact.attributes.insert(name.clone(), Personal::new(text));
                }
                Column::UpdatedAt => {
                    dated = true;
                    contact.updated_at = time_of(text, self.default_at)
                        .map_err(|expected| format!("field `{name}` is not {expected}"))?;
                }
            }
        }
        let at = contact.updated_at;
        let contact = match self.kind {
            ImportKind::Aliases if aliases.len() < 2 => return Err("has fewer than two identifiers".into()),
            ImportKind::Aliases => None,
            ImportKind::Contacts if aliases.is_empty() => return Err("has no identifier".into()),
            ImportKind::Contacts => Some(contact::normalise(contact).map_err(|fault| fault.to_string())?),
        };
        Ok(Row { line, aliases, contact, at, dated })
    }
}

impl<R: Read> Iterator for Import<R> {
    type Item = Result<Row, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.reader.get_mut().left = ROW_LIMIT;
        let before = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {
                // Counted back from the end: the parser's own position is before any blank lines.
                let within = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
                let line = self.reader.position().line().saturating_sub(1 + within);
                Some(self.row(line).map_err(|what| RowFault { line, what }))
            }
            Ok(false) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                let what = match error.into_kind() {
                    csv::ErrorKind::Io(source) if is_bound(&source) => {
                        format!("row is longer than {ROW_LIMIT} bytes (a quote that is not closed?); reading ends here")
                    }
                    csv::ErrorKind::Io(source) => format!("file cannot be read further: {source}"),
                    _ => "file cannot be read further".into(),
                };
                Some(Err(RowFault { line: before, what }))
            }
        }
    }
}

impl Vault {
    /// Puts or links one row: fields that the file does not name, or leaves empty, stay. Written, not yet synced.
    pub fn apply_row(&self, namespace: &Namespace, row: Row) -> Result<Learned, VaultError> {
        if !row.dated && self.is_erased(namespace, &row.aliases)? {
            return Ok(Learned { erased: true, ..Learned::default() });
        }
        match row.contact {
            Some(contact) => self.put(namespace, &row.aliases, contact, PutMode::Patch),
            None => self.link(namespace, &row.aliases, row.at),
        }
    }
}

/// Reads a time; the error says what was expected.
pub(super) fn time_of(text: &str, now: Time) -> Result<Time, &'static str> {
    let text = text.trim();
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    // A date parses as neither time nor zone, so the order does not matter.
    let stamp = text.parse::<jiff::Timestamp>().ok().or_else(|| day().map(|zoned| zoned.timestamp()));
    let time = Time::from(stamp.ok_or("a time like 2027-01-31T08:00:00Z or a date like 2027-01-31")?);
    if time > now.plus(AHEAD) { Err("in the past") } else { Ok(time) }
}

fn columns(header: &ByteRecord, kind: ImportKind) -> Result<Vec<(String, Column)>, ImportError> {
    let mut columns: Vec<(String, Column)> = Vec::with_capacity(header.len());
    for (position, bytes) in header.iter().enumerate() {
        let name = std::str::from_utf8(bytes).map_err(|_| ImportError::BadHeader)?.trim();
        if name.len() > FIELD_LIMIT {
            return Err(ImportError::BadHeader);
        }
        let column = column(name)
            .filter(|column| kind == ImportKind::Contacts || matches!(column, Column::Alias(_) | Column::UpdatedAt));
        let Some(column) = column else {
            // A file without a header line begins with a person: say no more of it than a word of a header has.
            let shown = name.len() <= 32
                && name.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.' | b'-' | b' '));
            let header = if shown { name.to_owned() } else { "(not a plain name)".to_owned() };
            let expected = match kind {
                ImportKind::Contacts => {
                    "customer_id, external_id, card, card_external_id, first_name, last_name, email, mobile, locale, \
                     time_zone, updated_at, attr.<name>"
                }
                ImportKind::Aliases => "customer_id, external_id, card, card_external_id, updated_at",
            };
            return Err(ImportError::UnknownColumn { position: position + 1, header, expected });
        };
        if columns.iter().any(|(_, known)| *known == column) {
            return Err(ImportError::DuplicateColumn { header: name.to_owned() });
        }
        columns.push((name.to_owned(), column));
    }
    Ok(columns)
}

fn column(name: &str) -> Option<Column> {
    Some(match name {
        "customer_id" => Column::Alias(AliasKind::CustomerId),
        "external_id" => Column::Alias(AliasKind::ExternalId),
        "card" => Column::Alias(AliasKind::Card),
        "card_external_id" => Column::Alias(AliasKind::CardExternalId),
        "first_name" => Column::FirstName,
        "last_name" => Column::LastName,
        "email" => Column::Email,
        "mobile" => Column::Mobile,
        "locale" => Column::Locale,
        "time_zone" => Column::TimeZone,
        "updated_at" => Column::UpdatedAt,
        _ => Column::Attribute(name.strip_prefix("attr.").filter(|rest| (1..=64).contains(&rest.len()))?.to_owned()),
    })
}

/// Makes every line end a `\n`, the last one included, so that rows can be told their lines; and fails when one
/// row takes more than its share, since the parser itself would grow without end.
struct Lines<R> {
    inner: R,
    left: u64,
    /// The byte before, as it came.
    last: u8,
    ended: bool,
}

const BOUND: &str = "row too long";

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other(BOUND));
        }
        loop {
            let read = self.inner.read(buffer)?;
            self.left = self.left.saturating_sub(read as u64);
            if read == 0 {
                let owed = !buffer.is_empty()
                    && !std::mem::replace(&mut self.ended, true)
                    && !matches!(self.last, b'\n' | b'\r');
                if owed {
                    buffer[0] = b'\n';
                }
                return Ok(usize::from(owed));
            }
            let mut kept = 0;
            for at in 0..read {
                let byte = buffer[at];
                if !(byte == b'\n' && self.last == b'\r') {
                    buffer[kept] = if byte == b'\r' { b'\n' } else { byte };
                    kept += 1;
                }
                self.last = byte;
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

fn is_bound(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.to_string() == BOUND)
}

#[cfg(test)]
mod tests;
