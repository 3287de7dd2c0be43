//! Which files of a template folder are parts, and of which locale.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Loader, SourcePart};
use crate::id::TemplateId;
use crate::template::helpers::nearest;
use crate::template::manifest::{Manifest, is_locale, normal_locale};
use crate::template::syntax::parse;

const NAMES: [&str; 4] = ["email.mjml.hbs", "email.html.hbs", "email.txt.hbs", "sms.txt.hbs"];

/// The parts of one locale.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) mjml: Option<SourcePart>,
    pub(super) html: Option<SourcePart>,
    pub(super) text: Option<SourcePart>,
    pub(super) sms: Option<SourcePart>,
}

impl Parts {
    pub(super) fn has_email(&self) -> bool {
        self.mjml.is_some() || self.html.is_some() || self.text.is_some()
    }
}

impl Loader<'_> {
    /// All parts by locale (the empty name is the root); locales of `template.toml` are among them.
    pub(super) fn parts(&mut self, id: &TemplateId, manifest: &Manifest) -> BTreeMap<String, Parts> {
        let mut out: BTreeMap<String, Parts> = manifest.words.keys().map(|l| (l.clone(), Parts::default())).collect();
        let own = format!("{id}/");
        let files = self.files;
        for (path, text) in files {
            let Some(rest) = path.strip_prefix(&own).filter(|r| r.ends_with(".hbs")) else { continue };
            let (locale, name) = rest.rsplit_once('/').unwrap_or(("", rest));
            if !locale.is_empty() && !is_locale(locale) {
                let hint = "folders of a template are locales (`hi`, `ar-SA`) and `examples`".to_owned();
                self.fault(path, None, "", format!("`{locale}` is not a locale"), Some(hint));
                continue;
            }
            if !NAMES.contains(&name) {
                let hint = match nearest(name, NAMES.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("parts are {}", NAMES.join(", ")),
                };
                self.fault(path, None, "", format!("`{name}` is not a part"), Some(hint));
                continue;
            }
            let nodes = match parse(path, text) {
                Ok(nodes) => nodes,
                Err(issue) => {
                    self.issue(issue, name);
                    continue;
                }
            };
            let part = Some(SourcePart { file: Arc::clone(path), nodes });
            let parts = out.entry(normal_locale(locale)).or_default();
            match name {
                "email.mjml.hbs" => parts.mjml = part,
                "email.html.hbs" => parts.html = part,
                "email.txt.hbs" => parts.text = part,
                _ => parts.sms = part,
            }
            if parts.mjml.is_some() && parts.html.is_some() {
                let hint = "keep one of `email.mjml.hbs` and `email.html.hbs`".to_owned();
                self.fault(path, None, name, "the mail has two HTML parts in one locale", Some(hint));
            }
        }
        out
    }
}
