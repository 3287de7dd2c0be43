//! One template's parts into the engine, locale by locale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::parts::Parts;
use super::{EmailParts, Loader, Part, SmsBody, SmsParts, SourcePart};
use crate::id::TemplateId;
use crate::template::check::{Rules, Uses, check};
use crate::template::engine::{Engine, Escape};
use crate::template::expand::{Fixed, expand};
use crate::template::inline::{self, Css};
use crate::template::manifest::{Lined, Manifest, Words};
use crate::template::syntax::{Arg, Issue, Mode, Node, Path, Pos, Positions, parse_at, walk, write};
use crate::template::{helpers, links, mjml, plaintext};

/// How long a part may be once everything is put in place.
const MAX_COMPILED: usize = 1024 * 1024;

/// What a part is, which decides its partials, its conversion and its escaping.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mjml,
    Html,
    Text,
}

pub(super) struct Compiler<'c, 'l> {
    loader: &'c mut Loader<'l>,
    id: &'c TemplateId,
    toml: &'c Arc<str>,
    manifest: &'c Manifest,
    engine: &'c mut Engine,
    reads: Vec<String>,
    uses: Uses,
    included: BTreeSet<Arc<str>>,
}

impl<'c, 'l> Compiler<'c, 'l> {
    pub(super) fn new(
        loader: &'c mut Loader<'l>,
        id: &'c TemplateId,
        toml: &'c Arc<str>,
        manifest: &'c Manifest,
        engine: &'c mut Engine,
    ) -> Self {
        let reads = manifest.reads.iter().map(|r| r.value.clone()).collect();
        Self { loader, id, toml, manifest, engine, reads, uses: Uses::default(), included: BTreeSet::new() }
    }

    /// What all parts use, and the shared files that went into them.
    pub(super) fn finish(self) -> (Uses, BTreeSet<Arc<str>>) {
        (self.uses, self.included)
    }

    fn fault(&mut self, line: usize, key: &str, what: &str, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.loader.fault(self.toml, Some(line), key, what, hint);
    }

    fn words(&self, locale: &str) -> Option<&'c Words> {
        self.manifest.words.get(locale)
    }

    /// The mail of a locale, or nothing if the locale has none of its own.
    pub(super) fn email(&mut self, locale: &str, parts: &Parts, root: Option<&Parts>) -> Option<EmailParts> {
        let words = self.words(locale);
        let subject = words.and_then(|w| w.subject.as_ref());
        let translated = words.is_some_and(|w| !w.texts.is_empty());
        let head = self.manifest.email.as_ref().filter(|_| locale.is_empty()).map(|h| h.line);
        let line = head.or(words.map(|w| w.line)).unwrap_or(1);
        if self.manifest.email.is_none() {
            if let Some(part) = [&parts.mjml, &parts.html, &parts.text].into_iter().flatten().next() {
                let hint = "write `[email]` with `sender` and `subject`";
                let file = Arc::clone(&part.file);
                self.loader.fault(
                    &file,
                    None,
                    "",
                    "there is a mail part, but no `[email]` in template.toml",
                    Some(hint.into()),
                );
            }
            return None;
        }
        let key = |k: &str| if locale.is_empty() { k.to_owned() } else { format!("locale.{locale}.{k}") };
        if !locale.is_empty() && !parts.has_email() && !translated {
            if subject.is_some() {
                self.fault(line, &key("email.subject"), "the subject is translated, but nothing of the mail is", "");
            }
            return None;
        }
        // Words alone: the root's parts with these words. A folder's own parts win.
        let from = if parts.has_email() { parts } else { root? };
        if !from.has_email() {
            let hint = "add `email.mjml.hbs`, `email.html.hbs` or `email.txt.hbs`";
            self.fault(line, &key("email"), "the mail has no part", hint);
            return None;
        }
        let Some(subject) = subject else {
            if !locale.is_empty() {
                self.fault(line, &key("email.subject"), "is missing; the mail is translated, its subject is not", "");
            }
            return None;
        };
        let subject = self.line(subject, &key("email.subject"), locale);
        let html = match (&from.mjml, &from.html) {
            (Some(part), _) => Some(self.part(part, Kind::Mjml, "email.mjml.hbs", locale)),
            (None, Some(part)) => Some(self.part(part, Kind::Html, "email.html.hbs", locale)),
            (None, None) => None,
        };
        let (html, nodes) = match html {
            Some(compiled) => compiled.map(|(part, nodes)| (Some(part), Some(nodes)))?,
            None => (None, None),
        };
        let (text, derived) = match (&from.text, nodes) {
            (Some(part), _) => (self.part(part, Kind::Text, "email.txt.hbs", locale).map(|(part, _)| part), false),
            (None, Some(nodes)) => {
                let pos = from.mjml.as_ref().or(from.html.as_ref()).map(SourcePart::pos)?;
                (
                    self.add(
                        &plaintext::from_html(&nodes),
                        Kind::Text,
                        "email.txt.hbs (made of the HTML)",
                        locale,
                        &pos,
                    ),
                    true,
                )
            }
            (None, None) => (None, false),
        };
        Some(EmailParts { subject: subject?, html, text: text?, derived })
    }

    /// The SMS of a locale, or nothing if the locale has none of its own.
    pub(super) fn sms(&mut self, locale: &str, parts: &Parts, root: Option<&Parts>) -> Option<SmsParts> {
        let words = self.words(locale);
        let head = self.manifest.sms.as_ref().filter(|_| locale.is_empty()).map(|h| h.line);
        let line = head.or(words.map(|w| w.line)).unwrap_or(1);
        let key = |k: &str| if locale.is_empty() { k.to_owned() } else { format!("locale.{locale}.{k}") };
        let plain = self.words("");
        if self.manifest.sms.is_none() {
            if let Some(part) = &parts.sms {
                let hint = "write `[sms]` with `sender`".to_owned();
                let file = Arc::clone(&part.file);
                self.loader.fault(&file, None, "", "there is an SMS part, but no `[sms]` in template.toml", Some(hint));
            } else if words.is_some_and(|w| w.sms_text.is_some()) {
                self.fault(line, &key("sms.text"), "there is no `[sms]` with a sender", "");
            }
            return None;
        }
        let own_text = words.and_then(|w| w.sms_text.as_ref());
        let dlt_template_id = words.and_then(|w| w.dlt_template_id.clone());
        let body = match (own_text, &parts.sms) {
            (Some(text), Some(_)) => {
                self.fault(text.line, &key("sms.text"), "stands beside a part `sms.txt.hbs`", "keep one of them");
                return None;
            }
            (Some(text), None) => {
                let vars = words.and_then(|w| w.sms_vars.as_ref()).or_else(|| plain.and_then(|p| p.sms_vars.as_ref()));
                self.fixed_sms(text, vars.map_or(&[], Vec::as_slice), &key("sms"), locale)?
            }
            (None, Some(part)) => {
                if let Some(vars) = words.and_then(|w| w.sms_vars.as_ref()).and_then(|v| v.first()) {
                    self.fault(vars.line, &key("sms.vars"), "belong to a fixed `text`, not to `sms.txt.hbs`", "");
                }
                SmsBody::Free(self.part(part, Kind::Text, "sms.txt.hbs", locale)?.0)
            }
            (None, None) if locale.is_empty() => {
                let hint = "write `text = \"…\"`, or add a part `sms.txt.hbs`";
                self.fault(line, "sms.text", "the SMS has no text", hint);
                return None;
            }
            (None, None) => {
                let part = root?.sms.as_ref().filter(|p| uses_texts(&p.nodes))?;
                words.filter(|w| !w.texts.is_empty())?;
                SmsBody::Free(self.part(part, Kind::Text, "sms.txt.hbs", locale)?.0)
            }
        };
        Some(SmsParts { body, dlt_template_id })
    }

    /// `text` with `{{1}}`, `{{2}}`, … in order.
    fn fixed_sms(&mut self, text: &Lined<String>, vars: &[Lined<String>], key: &str, locale: &str) -> Option<SmsBody> {
        let mut pieces = Vec::new();
        let mut rest = text.value.as_str();
        for number in 1..=vars.len() {
            let mark = format!("{{{{{number}}}}}");
            let Some((before, after)) = rest.split_once(&mark) else {
                let what =
                    format!("has no `{mark}` after `{{{{{}}}}}`, but `vars` has {} values", number - 1, vars.len());
                self.fault(
                    text.line,
                    &format!("{key}.text"),
                    &what,
                    "every variable stands in the text once, in order",
                );
                return None;
            };
            pieces.push(before.to_owned());
            rest = after;
        }
        pieces.push(rest.to_owned());
        if pieces.iter().any(|p| p.contains("{{") || p.contains("}}")) {
            let what = format!("holds a tag that is none of `{{{{1}}}}` to `{{{{{}}}}}`", vars.len());
            self.fault(
                text.line,
                &format!("{key}.text"),
                &what,
                "put the tag into `vars` and its number into the text",
            );
            return None;
        }
        if text.value.trim().is_empty() {
            self.fault(text.line, &format!("{key}.text"), "is empty", "");
            return None;
        }
        let mut parts = Vec::new();
        // The text with its variables in place: what a phone sees, and looks for links in.
        let pos = Pos { file: Arc::clone(self.toml), line: text.line };
        let mut whole = vec![Node::Text { text: pieces[0].clone(), pos: pos.clone() }];
        for (i, var) in vars.iter().enumerate() {
            let name = format!("{key}.vars[{i}]");
            let (part, nodes) = self.lined(var, &name, locale)?;
            parts.push(part);
            whole.extend(nodes);
            whole.push(Node::Text { text: pieces[i + 1].clone(), pos: pos.clone() });
        }
        let issues = links::check_plain(&whole);
        let fine = issues.is_empty();
        self.loader.issues(issues, &format!("{key}.text"));
        fine.then_some(SmsBody::Fixed { pieces, vars: parts })
    }

    /// A part that is a line of `template.toml`.
    fn line(&mut self, text: &Lined<String>, name: &str, locale: &str) -> Option<Part> {
        self.lined(text, name, locale).map(|(part, _)| part)
    }

    fn lined(&mut self, text: &Lined<String>, name: &str, locale: &str) -> Option<(Part, Vec<Node>)> {
        let positions = Positions::File { file: self.toml, first_line: text.line };
        match parse_at(&text.value, &positions) {
            Ok(nodes) => self.part(&SourcePart { file: Arc::clone(self.toml), nodes }, Kind::Text, name, locale),
            Err(issue) => {
                self.loader.issue(issue, name);
                None
            }
        }
    }

    /// Expands, converts, inlines, checks and compiles a part; gives its final tree too.
    fn part(&mut self, part: &SourcePart, kind: Kind, name: &str, locale: &str) -> Option<(Part, Vec<Node>)> {
        let nodes = match self.expanded(part, kind, locale) {
            Ok(nodes) => nodes,
            Err(issue) => {
                self.loader.issue(issue, name);
                return None;
            }
        };
        let css = if kind == Kind::Html { inline::at_load(&nodes, &part.pos()) } else { Ok(Css::None) };
        let (nodes, css_at_render) = match css {
            Ok(Css::None) => (nodes, false),
            Ok(Css::AtLoad(inlined)) => (inlined, false),
            Ok(Css::AtRender) => (nodes, true),
            Err(issue) => {
                self.loader.issue(issue, name);
                return None;
            }
        };
        let part = self.add(&nodes, kind, name, locale, &part.pos())?;
        Some((Part { css_at_render, ..part }, nodes))
    }

    fn expanded(&mut self, part: &SourcePart, kind: Kind, locale: &str) -> Result<Vec<Node>, Issue> {
        let texts = self.texts(locale, kind)?;
        let tag = if locale.is_empty() { self.manifest.locale.as_str() } else { locale };
        let direction = helpers::direction(tag);
        let (start, end) = if direction == "rtl" { ("right", "left") } else { ("left", "right") };
        let words: BTreeMap<&'static str, String> =
            [("lang", tag), ("dir", direction), ("start", start), ("end", end)].map(|(k, v)| (k, v.to_owned())).into();
        let library = match kind {
            Kind::Mjml => &self.loader.libraries.mjml,
            Kind::Html => &self.loader.libraries.html,
            Kind::Text => &self.loader.libraries.txt,
        };
        let expanded = expand(&part.nodes, &Fixed { library, texts: &texts, words: &words })?;
        self.included.extend(expanded.files);
        if kind == Kind::Mjml { mjml::to_html(&expanded.nodes, &part.pos()) } else { Ok(expanded.nodes) }
    }

    /// The texts of a locale, read; in HTML parts their own characters are escaped.
    fn texts(&mut self, locale: &str, kind: Kind) -> Result<BTreeMap<String, Vec<Node>>, Issue> {
        let mut out = BTreeMap::new();
        for (key, text) in self.words(locale).into_iter().flat_map(|w| &w.texts) {
            let mut nodes = parse_at(&text.value, &Positions::File { file: self.toml, first_line: text.line })?;
            if kind != Kind::Text {
                escape(&mut nodes);
            }
            out.insert(key.clone(), nodes);
        }
        Ok(out)
    }

    /// Checks a final tree and gives it to the engine.
    fn add(&mut self, nodes: &[Node], kind: Kind, name: &str, locale: &str, pos: &Pos) -> Option<Part> {
        let mut issues = check(nodes, &Rules { reads: &self.reads, tables: &self.loader.tables }, &mut self.uses);
        issues.extend(if kind == Kind::Text { links::check_plain(nodes) } else { links::check_html(nodes) });
        let fine = issues.is_empty();
        self.loader.issues(issues, name);
        let source = match write(nodes, Mode::Engine) {
            Ok(source) if source.len() > MAX_COMPILED => {
                let what = format!("is longer than {MAX_COMPILED} bytes with everything put in place");
                self.loader.issue(Issue::new(pos, what), name);
                return None;
            }
            Ok(source) => source,
            Err(issue) => {
                self.loader.issue(issue, name);
                return None;
            }
        };
        if !fine {
            return None;
        }
        let part = Part {
            key: format!("{}\u{1f}{locale}\u{1f}{name}", self.id),
            name: if locale.is_empty() { name.to_owned() } else { format!("{name} ({locale})") },
            css_at_render: false,
        };
        let escape = if kind == Kind::Text { Escape::Plain } else { Escape::Html };
        match self.engine.add(&part.key, escape, &source) {
            Ok(()) => Some(part),
            Err(error) => {
                self.loader.issue(Issue::new(pos, format!("cannot be compiled: {error}")), name);
                None
            }
        }
    }
}

fn escape(nodes: &mut [Node]) {
    for node in nodes {
        match node {
            Node::Text { text, .. } => *text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
            Node::Block { body, arms, .. } => {
                escape(body);
                for arm in arms {
                    escape(&mut arm.body);
                }
            }
            Node::Include { body, .. } => escape(body.as_deref_mut().unwrap_or_default()),
            Node::Value { .. } => {}
        }
    }
}

fn uses_texts(nodes: &[Node]) -> bool {
    let texts = |path: &Path| path.head() == "texts";
    let mut found = false;
    walk(nodes, &mut |node| match node {
        Node::Value { call, .. } => found |= texts(&call.head),
        Node::Include { hash, .. } => found |= hash.iter().any(|(_, a)| matches!(a, Arg::Path(p) if texts(p))),
        _ => {}
    });
    found
}
