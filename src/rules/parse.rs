//! `[[rule]]` tables of a `template.toml`, checked.
//!
//! Promises: every fault of the file's rules at once, each with line, key, expectation and hint; unknown keys are faults.
//! Never: a rule made from a file that has a fault; a look at the file's other tables, which are the template's.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::condition::Condition;
use super::{Recipients, Rule, Send, expiry};
use crate::clock::Time;
use crate::config::nearest::nearest;
use crate::config::{Fault, parse_duration};
use crate::event::Role;
use crate::id::{Channel, RuleId, TemplateId};

const KEYS: [&str; 13] = [
    "on",
    "when",
    "recipients",
    "each",
    "send",
    "first_of",
    "group",
    "priority",
    "delay",
    "wait_for_contact",
    "expires_after",
    "expires_at",
    "live_from",
];

/// Longest duration a rule may name.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Role words as the event room's serialisation has them.
const ROLES: [&str; 11] = [
    "customer",
    "survivor",
    "victim",
    "sender",
    "receiver",
    "primary_member",
    "member_added",
    "member_removed",
    "contributing_member",
    "requester",
    "actor",
];

/// Most rules of one template: more is a list, and lists belong into conditions.
const MAX_RULES: usize = 100;

pub(super) fn parse(template: &TemplateId, file: &Path, text: &str) -> Result<Vec<Rule>, Vec<Fault>> {
    let mut reader = Reader { file, text, faults: Vec::new() };
    let rules = reader.file(template);
    if reader.faults.is_empty() {
        Ok(rules)
    } else {
        reader.faults.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        Err(reader.faults)
    }
}

struct Reader<'t> {
    file: &'t Path,
    text: &'t str,
    faults: Vec<Fault>,
}

/// A value and where it stands.
struct Entry<'v, 't> {
    key: String,
    value: &'v DeValue<'t>,
    span: Range<usize>,
}

impl<'t> Reader<'t> {
    fn fault(&mut self, span: &Range<usize>, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line: Some(1 + before.iter().filter(|byte| **byte == b'\n').count()),
            key: key.to_owned(),
            what: what.into(),
            hint: Some(hint.into()).filter(|hint: &String| !hint.is_empty()),
        });
    }

    fn file(&mut self, template: &TemplateId) -> Vec<Rule> {
        // Of a text that is not TOML only the first complaint is true for certain: an unclosed bracket makes nonsense of all below.
        let document = match DeTable::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                let what = format!("is not TOML: {}", error.message().trim());
                self.fault(&error.span().unwrap_or(0..0), "", what, "");
                return Vec::new();
            }
        };
        let Some((_, rules)) = document.get_ref().iter().find(|(key, _)| key.get_ref() == "rule") else {
            return Vec::new();
        };
        let Some(list) = rules.get_ref().as_array() else {
            let hint = "write `[[rule]]`, with two brackets on each side, before each rule";
            self.fault(&rules.span(), "rule", "is not a list of rules", hint);
            return Vec::new();
        };
        if list.len() > MAX_RULES {
            let what = format!("has {} rules; at most {MAX_RULES} are allowed", list.len());
            self.fault(&rules.span(), "rule", what, "use a list in a condition: `event.data.x in [\"a\", \"b\"]`");
            return Vec::new();
        }
        (0_u16..)
            .zip(list.iter())
            .filter_map(|(index, table)| self.rule(RuleId { template: template.clone(), index }, table))
            .collect()
    }

    /// Reads one rule. `None` only with a fault.
    fn rule(&mut self, id: RuleId, table: &Spanned<DeValue<'t>>) -> Option<Rule> {
        let name = format!("rule[{}]", id.index);
        let Some(entries) = table.get_ref().as_table() else {
            self.fault(&table.span(), &name, "is not a table", "write `[[rule]]` and its keys below");
            return None;
        };
        let mut found = Vec::new();
        for (key, value) in entries {
            let word = key.get_ref().as_ref();
            let entry = Entry { key: format!("{name}.{word}"), value: value.get_ref(), span: value.span() };
            match KEYS.iter().find(|known| **known == word) {
                Some(known) => found.push((*known, entry)),
                None => {
                    let hint = match nearest(word, KEYS) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("known keys are {}", KEYS.join(", ")),
                    };
                    self.fault(&key.span(), &entry.key, "is not a key of a rule", hint);
                }
            }
        }
        let get = |key: &str| found.iter().find(|(known, _)| *known == key).map(|(_, entry)| entry);
        // `expires_after` and `expires_at` may stand together: whichever comes first counts.
        for (one, other) in [("recipients", "each"), ("send", "first_of")] {
            if let (Some(_), Some(second)) = (get(one), get(other)) {
                self.fault(&second.span, &second.key, format!("excludes `{one}`"), "keep one of the two");
            }
        }
        let mut missing = |absent: bool, key: &str, hint: &str| {
            if absent {
                self.fault(&table.span(), &format!("{name}.{key}"), "is missing", hint);
            }
        };
        missing(get("on").is_none(), "on", "name the events, as `on = [\"pointsIssued\"]`");
        let channels_missing = get("send").is_none() && get("first_of").is_none();
        missing(
            channels_missing,
            "send",
            "name the channels, as `send = [\"email\"]`, or `first_of = [\"sms\", \"email\"]`",
        );
        let live_hint =
            "say from when on it may send, as `live_from = 2027-01-01T00:00:00Z`; older events are not sent";
        missing(get("live_from").is_none(), "live_from", live_hint);

        let on = get("on").map(|entry| self.event_names(entry));
        let when = get("when").map(|entry| self.condition(entry));
        let role = get("recipients").map(|entry| self.recipients(entry));
        let each = get("each").map(|entry| self.each(entry));
        let all = get("send").map(|entry| self.channels(entry));
        let first = get("first_of").map(|entry| self.channels(entry));
        let group = get("group").map(|entry| self.group(entry));
        let priority = get("priority").map(|entry| self.integer(entry));
        let delay = get("delay").map(|entry| self.duration(entry));
        let wait_for_contact = get("wait_for_contact").map(|entry| self.duration(entry));
        let expires_after = get("expires_after").map(|entry| self.duration(entry));
        let expires_at = get("expires_at").map(|entry| self.path(entry));
        let live_from = get("live_from").map(|entry| self.moment(entry));

        let delay = delay.flatten().unwrap_or_default();
        if let (Some(Some(expiry)), Some(entry)) = (expires_after, get("expires_after"))
            && delay >= expiry
        {
            self.fault(&entry.span, &entry.key, "ends before it may be sent", "make it longer than `delay`");
        }
        let send = match (all.flatten(), first.flatten()) {
            (Some(all), _) => Some(Send::All(all)),
            (None, first) => first.map(Send::FirstOf),
        };
        Some(Rule {
            id,
            on: on.flatten()?,
            when: when.flatten(),
            recipients: role.flatten().or(each.flatten()).unwrap_or(Recipients::Default),
            send: send?,
            group: group.flatten(),
            priority: priority.flatten().unwrap_or(0),
            delay,
            wait_for_contact: wait_for_contact.flatten(),
            expires_after: expires_after.flatten(),
            expires_at: expires_at.flatten(),
            live_from: live_from.flatten()?,
        })
    }

    fn text<'v>(&mut self, entry: &Entry<'v, 't>, hint: &str) -> Option<&'v str> {
        let text = entry.value.as_str();
        if text.is_none() {
            self.fault(&entry.span, &entry.key, format!("expected a text, found {}", kind(entry.value)), hint);
        }
        text
    }

    /// A list of texts, not empty and without repetition, each with its place.
    fn texts<'v>(&mut self, entry: &Entry<'v, 't>, hint: &str) -> Option<Vec<(&'v str, Range<usize>)>> {
        let Some(list) = entry.value.as_array() else {
            let what = format!("expected a list of texts, found {}", kind(entry.value));
            self.fault(&entry.span, &entry.key, what, hint);
            return None;
        };
        if list.is_empty() {
            self.fault(&entry.span, &entry.key, "is empty", hint);
            return None;
        }
        let mut texts: Vec<(&str, Range<usize>)> = Vec::new();
        for item in list.iter() {
            let (what, span) = match item.get_ref().as_str() {
                Some(text) if texts.iter().any(|(known, _)| *known == text) => {
                    (format!("names `{text}` twice"), item.span())
                }
                Some(text) => {
                    texts.push((text, item.span()));
                    continue;
                }
                None => (format!("expected a list of texts, found {} in it", kind(item.get_ref())), item.span()),
            };
            self.fault(&span, &entry.key, what, hint);
        }
        Some(texts)
    }

    fn event_names(&mut self, entry: &Entry<'_, 't>) -> Option<Vec<String>> {
        let names = self.texts(entry, "write `on = [\"pointsIssued\"]`")?;
        for (name, span) in &names {
            // Names are case-sensitive, and these two alone begin with a capital (capillary/reference.md 2.1).
            let capital = ["CouponIssue", "CouponRedeem"].into_iter().find(|known| known.eq_ignore_ascii_case(name));
            match capital {
                Some(known) if known != *name => {
                    self.fault(span, &entry.key, format!("names `{name}`"), format!("Capillary writes `{known}`"));
                }
                _ if name.trim() != *name || name.is_empty() || name.chars().any(char::is_whitespace) => {
                    let hint = "names have no spaces: `pointsIssued`";
                    self.fault(span, &entry.key, format!("`{name}` is not an event name"), hint);
                }
                _ => {}
            }
        }
        Some(names.into_iter().map(|(name, _)| name.to_owned()).collect())
    }

    fn condition(&mut self, entry: &Entry<'_, 't>) -> Option<String> {
        let text = self.text(entry, "write `when = 'event.data.totalPointsIssued > 0'`")?;
        if let Err(problem) = Condition::compile(text) {
            self.fault(&entry.span, &entry.key, problem.what, problem.hint.unwrap_or_default());
        }
        Some(text.to_owned())
    }

    fn recipients(&mut self, entry: &Entry<'_, 't>) -> Option<Recipients> {
        let known = || ROLES.into_iter().chain(["default"]);
        let text = self.text(entry, "write `recipients = \"default\"`, or `each = \"data.coupons\"`")?;
        if text == "default" {
            return Some(Recipients::Default);
        }
        let role = serde_json::from_value::<Role>(serde_json::Value::String(text.to_owned()));
        if role.is_err() {
            let hint = match (text.starts_with("data."), nearest(text, known())) {
                (true, _) => format!("for the people in a list, write `each = \"{text}\"`"),
                (false, Some(word)) => format!("did you mean `{word}`?"),
                (false, None) => format!("known are default, {}", ROLES.join(", ")),
            };
            self.fault(&entry.span, &entry.key, format!("names the unknown role `{text}`"), hint);
        }
        role.ok().map(Recipients::Role)
    }

    fn each(&mut self, entry: &Entry<'_, 't>) -> Option<Recipients> {
        let hint = "write the path of a list in the event, as `each = \"data.coupons\"`";
        let text = self.text(entry, hint)?;
        let steps = text.strip_prefix("data.").unwrap_or_default();
        if !steps.split('.').all(expiry::is_step) {
            self.fault(&entry.span, &entry.key, format!("`{text}` is not the path of a list"), hint);
        }
        Some(Recipients::Each(text.to_owned()))
    }

    fn channels(&mut self, entry: &Entry<'_, 't>) -> Option<Vec<Channel>> {
        let hint = "known channels are \"email\" and \"sms\"";
        let words = self.texts(entry, hint)?;
        let mut channels = Vec::new();
        for (word, span) in words {
            match [Channel::Email, Channel::Sms].into_iter().find(|channel| channel.as_str() == word) {
                Some(channel) => channels.push(channel),
                None => self.fault(&span, &entry.key, format!("names the unknown channel `{word}`"), hint),
            }
        }
        Some(channels)
    }

    fn group(&mut self, entry: &Entry<'_, 't>) -> Option<String> {
        let hint =
            "write a short name, as `group = \"points\"`; of its rules that match, only the highest priority sends";
        let text = self.text(entry, hint)?;
        // The grammar of names: a group is one, though it has no type of its own.
        if text.parse::<TemplateId>().is_err() {
            self.fault(&entry.span, &entry.key, format!("`{text}` is not a name of a-z, 0-9, `-` and `_`"), hint);
        }
        Some(text.to_owned())
    }

    fn integer(&mut self, entry: &Entry<'_, 't>) -> Option<i64> {
        let number =
            entry.value.as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            let what = format!("expected a whole number, found {}", kind(entry.value));
            self.fault(&entry.span, &entry.key, what, "write `priority = 10`; higher wins");
        }
        number
    }

    fn duration(&mut self, entry: &Entry<'_, 't>) -> Option<Duration> {
        let text = self.text(entry, "write a duration in quotes, as \"2m\", \"36h\" or \"3d\"")?;
        let what = match parse_duration(text) {
            Ok(duration) if duration <= LONGEST => return Some(duration),
            Ok(_) => "is longer than a year".to_owned(),
            Err(unfit) => unfit.to_string(),
        };
        self.fault(&entry.span, &entry.key, format!("`{text}`: {what}"), "a day, \"1d\", is 24 hours");
        None
    }

    fn path(&mut self, entry: &Entry<'_, 't>) -> Option<String> {
        let hint = "for a duration use `expires_after`";
        let text = self.text(entry, hint)?;
        if let Err(what) = expiry::Path::parse(text) {
            self.fault(&entry.span, &entry.key, format!("`{text}`: {what}"), hint);
        }
        Some(text.to_owned())
    }

    fn moment(&mut self, entry: &Entry<'_, 't>) -> Option<Time> {
        let hint =
            "write it without quotes and with an offset, as `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00+05:30`";
        let stamp = match entry.value.as_datetime() {
            Some(moment) if moment.offset.is_some() => moment.to_string().parse::<jiff::Timestamp>().ok(),
            _ => None,
        };
        if stamp.is_none() {
            let what = format!("expected a date and time with an offset, found {}", kind(entry.value));
            self.fault(&entry.span, &entry.key, what, hint);
        }
        stamp.map(Time::from)
    }
}

/// What a value is, for a person; never what it says.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(moment) if moment.offset.is_none() => "a date without an offset",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests;
