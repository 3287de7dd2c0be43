//! From identifiers as Capillary sends them to a [`Subject`]: hashes of every name, and the raw ids.
//!
//! Promises: values are opaque and only trimmed; a value that stands for "none" becomes no alias, because it would
//! make one person of everybody who has none.
//! Never: validation or normalisation of a phone number or an address (brands send hashes in their place, reference 2.4).

use serde_json::{Map, Value};

use super::{Alias, AliasKind, Subject, alias_hash};
use crate::id::{KeyedHasher, Namespace};
use crate::personal::Personal;

/// More names than this for one person is a fault of the sender; the strongest are kept.
const ALIAS_LIMIT: usize = 128;

/// A longer id is a fault of the sender too: it is hashed, and not kept.
const LONGEST_RAW: usize = 256;

/// Hashes names within one namespace.
pub(super) struct Namer<'a> {
    pub(super) hasher: &'a dyn KeyedHasher,
    pub(super) namespace: &'a Namespace,
}

/// Identifiers of one person, gathered before they are hashed.
#[derive(Default)]
pub(super) struct Gathered(Vec<(AliasKind, String)>);

impl Gathered {
    /// Adds a value, unless it stands for none.
    pub(super) fn add(&mut self, kind: AliasKind, value: Option<&Value>) -> &mut Self {
        if let Some(text) = value.and_then(text_of)
            && !is_no_identifier(kind, &text)
        {
            self.0.push((kind, text));
        }
        self
    }

    /// Adds everything of a `CustomerIdentifiers` object (reference 2.4). Accounts of other sources name the person
    /// to those sources only and are left out.
    pub(super) fn add_identifiers(&mut self, object: &Map<String, Value>) -> &mut Self {
        self.add(AliasKind::CustomerId, loose(object, "customerId"));
        if let Some(instore) = loose(object, "instore").and_then(Value::as_object) {
            self.add(AliasKind::ExternalId, loose(instore, "externalId"));
            self.add(AliasKind::Mobile, loose(instore, "mobile"));
            self.add(AliasKind::Email, loose(instore, "email"));
            self.add_cards(instore);
            if let Some(cards) = loose(instore, "cards").and_then(Value::as_object) {
                self.add_cards(cards);
            }
            for card in loose(instore, "cardNumbers").and_then(Value::as_array).into_iter().flatten() {
                self.add(AliasKind::Card, Some(card));
            }
        }
        self
    }

    /// Adds `cardnumber`, `cardnumber1` …, `cardexternalid`, `cardexternalid1` ….
    fn add_cards(&mut self, object: &Map<String, Value>) {
        for (key, value) in object.iter().filter(|(_, value)| !value.is_array()) {
            let key = plain(key);
            match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
                "cardnumber" => self.add(AliasKind::Card, Some(value)),
                "cardexternalid" => self.add(AliasKind::CardExternalId, Some(value)),
                _ => continue,
            };
        }
    }

    pub(super) fn has(&self, kind: AliasKind) -> bool {
        self.0.iter().any(|(gathered, _)| *gathered == kind)
    }

    /// The strongest name as it was sent, for the fallback key.
    pub(super) fn strongest(&self) -> Option<(AliasKind, &str)> {
        self.0.iter().min().map(|(kind, text)| (*kind, text.as_str()))
    }
}

impl Namer<'_> {
    /// The subject behind the names; `None` if there is not one usable name.
    pub(super) fn subject(&self, gathered: &Gathered) -> Option<Subject> {
        let raw = |wanted: AliasKind| {
            let found =
                gathered.0.iter().find(|(kind, _)| *kind == wanted).filter(|(_, text)| text.len() <= LONGEST_RAW);
            found.map(|(_, text)| Personal::new(text.clone()))
        };
        let mut names: Vec<&(AliasKind, String)> = gathered.0.iter().collect();
        names.sort_by_key(|(kind, _)| *kind);
        let mut aliases: Vec<Alias> = Vec::with_capacity(names.len().min(ALIAS_LIMIT));
        for (kind, text) in names {
            let alias = Alias { kind: *kind, hash: alias_hash(self.hasher, self.namespace, *kind, text) };
            if aliases.len() < ALIAS_LIMIT && !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
        (!aliases.is_empty()).then(|| Subject {
            aliases,
            customer_id: raw(AliasKind::CustomerId),
            external_id: raw(AliasKind::ExternalId),
        })
    }
}

/// The kind that an identifier type of Capillary's APIs means (`identifierName=mobile`).
pub(super) fn kind_of(identifier_type: &str) -> Option<AliasKind> {
    Some(match plain(identifier_type).as_str() {
        "customerid" | "userid" | "id" => AliasKind::CustomerId,
        "externalid" => AliasKind::ExternalId,
        "cardnumber" => AliasKind::Card,
        "cardexternalid" => AliasKind::CardExternalId,
        "mobile" => AliasKind::Mobile,
        "email" => AliasKind::Email,
        _ => return None,
    })
}

/// A key or a type, lower case, letters and digits only: samples differ in case, underscores and stray spaces.
pub(super) fn plain(key: &str) -> String {
    let mut plain = String::with_capacity(key.len());
    if key.is_ascii() {
        // Almost every key is; the general way is many times slower.
        plain.extend(key.bytes().filter(u8::is_ascii_alphanumeric).map(|b| char::from(b.to_ascii_lowercase())));
    } else {
        plain.extend(key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase));
    }
    plain
}

/// A field, whatever its case and stray spaces (`Instore`, `customerIdenti fiers`).
pub(super) fn loose<'v>(map: &'v Map<String, Value>, field: &str) -> Option<&'v Value> {
    map.get(field).or_else(|| {
        map.iter()
            .find(|(key, _)| {
                let letters = key.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase());
                letters.eq(field.chars().map(|c| c.to_ascii_lowercase()))
            })
            .map(|(_, value)| value)
    })
}

/// An identifier as text. A float that no longer holds all its digits is not one.
pub(super) fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0)?;
            format!("{float:.0}")
        }
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!stands_for_none(&text)).then_some(text)
}

/// Words for "none" that exports write where an identifier is missing, letters and digits only.
const NO_VALUES: &[&str] = &[
    "null",
    "nil",
    "none",
    "na",
    "nan",
    "undefined",
    "unknown",
    "empty",
    "blank",
    "missing",
    "notavailable",
    "notapplicable",
    "notset",
    "notprovided",
    "scrubbed",
];

/// True if the text names nobody: blank, signs or zeros only, a word for "none", a scrubbed value (reference 5: erased people
/// all get the same) or a masked one. As an identifier it would make one person of everybody who has none.
pub fn is_no_identifier(kind: AliasKind, text: &str) -> bool {
    stands_for_none(text) || (kind == AliasKind::CustomerId && is_no_id(text.trim()))
}

fn stands_for_none(text: &str) -> bool {
    let text = text.trim();
    if text.contains("***") || !text.contains(char::is_alphanumeric) || matches!(text, "-1" | "\\N") {
        return true;
    }
    // Longer than any of the words with signs around it.
    text.len() <= 24 && {
        let plain = plain(text);
        plain.bytes().all(|byte| byte == b'0') || NO_VALUES.contains(&plain.as_str())
    }
}

/// Capillary writes -1 and 0 where there is no entity (`enteredBy.id: -1`).
fn is_no_id(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|id| id <= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn identifiers_keep_every_digit_or_are_left_out() {
        let cases = [
            (json!(9007199254740993_i64), Some("9007199254740993")),
            (json!(18446744073709551615_u64), Some("18446744073709551615")),
            (json!(381003288.0), Some("381003288")),
            (json!(12345678901234567890123.0), None),
            (json!(1.5), None),
            (json!(" 0042 "), Some("0042")),
            (json!("NULL"), None),
            (json!(""), None),
            (json!("98*****10"), None),
            (json!("SCRUBBED"), None),
            (json!("N/A"), None),
            (json!(true), None),
            (json!(["x"]), None),
        ];
        for (value, expected) in cases {
            assert_eq!(text_of(&value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_placeholder_is_no_identifier_of_any_kind() {
        let none = [
            "",
            " ",
            "NULL",
            "null",
            "(null)",
            "N/A",
            "n.a.",
            "#N/A",
            "NA",
            "NaN",
            "none",
            "Nil",
            "undefined",
            "Unknown",
            "empty",
            "<blank>",
            "-",
            "--",
            ".",
            "?",
            "0",
            "000",
            "0.0",
            "0000000000",
            "-1",
            "\\N",
            "Not available",
            "98*****10",
        ];
        for text in none {
            assert!(is_no_identifier(AliasKind::ExternalId, text), "{text:?}");
            assert!(is_no_identifier(AliasKind::Card, text), "{text:?}");
        }
        for text in ["7", "0042", "GT0042", "NA7", "nancy", "none-1", "1-0", "n", "आशा", "0x0"] {
            assert!(!is_no_identifier(AliasKind::ExternalId, text), "{text:?}");
        }
        assert!(is_no_identifier(AliasKind::CustomerId, " -7 ") && !is_no_identifier(AliasKind::ExternalId, "-7"));
    }

    #[test]
    fn every_place_of_an_identifier_object_is_read_once() {
        let object = json!({"customer Id": 7, "Instore": {
            "mobile": "m", "email ": "null", "externalId": 653, "cardnumber": "c0", "cardexternalid": "x0",
            "cardNumbers": ["c0", "c1", ""], "cards": {"cardnumber": "c0", "cardnumber1": "c2", "cardexternalid2": "x1"}}});
        let mut gathered = Gathered::default();
        gathered.add_identifiers(object.as_object().unwrap());
        let mut names: Vec<(AliasKind, &str)> = gathered.0.iter().map(|(k, v)| (*k, v.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        use AliasKind::{Card, CardExternalId, CustomerId, ExternalId, Mobile};
        assert_eq!(
            names,
            [
                (CustomerId, "7"),
                (ExternalId, "653"),
                (Card, "c0"),
                (Card, "c1"),
                (Card, "c2"),
                (CardExternalId, "x0"),
                (CardExternalId, "x1"),
                (Mobile, "m")
            ]
        );
        assert_eq!(gathered.strongest(), Some((CustomerId, "7")));
    }

    #[test]
    fn a_customer_id_that_means_nobody_is_no_alias() {
        for id in [json!(-1), json!(0), json!("-1"), json!(null)] {
            let mut gathered = Gathered::default();
            gathered.add(AliasKind::CustomerId, Some(&id));
            assert!(!gathered.has(AliasKind::CustomerId), "{id}");
        }
    }
}
