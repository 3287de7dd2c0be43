//! JSON forms of a contact: what the admin door takes, and what an audited `get` gives.
//!
//! Promises: a fault says where and what was expected, never what stood there; unknown fields are faults.
//! Never: a `Serialize` on [`Contact`] itself, so that JSON of a person is only made where somebody asked for it.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::find::identifiers;
use super::import::{Row, time_of};
use super::record::Text;
use super::{Contact, ContactId, NamedAlias, Vault, VaultError};
use crate::clock::Time;
use crate::event::AliasKind;
use crate::personal::Personal;

/// A contact as a request gives it. No `Debug`, no `Serialize`.
///
/// ```json
/// {"external_id": "GT0042", "card": ["1001", "1002"], "first_name": "Asha", "mobile": "+919812345678",
///  "attributes": {"tier": "gold"}, "updated_at": "2027-01-31T08:00:00Z"}
/// ```
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactJson {
    #[serde(default)]
    customer_id: Ids,
    #[serde(default)]
    external_id: Ids,
    #[serde(default)]
    card: Ids,
    #[serde(default)]
    card_external_id: Ids,
    first_name: Option<Text>,
    last_name: Option<Text>,
    email: Option<Text>,
    mobile: Option<Text>,
    locale: Option<String>,
    time_zone: Option<String>,
    #[serde(default)]
    attributes: std::collections::BTreeMap<String, Scalar>,
    updated_at: Option<String>,
}

/// A body that is no contact. Holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ContactJsonError {
    #[error("body is not JSON: line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    #[error(
        "body is not a contact: line {line}, column {column}; expected an object of customer_id, external_id, card, \
         card_external_id, first_name, last_name, email, mobile, locale, time_zone, attributes, updated_at"
    )]
    NotAContact { line: usize, column: usize },
    #[error("field `updated_at` is not {expected}")]
    UpdatedAt { expected: &'static str },
}

impl ContactJson {
    /// Reads a request body. The parser's own message would quote the body, so it is not passed on.
    pub fn parse(body: &[u8]) -> Result<Self, ContactJsonError> {
        serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            match error.classify() {
                serde_json::error::Category::Data => ContactJsonError::NotAContact { line, column },
                _ => ContactJsonError::NotJson { line, column },
            }
        })
    }

    /// True if the body says when it was true.
    pub fn is_dated(&self) -> bool {
        self.updated_at.is_some()
    }

    /// The contact and its identifiers; `now` stands in for a missing `updated_at`, and a time more than a day
    /// after it is refused: it would win over every later change.
    pub fn into_parts(self, now: Time) -> Result<(Contact, Vec<NamedAlias>), ContactJsonError> {
        let updated_at = match &self.updated_at {
            Some(text) => time_of(text, now).map_err(|expected| ContactJsonError::UpdatedAt { expected })?,
            None => now,
        };
        let kinds = [
            (AliasKind::CustomerId, self.customer_id),
            (AliasKind::ExternalId, self.external_id),
            (AliasKind::Card, self.card),
            (AliasKind::CardExternalId, self.card_external_id),
        ];
        let named = |(kind, ids): (AliasKind, Ids)| ids.0.into_iter().map(move |value| NamedAlias { kind, value });
        let aliases = kinds.into_iter().flat_map(named).collect();
        let text = |field: Option<Text>| field.map(|text| text.0);
        let contact = Contact {
            first_name: text(self.first_name),
            last_name: text(self.last_name),
            email: text(self.email),
            mobile: text(self.mobile),
            locale: self.locale,
            time_zone: self.time_zone,
            attributes: self.attributes.into_iter().map(|(name, value)| (name, value.0)).collect(),
            updated_at,
            keep_until: None,
        };
        Ok((contact, aliases))
    }
}

/// The contact as JSON, for the audited exits. Whoever calls this shows a person to somebody.
pub fn contact_json(contact: &Contact) -> Value {
    let mut object = serde_json::Map::new();
    let fields = [
        ("first_name", &contact.first_name),
        ("last_name", &contact.last_name),
        ("email", &contact.email),
        ("mobile", &contact.mobile),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            object.insert(name.into(), value.expose().into());
        }
    }
    for (name, value) in [("locale", &contact.locale), ("time_zone", &contact.time_zone)] {
        if let Some(value) = value {
            object.insert(name.into(), value.as_str().into());
        }
    }
    let attributes: serde_json::Map<_, _> =
        contact.attributes.iter().map(|(name, value)| (name.clone(), value.expose().into())).collect();
    object.insert("attributes".into(), attributes.into());
    object.insert("updated_at".into(), contact.updated_at.to_string().into());
    object.into()
}

/// A row of an import as a request gives it, for the way through the local socket.
pub fn row_json(row: &Row) -> Value {
    let mut object = match row.contact.as_ref().map(contact_json) {
        Some(Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    if row.dated {
        object.insert("updated_at".into(), row.at.to_string().into());
    } else {
        object.remove("updated_at");
    }
    for alias in &row.aliases {
        let entry = object.entry(alias.kind.as_str()).or_insert_with(|| Value::Array(vec![]));
        if let Value::Array(values) = entry {
            values.push(alias.value.expose().into());
        }
    }
    object.into()
}

impl Vault {
    /// Everything that is stored of a person, for the audited `get` and for the answer to a request for access:
    /// identifiers (where they were told; null where only their hash is known), contact, until when it is kept if it was only looked up, marks.
    pub fn person_json(&self, id: ContactId) -> Result<Option<Value>, VaultError> {
        let Some(person) = self.0.store.person(id)? else { return Ok(None) };
        let contact = self.contact(id)?;
        let kept_until = contact.as_ref().and_then(|contact| contact.keep_until).map(|until| until.to_string());
        let contact = contact.map(|contact| contact_json(&contact));
        let marks: Vec<_> =
            person.marks.iter().map(|mark| json!({"channel": mark.channel, "at": mark.at.to_string()})).collect();
        Ok(Some(json!({
            "namespace": person.namespace,
            "identifiers": identifiers(&person),
            "contact": contact,
            "kept_until": kept_until,
            "suppressed": marks,
        })))
    }
}

/// An identifier, or several of one kind, as texts or whole numbers.
#[derive(Default)]
struct Ids(Vec<Personal>);

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(Scalar),
            Many(Vec<Scalar>),
        }
        Ok(match Option::<OneOrMany>::deserialize(d)? {
            None => Self::default(),
            Some(OneOrMany::One(one)) => Self(vec![one.0]),
            Some(OneOrMany::Many(many)) => Self(many.into_iter().map(|one| one.0).collect()),
        })
    }
}

/// A text, number or truth value, as a text.
struct Scalar(Personal);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Value::deserialize(d)? {
            Value::String(text) => Ok(Self(Personal::new(text))),
            Value::Number(number) => Ok(Self(Personal::new(number.to_string()))),
            Value::Bool(truth) => Ok(Self(Personal::new(truth.to_string()))),
            _ => Err(serde::de::Error::custom("expected a text, number or truth value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_800_000_000_000);

    #[test]
    fn a_contact_survives_its_json() {
        let body = br#"{"external_id":"GT0042","customer_id":381003288,"card":["1001",1002],"first_name":"Asha",
            "mobile":"+919812345678","attributes":{"tier":"gold","visits":3},"updated_at":"2026-01-31T08:00:00Z"}"#;
        let (contact, aliases) = ContactJson::parse(body).ok().unwrap().into_parts(NOW).ok().unwrap();
        let told: Vec<_> = aliases.iter().map(|alias| (alias.kind.as_str(), alias.value.expose())).collect();
        assert_eq!(told, [("customer_id", "381003288"), ("external_id", "GT0042"), ("card", "1001"), ("card", "1002")]);
        insta::assert_snapshot!(contact_json(&contact), @r#"{"attributes":{"tier":"gold","visits":"3"},"first_name":"Asha","mobile":"+919812345678","updated_at":"2026-01-31T08:00:00.000Z"}"#);
    }

    #[test]
    fn a_fault_in_a_body_is_placed_but_never_quoted() {
        let cases = [
            (r#"{"first_name": "Canary"#, "body is not JSON: line 1, column 22"),
            (r#"{"first_name": ["Canary"]}"#, "body is not a contact: line 1, column 15;"),
            (r#"{"Canary": 1}"#, "body is not a contact: line 1, column 9;"),
            (r#"{"card": {"Canary": 1}}"#, "body is not a contact: line 1, column"),
            (r#"["Canary"]"#, "body is not a contact: line 1, column"),
            (r#"{"updated_at": "Canary"}"#, "field `updated_at` is not a time like"),
            (r#"{"updated_at": "9999-01-01T00:00:00Z"}"#, "field `updated_at` is not in the past"),
        ];
        for (body, expected) in cases {
            let result = ContactJson::parse(body.as_bytes()).and_then(|contact| contact.into_parts(NOW).map(|_| ()));
            let error = result.err().unwrap();
            assert!(error.to_string().starts_with(expected), "{body}: {error}");
            assert!(!format!("{error} {error:?}").contains("Canary"), "{error:?}");
        }
    }
}
