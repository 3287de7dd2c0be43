//! A template's own test data: rendered for every channel and locale, with and without each value that the parts use.
//!
//! An example is `examples/<name>.json`:
//!
//! ```json
//! {
//!   "event": { "eventName": "pointsIssued", "orgId": 41007, "createdAt": 1796162664080, "data": { } },
//!   "customer": { "first_name": "Asha", "locale": "en-IN", "time_zone": "Asia/Kolkata" },
//!   "each": "data.coupons",
//!   "expect": { "subject_contains": "…", "text_contains": ["…"], "html_contains": "…", "sms": "…", "sms_contains": "…",
//!               "missing": "event.data.x", "fires": true }
//! }
//! ```
//!
//! The event is Capillary's flat shape (or `name`, `id`, `org`, `created_at`, `data`), the customer is made up, `each` says which
//! list the items come from, `expect` holds for the customer's own locale. `missing` expects that the message is not sent;
//! `fires` says whether a rule of the template answers the event, which whoever has the rules too checks. Where none does, nothing
//! is rendered.
//! Promises: `{{#if}}` is silently false for a misspelt name, so every name a part uses must occur in some example, and each is
//! taken away once: what comes out is a whole message or a named missing value.
//! Never: a real person.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::load::Template;
use super::{Content, RenderError, RenderInput, TemplateSet};
use crate::clock::Time;
use crate::config::{Fault, Org};
use crate::id::Channel;
use crate::personal::{Customer, Personal};

mod gaps;

/// One example, read.
#[derive(Clone)]
pub struct Example {
    /// Its file's name without ending.
    pub name: String,
    /// The event as written in the file: Capillary's flat shape, fit to be posted.
    pub event: Value,
    /// The event's plain facts, as [`RenderInput::event`] wants them.
    pub facts: Value,
    /// The elements the message is about.
    pub items: Vec<Value>,
    /// The made-up customer.
    pub customer: Customer,
    /// Whether a rule of the template is expected to answer the event; absent if the example does not say.
    pub fires: Option<bool>,
    each: Option<String>,
    expect: Map<String, Value>,
    file: Arc<str>,
}

const KEYS: [&str; 4] = ["event", "customer", "each", "expect"];
const EXPECT: [&str; 7] =
    ["subject_contains", "text_contains", "html_contains", "sms", "sms_contains", "missing", "fires"];

/// The examples of a template that can be read.
pub(super) fn all(template: &Template) -> Vec<Example> {
    template.examples.iter().filter_map(|(file, text)| read(file, text).ok()).collect()
}

/// Checks all examples of all templates.
pub(super) fn check(set: &TemplateSet, org: &Org) -> Vec<Fault> {
    let mut faults = Vec::new();
    for template in set.templates.values() {
        let mut check = Check { set, org, template, faults: BTreeSet::new() };
        check.template();
        faults.extend(check.faults);
    }
    faults
}

/// Reads one example; the error says what is wrong, without values.
fn read(file: &Arc<str>, text: &str) -> Result<Example, (Option<usize>, String)> {
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
    let facts = facts(event);
    let each = object.get("each").and_then(Value::as_str).map(str::to_owned);
    let items = items(&facts, each.as_deref());
    if each.is_some() && items.is_empty() {
        return Err(wrong("`each` names no list with elements"));
    }
    let name = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".json").to_owned();
    Ok(Example { name, event: event.clone(), facts, items, customer, fires, each, expect, file: Arc::clone(file) })
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

fn items(facts: &Value, each: Option<&str>) -> Vec<Value> {
    let Some(each) = each else { return Vec::new() };
    let list = each.split('.').try_fold(facts, |v, key| v.get(key));
    list.and_then(Value::as_array).cloned().unwrap_or_default()
}

struct Check<'c> {
    set: &'c TemplateSet,
    org: &'c Org,
    template: &'c Template,
    faults: BTreeSet<Fault>,
}

impl Check<'_> {
    fn say(&mut self, file: &str, line: Option<usize>, key: &str, what: String, hint: Option<String>) {
        // The template's own file stands in its folder; the root is one above.
        let root = self.template.info.file.ancestors().nth(2).map(PathBuf::from).unwrap_or_default();
        self.faults.insert(Fault { file: root.join(file), line, key: key.into(), what, hint });
    }

    fn template(&mut self) {
        let mut examples = Vec::new();
        for (file, text) in &self.template.examples {
            match read(file, text) {
                Ok(example) if example.fires == Some(false) => {}
                Ok(example) => examples.push(example),
                Err((line, what)) => self.say(file, line, "", what, None),
            }
        }
        let folder = format!("{}/examples", self.template.info.id);
        if self.template.examples.is_empty() {
            let hint = "add `<name>.json` with an event and a made-up customer".to_owned();
            return self.say(&folder, None, "", "the template has no example".into(), Some(hint));
        }
        self.unseen(&examples, &folder);
        for example in &examples {
            self.example(example);
        }
    }

    /// Names that no example has: misspelt, or never tried.
    fn unseen(&mut self, examples: &[Example], folder: &str) {
        let sent: Vec<&Example> = examples.iter().filter(|e| !e.expect.contains_key("missing")).collect();
        for path in &self.template.uses.facts {
            let seen = |e: &&&Example| match path.split_once('.') {
                Some(("event", rest)) => get(&e.facts, rest).is_some(),
                Some(("item", rest)) => e.items.iter().any(|i| get(i, rest).is_some()),
                _ => path == "event" || !e.items.is_empty(),
            };
            if !sent.iter().any(|e| seen(&e)) {
                let hint = "is it spelt as Capillary spells it? If so, add an example that has it".to_owned();
                self.say(folder, None, "", format!("no example has `{path}`"), Some(hint));
            }
        }
        for field in &self.template.uses.persons {
            if !sent.iter().any(|e| e.customer.fields.contains_key(field)) {
                self.say(folder, None, "", format!("no example has `customer.{field}`"), None);
            }
        }
    }

    fn example(&mut self, example: &Example) {
        let channels: Vec<Channel> = self.template.info.channels.keys().copied().collect();
        let mut missing = None;
        for channel in channels {
            let result = self.render(example, channel, &example.customer);
            match result {
                Ok(content) => {
                    self.expectations(example, &content);
                    self.whole(example, channel, "", &content);
                }
                Err(RenderError::Missing { field }) if example.expect.contains_key("missing") => missing = Some(field),
                Err(error) => self.say(&example.file, None, &channel_word(channel), error.to_string(), None),
            }
            for locale in self.locales(channel) {
                self.locale(example, channel, &locale);
            }
        }
        if let Some(wanted) = example.expect.get("missing").and_then(Value::as_str)
            && missing.as_deref() != Some(wanted)
        {
            let what = match missing {
                Some(field) => format!("`{field}` is missing, not `{wanted}`"),
                None => format!("the message is sent; expected that `{wanted}` is missing"),
            };
            self.say(&example.file, None, "expect.missing", what, None);
        }
    }

    fn locales(&self, channel: Channel) -> Vec<String> {
        let name = |l: &String| if l.is_empty() { self.template.locale.clone() } else { l.clone() };
        match channel {
            Channel::Email => self.template.email.keys().map(name).collect(),
            Channel::Sms => self.template.sms.keys().map(name).collect(),
        }
    }

    /// One locale: whole, and without each value in turn.
    fn locale(&mut self, example: &Example, channel: Channel, locale: &str) {
        let mut customer = example.customer.clone();
        customer.locale = Some(locale.to_owned());
        let expects_missing = example.expect.contains_key("missing");
        self.tried(example, channel, locale, "", &customer, expects_missing);
        let uses = &self.template.uses;
        for field in &uses.persons {
            let mut without = customer.clone();
            if without.fields.remove(field).is_some() {
                self.tried(example, channel, locale, &format!("customer.{field}"), &without, true);
            }
        }
        for path in &uses.facts {
            let mut without = example.clone();
            let gone = match path.split_once('.') {
                Some(("event", rest)) if rest != "data" => remove(&mut without.facts, rest),
                Some(("item", rest)) => {
                    let list = without.each.clone().map(|e| e.split('.').map(str::to_owned).collect::<Vec<_>>());
                    let list = list.and_then(|keys| keys.iter().try_fold(&mut without.facts, |v, k| v.get_mut(k)));
                    let list = list.and_then(Value::as_array_mut);
                    list.is_some_and(|list| list.iter_mut().map(|i| remove(i, rest)).fold(false, |a, b| a | b))
                }
                _ => false,
            };
            if gone {
                without.items = items(&without.facts, without.each.as_deref());
                self.tried(&without, channel, locale, path, &customer, true);
            }
        }
    }

    fn tried(
        &mut self,
        example: &Example,
        channel: Channel,
        locale: &str,
        without: &str,
        customer: &Customer,
        may_miss: bool,
    ) {
        let result = self.render(example, channel, customer);
        let place = if without.is_empty() { locale.to_owned() } else { format!("{locale}, without `{without}`") };
        match result {
            Ok(content) => self.whole(example, channel, &place, &content),
            Err(RenderError::Missing { .. }) if may_miss => {}
            Err(error) => {
                self.say(&example.file, None, &format!("{} ({place})", channel_word(channel)), error.to_string(), None)
            }
        }
    }

    fn render(&self, example: &Example, channel: Channel, customer: &Customer) -> Result<Content, RenderError> {
        let created = example.facts.get("created_at").and_then(Value::as_i64).unwrap_or_default();
        let (event, items) = (&example.facts, &example.items);
        let now = Time::from_millis(created);
        self.set.render(&self.template.info.id, &RenderInput { channel, event, items, customer, org: self.org, now })
    }

    fn whole(&mut self, example: &Example, channel: Channel, place: &str, content: &Content) {
        let parts = match content {
            Content::Email { subject, text, .. } => vec![("subject", subject), ("text", text)],
            Content::Sms { text, .. } => vec![("text", text)],
        };
        for (name, text) in parts {
            if let Some(gap) = gaps::find(text.expose()) {
                let what = format!("{name} has a gap: {gap}");
                let hint = "use `{{default value \"words\"}}`, or `{{#if}}` around the whole phrase".to_owned();
                let key = if place.is_empty() {
                    channel_word(channel)
                } else {
                    format!("{} ({place})", channel_word(channel))
                };
                self.say(&example.file, None, &key, what, Some(hint));
            }
        }
    }

    fn expectations(&mut self, example: &Example, content: &Content) {
        let none = Personal::new("");
        let pairs = match content {
            Content::Email { subject, html, text } => vec![
                ("subject_contains", subject),
                ("text_contains", text),
                ("html_contains", html.as_ref().unwrap_or(&none)),
            ],
            Content::Sms { text, .. } => vec![("sms_contains", text), ("sms", text)],
        };
        for (key, text) in pairs {
            let wanted: Vec<&str> = match example.expect.get(key) {
                Some(Value::String(one)) => vec![one],
                Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
                _ => continue,
            };
            for words in wanted {
                let fine = if key == "sms" { text.expose() == words } else { text.expose().contains(words) };
                if !fine {
                    // The customer is made up, so the words may be shown.
                    let what = format!("expected \"{words}\"");
                    self.say(&example.file, None, &format!("expect.{key}"), what, None);
                }
            }
        }
    }
}

fn channel_word(channel: Channel) -> String {
    match channel {
        Channel::Email => "email".into(),
        Channel::Sms => "sms".into(),
    }
}

fn get<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |v, key| match v {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    })
}

fn remove(value: &mut Value, path: &str) -> bool {
    let mut keys: Vec<&str> = path.split('.').collect();
    let Some(last) = keys.pop() else { return false };
    let mut at = value;
    for key in keys {
        let next = match at {
            Value::Array(list) => key.parse::<usize>().ok().and_then(|i| list.get_mut(i)),
            other => other.get_mut(key),
        };
        let Some(next) = next else { return false };
        at = next;
    }
    at.as_object_mut().is_some_and(|map| map.remove(last).is_some())
}
