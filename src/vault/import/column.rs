//! What the columns of a file mean, by their own names or by a map, and what their values become.
//!
//! Promises: one meaning for CSV and JSON; a fault names the field as the file names it.
//! Never: a value in a fault; a header in a fault that could be a person (a file without a header line begins with one).

use std::collections::BTreeMap;

use super::{FIELD_LIMIT, Fault, ImportError, ImportKind, time_of};
use crate::clock::Time;
use crate::event::{AliasKind, is_no_identifier};
use crate::personal::Personal;
use crate::vault::{Contact, NamedAlias};

/// What a column is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Column {
    Alias(AliasKind),
    FirstName,
    LastName,
    Email,
    Mobile,
    Locale,
    TimeZone,
    UpdatedAt,
    Attribute(String),
    /// Not wanted: said by a map, never guessed.
    Ignored,
}

impl Column {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "customer_id" => Self::Alias(AliasKind::CustomerId),
            "external_id" => Self::Alias(AliasKind::ExternalId),
            "card" => Self::Alias(AliasKind::Card),
            "card_external_id" => Self::Alias(AliasKind::CardExternalId),
            "first_name" => Self::FirstName,
            "last_name" => Self::LastName,
            "email" => Self::Email,
            "mobile" | "phone" => Self::Mobile,
            "locale" => Self::Locale,
            "time_zone" => Self::TimeZone,
            "updated_at" => Self::UpdatedAt,
            _ => Self::Attribute(name.strip_prefix("attr.").filter(|rest| (1..=64).contains(&rest.len()))?.to_owned()),
        })
    }

    fn fits(&self, kind: ImportKind) -> bool {
        kind == ImportKind::Contacts || matches!(self, Self::Alias(_) | Self::UpdatedAt | Self::Ignored)
    }
}

/// The fields that a file may have.
pub(super) fn expected(kind: ImportKind) -> &'static str {
    match kind {
        ImportKind::Contacts => {
            "customer_id, external_id, card, card_external_id, first_name, last_name, email, mobile, locale, \
             time_zone, updated_at, attr.<name>"
        }
        ImportKind::Aliases => "customer_id, external_id, card, card_external_id, updated_at",
    }
}

/// What headers mean that are not named like our fields.
#[derive(Clone, Default)]
pub struct HeaderMap(BTreeMap<String, Column>);

/// A map entry that says nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{entry}` is no mapping; expected HEADER=FIELD with a field of customer_id, external_id, card, card_external_id, \
     first_name, last_name, email, mobile, locale, time_zone, updated_at, attr.<name>, or HEADER=- for a column that \
     is not wanted"
)]
pub struct MapError {
    /// The entry as it was given.
    pub entry: String,
}

impl HeaderMap {
    /// Reads entries such as `Mobile No=mobile` and `Remarks=-`.
    ///
    /// # Errors
    /// The first entry that is not of that form, or that gives a header a second meaning.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, MapError> {
        let mut map = BTreeMap::new();
        for entry in entries.iter().map(AsRef::as_ref) {
            let fault = || MapError { entry: entry.to_owned() };
            // The last `=`, because no field has one and a header may.
            let (header, field) = entry.rsplit_once('=').ok_or_else(fault)?;
            let column = match field.trim() {
                "-" => Column::Ignored,
                field => Column::named(field).ok_or_else(fault)?,
            };
            if header.trim().is_empty() || map.insert(header.trim().to_owned(), column).is_some() {
                return Err(fault());
            }
        }
        Ok(Self(map))
    }

    pub(super) fn column(&self, header: &str) -> Option<Column> {
        self.0.get(header).cloned().or_else(|| Column::named(header))
    }

    /// The columns of a header line, with their names.
    pub(super) fn columns<'a>(
        &self,
        header: impl Iterator<Item = &'a [u8]>,
        kind: ImportKind,
    ) -> Result<Vec<(String, Column)>, ImportError> {
        let names = header
            .map(|bytes| std::str::from_utf8(bytes).map(str::trim).map_err(|_| ImportError::BadHeader))
            .collect::<Result<Vec<_>, _>>()?;
        if !names.iter().any(|name| self.column(name).is_some()) {
            // It looks like a first row: what stands there may be somebody.
            return Err(ImportError::NotAHeader { expected: expected(kind) });
        }
        let mut columns: Vec<(String, Column)> = Vec::new();
        for (position, name) in names.into_iter().enumerate() {
            let Some(column) = self.column(name).filter(|column| column.fits(kind)) else {
                let header = plain_name(name).to_owned();
                return Err(ImportError::UnknownColumn { position: position + 1, header, expected: expected(kind) });
            };
            if column != Column::Ignored && columns.iter().any(|(_, known)| *known == column) {
                return Err(ImportError::DuplicateColumn { header: name.to_owned() });
            }
            columns.push((name.to_owned(), column));
        }
        match self.0.keys().find(|header| !columns.iter().any(|(name, _)| name == *header)) {
            Some(header) => Err(ImportError::MissingColumn { header: header.clone() }),
            None => Ok(columns),
        }
    }
}

/// The name, if it could not be a person: no more is said of it than a word of a header has.
pub(super) fn plain_name(name: &str) -> &str {
    let shown = (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.' | b'-' | b' '));
    if shown { name } else { "(not a plain name)" }
}

/// A row that is being read.
pub(super) struct Draft {
    pub(super) aliases: Vec<NamedAlias>,
    pub(super) contact: Contact,
    pub(super) dated: bool,
    /// True once a field was given that is neither an identifier nor a time.
    told: bool,
    now: Time,
}

impl Draft {
    pub(super) fn new(now: Time) -> Self {
        let contact = Contact { updated_at: now, ..Contact::default() };
        Self { aliases: Vec::new(), contact, dated: false, told: false, now }
    }

    /// True if only identifiers were given, and of several kinds: a contact made of them would be an empty one.
    pub(super) fn says_nothing(&self) -> bool {
        !self.told && self.aliases.len() > 1
    }

    /// Puts one value where its column says. A blank one is kept: whoever reads the file decides whether it says anything.
    pub(super) fn set(&mut self, name: &str, column: &Column, text: &str) -> Result<(), Fault> {
        if text.len() > FIELD_LIMIT {
            return Err(Fault::of(name, format!("is longer than {FIELD_LIMIT} bytes")));
        }
        let text = text.trim();
        self.told |= !matches!(column, Column::Alias(_) | Column::UpdatedAt | Column::Ignored);
        let contact = &mut self.contact;
        match column {
            Column::UpdatedAt if text.is_empty() => {}
            Column::Alias(kind) if is_no_identifier(*kind, text) => {}
            Column::Alias(kind) => self.aliases.push(NamedAlias { kind: *kind, value: Personal::new(text) }),
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
                contact.updated_at =
                    time_of(text, self.now).map_err(|expected| Fault::of(name, format!("is not {expected}")))?;
                self.dated = true;
            }
            Column::Ignored => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_names_headers_and_refuses_what_says_nothing() {
        let map = HeaderMap::parse(&["Mobile No=phone", " A=B = email ", "Remarks=-", "Tier=attr.tier"]).unwrap();
        assert!(map.column("Mobile No") == Some(Column::Mobile));
        assert!(map.column("A=B") == Some(Column::Email));
        assert!(map.column("Remarks") == Some(Column::Ignored));
        assert!(map.column("Tier") == Some(Column::Attribute("tier".into())));
        assert!(map.column("card") == Some(Column::Alias(AliasKind::Card)));
        for entry in ["Mobile", "=mobile", "Mobile=", "Mobile=fax", "Mobile=attr."] {
            assert_eq!(HeaderMap::parse(&[entry]).err(), Some(MapError { entry: entry.into() }));
        }
        assert!(HeaderMap::parse(&["A=card", "A=email"]).is_err(), "one header cannot mean two things");
    }
}
