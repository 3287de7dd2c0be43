//! Reading contacts and aliases from files of people: CSV or lines of JSON, gzipped or not.
//!
//! Promises: constant memory, whatever the file holds; a bad row is a fault with its line and field, and reading
//! goes on; an empty cell of CSV and a `null` of JSON say nothing (they remove nothing).
//! Never: a value of the file in a fault, a copy of the file.

use std::io::{self, Read};

use serde_json::Value;

use super::{Contact, NamedAlias, VaultError, contact, record, store};
use crate::clock::Time;
use crate::event::AliasKind;
use crate::personal::Personal;

mod column;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod numbers;
mod records;
mod repeat;
mod source;

pub use column::{HeaderMap, MapError};
pub use numbers::{Numbers, push_quoted};

use column::{Column, Draft};
use records::Found;
use repeat::Repeats;

use super::contact::FIELD_LIMIT;

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
    /// The contact, unless the row is of aliases only.
    pub contact: Option<Contact>,
    /// When the row was true.
    pub at: Time,
    /// False if the file did not say when: such a row never brings back somebody who was erased.
    pub dated: bool,
    /// An identifier that an earlier row had too, and that row's line.
    pub repeats: Option<(AliasKind, u64)>,
}

/// A row that was left out. Names line and field, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct RowFault {
    /// The line the row began on, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, as the file names it, if one is to blame.
    pub field: Option<String>,
    /// What is wrong: `is not E.164`.
    pub what: String,
}

impl Fault {
    /// The fault of a field.
    pub fn of(field: &str, what: impl Into<String>) -> Self {
        Self { field: Some(field.into()), what: what.into() }
    }

    /// The fault of a row as a whole.
    pub fn row(what: impl Into<String>) -> Self {
        Self { field: None, what: what.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.field {
            Some(field) => write!(f, "field `{field}` {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        Self::from(&error)
    }
}

impl From<&VaultError> for Fault {
    fn from(error: &VaultError) -> Self {
        match error {
            VaultError::Invalid { field, expected } => Self::of(field, format!("is not {expected}")),
            other => Self::row(other.to_string()),
        }
    }
}

/// A file that cannot be imported at all.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ImportError {
    #[error("file cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("file has no header line")]
    Empty,
    #[error("file is UTF-16 (as spreadsheets save \"Unicode text\"); save it as CSV in UTF-8")]
    Utf16,
    #[error("file is one JSON array; give one object per line, without brackets and commas around them")]
    JsonArray,
    #[error("header line is not UTF-8, or longer than it may be; save the file as CSV in UTF-8, with commas")]
    BadHeader,
    #[error(
        "the first line is no header: none of its columns is known; put one on top, map it (HEADER=FIELD), or expected {expected}"
    )]
    NotAHeader { expected: &'static str },
    #[error("no column is known to hold numbers; a header of phone, or --column HEADER")]
    NoNumbers,
    #[error("numbers are written without a country code; say which one: --country 91")]
    NoCountry,
    #[error("column {position} `{header}` is not known; map it (HEADER=FIELD) or expected {expected}")]
    UnknownColumn { position: usize, header: String, expected: &'static str },
    #[error("column `{header}` stands there twice, or two columns mean the same")]
    DuplicateColumn { header: String },
    #[error("column `{header}` is mapped and not in the header line")]
    MissingColumn { header: String },
    #[error("file has {found} of the columns customer_id, external_id, card, card_external_id; needed: {needed}")]
    TooFewIdentifiers { found: usize, needed: usize },
}

enum Source {
    Csv { rows: Box<records::Rows>, columns: Vec<(String, Column)> },
    Json(records::Lines),
}

/// Rows of a file, one at a time.
pub struct Import {
    source: Source,
    map: HeaderMap,
    kind: ImportKind,
    now: Time,
    repeats: Repeats,
    /// Where the last record began.
    line: u64,
    done: bool,
}

impl Import {
    /// Looks at the file and reads its header, if it has one. `now` stands in where a row has no `updated_at`, and a
    /// row more than a day after it is a fault.
    ///
    /// # Errors
    /// When the file as a whole cannot be imported.
    pub fn open(
        reader: impl Read + Send + 'static,
        kind: ImportKind,
        map: HeaderMap,
        now: Time,
    ) -> Result<Self, ImportError> {
        let (text, format) = source::open(Box::new(reader))?;
        let source = match format {
            source::Format::JsonLines => Source::Json(records::Lines::new(text)),
            source::Format::Csv => {
                let mut rows = records::Rows::new(text);
                let Found::Record { .. } = rows.read()? else { return Err(ImportError::BadHeader) };
                let columns = map.columns(rows.fields(), kind)?;
                let found = columns.iter().filter(|(_, column)| matches!(column, Column::Alias(_))).count();
                let needed = needed(kind);
                if found < needed {
                    return Err(ImportError::TooFewIdentifiers { found, needed });
                }
                Source::Csv { rows: Box::new(rows), columns }
            }
        };
        Ok(Self { source, map, kind, now, repeats: Repeats::new(), line: 1, done: false })
    }

    /// True if the file has identifiers only: then its rows say who is who, and nothing of anybody. Lines of JSON
    /// have no header to tell.
    pub fn has_identifiers_only(&self) -> bool {
        let says_nothing = |column: &Column| matches!(column, Column::Alias(_) | Column::UpdatedAt | Column::Ignored);
        match &self.source {
            Source::Csv { columns, .. } => columns.iter().all(|(_, column)| says_nothing(column)),
            Source::Json(_) => false,
        }
    }

    /// False once the file held so many identifiers that repeated ones are no longer looked for.
    pub fn looks_for_repeats(&self) -> bool {
        !self.repeats.is_full()
    }

    fn find(&mut self) -> io::Result<Found> {
        match &mut self.source {
            Source::Csv { rows, .. } => rows.read(),
            Source::Json(lines) => lines.read(),
        }
    }

    fn row(&mut self, line: u64) -> Result<Row, Fault> {
        let mut draft = Draft::new(self.now);
        match &self.source {
            Source::Csv { rows, columns } => csv_row(&mut draft, rows, columns)?,
            Source::Json(lines) => json_row(&mut draft, lines.bytes(), &self.map)?,
        }
        let draft_says_nothing = matches!(self.source, Source::Json(_)) && draft.says_nothing();
        let Draft { aliases, contact, dated, .. } = draft;
        let at = contact.updated_at;
        let contact = match self.kind {
            ImportKind::Contacts if draft_says_nothing => {
                return Err(Fault::row("says who is who and nothing else; import such a file with --aliases-only"));
            }
            _ if aliases.is_empty() => return Err(Fault::row("has no identifier")),
            ImportKind::Aliases if aliases.len() < 2 => return Err(Fault::row("has fewer than two identifiers")),
            ImportKind::Aliases => None,
            ImportKind::Contacts => Some(fitting(contact)?),
        };
        let repeats = self.repeated(&aliases, line);
        Ok(Row { line, aliases, contact, at, dated, repeats })
    }

    /// In a file of contacts nobody stands twice. In a file of aliases cards are listed one by one, each with the id
    /// of its bearer; only a row of both ids says something that another row could say otherwise.
    fn repeated(&mut self, aliases: &[NamedAlias], line: u64) -> Option<(AliasKind, u64)> {
        let has = |kind| aliases.iter().any(|alias| alias.kind == kind);
        if self.kind == ImportKind::Aliases && !(has(AliasKind::CustomerId) && has(AliasKind::ExternalId)) {
            return None;
        }
        let mut found = None;
        for alias in aliases {
            let before = self.repeats.note(alias.kind.as_str(), alias.value.expose(), line);
            found = found.or(before.filter(|before| *before != line).map(|before| (alias.kind, before)));
        }
        found
    }

    fn too_long(&self, field: usize) -> Fault {
        match &self.source {
            Source::Csv { columns, .. } => match columns.get(field) {
                Some((name, _)) => Fault::of(name, format!("is longer than {FIELD_LIMIT} bytes")),
                None => Fault::row(format!("has {field} fields or more, the header has {}", columns.len())),
            },
            Source::Json(_) => Fault::row(format!("is longer than {} bytes", records::LINE_LIMIT)),
        }
    }
}

impl Iterator for Import {
    type Item = Result<Row, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let (line, fault) = match self.find() {
            Ok(Found::Record { line }) => {
                self.line = line;
                return Some(self.row(line).map_err(|fault| RowFault { line, fault }));
            }
            Ok(Found::TooLong { line, field }) => return Some(Err(RowFault { line, fault: self.too_long(field) })),
            Ok(Found::End) => {
                self.done = true;
                return None;
            }
            Ok(Found::Lost { line }) => (line, "has a quote that is not closed; reading ends here".to_owned()),
            Err(error) => (self.line, format!("after this line the file cannot be read: {error}")),
        };
        self.done = true;
        Some(Err(RowFault { line, fault: Fault::row(fault) }))
    }
}

fn needed(kind: ImportKind) -> usize {
    if kind == ImportKind::Aliases { 2 } else { 1 }
}

fn csv_row(draft: &mut Draft, rows: &records::Rows, columns: &[(String, Column)]) -> Result<(), Fault> {
    if rows.fields().len() != columns.len() {
        return Err(Fault::row(format!("has {} fields, the header has {}", rows.fields().len(), columns.len())));
    }
    for ((name, column), bytes) in columns.iter().zip(rows.fields()) {
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::of(name, "is not UTF-8"))?;
        if !text.trim().is_empty() {
            draft.set(name, column, text)?;
        }
    }
    Ok(())
}

fn json_row(draft: &mut Draft, line: &[u8], map: &HeaderMap) -> Result<(), Fault> {
    let Fields(fields) = serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Fault::row("is not a JSON object"),
        _ => Fault::row(format!("is not JSON at column {}", error.column())),
    })?;
    for (at, (name, value)) in fields.iter().enumerate() {
        if fields[..at].iter().any(|(before, _)| before == name) {
            return Err(Fault::of(column::plain_name(name), "stands there twice"));
        }
        if name == "attributes" {
            let Value::Object(attributes) = value else { return Err(Fault::of(name, "is not an object")) };
            for (attribute, value) in attributes {
                let path = format!("attr.{attribute}");
                json_field(draft, &path, Column::named(&path), value)?;
            }
        } else {
            json_field(draft, name, map.column(name), value)?;
        }
    }
    // The fields of an object have no order, and the first identifier decides who it is.
    draft.aliases.sort_by_key(|alias| alias.kind);
    Ok(())
}

/// The fields of an object as they stand there: a map would keep the last of two with one name, and say nothing.
struct Fields(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    // More names than fields there are, or columns a file may have.
                    if fields.len() >= records::COLUMN_LIMIT {
                        return Err(serde::de::Error::custom("too many fields"));
                    }
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn json_field(draft: &mut Draft, name: &str, column: Option<Column>, value: &Value) -> Result<(), Fault> {
    let shown = column::plain_name(name);
    let column = column.ok_or_else(|| {
        Fault::of(shown, format!("is not known; map it or expected {}", column::expected(ImportKind::Contacts)))
    })?;
    let text = match value {
        _ if column == Column::Ignored => return Ok(()),
        Value::Null => return Ok(()),
        Value::String(text) => return draft.set(shown, &column, text),
        Value::Number(number) => Personal::new(number.to_string()),
        Value::Bool(truth) => Personal::new(truth.to_string()),
        Value::Array(many) if matches!(column, Column::Alias(_)) && many.iter().all(|one| !one.is_array()) => {
            return many.iter().try_for_each(|one| json_field(draft, name, Some(column.clone()), one));
        }
        Value::Array(_) | Value::Object(_) => return Err(Fault::of(shown, "is not a text, number or truth value")),
    };
    draft.set(shown, &column, text.expose())
}

/// The contact in its stored form, if it fits into a record.
fn fitting(given: Contact) -> Result<Contact, Fault> {
    let contact = contact::normalise(given)?;
    let held: usize = contact.attributes.iter().map(|(name, value)| name.len() + value.expose().len()).sum();
    // Short contacts fit whatever their letters take when written.
    if held > store::RECORD_LIMIT / 8 {
        let size = record::write_contact(&contact)?.len();
        if size > store::PLAIN_LIMIT {
            return Err(VaultError::TooLarge { size, limit: store::PLAIN_LIMIT }.into());
        }
    }
    Ok(contact)
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

#[cfg(test)]
mod tests;
