//! `shadow`, `replay`: what would have been sent, and what changed rules would have planned.
//!
//! Promises: asks page by page, so that neither side holds more than a page and the sums; rules are checked here, before anybody is asked.
//! Never: a person, not even by hash.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::app;
use crate::config::Faults;
use crate::plan::EXAMPLES;
use crate::template::{TemplateSet, TemplateSource};

use super::client::Client;
use super::print::{self, encoded, field, progress_of, rows, table};
use super::said::Said;

/// `shadow`
pub(crate) async fn shadow(client: &Client, since: &str) -> anyhow::Result<Said> {
    let mut query = format!("since={}", encoded(since));
    let mut sums: BTreeMap<String, Value> = BTreeMap::new();
    let bar = progress_of("pages looked at");
    let window = loop {
        let page = client.get(&format!("/v1/shadow?{query}")).await?;
        for row in rows(&page["rows"]) {
            let slot = format!("{} {} {} {}", field(row, "hour"), field(row, "template"), row["org"], row["channels"]);
            let sum = sums.entry(slot).or_insert_with(|| json!({ "messages": 0, "row": row }));
            sum["messages"] = json!(count(sum, "messages") + count(row, "messages"));
        }
        bar.inc(1);
        let Some(next) = page["next"].as_str() else { break page };
        query = format!("since={}&to={}&after={next}", encoded(since), encoded(field(&page, "to")));
    };
    bar.finish_and_clear();
    let rows: Vec<Value> = sums
        .into_values()
        .map(|sum| {
            let mut row = sum["row"].clone();
            row["messages"] = sum["messages"].clone();
            row
        })
        .collect();
    let answer = json!({ "from": window["from"], "to": window["to"], "rows": rows });
    Ok(Said::new(answer, shadow_text))
}

fn shadow_text(answer: &Value) -> String {
    let found = rows(&answer["rows"]);
    let window = format!("from {} to {}", field(answer, "from"), field(answer, "to"));
    if found.is_empty() {
        return format!("nothing was kept back by the shadow {window}");
    }
    let mut totals: BTreeMap<String, Value> = BTreeMap::new();
    let mut hours = Vec::new();
    for row in found {
        let row = json!({
            "hour": field(row, "hour").get(..16).map(|hour| format!("{hour}Z")),
            "template": row["template"],
            "org": row["org"],
            "channel": words(&row["channels"]).join(", else "),
            "messages": row["messages"],
        });
        let slot = format!("{} {} {}", row["template"], row["org"], row["channel"]);
        let total = totals.entry(slot).or_insert_with(|| {
            let mut total = row.clone();
            total["messages"] = json!(0);
            total
        });
        total["messages"] = json!(count(total, "messages") + count(&row, "messages"));
        hours.push(row);
    }
    let totals: Vec<Value> = totals.into_values().collect();
    let all: u64 = totals.iter().map(|total| count(total, "messages")).sum();
    format!(
        "{all} messages would have been sent {window}\n\n{}\n{}",
        table(&totals, &["template", "org", "channel", "messages"]),
        table(&hours, &["hour", "template", "org", "channel", "messages"])
    )
}

/// What pages of a replay say, added up; bounded by the number of rules.
#[derive(Default)]
struct Sums {
    events: u64,
    rules: BTreeMap<String, Value>,
}

/// Counts of a rule.
const COUNTS: [&str; 6] = ["same", "new", "new_before_live_from", "gone", "other_channels", "faults"];
/// Examples of a rule: the field, and the words for people.
const SAMPLES: [(&str, &str); 3] = [("new_in", "new"), ("gone_in", "gone"), ("other_channels_in", "other channels")];

/// `replay`
pub(crate) async fn replay(client: &Client, dir: &Path, since: &str, all: bool) -> anyhow::Result<Said> {
    let source = TemplateSource::Dir(dir.to_owned());
    // Every fault of every part, and not only of the rules: what does not load would plan nothing.
    let templates = TemplateSet::load(&source, None).map_err(Faults)?;
    app::compile_rules(&templates)?;
    let texts: BTreeMap<String, &str> =
        templates.all().into_iter().map(|info| (info.id.to_string(), info.toml.as_str())).collect();
    if texts.is_empty() {
        anyhow::bail!("{} holds no template", dir.display());
    }
    let mut body = json!({ "templates": texts, "all": all, "since": since });
    let mut sums = Sums::default();
    let bar = progress_of("events looked at");
    let last = loop {
        let page = client.post("/v1/replay", &body).await?;
        sums.add(&page);
        bar.set_position(sums.events);
        if page["next"].is_null() {
            break page;
        }
        body["to"] = page["to"].clone();
        body["after"] = page["next"].clone();
    };
    bar.finish_and_clear();
    let answer = json!({
        "from": last["from"], "to": last["to"], "events": sums.events,
        "rules": sums.rules.into_values().collect::<Vec<_>>(), "not_allowed": last["not_allowed"],
    });
    Ok(Said::new(answer, replay_text))
}

impl Sums {
    fn add(&mut self, page: &Value) {
        self.events += count(page, "events");
        for row in rows(&page["rules"]) {
            let sum = self.rules.entry(field(row, "rule").to_owned()).or_insert_with(|| json!({ "rule": row["rule"] }));
            for name in COUNTS {
                sum[name] = json!(count(sum, name) + count(row, name));
            }
            for (name, _) in SAMPLES {
                let samples: BTreeSet<&str> = words(&sum[name]).into_iter().chain(words(&row[name])).collect();
                sum[name] = json!(samples.into_iter().take(EXAMPLES).collect::<Vec<_>>());
            }
        }
    }
}

fn replay_text(answer: &Value) -> String {
    let rules = rows(&answer["rules"]);
    let all = |name: &str| rules.iter().map(|rule| count(rule, name)).sum::<u64>();
    let mut text = format!(
        "{} events received from {} to {}; nothing was planned or sent\n\
         messages: {} the same, {} new, {} gone, {} by other channels\n",
        answer["events"],
        field(answer, "from"),
        field(answer, "to"),
        all("same"),
        all("new"),
        all("gone"),
        all("other_channels")
    );
    if !rules.is_empty() {
        text.push('\n');
        text.push_str(&table(&rules.iter().map(row).collect::<Vec<_>>(), &COLUMNS));
    }
    for rule in rules {
        for (name, what) in SAMPLES {
            for event in words(&rule[name]) {
                let _ = writeln!(text, "{} {what}: sealpost explain --key {event}", field(rule, "rule"));
            }
        }
    }
    let left_out = words(&answer["not_allowed"]);
    if !left_out.is_empty() {
        let _ = writeln!(
            text,
            "not asked, because templates.allow does not enable them (--all asks them too): {}",
            left_out.join(", ")
        );
    }
    text
}

const COLUMNS: [&str; 7] = ["rule", "same", "new", "of these before live_from", "gone", "other channels", "faults"];

fn row(rule: &Value) -> Value {
    json!({
        "rule": rule["rule"], "same": rule["same"], "new": rule["new"],
        "of these before live_from": rule["new_before_live_from"], "gone": rule["gone"],
        "other channels": rule["other_channels"], "faults": rule["faults"],
    })
}

fn count(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or(0)
}

fn words(list: &Value) -> Vec<&str> {
    print::rows(list).iter().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests;
