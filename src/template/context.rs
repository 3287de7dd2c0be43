//! What a part may see: event, items, customer, org, store, now.
//!
//! Promises: only the personal fields that the template declares; null and blank are missing, so are names that are none; doubles
//! that are whole become whole; lists are cut at [`MAX_LIST`].
//! Never: a field of the contact that the template does not declare.

use serde_json::{Map, Number, Value};

use super::RenderInput;
use super::tables::Tables;

/// How many elements of a list a part can see.
pub(super) const MAX_LIST: usize = 1_000;
const MAX_DEPTH: usize = 48;

/// Where events say which store they come from (capillary/reference.md 2.6), first found wins.
const STORE_CODES: [&str; 3] =
    ["/data/enteredBy/store/code", "/data/triggeringActivity/enteredBy/store/code", "/data/addedBy/store/code"];

/// Words that people and tills write where a name should be; compared in lower case, without dots at the ends.
const NO_NAMES: [&str; 31] = [
    "na",
    "n/a",
    "n.a",
    "null",
    "none",
    "nil",
    "nan",
    "undefined",
    "unknown",
    "customer",
    "dear customer",
    "valued customer",
    "user",
    "guest",
    "member",
    "name",
    "first name",
    "firstname",
    "last name",
    "lastname",
    "test",
    "no name",
    "noname",
    "not available",
    "anonymous",
    "sir",
    "madam",
    "sir/madam",
    "xx",
    "xxx",
    "abc",
];

/// Builds what a part sees.
pub(super) fn build(input: &RenderInput<'_>, reads: &[String], tables: &Tables) -> Value {
    let mut root = Map::new();
    if let Some(event) = prune(input.event, 0) {
        root.insert("event".into(), event);
    }
    let items: Vec<Value> = input.items.iter().take(MAX_LIST).filter_map(|i| prune(i, 0)).collect();
    if let Some(first) = items.first() {
        root.insert("item".into(), first.clone());
        root.insert("items".into(), Value::Array(items));
    }
    root.insert("customer".into(), customer(input, reads));
    let links = input.org.links.iter().filter(|(_, link)| link.starts_with("https://"));
    let links: Map<_, _> = links.map(|(name, link)| (name.clone(), Value::from(link.as_str()))).collect();
    let mut org = Map::new();
    org.insert("name".into(), Value::from(input.org.name.as_str()));
    org.insert("currency".into(), Value::from(input.org.currency.as_str()));
    org.insert("links".into(), Value::Object(links));
    root.insert("org".into(), Value::Object(org));
    if let Some(store) = store_code(input.event).and_then(|code| tables.row("stores", code)) {
        root.insert("store".into(), store);
    }
    root.insert("now".into(), Value::from(input.now.as_millis()));
    Value::Object(root)
}

/// The code of the store an event comes from, where it says so.
pub(super) fn store_code(event: &Value) -> Option<&str> {
    STORE_CODES.iter().find_map(|place| event.pointer(place).and_then(Value::as_str))
}

/// The currency of an event, where it names one.
pub(super) fn currency(event: &Value) -> Option<&str> {
    let code = event.pointer("/data/currencyCode").and_then(Value::as_str)?.trim();
    (code.len() == 3 && code.bytes().all(|b| b.is_ascii_alphabetic())).then_some(code)
}

fn customer(input: &RenderInput<'_>, reads: &[String]) -> Value {
    let mut fields = Map::new();
    let mut attributes = Map::new();
    for name in reads {
        let Some(value) = input.customer.fields.get(name) else { continue };
        let text = value.expose().trim();
        if text.is_empty() || (is_name(name) && !names_somebody(text)) {
            continue;
        }
        match name.strip_prefix("attributes.") {
            Some(attribute) => drop(attributes.insert(attribute.into(), Value::from(text))),
            None => drop(fields.insert(name.clone(), Value::from(text))),
        }
    }
    if !attributes.is_empty() {
        fields.insert("attributes".into(), Value::Object(attributes));
    }
    Value::Object(fields)
}

/// True for fields that hold a name.
pub(super) fn is_name(field: &str) -> bool {
    field == "name" || field.ends_with("_name")
}

/// False for "NA", ".", "Customer" and the like, and for a name that a mail client would turn into a link.
pub(super) fn names_somebody(text: &str) -> bool {
    let lower = text.to_lowercase();
    let word = lower.trim_matches(|c: char| c == '.' || c == '-' || c == '_' || c.is_whitespace());
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let link = ["://", "www.", "/", "@"].iter().any(|mark| lower.contains(mark))
        || [
            ".com", ".net", ".org", ".info", ".xyz", ".shop", ".link", ".online", ".site", ".io", ".ru", ".cn", ".top",
            ".club",
        ]
        .iter()
        .any(|end| word.ends_with(end));
    letters > 0 && !link && !NO_NAMES.contains(&word)
}

/// A copy without null and blank, bounded.
fn prune(value: &Value, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match value {
        Value::Null => return None,
        Value::String(text) if text.trim().is_empty() => return None,
        Value::Number(number) => Value::Number(whole(number)),
        Value::Array(list) => {
            // Positions are kept: `lookup list 1` must not slip to another element.
            Value::Array(list.iter().take(MAX_LIST).map(|v| prune(v, depth + 1).unwrap_or(Value::Null)).collect())
        }
        Value::Object(map) => {
            Value::Object(map.iter().filter_map(|(k, v)| Some((k.clone(), prune(v, depth + 1)?))).collect())
        }
        other => other.clone(),
    })
}

/// `11.0` as `11`, where that loses nothing.
fn whole(number: &Number) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range of a double")]
        Some(double) if number.is_f64() && double.fract() == 0.0 && double.abs() < EXACT => Number::from(double as i64),
        _ => number.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_missing() {
        for text in
            ["NA", "n/a", "N.A.", ".", "-", "null", "Customer", " --- ", "123", "evil.com", "www.x.y", "https://x"]
        {
            assert!(!names_somebody(text), "{text}");
        }
        for text in ["Asha", "J.R.", "Ña", "St.John", "محمد", "आशा", "O'Neil", "Na Li"] {
            assert!(names_somebody(text), "{text}");
        }
    }

    #[test]
    fn whole_doubles_become_whole_and_blanks_vanish() {
        let value = serde_json::json!({"a": 11.0, "b": 0.5, "c": " ", "d": null, "e": [null, 2.0]});
        assert_eq!(prune(&value, 0), Some(serde_json::json!({"a": 11, "b": 0.5, "e": [null, 2]})));
    }

    #[test]
    fn a_field_that_is_not_declared_is_not_in_what_a_part_sees() {
        let org = crate::template::tests::kit::org();
        let fields =
            [("first_name", "Asha"), ("mobile", "919900011111"), ("attributes.tier", "Gold"), ("attributes.note", "x")];
        let customer = crate::template::tests::kit::customer(&fields, "en");
        let event = serde_json::json!({"data": {}});
        let now = crate::clock::Time::from_millis(7);
        let channel = crate::id::Channel::Email;
        let input = RenderInput { channel, event: &event, items: &[], customer: &customer, org: &org, now };
        let seen = build(&input, &["first_name".into(), "attributes.tier".into()], &Tables::default());
        assert_eq!(seen["customer"], serde_json::json!({"first_name": "Asha", "attributes": {"tier": "Gold"}}));
    }
}
