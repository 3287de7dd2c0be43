//! What a single value cannot tell: missing keys, keys of the wrong type, and values that do not go together.
//!
//! Promises: works on the merged settings, before anything is built, so that these faults come with all the others;
//! says nothing about a value that has already been refused.
//! Never: I/O.

use std::time::Duration;

use super::layer::Rank;
use super::report::Report;
use super::schema::{ROWS, dotted};
use super::secrets::Secrets;
use super::settings::{Settings, at};
use super::value::format_duration;

mod doors;
mod feeds;
mod lookups;
mod orgs;
mod providers;
mod signatures;

/// Capillary's logs reach back 30 days (capillary/reference.md): an event can be sent again from there, and must be known.
const KEEP_AT_LEAST: Duration = Duration::from_secs(31 * 86_400);

/// What a check looks at and where it reports.
struct Check<'c> {
    settings: &'c Settings,
    secrets: &'c Secrets,
    report: &'c mut Report,
}

/// Runs every check.
pub(super) fn run(settings: &Settings, secrets: &Secrets, report: &mut Report) {
    let mut check = Check { settings, secrets, report };
    check.required();
    check.belonging();
    check.relay();
    check.storage();
    doors::check(&mut check);
    orgs::check(&mut check);
    providers::check(&mut check);
    lookups::check(&mut check);
    feeds::check(&mut check);
}

impl Check<'_> {
    fn fault(&mut self, path: &[String], what: impl Into<String>, hint: impl Into<String>) {
        self.report.fault(&self.settings.place(path), dotted(path), what, Some(hint.into()));
    }

    fn warn(&mut self, path: &[String], what: impl Into<String>, hint: impl Into<String>) {
        self.report.warn(&self.settings.place(path), dotted(path), what, Some(hint.into()));
    }

    fn names(&self, path: &[&str]) -> Vec<String> {
        self.settings.names(&at(path)).into_iter().collect()
    }

    fn required(&mut self) {
        for row in ROWS.iter().filter(|row| row.required) {
            for path in self.settings.places_of(row) {
                if self.settings.get(&path).is_none() && self.settings.needs(row, &path) {
                    let hint = format!("add `{} = …`: {}", row.name(), row.kind.expected());
                    self.fault(&path, "missing", hint);
                }
            }
        }
    }

    /// Keys that another type of provider has.
    fn belonging(&mut self) {
        for row in ROWS.iter().filter(|row| !row.types.is_empty()) {
            for path in self.settings.places_of(row) {
                // Presets stand above nothing of the operator's: only what a person wrote is a fault.
                if self.settings.get(&path).is_some()
                    && self.settings.origin(&path).rank >= Rank::File
                    && !self.settings.has_type(row, &path)
                {
                    let kind = self.settings.text(&at(&["provider", &path[1], "type"])).unwrap_or_default().to_owned();
                    let types = row.types.iter().map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(" or ");
                    self.fault(&path, format!("belongs to type {types}, this provider is \"{kind}\""), "take it out");
                }
            }
        }
    }

    fn relay(&mut self) {
        let (expires, waits) = (at(&["relay", "expires_after"]), at(&["relay", "wait_for_contact"]));
        let mode = self.settings.text(&at(&["relay", "mode"])).unwrap_or_default().to_owned();
        if let (Some(wait), Some(expiry)) = (self.settings.span(&waits), self.settings.span(&expires))
            && wait > expiry
        {
            let what = format!("longer than relay.expires_after ({})", format_duration(expiry));
            self.warn(&waits, what, "a contact that comes after the expiry cannot be written to any more");
        }
        let drain = at(&["relay", "drain_timeout"]);
        if self.settings.span(&drain).is_some_and(|d| d < Duration::from_secs(5)) {
            self.warn(
                &drain,
                "shorter than most sends",
                "sends that a stop cuts off become ambiguous; 20s fits most platforms",
            );
        }
        if mode == "pilot" && self.settings.items(&at(&["relay", "pilot"])).is_some_and(<[_]>::is_empty) {
            self.warn(
                &at(&["relay", "pilot"]),
                "empty, so pilot mode writes to nobody",
                "list people as \"external_id:GT0042\"",
            );
        }
        if self.names(&["source"]).is_empty() {
            self.warn(&at(&["source"]), "no source is configured, so no event can come in", "add [source.<name>]");
        }
        if self.names(&["org"]).is_empty() {
            self.warn(&at(&["org"]), "no org is configured, so nothing is ever sent", "add [org.<id>]");
        }
    }

    fn storage(&mut self) {
        let keep = at(&["storage", "keep_events"]);
        let kept = self.settings.span(&keep);
        if kept.is_some_and(|kept| kept < KEEP_AT_LEAST) {
            self.fault(
                &keep,
                "shorter than 31d",
                "Capillary can repeat events of the last 30 days, and a forgotten one would be sent again",
            );
        }
        let expires = at(&["relay", "expires_after"]);
        if let (Some(kept), Some(expiry)) = (kept, self.settings.span(&expires))
            && expiry > kept
        {
            let what = format!("longer than storage.keep_events ({})", format_duration(kept));
            self.warn(&expires, what, "what waits longer is forgotten with its event");
        }
        let (file, dir) = (at(&["keys", "file"]), at(&["storage", "dir"]));
        if let (Some(file_at), Some(dir_at)) = (self.settings.path(&file), self.settings.path(&dir))
            && file_at.starts_with(&dir_at)
        {
            self.warn(&file, "lies inside storage.dir", "a copy of the stores would carry the key that opens them");
        }
    }
}
