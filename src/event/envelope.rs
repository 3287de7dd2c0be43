//! The envelope: four shapes in, one set of fields out.
//!
//! Promises: any bytes give fields or a [`Refusal`]; 64-bit integers stay exact; keys are trimmed at all depths.
//! Never: a guess. An envelope without name, org or time is refused, and a field of the wrong type is named.

use serde_json::{Map, Value};

use super::{DEPTH_LIMIT, Refusal, Shape};
use crate::clock::Time;
use crate::id::OrgId;

/// Event names are open strings; longer ones than this are no names. The longest known has 45 characters.
const NAME_LIMIT: usize = 128;
/// Whole numbers up to here are exact as a float.
const EXACT_IN_FLOAT: f64 = 9_007_199_254_740_992.0;

/// What the four shapes have in common. `data` still holds personal values.
pub(super) struct Envelope {
    pub(super) name: String,
    pub(super) event_id: Option<String>,
    pub(super) org: OrgId,
    pub(super) request_id: Option<String>,
    pub(super) ref_id: Option<String>,
    pub(super) created_at: Time,
    pub(super) shape: Shape,
    pub(super) data: Value,
}

/// Reads the bytes of a delivery.
pub(super) fn read(body: &[u8]) -> Result<Envelope, Refusal> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if deeper_than(body, DEPTH_LIMIT) {
        return Err(Refusal::TooDeep { limit: DEPTH_LIMIT });
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|fault| Refusal::NotJson { line: fault.line(), column: fault.column() })?;
    let Value::Object(mut root) = value else { return Err(Refusal::NotAnObject) };
    trim_keys(&mut root);
    Layers::unwrap(root)?.read()
}

/// Counts brackets outside strings, before anything is allocated for them.
fn deeper_than(body: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// Cuts white space around keys. Where that makes two keys equal, the one that was written cleanly stays.
fn trim_keys(map: &mut Map<String, Value>) {
    let untidy: Vec<String> = map.keys().filter(|key| key.trim() != key.as_str()).cloned().collect();
    for key in untidy {
        if let Some(value) = map.remove(&key) {
            map.entry(key.trim()).or_insert(value);
        }
    }
    map.values_mut().for_each(trim_keys_within);
}

fn trim_keys_within(value: &mut Value) {
    match value {
        Value::Object(map) => trim_keys(map),
        Value::Array(items) => items.iter_mut().for_each(trim_keys_within),
        _ => {}
    }
}

/// An envelope with what is wrapped around it: only the wrapped shape has an outer layer with fields of its own.
struct Layers {
    inner: Map<String, Value>,
    outer: Map<String, Value>,
    shape: Shape,
}

impl Layers {
    /// Finds the envelope in its shape (reference 2.1, 2.2).
    fn unwrap(mut root: Map<String, Value>) -> Result<Self, Refusal> {
        if let Some(Value::Object(inner)) = take(&mut root, "attributes") {
            return Ok(Self { inner, outer: root, shape: Shape::Wrapped });
        }
        if has(&root, "eventName") {
            return Ok(Self { inner: root, outer: Map::new(), shape: Shape::Flat });
        }
        let nested = root.get("data").and_then(Value::as_object);
        // `data.eventName` alone says nothing: target events have a field of that name inside their data.
        if nested.is_some_and(|data| has(data, "eventName") && has(data, "data"))
            && let Some(Value::Object(inner)) = root.remove("data")
        {
            return Ok(Self { inner, outer: Map::new(), shape: Shape::ApiStyle });
        }
        let capture = match take(&mut root, "event") {
            Some(Value::Object(mut event)) => take(&mut event, "body"),
            Some(_) | None => take(&mut root, "body"),
        };
        if let Some(Value::Object(body)) = capture {
            return Ok(Self { shape: Shape::Capture, ..Self::unwrap(body)? });
        }
        if ["orgId", "eventId", "createdAt"].iter().any(|field| has(&root, field)) {
            return Ok(Self { inner: root, outer: Map::new(), shape: Shape::Flat });
        }
        Err(Refusal::UnknownEnvelope)
    }

    fn read(mut self) -> Result<Envelope, Refusal> {
        let name = match self.need("eventName")? {
            Value::String(name) if (1..=NAME_LIMIT).contains(&name.trim().chars().count()) => name.trim().to_owned(),
            _ => return Err(wrong("eventName", "a text of 1 to 128 characters")),
        };
        let org = whole(&self.need("orgId")?, Fraction::Refused).ok_or_else(|| wrong("orgId", "a whole number"))?;
        let created_at = whole(&self.need("createdAt")?, Fraction::Cut)
            .ok_or_else(|| wrong("createdAt", "a number of milliseconds since 1970"))?;
        let data = match self.need("data")? {
            data @ Value::Object(_) => data,
            _ => return Err(wrong("data", "an object")),
        };
        Ok(Envelope {
            name,
            event_id: self.text("eventId"),
            org: OrgId(org),
            request_id: self.text("apiRequestId"),
            ref_id: self.text("refId"),
            created_at: Time::from_millis(created_at),
            shape: self.shape,
            data,
        })
    }

    fn find(&mut self, field: &str) -> Option<Value> {
        let [inner, outer] = [&mut self.inner, &mut self.outer].map(|layer| take(layer, field));
        inner.filter(|value| !value.is_null()).or(outer).filter(|value| !value.is_null())
    }

    fn need(&mut self, field: &str) -> Result<Value, Refusal> {
        self.find(field).ok_or_else(|| Refusal::Missing { field: field.into() })
    }

    /// An optional text; ids are sometimes sent as numbers.
    fn text(&mut self, field: &str) -> Option<String> {
        let text = match self.find(field)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }
}

fn wrong(field: &str, expected: &str) -> Refusal {
    Refusal::WrongType { field: field.into(), expected: expected.into() }
}

/// The key as it stands in `map`, where published samples put spaces into it (`"or gId"`).
fn spelling<'m>(map: &'m Map<String, Value>, field: &str) -> Option<&'m str> {
    if let Some((key, _)) = map.get_key_value(field) {
        return Some(key);
    }
    map.keys().map(String::as_str).find(|key| key.chars().filter(|c| !c.is_whitespace()).eq(field.chars()))
}

fn has(map: &Map<String, Value>, field: &str) -> bool {
    spelling(map, field).is_some()
}

fn take(map: &mut Map<String, Value>, field: &str) -> Option<Value> {
    let key = spelling(map, field)?.to_owned();
    map.remove(&key)
}

#[derive(Clone, Copy, PartialEq)]
enum Fraction {
    Refused,
    Cut,
}

/// A whole number, sent as an integer, as a float (`1720435042600.0`) or as a text of either.
fn whole(value: &Value, fraction: Fraction) -> Option<i64> {
    let from_float = |float: f64| {
        let fits = float.abs() < EXACT_IN_FLOAT && (fraction == Fraction::Cut || float.fract() == 0.0);
        // Within the bounds above the cast only cuts the fraction.
        fits.then_some(float as i64)
    };
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(from_float)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(from_float))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_json(value: &Value) -> Result<Envelope, Refusal> {
        read(value.to_string().as_bytes())
    }

    #[test]
    fn whole_numbers_are_read_from_every_spelling_and_stay_exact() {
        let cases = [
            (json!(1720435042600_i64), Some(1720435042600)),
            (json!(1720435042600.0), Some(1720435042600)),
            (json!("1720435042600.0"), Some(1720435042600)),
            (json!(" 41007 "), Some(41007)),
            (json!(9223372036854775807_i64), Some(i64::MAX)),
            (json!("9223372036854775807"), Some(i64::MAX)),
            (json!(-9223372036854775808_i64), Some(i64::MIN)),
            (json!(18446744073709551615_u64), None),
            (json!(1e300), None),
            (json!("nan"), None),
            (json!("inf"), None),
            (json!(1.5), None),
            (json!(true), None),
            (json!([1]), None),
        ];
        for (value, expected) in cases {
            assert_eq!(whole(&value, Fraction::Refused), expected, "{value}");
        }
        assert_eq!(whole(&json!(1.5), Fraction::Cut), Some(1));
    }

    #[test]
    fn every_envelope_that_is_refused_says_why() {
        let cases = [
            ("[1]", Refusal::NotAnObject),
            ("{}", Refusal::UnknownEnvelope),
            (r#"{"data":{"eventName":"TransactionAdd"}}"#, Refusal::UnknownEnvelope),
            (r#"{"orgId":1,"createdAt":1,"data":{}}"#, Refusal::Missing { field: "eventName".into() }),
            (r#"{"eventName":"x","createdAt":1,"data":{}}"#, Refusal::Missing { field: "orgId".into() }),
            (r#"{"eventName":"x","orgId":null,"createdAt":1,"data":{}}"#, Refusal::Missing { field: "orgId".into() }),
            (r#"{"eventName":"x","orgId":1,"data":{}}"#, Refusal::Missing { field: "createdAt".into() }),
            (r#"{"eventName":"x","orgId":1,"createdAt":1}"#, Refusal::Missing { field: "data".into() }),
            (
                r#"{"eventName":" ","orgId":1,"createdAt":1,"data":{}}"#,
                wrong("eventName", "a text of 1 to 128 characters"),
            ),
            (r#"{"eventName":"x","orgId":"Acme","createdAt":1,"data":{}}"#, wrong("orgId", "a whole number")),
            (r#"{"eventName":"x","orgId":1,"createdAt":1,"data":[]}"#, wrong("data", "an object")),
            (
                r#"{"eventName":"x","orgId":1,"createdAt":"today","data":{}}"#,
                wrong("createdAt", "a number of milliseconds since 1970"),
            ),
            ("{\"eventName\":\n x}", Refusal::NotJson { line: 2, column: 2 }),
        ];
        for (body, refusal) in cases {
            assert_eq!(read(body.as_bytes()).err(), Some(refusal), "{body}");
        }
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_texts_do_not_count() {
        let nested = |levels: usize| {
            format!(
                r#"{{"eventName":"x","orgId":1,"createdAt":1,"data":{{"a":{}{}}}}}"#,
                "[".repeat(levels),
                "]".repeat(levels)
            )
        };
        assert!(read(nested(DEPTH_LIMIT - 2).as_bytes()).is_ok());
        assert_eq!(read(nested(DEPTH_LIMIT - 1).as_bytes()).err(), Some(Refusal::TooDeep { limit: DEPTH_LIMIT }));
        assert_eq!(read("[".repeat(1_000_000).as_bytes()).err(), Some(Refusal::TooDeep { limit: DEPTH_LIMIT }));
        let text = json!({"eventName": "x", "orgId": 1, "createdAt": 1, "data": {"a": "[\"{".repeat(100)}});
        assert!(read_json(&text).is_ok());
    }

    #[test]
    fn a_cleanly_written_key_wins_over_an_untidy_twin() {
        let body = r#"{" eventName":"b","eventName":"a","eventName ":"c","orgId":1,"createdAt":1,"data":{" k ":1}}"#;
        let envelope = read(body.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(envelope.name, "a");
        assert_eq!(envelope.data, json!({"k": 1}));
    }

    #[test]
    fn a_byte_order_mark_and_a_repeated_key_are_no_faults() {
        let body = "\u{feff}{\"eventName\":\"x\",\"orgId\":\"7\",\"orgId\":\"8\",\"createdAt\":1.9,\"data\":{}}";
        let envelope = read(body.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!((envelope.org, envelope.created_at.as_millis()), (OrgId(8), 1));
    }

    #[test]
    fn an_identifier_may_be_a_number_or_blank() {
        let body = json!({"eventName": "x", "orgId": 1, "createdAt": 1, "eventId": 9007199254740993_i64, "refId": "  ", "data": {}});
        let envelope = read_json(&body).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(envelope.event_id.as_deref(), Some("9007199254740993"));
        assert_eq!(envelope.ref_id, None);
    }

    #[test]
    fn a_capture_may_hold_a_wrapped_body() {
        let flat = json!({"eventName": "x", "orgId": 1, "createdAt": 1, "data": {}});
        let body = json!({"event": {"body": {"eventId": "e", "attributes": flat}}});
        let envelope = read_json(&body).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!((envelope.shape, envelope.event_id.as_deref()), (Shape::Capture, Some("e")));
    }
}
