//! The de-duplication key of an event that came without an id.
//!
//! Promises: two deliveries of one event through webhooks that enrich differently give the same key (reference 1.7);
//! two events about different customers give different keys, even from one batch job in one millisecond.
//! Never: a digest without a key: what goes in names people.

use serde_json::{Map, Value};

use super::envelope::Envelope;
use super::names::{Gathered, plain};
use crate::id::{EventKey, KeyedHasher};

/// Key over the envelope's own fields and the part of `data` that no enrichment option adds to.
pub(super) fn key(hasher: &dyn KeyedHasher, envelope: &Envelope) -> EventKey {
    let mut canonical = Vec::new();
    write(&mut canonical, &envelope.data);
    EventKey(hasher.keyed_hash(
        "event_fallback",
        &[
            envelope.org.to_string().as_bytes(),
            envelope.name.as_bytes(),
            envelope.ref_id.as_deref().unwrap_or_default().as_bytes(),
            envelope.request_id.as_deref().unwrap_or_default().as_bytes(),
            envelope.created_at.as_millis().to_string().as_bytes(),
            &canonical,
        ],
    ))
}

/// True if an enrichment option may add this field or change what is in it.
fn is_enriched(plain_key: &str, value: &Value) -> bool {
    match plain_key {
        // Till and store details stand in every EnteredBy object; the ids beside them come with the option too.
        "enteredby" | "addedby" | "updatedby" | "createdby" | "till" | "store" => value.is_object(),
        // "Awarded Reference ID" also brings the attributes of behavioural events.
        "behavioraleventattributes" => true,
        // `AvailablePointsBalance`, and the ids of the "Awarded Reference ID" option, whose exact names are not published.
        key => {
            key.contains("availablepointsbalance")
                || (key.contains("awarded") && key.contains("id"))
                || (key.contains("awarded") && key.contains("ref"))
        }
    }
}

/// Writes a value in one spelling: fields in order, whole floats as integers, nothing for what is empty or enriched.
/// Returns false if it wrote nothing.
fn write(out: &mut Vec<u8>, value: &Value) -> bool {
    match value {
        Value::Null => return false,
        Value::Bool(truth) => out.push(if *truth { b't' } else { b'f' }),
        Value::Number(number) => {
            let text = match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 => {
                    format!("{float:.0}")
                }
                _ => number.to_string(),
            };
            write_text(out, b'n', &text);
        }
        Value::String(text) => write_text(out, b's', text),
        Value::Array(items) => return write_list(out, items),
        Value::Object(map) => return write_map(out, map),
    }
    true
}

fn write_list(out: &mut Vec<u8>, items: &[Value]) -> bool {
    let start = out.len();
    out.push(b'[');
    let mut any = false;
    for item in items {
        // An empty element keeps its position.
        if write(out, item) {
            any = true;
        } else {
            out.push(b'0');
        }
    }
    close(out, start, b']', any)
}

fn write_map(out: &mut Vec<u8>, map: &Map<String, Value>) -> bool {
    let start = out.len();
    out.push(b'{');
    let mut any = false;
    for (key, value) in map {
        let name = plain(key);
        if is_enriched(&name, value) {
            continue;
        }
        let before = out.len();
        write_text(out, b'k', key);
        let wrote = match value {
            Value::Object(identifiers) if name.ends_with("customeridentifiers") => write_identity(out, identifiers),
            other => write(out, other),
        };
        if wrote {
            any = true;
        } else {
            out.drain(before..);
        }
    }
    close(out, start, b'}', any)
}

fn close(out: &mut Vec<u8>, start: usize, end: u8, any: bool) -> bool {
    if any {
        out.push(end);
    } else {
        out.drain(start..);
    }
    any
}

/// Of a person only the strongest name: the customer id is always sent, the rest is a matter of enrichment. Without a
/// customer id Capillary has nothing to enrich by, so what is there is what the triggering call brought.
fn write_identity(out: &mut Vec<u8>, identifiers: &Map<String, Value>) -> bool {
    let mut gathered = Gathered::default();
    gathered.add_identifiers(identifiers);
    match gathered.strongest() {
        Some((kind, name)) => {
            write_text(out, b'w', kind.as_str());
            write_text(out, b's', name);
            true
        }
        None => false,
    }
}

fn write_text(out: &mut Vec<u8>, tag: u8, text: &str) {
    out.push(tag);
    out.extend_from_slice(&(text.len() as u64).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
