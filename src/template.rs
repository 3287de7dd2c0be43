//! Templates: folders of parts, compiled at load, rendered strictly at send time.
//!
//! Promises: a template that is invalid, unbounded, renders an empty greeting or puts a person into a link does not load;
//! output and work are bounded; a missing value fails that one message with the field's name.
//! Never: the vault (it gets plain data), a network, a log of values, a partial that includes itself by any way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::clock::Time;
use crate::config::{Allow, Fault, Org};
use crate::id::{Category, Channel, OrgId, SenderRole, TemplateId};
use crate::personal::{Customer, Personal};

mod check;
mod context;
mod engine;
mod examples;
mod expand;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod helpers;
mod inline;
mod links;
mod load;
mod manifest;
mod markup;
mod mjml;
mod plaintext;
mod render;
pub mod segments;
mod show;
mod source;
mod syntax;
mod tables;
mod tokens;

pub use examples::{Example, customer as example_customer, example_org};
pub use show::show_content;

/// All templates, compiled. Built once, shared.
pub struct TemplateSet {
    templates: BTreeMap<TemplateId, load::Template>,
    engine: engine::Engine,
    tables: Arc<tables::Tables>,
}

/// What is known of one template without rendering it.
#[derive(Clone, Debug)]
pub struct TemplateInfo {
    /// Its folder's name.
    pub id: TemplateId,
    /// Hash (first 16 hex digits of SHA-256) over its parts and everything they include.
    pub version: String,
    /// What it is for.
    pub category: Category,
    /// The personal fields it may name.
    pub reads: Vec<String>,
    /// Messages an hour before the brake holds the rest.
    pub brake_per_hour: Option<u64>,
    /// Channels it has parts for, with the sender role of each.
    pub channels: BTreeMap<Channel, SenderRole>,
    /// Locales it has parts for.
    pub locales: Vec<String>,
    /// Path of its `template.toml`, for messages.
    pub file: PathBuf,
    /// Text of its `template.toml`: the rules are read from it by `rules`.
    pub toml: String,
}

/// What a message is made of.
pub struct RenderInput<'a> {
    /// The channel to render for.
    pub channel: Channel,
    /// The event's plain facts: `{name, id, org, created_at, data}` as JSON.
    pub event: &'a Value,
    /// The elements this message is about; empty without `each`. `item` is the first.
    pub items: &'a [Value],
    /// Who it is for; only the fields in `reads` are visible to the parts.
    pub customer: &'a Customer,
    /// The brand.
    pub org: &'a Org,
    /// Now, for helpers.
    pub now: Time,
}

/// Rendered parts, not yet addressed.
pub enum Content {
    /// Mail parts.
    Email {
        /// Subject, one line.
        subject: Personal,
        /// HTML part, if the template has one.
        html: Option<Personal>,
        /// Text part.
        text: Personal,
    },
    /// Text message parts.
    Sms {
        /// The whole text.
        text: Personal,
        /// Its variables in order; empty for free-form text.
        vars: Vec<Personal>,
        /// Registration ids: `template_id`, `entity_id`, …
        registration: BTreeMap<String, String>,
    },
}

/// A message that cannot be rendered. Names fields and parts, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RenderError {
    #[error("value `{field}` is missing")]
    Missing { field: String },
    #[error("part {part}: {detail}")]
    Failed { part: String, detail: String },
    #[error("part {part} grows beyond {limit} bytes")]
    TooLarge { part: String, limit: usize },
    #[error("template has no part for {0}")]
    NoPart(Channel),
}

/// Where templates come from.
pub enum TemplateSource {
    /// The shipped ones, compiled in.
    Embedded,
    /// A folder.
    Dir(PathBuf),
}

/// The shipped templates as files: path within the folder, with `/` between folders, and text.
pub fn shipped() -> impl Iterator<Item = (&'static str, &'static str)> {
    source::embedded()
}

impl TemplateSet {
    /// Loads and checks everything; all faults at once. With `allow`, category, reads and senders are checked against the
    /// platform's permission and templates without an entry are left out; without it (a marketer's laptop) every template loads.
    pub fn load(source: &TemplateSource, allow: Option<&BTreeMap<TemplateId, Allow>>) -> Result<Self, Vec<Fault>> {
        load::load(source, allow)
    }
    /// Every `template.toml` of a source, with its template and its path, whether or not the template loads: so that whoever
    /// reads rules from them can tell their faults beside those of the parts.
    pub fn manifests(source: &TemplateSource) -> Vec<(TemplateId, PathBuf, String)> {
        let root = Self::describe(source);
        let (files, _) = source::read(source);
        let manifest = |(path, text): (std::sync::Arc<str>, String)| {
            let id = path.strip_suffix("/template.toml")?.parse().ok()?;
            Some((id, root.join(&*path), text))
        };
        files.into_iter().filter_map(manifest).collect()
    }
    /// What is known of a template.
    pub fn get(&self, id: &TemplateId) -> Option<&TemplateInfo> {
        self.templates.get(id).map(|t| &t.info)
    }
    /// All templates by name.
    pub fn all(&self) -> Vec<&TemplateInfo> {
        self.templates.values().map(|t| &t.info).collect()
    }
    /// The roles to send an event's message as, the most fitting first: the role for the store it comes from (`loyalty-airport`, where
    /// the store's `sender` in `_tables/stores.csv` is `airport`), then the role itself.
    pub fn sender_roles(&self, role: &SenderRole, event: &Value) -> Vec<SenderRole> {
        let variant = context::store_code(event).and_then(|code| self.tables.get("stores", code, "sender"));
        let of_store = variant.and_then(|variant| format!("{role}-{variant}").parse().ok());
        of_store.into_iter().chain([role.clone()]).collect()
    }

    /// Every variant of senders that a store asks for.
    pub fn sender_variants(&self) -> BTreeSet<String> {
        self.tables.column("stores", "sender").map(str::to_owned).collect()
    }

    /// Renders one message. Pure and bounded.
    pub fn render(&self, id: &TemplateId, input: &RenderInput<'_>) -> Result<Content, RenderError> {
        let template = self.templates.get(id).ok_or(RenderError::NoPart(input.channel))?;
        render::render(self, template, input)
    }
    /// Renders every example of every template for the brand that goes with the examples, with and without each optional field;
    /// the faults.
    pub fn check_examples(&self) -> Vec<Fault> {
        examples::check(self)
    }
    /// Renders the examples of one template for a brand of the configuration; what keeps its messages from being made.
    pub fn check_for(&self, id: &TemplateId, org_id: OrgId, org: &Org) -> Vec<Fault> {
        self.templates.get(id).map(|template| examples::check_for(self, template, org_id, org)).unwrap_or_default()
    }
    /// A template's own test data, read; broken files are left out ([`TemplateSet::check_examples`] names them).
    pub fn examples(&self, id: &TemplateId) -> Vec<Example> {
        self.templates.get(id).map(examples::all).unwrap_or_default()
    }
    /// Paths of a template's own test data. Embedded examples have no files: use [`TemplateSet::examples`].
    pub fn example_files(source: &TemplateSource, id: &TemplateId) -> Vec<PathBuf> {
        let TemplateSource::Dir(dir) = source else { return Vec::new() };
        let folder = dir.join(id.as_str()).join("examples");
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let mut files: Vec<PathBuf> =
            entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
        files.sort();
        files
    }
    /// For messages: where a source is.
    pub fn describe(source: &TemplateSource) -> PathBuf {
        match source {
            TemplateSource::Embedded => Path::new("embedded templates").into(),
            TemplateSource::Dir(dir) => dir.clone(),
        }
    }
}

/// False for "NA", ".", "Customer" and the like: such a name is as good as none.
pub fn names_somebody(name: &crate::personal::Personal) -> bool {
    context::names_somebody(name.expose())
}

#[cfg(test)]
mod tests;
