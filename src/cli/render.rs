//! `render`: one message as it would go out, to a made-up customer.
//!
//! Promises: needs no keys, vault or network; an event is decoded as the relay would, so what is stripped there is missing here.
//! Never: a real contact.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::clock::Clock;
use crate::config::{Config, Faults};
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
    let org = check::any_org(config.as_deref());
    let event = decode(&args.event)?;
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
