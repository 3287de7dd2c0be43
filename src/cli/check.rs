//! `check`, `config show`.
//!
//! Promises: every fault of configuration, keys, storage, rules, templates and their examples at once; templates alone need no
//! configuration.
//! Never: a secret's value; a store or a listener opened; a directory made.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::app;
use crate::config::{Config, Fault, Faults, Known, Org};
use crate::feed::Webhook;
use crate::lookup::Lookup;
use crate::provider::Providers;
use crate::rules::RuleSet;
use crate::template::{TemplateSet, TemplateSource, example_org};
use crate::{clock::Clock, telemetry::Metrics};

use super::print;
use super::said::Said;

mod places;
mod rules;

/// `check`
pub(super) fn check(
    file: Option<&Path>,
    templates: Option<&Path>,
    env: &BTreeMap<String, String>,
) -> anyhow::Result<Said> {
    let mut faults = Vec::new();
    let mut said = Vec::new();
    // A laptop: templates alone need no configuration. A configuration with faults is looked at as far as it can be.
    let (loaded, known) = match (file, templates) {
        (None, Some(_)) => (None, None),
        _ => match Config::examine(super::file_of(file, env).as_deref(), env) {
            Ok(loaded) => {
                super::warn(&loaded);
                (Some(loaded), None)
            }
            Err((found, known)) => {
                faults.extend(found.0);
                (None, known)
            }
        },
    };
    let config = loaded.as_ref().map(|loaded| &loaded.config);
    if let Some(config) = config.or(known.as_ref().map(|known| &known.config)) {
        said.push("configuration".to_owned());
        let mut found = parts(config, known.as_deref());
        if is_configured(file, env) {
            said.push("key file and storage directory".to_owned());
            found.extend(places::check(config));
        }
        let is_news = |fault: &Fault| known.as_ref().is_none_or(|known| !known.explains(fault));
        faults.extend(found.into_iter().filter(is_news).map(|fault| config.places.locate(fault)));
    }
    let source = template_source(templates, config);
    let (count, found) = check_templates(&source, config);
    said.push(format!("{count} templates with their rules and examples"));
    faults.extend(found);
    faults.sort();
    faults.dedup();
    if faults.is_empty() {
        return Ok(Said::new(json!({ "faults": [] }), |_| format!("no faults in {}", said.join(" and "))));
    }
    let json = json!({ "faults": faults.iter().map(as_json).collect::<Vec<_>>() });
    let count = faults.len();
    let heading = format!("{count} {}", if count == 1 { "fault" } else { "faults" });
    Ok(Said::failed(json, anyhow::Error::new(Faults(faults)).context(heading)))
}

/// What the parts of the house say to their sections.
fn parts(config: &Config, known: Option<&Known>) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Err(found) = Providers::build(&config.providers, Clock::system(), Metrics::new()) {
        faults.extend(found.0);
    }
    if let Some(webhook) = &config.feed.webhook
        && let Err(error) = Webhook::check(webhook, Clock::system())
    {
        faults.push(Fault {
            file: "configuration".into(),
            line: None,
            key: "feed.webhook".into(),
            what: error.0,
            hint: Some("the webhook cannot be posted to as it is".into()),
        });
    }
    if let Err(error) = Lookup::check(config) {
        faults.push(Fault {
            file: "configuration".into(),
            line: None,
            key: format!("lookup.{}", error.namespace),
            what: error.what,
            hint: Some("the directory cannot be asked as it is".into()),
        });
    }
    // Of another folder than the one that is meant everything would be said, and nothing of it true.
    if !known.is_some_and(|known| known.is_faulty("templates.dir"))
        && let Err(found) = app::load_templates(config)
    {
        faults.extend(found.0);
    }
    faults
}

fn as_json(fault: &Fault) -> Value {
    let Fault { file, line, key, what, hint } = fault;
    json!({ "file": file.display().to_string(), "line": line, "key": key, "what": what, "hint": hint })
}

/// True if anybody said how this relay is to run: by a file, or by the environment. The defaults alone are nobody's.
fn is_configured(file: Option<&Path>, env: &BTreeMap<String, String>) -> bool {
    super::file_of(file, env).is_some() || env.keys().any(|name| name.starts_with("SEALPOST__"))
}

/// Templates by themselves: parts, rules, and every example with and without each optional value; then those that may send, for
/// whom they may send.
fn check_templates(source: &TemplateSource, config: Option<&Config>) -> (usize, Vec<Fault>) {
    let manifests = TemplateSet::manifests(source);
    let mut faults = Vec::new();
    if let (TemplateSource::Dir(dir), true) = (source, manifests.is_empty()) {
        faults.push(Fault {
            file: dir.clone(),
            line: None,
            key: String::new(),
            what: "holds no template".into(),
            hint: Some("a template is a folder with a `template.toml` and a part for each channel".into()),
        });
    }
    // Rules are read from the texts, so that a template that does not load hides no fault of its rules.
    let mut rules = Vec::new();
    for (id, file, text) in &manifests {
        match RuleSet::parse(id, file, text) {
            Ok(parsed) => rules.extend(parsed),
            Err(found) => faults.extend(found),
        }
    }
    match TemplateSet::load(source, None) {
        Ok(templates) => {
            faults.extend(templates.check_examples());
            faults.extend(rules::check(&templates, &rules, &example_org().time_zone));
            faults.extend(config.into_iter().flat_map(|config| for_orgs(&templates, config)));
        }
        Err(found) => faults.extend(found),
    }
    if let Err(found) = RuleSet::compile(rules) {
        faults.extend(found);
    }
    (manifests.len(), faults)
}

/// Every allowed template for every org. What nobody allowed sends nothing, so an org need not have what it asks for.
fn for_orgs(templates: &TemplateSet, config: &Config) -> Vec<Fault> {
    let allowed = config.templates.allow.iter().filter(|(_, allow)| allow.enabled);
    let pairs = allowed.flat_map(|(id, _)| config.orgs.iter().map(move |(org_id, org)| (id, *org_id, org)));
    pairs.flat_map(|(id, org_id, org)| templates.check_for(id, org_id, org)).collect()
}

/// `config show`
pub(super) fn show(file: Option<&Path>, env: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let loaded = Config::load(super::file_of(file, env).as_deref(), env)?;
    print::out(&loaded.show());
    Ok(())
}

/// The folder asked for, else the configured one, else the shipped templates.
pub(super) fn template_source(asked: Option<&Path>, config: Option<&Config>) -> TemplateSource {
    match asked.map(Path::to_owned).or_else(|| config?.templates.dir.clone()) {
        Some(dir) => TemplateSource::Dir(dir),
        None => TemplateSource::Embedded,
    }
}

/// A brand to render for: the first configured one, or a made-up one on a marketer's laptop.
pub(super) fn any_org(config: Option<&Config>) -> Org {
    config.and_then(|c| c.orgs.values().next()).cloned().unwrap_or_else(example_org)
}

#[cfg(test)]
mod tests;
