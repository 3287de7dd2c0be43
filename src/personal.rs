//! The types that may hold a person.
//!
//! Promises: no `Debug`, `Display` or `Serialize`, so a person cannot reach a log, an error, a
//! metric or a record by accident; memory is wiped on drop. [`Personal::expose`] is the one way out, and a
//! house test lists the modules that may call it.
//! Never: a derive that prints, or a conversion into `String` without `expose` in sight.

use zeroize::Zeroizing;

/// A text that names, addresses or identifies a person.
#[derive(Clone, PartialEq, Eq)]
pub struct Personal(Zeroizing<String>);

impl Personal {
    /// Takes ownership of a personal text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text. The caller's module is on the house test's list, or the build fails.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when there is nothing in it but white space.
    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

/// What a template may see of a person: plain fields, made by `dispatch` from the vault's contact.
///
/// Lives on the ground so that `template` and `vault` need not know each other.
#[derive(Clone, Default)]
pub struct Customer {
    /// Fields by name: `first_name`, `last_name`, `email`, `mobile`, `attributes.<name>`.
    pub fields: std::collections::BTreeMap<String, Personal>,
    /// BCP 47 language tag.
    pub locale: Option<String>,
    /// IANA time zone.
    pub time_zone: Option<String>,
}

impl Customer {
    /// Every field but the attributes, whose names are the brand's.
    pub const FIELDS: [&'static str; 4] = ["first_name", "last_name", "email", "mobile"];

    /// True if somebody may have a field of this name.
    pub fn may_have(field: &str) -> bool {
        let is_word =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        match field.strip_prefix("attributes.") {
            Some(attribute) => is_word(attribute),
            None => Self::FIELDS.contains(&field),
        }
    }
}
