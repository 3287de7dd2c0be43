//! `template.toml`: what a template is for, whom it may name, who sends it, and its words.
//!
//! Promises: unknown keys, wrong types and missing keys are reported all at once, with line and hint; `[[rule]]` is left to `rules`.
//! Never: a default that lets a template do more than it says.
//!
//! ```toml
//! [template]
//! category = "transactional"           # transactional, service, promotional
//! reads = ["first_name"]               # personal fields that the parts may name
//! brake_per_hour = 20000               # optional
//! locale = "en"                        # language of the parts outside locale folders; default "en"
//!
//! [texts]                              # optional: `{{texts.title}}` in any part; may hold tags
//! title = "Well done, {{customer.first_name}}"
//!
//! [email]
//! sender = "loyalty"
//! subject = "You earned {{number event.data.points}} points"
//!
//! [sms]
//! sender = "loyalty"
//! text = "Dear {{1}}, you earned {{2}} points."    # or a part `sms.txt.hbs`
//! vars = ["{{customer.first_name}}", "{{number event.data.points}}"]
//! max_var_chars = 30
//! dlt_template_id = "1107160000000000001"
//!
//! [locale.hi.texts]                    # every key of `[texts]`
//! [locale.hi.email]                    # subject
//! [locale.hi.sms]                      # text, vars (default: those of [sms]), dlt_template_id
//! [org.41007.sms]                      # dlt_template_id of one org
//! [org.41007.locale.hi.sms]            # … in one locale
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::helpers::nearest;
use crate::id::{Category, SenderRole};
use crate::personal::Customer;

/// How long one SMS variable may be unless the template says otherwise (India's DLT: 30).
const MAX_VAR_CHARS: usize = 30;

/// A value and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lined<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// A fault of the file: line, key, what, hint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

/// A whole `template.toml`.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) category: Lined<Category>,
    pub(super) reads: Vec<Lined<String>>,
    pub(super) brake_per_hour: Option<u64>,
    pub(super) locale: String,
    pub(super) email: Option<EmailHead>,
    pub(super) sms: Option<SmsHead>,
    /// The words of the root locale, under the empty name, and of each other locale.
    pub(super) words: BTreeMap<String, Words>,
    /// Registration by org and locale (the empty name: any).
    pub(super) dlt_by_org: BTreeMap<(i64, String), String>,
}

#[derive(Debug)]
pub(super) struct EmailHead {
    pub(super) line: usize,
    pub(super) sender: Lined<SenderRole>,
}

#[derive(Debug)]
pub(super) struct SmsHead {
    pub(super) line: usize,
    pub(super) sender: Lined<SenderRole>,
    pub(super) max_var_chars: usize,
}

/// What a locale says.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) line: usize,
    pub(super) texts: BTreeMap<String, Lined<String>>,
    pub(super) subject: Option<Lined<String>>,
    pub(super) sms_text: Option<Lined<String>>,
    pub(super) sms_vars: Option<Vec<Lined<String>>>,
    pub(super) dlt_template_id: Option<String>,
}

/// Reads the file. Faults that leave a usable manifest are returned beside it.
pub(super) fn read(text: &str) -> (Option<Manifest>, Vec<Wrong>) {
    let mut reader = Reader { text, wrongs: Vec::new() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = reader.line(&error.span().unwrap_or(0..0));
        reader.wrong(line, "", format!("is not TOML: {}", error.message().replace('\n', ", ")));
    }
    if !reader.wrongs.is_empty() {
        return (None, reader.wrongs);
    }
    let manifest = reader.manifest(document.get_ref());
    (manifest, reader.wrongs)
}

/// Lower case and hyphens: `hi_IN` and `hi-in` are one.
pub(super) fn normal_locale(tag: &str) -> String {
    tag.trim().replace('_', "-").to_ascii_lowercase()
}

/// True for a plausible language tag: `hi`, `ar-SA`, `zh-Hant-TW`.
pub(super) fn is_locale(tag: &str) -> bool {
    let mut parts = tag.split(['-', '_']);
    let language = parts.next().is_some_and(|l| matches!(l.len(), 2 | 3) && l.bytes().all(|b| b.is_ascii_alphabetic()));
    language && parts.all(|p| matches!(p.len(), 2..=8) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
}

struct Reader<'t> {
    text: &'t str,
    wrongs: Vec<Wrong>,
}

type Table<'t> = DeTable<'t>;

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        // A text in three quotes may begin on the line after them.
        let opens = self.text.get(span.start..).is_some_and(|t| t.starts_with("\"\"\"\n") || t.starts_with("'''\n"));
        line + usize::from(opens)
    }

    fn wrong(&mut self, line: usize, key: &str, what: impl Into<String>) {
        self.wrongs.push(Wrong { line, key: key.into(), what: what.into(), hint: None });
    }

    fn hint(&mut self, hint: impl Into<String>) {
        if let Some(last) = self.wrongs.last_mut() {
            last.hint = Some(hint.into());
        }
    }

    fn known(&mut self, table: &Table<'_>, path: &str, keys: &[&str]) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if keys.contains(&name) {
                continue;
            }
            let line = self.line(&key.span());
            self.wrong(line, &join(path, name), "is not a key that is known here");
            self.hint(match nearest(name, keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
            });
        }
    }

    fn table<'a, 'b>(&mut self, parent: &'a Table<'b>, path: &str, key: &str) -> Option<&'a Table<'b>> {
        let value = parent.get(key)?;
        if value.get_ref().as_table().is_none() {
            self.wrong_type(value, &join(path, key), "a table");
        }
        value.get_ref().as_table()
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, key: &str, expected: &str) {
        let line = self.line(&value.span());
        self.wrong(line, key, format!("is {}; expected {expected}", value.get_ref().type_str()));
    }

    fn text(&mut self, table: &Table<'_>, path: &str, key: &str) -> Option<Lined<String>> {
        let value = table.get(key)?;
        self.text_of(value, &join(path, key))
    }

    fn text_of(&mut self, value: &Spanned<DeValue<'_>>, key: &str) -> Option<Lined<String>> {
        let line = self.line(&value.span());
        match value.get_ref().as_str() {
            Some(text) if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) => {
                self.wrong(line, key, "holds a control character");
                None
            }
            Some(text) => Some(Lined { value: text.to_owned(), line }),
            None => {
                self.wrong_type(value, key, "a text");
                None
            }
        }
    }

    fn texts(&mut self, table: &Table<'_>, path: &str, key: &str) -> Option<Vec<Lined<String>>> {
        let value = table.get(key)?;
        let key = join(path, key);
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type(value, &key, "a list of texts");
            return None;
        };
        Some(list.iter().enumerate().filter_map(|(i, v)| self.text_of(v, &format!("{key}[{i}]"))).collect())
    }

    fn number(
        &mut self,
        table: &Table<'_>,
        path: &str,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = table.get(key)?;
        let number =
            value.get_ref().as_integer().filter(|i| i.radix() == 10).and_then(|i| i.as_str().parse::<u64>().ok());
        if number.is_none_or(|n| !range.contains(&n)) {
            let line = self.line(&value.span());
            let what = format!("is not a whole number from {} to {}", range.start(), range.end());
            self.wrong(line, &join(path, key), what);
            return None;
        }
        number
    }

    fn dlt(&mut self, table: &Table<'_>, path: &str) -> Option<String> {
        let id = self.text(table, path, "dlt_template_id")?;
        if id.value.is_empty()
            || id.value.len() > 32
            || !id.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            self.wrong(id.line, &join(path, "dlt_template_id"), "is not a registration id");
            self.hint("India's DLT ids are 19 or 20 digits, in quotes");
            return None;
        }
        Some(id.value)
    }

    fn sender(&mut self, table: &Table<'_>, path: &str, line: usize) -> Option<Lined<SenderRole>> {
        let Some(role) = self.text(table, path, "sender") else {
            if !table.contains_key("sender") {
                self.wrong(line, &join(path, "sender"), "is missing");
                self.hint("name a sender role of the configuration, such as `sender = \"loyalty\"`");
            }
            return None;
        };
        match role.value.parse() {
            Ok(value) => Some(Lined { value, line: role.line }),
            Err(error) => {
                self.wrong(role.line, &join(path, "sender"), format!("{error}"));
                None
            }
        }
    }

    fn manifest(&mut self, root: &Table<'_>) -> Option<Manifest> {
        self.known(root, "", &["template", "texts", "email", "sms", "locale", "org", "rule"]);
        let Some(head) = self.table(root, "", "template") else {
            if !root.contains_key("template") {
                self.wrong(1, "template", "is missing");
                self.hint("write `[template]` with `category` and `reads`");
            }
            return None;
        };
        let head_line = self.key_line(root, "template");
        self.known(head, "template", &["category", "reads", "brake_per_hour", "locale"]);
        let category = self.category(head, head_line);
        let reads = self.texts(head, "template", "reads").unwrap_or_default();
        for read in &reads {
            if !Customer::may_have(&read.value) {
                self.wrong(read.line, "template.reads", format!("`{}` is not a personal field", read.value));
                self.hint(nearest(&read.value, Customer::FIELDS.into_iter()).map_or_else(
                    || format!("expected {}, or `attributes.<name>`", Customer::FIELDS.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                ));
            }
        }
        let brake_per_hour = self.number(head, "template", "brake_per_hour", 1..=u64::from(u32::MAX));
        let locale = self.text(head, "template", "locale");
        if let Some(tag) = &locale
            && !is_locale(&tag.value)
        {
            self.wrong(tag.line, "template.locale", format!("`{}` is not a language tag", tag.value));
        }
        let locale = locale.map_or_else(|| "en".into(), |l| normal_locale(&l.value));

        let mut words = BTreeMap::new();
        let mut plain = Words { line: 1, ..Words::default() };
        plain.texts = self.words(root, "");
        let email = self.email(root, &mut plain);
        let sms = self.sms(root, &mut plain);
        words.insert(String::new(), plain);
        if let Some(locales) = self.table(root, "", "locale") {
            for (key, value) in locales {
                let (tag, line) = (key.get_ref().as_ref(), self.line(&key.span()));
                let path = join("locale", tag);
                if !is_locale(tag) {
                    self.wrong(line, &path, format!("`{tag}` is not a language tag"));
                    self.hint("expected `hi`, `ar` or `ar-SA`");
                } else if let Some(table) = value.get_ref().as_table() {
                    let own = self.locale(table, &path, line);
                    words.insert(normal_locale(tag), own);
                } else {
                    self.wrong_type(value, &path, "a table");
                }
            }
        }
        let dlt_by_org = self.orgs(root);
        Some(Manifest { category: category?, reads, brake_per_hour, locale, email, sms, words, dlt_by_org })
    }

    fn key_line(&self, table: &Table<'_>, name: &str) -> usize {
        table.keys().find(|k| k.get_ref().as_ref() == name).map_or(1, |k| self.line(&k.span()))
    }

    fn category(&mut self, head: &Table<'_>, line: usize) -> Option<Lined<Category>> {
        let Some(category) = self.text(head, "template", "category") else {
            if !head.contains_key("category") {
                self.wrong(line, "template.category", "is missing");
                self.hint("expected `transactional`, `service` or `promotional`");
            }
            return None;
        };
        let value = match category.value.as_str() {
            "transactional" => Category::Transactional,
            "service" => Category::Service,
            "promotional" => Category::Promotional,
            other => {
                self.wrong(category.line, "template.category", format!("`{other}` is not a category"));
                self.hint("expected `transactional`, `service` or `promotional`");
                return None;
            }
        };
        Some(Lined { value, line: category.line })
    }

    fn words(&mut self, table: &Table<'_>, path: &str) -> BTreeMap<String, Lined<String>> {
        let Some(texts) = self.table(table, path, "texts") else { return BTreeMap::new() };
        let path = join(path, "texts");
        let mut out = BTreeMap::new();
        for (key, value) in texts {
            let name = key.get_ref().as_ref();
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                let line = self.line(&key.span());
                self.wrong(line, &join(&path, name), "is not a name of letters, digits and `_`");
            }
            if let Some(text) = self.text_of(value, &join(&path, name)) {
                out.insert(name.to_owned(), text);
            }
        }
        out
    }

    fn email(&mut self, root: &Table<'_>, words: &mut Words) -> Option<EmailHead> {
        let table = self.table(root, "", "email")?;
        let line = self.key_line(root, "email");
        self.known(table, "email", &["sender", "subject"]);
        words.subject = self.text(table, "email", "subject");
        if words.subject.is_none() && !table.contains_key("subject") {
            self.wrong(line, "email.subject", "is missing");
        }
        self.sender(table, "email", line).map(|sender| EmailHead { line, sender })
    }

    fn sms(&mut self, root: &Table<'_>, words: &mut Words) -> Option<SmsHead> {
        let table = self.table(root, "", "sms")?;
        let line = self.key_line(root, "sms");
        self.known(table, "sms", &["sender", "text", "vars", "max_var_chars", "dlt_template_id"]);
        self.sms_words(table, "sms", words);
        let most = self.number(table, "sms", "max_var_chars", 1..=1000).and_then(|n| usize::try_from(n).ok());
        let max_var_chars = most.unwrap_or(MAX_VAR_CHARS);
        self.sender(table, "sms", line).map(|sender| SmsHead { line, sender, max_var_chars })
    }

    fn sms_words(&mut self, table: &Table<'_>, path: &str, words: &mut Words) {
        words.sms_text = self.text(table, path, "text");
        words.sms_vars = self.texts(table, path, "vars");
        words.dlt_template_id = self.dlt(table, path);
    }

    fn locale(&mut self, table: &Table<'_>, path: &str, line: usize) -> Words {
        self.known(table, path, &["texts", "email", "sms"]);
        let mut words = Words { line, texts: self.words(table, path), ..Words::default() };
        if let Some(email) = self.table(table, path, "email") {
            let path = join(path, "email");
            self.known(email, &path, &["subject"]);
            words.subject = self.text(email, &path, "subject");
        }
        if let Some(sms) = self.table(table, path, "sms") {
            let path = join(path, "sms");
            self.known(sms, &path, &["text", "vars", "dlt_template_id"]);
            self.sms_words(sms, &path, &mut words);
        }
        words
    }

    fn orgs(&mut self, root: &Table<'_>) -> BTreeMap<(i64, String), String> {
        let mut out = BTreeMap::new();
        let Some(orgs) = self.table(root, "", "org") else { return out };
        for (key, value) in orgs {
            let (name, line) = (key.get_ref().as_ref(), self.line(&key.span()));
            let path = join("org", name);
            let (Ok(id), Some(table)) = (name.parse::<i64>(), value.get_ref().as_table()) else {
                self.wrong(line, &path, "is not a table of an org's number, such as `[org.41007.sms]`");
                continue;
            };
            self.known(table, &path, &["sms", "locale"]);
            let mut found = vec![(String::new(), path.clone(), table)];
            if let Some(locales) = self.table(table, &path, "locale") {
                for (tag, value) in locales {
                    let tag = tag.get_ref().as_ref();
                    if let Some(table) = value.get_ref().as_table() {
                        let path = join(&join(&path, "locale"), tag);
                        self.known(table, &path, &["sms"]);
                        found.push((normal_locale(tag), path, table));
                    }
                }
            }
            for (locale, path, table) in found {
                let Some(sms) = self.table(table, &path, "sms") else { continue };
                let path = join(&path, "sms");
                self.known(sms, &path, &["dlt_template_id"]);
                if let Some(dlt) = self.dlt(sms, &path) {
                    out.insert((id, locale), dlt);
                }
            }
        }
        out
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.into() } else { format!("{path}.{key}") }
}
