//! An example's file, read; what it may hold is written down in the room above.
//!
//! Promises: a key that nobody knows is a fault, so that a slip of the finger tests nothing in silence.
//! Never: a value in a fault.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::brand;
use crate::config::Org;
use crate::personal::{Customer, Personal};

/// One example, read.
#[derive(Clone)]
pub struct Example {
    /// Its file's name without ending.
    pub name: String,
    /// The event as written in the file: Capillary's flat shape, fit to be posted.
    pub event: Value,
    /// The event's plain facts, as [`crate::template::RenderInput::event`] wants them.
    pub facts: Value,
    /// The elements the message is about.
    pub items: Vec<Value>,
    /// The made-up customer.
    pub customer: Customer,
    /// Whether a rule of the template is expected to answer the event; absent if the example does not say.
    pub fires: Option<bool>,
    pub(super) each: Option<String>,
    pub(super) expect: Map<String, Value>,
    pub(super) org: Org,
    pub(super) file: Arc<str>,
}

const KEYS: [&str; 5] = ["event", "customer", "each", "org", "expect"];
const EXPECT: [&str; 7] =
    ["subject_contains", "text_contains", "html_contains", "sms", "sms_contains", "missing", "fires"];

/// Reads one example; the error says what is wrong, without values.
pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Example, (Option<usize>, String)> {
    let value: Value = serde_json::from_str(text).map_err(|e| (Some(e.line()), "is not JSON".to_owned()))?;
    let wrong = |what: &str| (None, what.to_owned());
    let object = value.as_object().ok_or_else(|| wrong("is not an object with `event` and `customer`"))?;
    if let Some(key) = object.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err((None, format!("`{key}` is not known; an example has {}", KEYS.join(", "))));
    }
    let event = object.get("event").filter(|e| e.is_object()).ok_or_else(|| wrong("has no `event`"))?;
    let expect = object.get("expect").map_or(Some(Map::new()), |e| e.as_object().cloned());
    let expect = expect.ok_or_else(|| wrong("`expect` is not an object"))?;
    if let Some(key) = expect.keys().find(|k| !EXPECT.contains(&k.as_str())) {
        return Err((None, format!("`expect.{key}` is not known; it may have {}", EXPECT.join(", "))));
    }
    let fires = match expect.get("fires") {
        None => None,
        Some(Value::Bool(false)) if expect.len() > 1 => {
            return Err(wrong("expects words of a message that `expect.fires` says is not sent"));
        }
        Some(Value::Bool(fires)) => Some(*fires),
        Some(_) => return Err(wrong("`expect.fires` is neither true nor false")),
    };
    let customer = object.get("customer").map_or(Ok(Customer::default()), customer).map_err(|what| (None, what))?;
    let org = brand::read(object.get("org")).map_err(|what| (None, what))?;
    let facts = facts(event);
    let each = object.get("each").and_then(Value::as_str).map(str::to_owned);
    let items = items(&facts, each.as_deref());
    if each.is_some() && items.is_empty() {
        return Err(wrong("`each` names no list with elements"));
    }
    let name = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_owned();
    Ok(Example { name, event: event.clone(), facts, items, customer, fires, each, expect, org, file: Arc::clone(file) })
}

/// A made-up customer from JSON: fields are texts, `attributes` an object of texts, `locale` and `time_zone` their own.
///
/// # Errors
/// What is wrong, without values.
pub fn customer(value: &Value) -> Result<Customer, String> {
    let mut customer = Customer::default();
    for (name, value) in value.as_object().ok_or("`customer` is not an object")? {
        match (name.as_str(), value) {
            ("locale", Value::String(tag)) => customer.locale = Some(tag.clone()),
            ("time_zone", Value::String(zone)) => customer.time_zone = Some(zone.clone()),
            ("attributes", Value::Object(attributes)) => {
                for (name, value) in attributes {
                    let text = value.as_str().ok_or("a value of `customer.attributes` is not a text")?;
                    customer.fields.insert(format!("attributes.{name}"), Personal::new(text));
                }
            }
            (_, Value::String(text)) => drop(customer.fields.insert(name.clone(), Personal::new(text.as_str()))),
            (_, Value::Null) => {}
            _ => return Err("a value of `customer` is not a text".into()),
        }
    }
    Ok(customer)
}

/// Plain facts of an event in Capillary's flat shape, or in ours.
fn facts(event: &Value) -> Value {
    let first = |names: [&str; 2]| names.iter().find_map(|n| event.get(*n)).cloned();
    let mut out = Map::new();
    for (name, from) in
        [("name", "eventName"), ("id", "eventId"), ("org", "orgId"), ("created_at", "createdAt"), ("data", "data")]
    {
        if let Some(value) = first([from, name]) {
            out.insert(name.into(), value);
        }
    }
    Value::Object(out)
}

pub(super) fn items(facts: &Value, each: Option<&str>) -> Vec<Value> {
    let Some(each) = each else { return Vec::new() };
    let list = each.split('.').try_fold(facts, |v, key| v.get(key));
    list.and_then(Value::as_array).cloned().unwrap_or_default()
}
