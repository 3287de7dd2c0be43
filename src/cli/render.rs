//! `render`: one message as it would go out, to a made-up customer.
//!
//! Promises: needs no keys, vault or network; an event is decoded as the relay would, so what is stripped there is missing here.
//! Never: a real contact.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use crate::clock::Clock;
use crate::config::nearest::nearest;
use crate::config::{Config, Faults, Org};
use crate::event::{self, Event};
use crate::id::{Channel, Namespace};
use crate::seal::Keyring;
use crate::template::{RenderInput, TemplateSet};

use super::args::Render;
use super::{check, print};

/// `render`
pub(super) fn render(args: &Render, config: anyhow::Result<Option<Arc<Config>>>) -> anyhow::Result<()> {
    let config = config?;
    let source = check::template_source(args.templates.as_deref(), config.as_deref());
    let templates = TemplateSet::load(&source, None).map_err(Faults)?;
    let template = args.template.parse()?;
    if templates.get(&template).is_none() {
        let known = templates.all();
        let near = nearest(&args.template, known.iter().map(|info| info.id.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        bail!("there is no template `{template}`{hint}");
    }
    let event = decode(&args.event)?;
    let org = org_of(&event, config.as_deref());
    let mut customer = crate::template::example_customer(&json_file(&args.customer)?)
        .map_err(|what| anyhow!("{}: {what}", args.customer.display()))?;
    if args.locale.is_some() {
        customer.locale.clone_from(&args.locale);
    }
    let channel = if args.channel == "sms" { Channel::Sms } else { Channel::Email };
    let view = event.view();
    // What a rule with `each` would give the first person: everything that stands beside them in a list.
    let items: Vec<Value> =
        event.people.iter().take(1).filter_map(|p| event.at(&p.place)).filter(|_| !is_top(&event)).cloned().collect();
    let now = Clock::system().now();
    let input = RenderInput { channel, event: &view, items: &items, customer: &customer, org: &org, now };
    let content = templates.render(&template, &input)?;
    print::out(&crate::template::show_content(&content, args.html));
    Ok(())
}

/// The brand whose event it is; a made-up one, or the first that is configured, stands in for one that is not known.
fn org_of(event: &Event, config: Option<&Config>) -> Org {
    if let Some(org) = config.and_then(|config| config.orgs.get(&event.org)) {
        return org.clone();
    }
    let org = check::any_org(config);
    if config.is_some_and(|config| config.orgs.len() > 1) {
        print::err(&format!("note: org {} is not configured; rendered as {}", event.org, org.name));
    }
    org
}

fn is_top(event: &Event) -> bool {
    event.people.first().is_none_or(|person| person.place == "data")
}

fn decode(file: &Path) -> anyhow::Result<Event> {
    let body = std::fs::read(file).with_context(|| file.display().to_string())?;
    let namespace: Namespace = "render".parse()?;
    // Keys of the moment: nothing is stored, nothing is compared.
    let decoded = event::decode(&body, &Keyring::generate(), &|_| namespace.clone());
    Ok(decoded.with_context(|| file.display().to_string())?.event)
}

fn json_file(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text)
        .map_err(|e| anyhow!("{} is not JSON: line {}, column {}", file.display(), e.line(), e.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_of_the_brand_whose_event_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sealpost.toml");
        let org = |id: u32, name: &str| {
            format!("[org.{id}]\nname = \"{name}\"\ncurrency = \"AED\"\ntime_zone = \"UTC\"\nlocale = \"en\"\n")
        };
        std::fs::write(&file, org(41_007, "Acme") + &org(52_008, "Lotus")).unwrap();
        let config = Config::load(Some(&file), &std::collections::BTreeMap::new()).unwrap().config;
        for (id, name) in [(41_007, "Acme"), (52_008, "Lotus"), (777, "Acme")] {
            let body = dir.path().join("event.json");
            std::fs::write(
                &body,
                format!(r#"{{"eventName": "x", "eventId": "1", "orgId": {id}, "createdAt": 1, "data": {{}}}}"#),
            )
            .unwrap();
            let event = decode(&body).unwrap();
            assert_eq!(org_of(&event, Some(&config)).name, name);
            assert_eq!(org_of(&event, None).name, "Your Brand");
        }
    }
}
