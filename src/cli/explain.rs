//! `explain`: why each rule does or does not fire for an event.
//!
//! Promises: an event in a file needs no keys, vault, daemon or network, and is decoded as the relay would; a stored one is explained by the relay.
//! Never: a value of the event, a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};

use crate::app;
use crate::clock::Clock;
use crate::config::{Config, Faults};
use crate::event::{self, Decoded};
use crate::id::{Namespace, OrgId};
use crate::plan::{self, Question};
use crate::rules::RuleSet;
use crate::seal::Keyring;
use crate::template::{TemplateSet, TemplateSource};

use super::check;
use super::client::Client;
use super::print::{self, field, rows};
use super::said::Said;

/// `explain --event FILE`
pub(super) fn of_file(file: &Path, templates: Option<&Path>, config: Option<Arc<Config>>) -> anyhow::Result<Said> {
    let body = std::fs::read(file).with_context(|| file.display().to_string())?;
    let source = check::template_source(templates, config.as_deref());
    of_body(&body, &source, config.as_deref(), &Clock::system())
}

/// The same with everything in hand.
fn of_body(body: &[u8], source: &TemplateSource, config: Option<&Config>, clock: &Clock) -> anyhow::Result<Said> {
    let namespace: Namespace = "explain".parse()?;
    // Keys of the moment: nothing is stored, nothing is compared.
    let Decoded { mut event, stripped } = match event::decode(body, &Keyring::generate(), &|_| namespace.clone()) {
        Ok(decoded) => decoded,
        Err(refusal) => {
            let answer = json!({ "quarantined": { "reason": refusal.reason(), "refusal": refusal.to_string() } });
            return Ok(Said::new(answer, quarantined));
        }
    };
    // A workflow event says no org; a relay of one org knows which it is.
    if let (OrgId(0), Some(orgs)) = (event.org, config.map(|config| &config.orgs).filter(|orgs| orgs.len() == 1)) {
        event.org = orgs.keys().next().copied().unwrap_or(event.org);
    }
    let not_allowed = config.map(|config| app::not_allowed(config, source)).unwrap_or_default();
    let rules = rules(source, config)?;
    let bare = Config::load(None, &BTreeMap::new())?.config;
    let explained = plan::explain(&Question {
        event: &event,
        stripped: &stripped,
        source: None,
        rules: &rules,
        not_allowed: &not_allowed,
        config: config.unwrap_or(&bare),
        any_org: config.is_none(),
        now: clock.now(),
    });
    let mut answer = serde_json::to_value(explained)?;
    // A key made with keys of the moment finds nothing.
    if let Some(event) = answer["event"].as_object_mut() {
        event.remove("key");
    }
    Ok(Said::new(answer, text))
}

/// The rules that a relay with these templates would ask: with a configuration, those of allowed templates.
fn rules(source: &TemplateSource, config: Option<&Config>) -> anyhow::Result<RuleSet> {
    let templates = TemplateSet::load(source, config.map(|config| &config.templates.allow)).map_err(Faults)?;
    app::compile_rules(&templates).map_err(Into::into)
}

/// `explain --key KEY`
pub(super) async fn of_stored(client: &Client, key: &str) -> anyhow::Result<Said> {
    let answer = client.get(&format!("/v1/events/{}/explain", print::encoded(key))).await?;
    Ok(Said::new(answer, text))
}

fn quarantined(answer: &Value) -> String {
    let about = &answer["quarantined"];
    format!(
        "this body would be answered 200 and kept in quarantine: {} ({})",
        field(about, "refusal"),
        field(about, "reason")
    )
}

fn text(answer: &Value) -> String {
    let mut text = about(&answer["event"]);
    if let Some(why) = answer["not_planned"].as_str() {
        let _ = writeln!(text, "nothing is planned, whatever the rules say: {why}");
    }
    let (listening, others): (Vec<&Value>, Vec<&Value>) =
        rows(&answer["rules"]).iter().partition(|rule| listens(rule, field(&answer["event"], "name")));
    for rule in &listening {
        text.push('\n');
        text.push_str(&one_rule(rule));
    }
    if listening.is_empty() {
        let _ = writeln!(text, "\nno rule listens to {}", field(&answer["event"], "name"));
    }
    if !others.is_empty() {
        text.push_str("\nlisten to other events:\n");
    }
    for rule in others {
        let _ = writeln!(text, "  {}  on {}", field(rule, "rule"), words(&rule["on"], ", "));
    }
    if !rows(&answer["not_allowed"]).is_empty() {
        let _ = writeln!(
            text,
            "\nnot asked, because templates.allow does not enable them: {}",
            words(&answer["not_allowed"], ", ")
        );
    }
    text
}

fn listens(rule: &Value, name: &str) -> bool {
    rows(&rule["on"]).iter().any(|on| on == name)
}

fn about(event: &Value) -> String {
    let mut text = format!(
        "event {}  {} envelope  org {}  made {}\n",
        field(event, "name"),
        field(event, "shape").replace('_', " "),
        event["org"],
        field(event, "created_at")
    );
    for person in rows(&event["people"]) {
        let _ = writeln!(
            text,
            "  {} at {}, known by {}{}",
            field(person, "role"),
            field(person, "place"),
            words(&person["known_by"], ", "),
            if person["default"] == true { "" } else { "; not a default recipient" }
        );
    }
    let stripped = event["stripped"].as_object().into_iter().flatten();
    let stripped: Vec<String> = stripped.map(|(path, count)| format!("{path} ({count})")).collect();
    if !stripped.is_empty() {
        let _ = writeln!(text, "  personal values taken out: {}", stripped.join(", "));
    }
    text
}

fn one_rule(rule: &Value) -> String {
    let fires = if rule["fires"] == true { "yes" } else { "no " };
    let mut text = format!("{fires} {}: {}\n", field(rule, "rule"), field(rule, "why"));
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(text, "      {name:<11} {value}");
    };
    fact("when", rule["when"].as_str().unwrap_or("always").to_owned());
    fact("recipients", field(rule, "recipients").to_owned());
    if let Some(group) = rule["group"].as_str() {
        fact("group", format!("{group}, priority {}", rule["priority"]));
    }
    fact(
        "live from",
        format!("{}{}", field(rule, "live_from"), if rule["in_force"] == true { "" } else { ", after the event" }),
    );
    let sends: Vec<String> = rows(&rule["notifications"]).iter().map(|channels| words(channels, ", else ")).collect();
    fact("sends", sends.join(" and "));
    fact("not before", field(rule, "not_before").to_owned());
    fact("waits", format!("for an unknown contact until {}", field(rule, "contact_until")));
    fact(
        "expires",
        format!("{}{}", field(rule, "expires_at"), if rule["expired"] == true { ", which is over" } else { "" }),
    );
    text
}

fn words(list: &Value, between: &str) -> String {
    let words: Vec<&str> = rows(list).iter().filter_map(Value::as_str).collect();
    words.join(between)
}

#[cfg(test)]
mod tests;
