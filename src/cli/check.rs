//! `check`, `config show`.
//!
//! Promises: every fault of configuration, rules, templates and their examples at once; templates alone need no configuration.
//! Never: a secret's value; a store or a listener opened.

use std::collections::BTreeMap;
use std::path::Path;

use crate::app;
use crate::config::{Config, Fault, Faults, Org};
use crate::provider::Providers;
use crate::rules::RuleSet;
use crate::template::{TemplateSet, TemplateSource};
use crate::{clock::Clock, telemetry::Metrics};

use super::print;

/// `check`
pub(super) fn check(
    file: Option<&Path>,
    templates: Option<&Path>,
    env: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    let mut said = Vec::new();
    let config = match (file, templates) {
        // A laptop: templates alone.
        (None, Some(_)) => None,
        _ => match super::load(file, env) {
            Ok(config) => {
                super::warn(file, env)?;
                Some(config)
            }
            Err(error) => match error.downcast::<Faults>() {
                Ok(found) => {
                    faults.extend(found.0);
                    None
                }
                Err(other) => return Err(other),
            },
        },
    };
    if let Some(config) = &config {
        said.push("configuration".to_owned());
        if let Err(found) = Providers::build(&config.providers, Clock::system(), Metrics::new()) {
            faults.extend(found.0);
        }
        if let Err(found) = app::load_templates(config) {
            faults.extend(found.0);
        }
    }
    let source = template_source(templates, config.as_deref());
    let (count, found) = check_templates(&source, &any_org(config.as_deref()));
    said.push(format!("{count} templates with their rules and examples"));
    faults.extend(found);
    faults.sort();
    faults.dedup();
    if faults.is_empty() {
        print::out(&format!("no faults in {}", said.join(" and ")));
        return Ok(());
    }
    let count = faults.len();
    Err(anyhow::Error::new(Faults(faults)).context(format!("{count} {}", if count == 1 { "fault" } else { "faults" })))
}

/// Templates by themselves: parts, rules, and every example with and without each optional value.
fn check_templates(source: &TemplateSource, org: &Org) -> (usize, Vec<Fault>) {
    let templates = match TemplateSet::load(source, None) {
        Ok(templates) => templates,
        Err(faults) => return (0, faults),
    };
    let mut faults = templates.check_examples(org);
    let mut rules = Vec::new();
    for info in templates.all() {
        match RuleSet::parse(&info.id, &info.file, &info.toml) {
            Ok(parsed) => rules.extend(parsed),
            Err(found) => faults.extend(found),
        }
    }
    if let Err(found) = RuleSet::compile(rules) {
        faults.extend(found);
    }
    (templates.all().len(), faults)
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
    if let Some(org) = config.and_then(|c| c.orgs.values().next()) {
        return org.clone();
    }
    Org {
        name: "Your Brand".into(),
        currency: "INR".into(),
        time_zone: jiff::tz::TimeZone::UTC,
        locale: "en".into(),
        namespace: "example".parse().expect("a word is a namespace"),
        senders: BTreeMap::new(),
        links: [("home", "https://example.com/"), ("account", "https://example.com/account")]
            .map(|(name, link)| (name.to_owned(), link.to_owned()))
            .into(),
    }
}
