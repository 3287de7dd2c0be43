//! What decoding is held to, whatever a sender writes: the targets `envelope` and `people`.
//!
//! Promises: bodies are made of the decoder's own vocabulary, so that a few bytes reach its corners; the same body is written in several ways
//! and must mean the same; a planted person must be gone.
//! Never: a person who is not made up; a rule of the decoder copied here. What is checked is what it promises.

mod body;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{AliasKind, Decoded, Event, Nobody, Refusal, Shape, alias_hash, decode};
use crate::choices::{Choices, WeakHasher};
use crate::id::{Namespace, OrgId};
use body::{Body, CANARIES, NAME_OF_A_PERSON, NAMES, Style};

fn namespace(org: OrgId) -> Namespace {
    format!("org-{}", org.0.unsigned_abs()).parse().expect("a number makes a namespace")
}

fn read(body: &[u8]) -> Result<Decoded, Refusal> {
    decode(body, &WeakHasher, &namespace)
}

/// Any bytes; else a body in all its spellings.
pub(crate) fn envelope(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    if choices.one_in(4) {
        if let Ok(decoded) = read(choices.rest()) {
            survives_its_record(&decoded.event);
        }
        return;
    }
    let body = Body::make(&mut choices);
    let plain = read(body.write(Style::Plain, Shape::Flat, &[]).as_bytes());
    let order = choices.some(64);
    for shape in [Shape::Flat, Shape::Wrapped, Shape::ApiStyle, Shape::Capture] {
        let written = body.write(Style::Loose, shape, order);
        let again = read(written.as_bytes());
        match (&plain, &again) {
            (Ok(plain), Ok(again)) => {
                assert_eq!(again.event.shape, shape);
                assert_eq!(said(&plain.event, shape), said(&again.event, shape), "{shape:?}: another event");
                assert_eq!(plain.stripped, again.stripped, "{shape:?}: other counts");
            }
            (Err(plain), Err(again)) => assert_eq!(plain, again, "{shape:?}: another refusal"),
            (Ok(_), Err(refusal)) => panic!("{shape:?} is refused: {refusal}"),
            (Err(refusal), Ok(_)) => panic!("{shape:?} is taken, and {refusal}"),
        }
    }
    let Ok(Decoded { event, stripped }) = plain else { return };
    survives_its_record(&event);
    names_nobody(&event, &stripped);
    let sent = serde_json::from_str::<Value>(&body.write(Style::Plain, Shape::Flat, &[])).expect("it was just decoded");
    assert!(is_of(&event.data, &sent["data"]), "a value is another than the one that was sent");
}

/// The event as a record, but for the shape.
fn said(event: &Event, shape: Shape) -> String {
    let event = Event { shape, ..event.clone() };
    String::from_utf8(event.to_record()).expect("records of events are JSON")
}

fn survives_its_record(event: &Event) {
    let record = event.to_record();
    let again = Event::from_record(&record).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(again.to_record() == record, "a record reads as another event");
    assert_eq!(again.view(), event.view(), "a record reads as another event");
    let _ = (event.special().is_some(), event.search_values(), event.learnable());
    let newer = String::from_utf8(record).expect("records of events are JSON").replacen("\"v\":1", "\"v\":2", 1);
    assert!(matches!(Event::from_record(newer.as_bytes()), Err(super::RecordError::Version { found: 2 })));
}

fn names_nobody(event: &Event, stripped: &BTreeMap<String, u64>) {
    let shown = format!("{} {:?} {:?} {:?} {stripped:?}", event.view(), event.event_id, event.request_id, event.ref_id);
    for canary in CANARIES {
        assert!(!shown.contains(canary), "{canary} is still there");
    }
    assert!(!shown.contains(NAME_OF_A_PERSON), "a name is still there");
}

/// True if `kept` is `sent` with some of it taken out: nothing moved, and nothing became another value.
fn is_of(kept: &Value, sent: &Value) -> bool {
    match (kept, sent) {
        (Value::Object(kept), Value::Object(sent)) => {
            kept.iter().all(|(key, kept)| of_key(sent, key).any(|sent| is_of(kept, sent)))
        }
        (Value::Array(kept), Value::Array(sent)) => {
            kept.len() == sent.len() && kept.iter().zip(sent).all(|(kept, sent)| is_of(kept, sent))
        }
        (Value::Null, _) => true,
        (kept, sent) => kept == sent,
    }
}

fn of_key<'v>(sent: &'v Map<String, Value>, key: &'v str) -> impl Iterator<Item = &'v Value> {
    sent.iter().filter(move |(sent, _)| sent.trim() == key).map(|(_, value)| value)
}

/// Who is found in an event.
pub(crate) fn people(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let name = choices.pick(NAMES);
    let id = choices.word() as i64;
    let planted = choices.pick(&["none", "customer", "coupon", "group"]);
    let mut body = Body::make(&mut choices);
    body.name = name.to_owned();
    match planted {
        "customer" => body.plant_customer(id),
        "coupon" => body.plant_coupon(id),
        "group" => body.plant_group(id),
        _ => {}
    }
    let written = body.write(Style::Plain, Shape::Flat, &[]);
    let (Ok(Decoded { event, .. }), Ok(again)) = (read(written.as_bytes()), read(written.as_bytes())) else { return };
    assert_eq!(said(&event, Shape::Flat), said(&again.event, Shape::Flat), "found differently the second time");
    let sent: Value = serde_json::from_str(&written).expect("it was just decoded");
    assert_eq!(event.people.iter().any(|person| person.is_default), event.nobody.is_none(), "nobody, and no reason");
    for person in &event.people {
        assert!(!person.subject.aliases.is_empty(), "somebody without a name");
        assert!(person.subject.aliases.is_sorted_by_key(|alias| alias.kind), "the strongest is not the first");
        for raw in [&person.subject.customer_id, &person.subject.external_id].into_iter().flatten() {
            assert!(says(&sent, raw.expose()), "a name that the payload does not have");
        }
        for (kind, raw) in
            [(AliasKind::CustomerId, &person.subject.customer_id), (AliasKind::ExternalId, &person.subject.external_id)]
        {
            let Some(raw) = raw else { continue };
            let hash = alias_hash(&WeakHasher, &namespace(event.org), kind, raw.expose());
            assert!(
                person.subject.aliases.iter().any(|alias| alias.kind == kind && alias.hash == hash),
                "a raw id without its alias"
            );
        }
        let place = person.place.strip_prefix("data").unwrap_or_else(|| panic!("a place outside the payload"));
        let pointer = place.replace('.', "/");
        let _ = event.at(&person.place);
        assert!(
            person.place.split('.').all(|step| !step.is_empty()) && !pointer.ends_with('/'),
            "a place that leads nowhere"
        );
    }
    let has = |id: i64| {
        event
            .people
            .iter()
            .any(|person| person.subject.customer_id.as_ref().is_some_and(|raw| raw.expose() == id.to_string()))
    };
    match planted {
        "customer" if id > 0 => assert!(has(id), "all 64 bits of the customer's id, or another person"),
        "coupon" if id > 0 => assert!(has(id), "the person of a coupon"),
        "group" if event.people.is_empty() => {
            assert!(matches!(event.nobody, Some(Nobody::Group | Nobody::Definition | Nobody::Unnamed)))
        }
        "group" => assert!(!has(id) || says_elsewhere(&sent, id), "a group is no person"),
        _ => {}
    }
}

/// True if a text or number of the payload is this, however it is written.
fn says(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Object(map) => map.values().any(|value| says(value, wanted)),
        Value::Array(items) => items.iter().any(|value| says(value, wanted)),
        Value::String(text) => text.trim() == wanted,
        Value::Number(number) => {
            number.to_string() == wanted || number.as_f64().is_some_and(|float| format!("{float:.0}") == wanted)
        }
        Value::Null | Value::Bool(_) => false,
    }
}

/// True if the id of the group stands at another place too, where it may well be somebody's.
fn says_elsewhere(sent: &Value, id: i64) -> bool {
    let mut sent = sent.clone();
    sent["data"]["entityInformation"] = Value::Null;
    says(&sent, &id.to_string())
}
