//! From files to compiled templates, with every fault of all of them at once.
//!
//! Promises: a template with one fault does not load; what loads was expanded, converted, checked and compiled in every locale; its
//! version is a hash of all that went into it.
//! Never: a template that the platform's configuration does not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::check::Uses;
use super::engine::Engine;
use super::expand::Library;
use super::manifest::{self, Manifest};
use super::source::Files;
use super::syntax::{Issue, Node, Pos, parse};
use super::tables::Tables;
use super::{TemplateInfo, TemplateSet, TemplateSource, helpers, source};
use crate::config::{Allow, Fault};
use crate::id::{Channel, TemplateId};

mod allowed;
mod compile;
mod parts;

use compile::Compiler;

/// A compiled part: its key in the engine, and its name for errors.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) key: String,
    pub(super) name: String,
    /// Its CSS is to be inlined when it is rendered.
    pub(super) css_at_render: bool,
}

/// The mail of one locale.
#[derive(Debug)]
pub(super) struct EmailParts {
    pub(super) subject: Part,
    pub(super) html: Option<Part>,
    pub(super) text: Part,
    /// The text was made of the HTML and wants [`super::plaintext::tidy`].
    pub(super) derived: bool,
}

/// The SMS of one locale.
#[derive(Debug)]
pub(super) struct SmsParts {
    pub(super) body: SmsBody,
    pub(super) dlt_template_id: Option<String>,
}

/// How an SMS is made.
#[derive(Debug)]
pub(super) enum SmsBody {
    /// Fixed text between variables; `pieces` is one longer than `vars`.
    Fixed {
        pieces: Vec<String>,
        vars: Vec<Part>,
    },
    Free(Part),
}

/// One template, compiled.
pub(super) struct Template {
    pub(super) info: TemplateInfo,
    /// Language of the parts outside locale folders.
    pub(super) locale: String,
    /// Parts by locale; the empty name is the root.
    pub(super) email: BTreeMap<String, EmailParts>,
    pub(super) sms: BTreeMap<String, SmsParts>,
    pub(super) max_var_chars: usize,
    pub(super) dlt_by_org: BTreeMap<(i64, String), String>,
    pub(super) uses: Uses,
    /// File names and texts.
    pub(super) examples: Vec<(Arc<str>, String)>,
}

/// Partials by kind of part.
#[derive(Default)]
struct Libraries {
    mjml: Library,
    html: Library,
    txt: Library,
}

/// Everything that is shared while loading.
struct Loader<'l> {
    root: PathBuf,
    files: &'l Files,
    faults: Vec<Fault>,
    libraries: Libraries,
    tables: Tables,
}

/// Loads a source.
pub(super) fn load(
    from: &TemplateSource,
    allow: Option<&BTreeMap<TemplateId, Allow>>,
) -> Result<TemplateSet, Vec<Fault>> {
    load_files(source::read(from), TemplateSet::describe(from), allow)
}

/// Loads what was read below `root`.
pub(super) fn load_files(
    (files, issues): (Files, Vec<Issue>),
    root: PathBuf,
    allow: Option<&BTreeMap<TemplateId, Allow>>,
) -> Result<TemplateSet, Vec<Fault>> {
    let mut loader =
        Loader { root, files: &files, faults: Vec::new(), libraries: Libraries::default(), tables: Tables::default() };
    loader.issues(issues, "");
    loader.shared();
    let mut engine = Engine::default();
    let mut templates = BTreeMap::new();
    for id in loader.ids() {
        let permission = allow.map(|a| a.get(&id));
        if permission.is_some_and(|p| !p.is_some_and(|p| p.enabled)) {
            continue;
        }
        if let Some(template) = loader.template(&id, permission.flatten(), &mut engine) {
            templates.insert(id, template);
        }
    }
    for id in allow.into_iter().flatten().filter(|(_, a)| a.enabled).map(|(id, _)| id) {
        if !loader.exists(id) {
            let known: Vec<TemplateId> = loader.ids();
            let near = helpers::nearest(id.as_str(), known.iter().map(TemplateId::as_str))
                .map(|n| format!("did you mean `{n}`?"));
            loader.faults.push(Fault {
                // Of the configuration, which knows the line of its key.
                file: "configuration".into(),
                line: None,
                key: format!("templates.allow.{id}"),
                what: "no template has this name".into(),
                hint: near,
            });
        }
    }
    let Loader { mut faults, tables, .. } = loader;
    faults.sort();
    faults.dedup();
    if faults.is_empty() { Ok(TemplateSet { templates, engine, tables: Arc::new(tables) }) } else { Err(faults) }
}

impl<'l> Loader<'l> {
    fn fault(&mut self, file: &str, line: Option<usize>, key: &str, what: impl Into<String>, hint: Option<String>) {
        let file = if file.is_empty() { self.root.clone() } else { self.root.join(file) };
        self.faults.push(Fault { file, line: line.filter(|l| *l > 0), key: key.into(), what: what.into(), hint });
    }

    fn issue(&mut self, issue: Issue, key: &str) {
        let Issue { pos, what, hint } = issue;
        self.fault(&pos.file, Some(pos.line), key, what, hint);
    }

    fn issues(&mut self, issues: Vec<Issue>, key: &str) {
        for issue in issues {
            self.issue(issue, key);
        }
    }

    /// Tables, partials and layouts.
    fn shared(&mut self) {
        for (path, text) in self.files {
            if let Some(name) = path.strip_prefix("_tables/").and_then(|p| p.strip_suffix(".csv")) {
                let issues = self.tables.add(name, path, text);
                self.issues(issues, "");
                continue;
            }
            let Some(name) = path.strip_prefix("_layouts/").or_else(|| path.strip_prefix("_partials/")) else {
                if path.starts_with('_') {
                    let hint = "shared folders are `_layouts`, `_partials` and `_tables`".to_owned();
                    self.fault(path, None, "", "stands in a folder that is not known", Some(hint));
                }
                continue;
            };
            let Some(stem) = name.strip_suffix(".hbs") else { continue };
            let (name, kinds) = match stem.rsplit_once('.') {
                Some((name, kind @ ("mjml" | "html" | "txt"))) => (name, vec![kind]),
                None => (stem, vec!["mjml", "html", "txt"]),
                Some(_) => (stem, Vec::new()),
            };
            let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            if kinds.is_empty() || !plain {
                let hint = "expected `name.mjml.hbs`, `name.html.hbs`, `name.txt.hbs` or `name.hbs`".to_owned();
                self.fault(path, None, "", "is not the name of a partial", Some(hint));
                continue;
            }
            match parse(path, text) {
                Ok(nodes) => {
                    for kind in kinds {
                        let issue = self.library(kind).add(name, Arc::clone(path), nodes.clone());
                        self.issues(issue.into_iter().collect(), "");
                    }
                }
                Err(issue) => self.issue(issue, ""),
            }
        }
        for kind in ["mjml", "html", "txt"] {
            let issues = self.library(kind).check();
            self.issues(issues, "");
        }
    }

    fn library(&mut self, kind: &str) -> &mut Library {
        match kind {
            "mjml" => &mut self.libraries.mjml,
            "html" => &mut self.libraries.html,
            _ => &mut self.libraries.txt,
        }
    }

    /// Folders that are templates; a folder whose name cannot be one is a fault.
    fn ids(&mut self) -> Vec<TemplateId> {
        let files = self.files;
        let folders: BTreeSet<&str> =
            files.keys().filter_map(|p| p.split_once('/')).map(|(folder, _)| folder).collect();
        let mut ids = Vec::new();
        for folder in folders.into_iter().filter(|f| !f.starts_with('_')) {
            match folder.parse() {
                Ok(id) => ids.push(id),
                Err(error) => {
                    let error: crate::id::IdError = error;
                    self.fault(folder, None, "", error.to_string(), None);
                }
            }
        }
        ids
    }

    fn exists(&self, id: &TemplateId) -> bool {
        self.files.keys().any(|p| p.strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with('/')))
    }

    fn template(&mut self, id: &TemplateId, allow: Option<&Allow>, engine: &mut Engine) -> Option<Template> {
        let before = self.faults.len();
        let path: Arc<str> = Arc::from(format!("{id}/template.toml"));
        let files = self.files;
        let Some(toml) = files.get(&path) else {
            self.fault(&path, None, "", "is missing", Some("every template has a `template.toml`".into()));
            return None;
        };
        let (manifest, wrongs) = manifest::read(toml);
        for wrong in wrongs {
            self.fault(&path, Some(wrong.line), &wrong.key, wrong.what, wrong.hint);
        }
        let manifest = manifest?;
        if let Some(allow) = allow {
            self.allowed(id, &path, &manifest, allow);
        }
        let found = self.parts(id, &manifest);
        let mut compiler = Compiler::new(self, id, &path, &manifest, engine);
        let mut email = BTreeMap::new();
        let mut sms = BTreeMap::new();
        for (locale, parts) in &found {
            if let Some(parts) = compiler.email(locale, parts, found.get("")) {
                email.insert(locale.clone(), parts);
            }
            if let Some(parts) = compiler.sms(locale, parts, found.get("")) {
                sms.insert(locale.clone(), parts);
            }
        }
        let (uses, included) = compiler.finish();
        if email.is_empty() && sms.is_empty() && self.faults.len() == before {
            let hint = "add `[email]` with `email.mjml.hbs`, or `[sms]` with `text`".to_owned();
            self.fault(&path, None, "", "the template has no message", Some(hint));
        }
        if self.faults.len() > before {
            return None;
        }
        let version = self.version(id, &included, &uses);
        Some(self.assemble(id, manifest, toml, version, email, sms, uses))
    }

    #[expect(clippy::too_many_arguments, reason = "the pieces of one value, used once")]
    fn assemble(
        &self,
        id: &TemplateId,
        manifest: Manifest,
        toml: &str,
        version: String,
        email: BTreeMap<String, EmailParts>,
        sms: BTreeMap<String, SmsParts>,
        uses: Uses,
    ) -> Template {
        let mut channels = BTreeMap::new();
        if let Some(head) = manifest.email.filter(|_| !email.is_empty()) {
            channels.insert(Channel::Email, head.sender.value);
        }
        let mut max_var_chars = usize::MAX;
        if let Some(head) = manifest.sms.filter(|_| !sms.is_empty()) {
            channels.insert(Channel::Sms, head.sender.value);
            max_var_chars = head.max_var_chars;
        }
        let names: BTreeSet<&String> = email.keys().chain(sms.keys()).collect();
        let locales =
            names.into_iter().map(|l| if l.is_empty() { manifest.locale.clone() } else { l.clone() }).collect();
        let folder = format!("{id}/examples/");
        let examples = self.files.iter().filter(|(path, _)| path.starts_with(&folder) && path.ends_with(".json"));
        Template {
            info: TemplateInfo {
                id: id.clone(),
                version,
                category: manifest.category.value,
                reads: manifest.reads.into_iter().map(|r| r.value).collect(),
                brake_per_hour: manifest.brake_per_hour,
                channels,
                locales,
                file: self.root.join(format!("{id}/template.toml")),
                toml: toml.to_owned(),
            },
            locale: manifest.locale,
            email,
            sms,
            max_var_chars,
            dlt_by_org: manifest.dlt_by_org,
            uses,
            examples: examples.map(|(p, t)| (Arc::clone(p), t.clone())).collect(),
        }
    }

    /// First 16 hex digits of SHA-256 over the names and texts of everything that a message is made of.
    fn version(&self, id: &TemplateId, included: &BTreeSet<Arc<str>>, uses: &Uses) -> String {
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let (own, examples) = (format!("{id}/"), format!("{id}/examples/"));
        for (path, text) in self.files {
            let table = path.strip_prefix("_tables/").and_then(|p| p.strip_suffix(".csv"));
            let part = (path.starts_with(&own) && !path.starts_with(&examples))
                || included.contains(path)
                || table.is_some_and(|t| uses.tables.contains(t));
            if part {
                for bytes in [path.as_bytes(), text.as_bytes()] {
                    // Lengths, so that no text can pass for a border.
                    digest.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
                    digest.update(bytes);
                }
            }
        }
        digest.finish().as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect()
    }
}

/// A part of a template folder, read.
pub(super) struct SourcePart {
    pub(super) file: Arc<str>,
    pub(super) nodes: Vec<Node>,
}

impl SourcePart {
    pub(super) fn pos(&self) -> Pos {
        Pos { file: Arc::clone(&self.file), line: 1 }
    }
}
