//! A template's own test data: rendered for every channel and locale, with and without each value that the parts use.
//!
//! An example is `examples/<name>.json`:
//!
//! ```json
//! {
//!   "event": { "eventName": "pointsIssued", "orgId": 41007, "createdAt": 1796162664080, "data": { } },
//!   "customer": { "first_name": "Asha", "locale": "en-IN", "time_zone": "Asia/Kolkata" },
//!   "each": "data.coupons",
//!   "org": { "currency": "EUR" },
//!   "expect": { "subject_contains": "…", "text_contains": ["…"], "html_contains": "…", "sms": "…", "sms_contains": "…",
//!               "missing": "event.data.x", "fires": true }
//! }
//! ```
//!
//! The event is Capillary's flat shape (or `name`, `id`, `org`, `created_at`, `data`), the customer is made up, `each` says which
//! list the items come from, `expect` holds for the customer's own locale and the brand that goes with the examples: [`example_org`]
//! with what the example's `org` changes, whoever's relay it is. `missing` expects that the message is not sent;
//! `fires` says whether a rule of the template answers the event, which whoever has the rules too checks. Where none does, nothing
//! is rendered.
//! Promises: `{{#if}}` is silently false for a misspelt name, so every name a part uses must occur in some example, and each is
//! taken away once: what comes out is a whole message or a named missing value.
//! Never: a real person.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::load::Template;
use super::{Content, RenderError, RenderInput, TemplateSet};
use crate::clock::Time;
use crate::config::{Fault, Org};
use crate::id::{Channel, OrgId};
use crate::personal::{Customer, Personal};

mod brand;
mod gaps;
mod read;

use read::{items, read};

pub use brand::example_org;
pub use read::{Example, customer};

/// The examples of a template that can be read.
pub(super) fn all(template: &Template) -> Vec<Example> {
    template.examples.iter().filter_map(|(file, text)| read(file, text).ok()).collect()
}

/// Checks all examples of all templates.
pub(super) fn check(set: &TemplateSet) -> Vec<Fault> {
    let mut faults = Vec::new();
    for template in set.templates.values() {
        let mut check = Check { set, template, faults: BTreeSet::new() };
        check.template();
        faults.extend(check.faults);
    }
    faults
}

/// Renders the examples of one template for a brand; what keeps its messages from being made.
///
/// Not a word of `expect` is held against it: those were written for another currency, zone and set of links.
pub(super) fn check_for(set: &TemplateSet, template: &Template, id: OrgId, org: &Org) -> Vec<Fault> {
    let mut check = Check { set, template, faults: BTreeSet::new() };
    for (file, text) in &template.examples {
        // What cannot be read is told once, by `check`.
        let Ok(example) = read(file, text) else { continue };
        if example.fires != Some(false) {
            check.for_org(&Example { org: org.clone(), ..example }, id);
        }
    }
    check.faults.into_iter().collect()
}

struct Check<'c> {
    set: &'c TemplateSet,
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

    fn for_org(&mut self, example: &Example, id: OrgId) {
        let channels: Vec<Channel> = self.template.info.channels.keys().copied().collect();
        for channel in channels {
            for locale in self.locales(channel) {
                let customer = Customer { locale: Some(locale), ..example.customer.clone() };
                let (what, hint) = match self.render(example, channel, &customer) {
                    Ok(_) => continue,
                    Err(RenderError::Missing { .. }) if example.expect.contains_key("missing") => continue,
                    Err(RenderError::Missing { field }) => match field.strip_prefix("org.links.") {
                        Some(link) => (
                            format!("needs `{field}`, which org {id} does not have"),
                            Some(format!("add `{link} = \"https://…\"` to [org.{id}.links]")),
                        ),
                        None => (format!("for org {id}: value `{field}` is missing"), None),
                    },
                    Err(error) => (format!("for org {id}: {error}"), None),
                };
                self.say(&example.file, None, &channel_word(channel), what, hint);
            }
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
        self.set
            .render(&self.template.info.id, &RenderInput { channel, event, items, customer, org: &example.org, now })
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
