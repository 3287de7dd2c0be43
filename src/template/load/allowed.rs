//! What the platform lets a template do. The template asks; the configuration permits.

use super::Loader;
use crate::config::Allow;
use crate::id::{Category, TemplateId};
use crate::template::manifest::Manifest;

impl Loader<'_> {
    /// Compares a template's wishes with its permission; each fault names the key to change.
    pub(super) fn allowed(&mut self, id: &TemplateId, path: &str, manifest: &Manifest, allow: &Allow) {
        let category = manifest.category.value;
        if !allow.categories.contains(&category) {
            let word = word(category);
            let what = format!("category `{word}` is not allowed for this template");
            self.fault(
                path,
                Some(manifest.category.line),
                "template.category",
                what,
                Some(hint(id, "categories", word)),
            );
        }
        for read in manifest.reads.iter().filter(|r| !allow.reads.contains(&r.value)) {
            let what = format!("personal field `{}` is not allowed for this template", read.value);
            self.fault(path, Some(read.line), "template.reads", what, Some(hint(id, "reads", &read.value)));
        }
        let email = manifest.email.as_ref().map(|h| ("email.sender", &h.sender));
        let sms = manifest.sms.as_ref().map(|h| ("sms.sender", &h.sender));
        for (key, sender) in email.into_iter().chain(sms) {
            if !allow.senders.contains(&sender.value) {
                let what = format!("sender `{}` is not allowed for this template", sender.value);
                self.fault(path, Some(sender.line), key, what, Some(hint(id, "senders", sender.value.as_str())));
            }
        }
    }
}

fn hint(id: &TemplateId, key: &str, word: &str) -> String {
    format!("the platform allows it by adding \"{word}\" to `templates.allow.{id}.{key}` of the configuration")
}

fn word(category: Category) -> &'static str {
    match category {
        Category::Transactional => "transactional",
        Category::Service => "service",
        Category::Promotional => "promotional",
    }
}
