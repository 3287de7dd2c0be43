//! Plays the story and compares what happened with what it says.
//!
//! Promises: waits for facts and gives up after a bound; reports every step, also those that went wrong.
//! Never: a step that passes because nobody looked.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::story::{Act, Expect, Step};
use super::{Demo, story, wire};

/// Longest wait for one step's outcome.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the story went.
pub struct Report {
    /// What happened, step by step, for people.
    pub text: String,
    /// Steps that ended as the story says.
    pub right: usize,
    /// Steps that did not.
    pub wrong: usize,
}

/// Loads the customers and plays every step.
///
/// # Errors
/// When the relay cannot be talked to at all; a step that ends otherwise than told is in the report.
pub async fn play(demo: &Demo, mut tell: impl FnMut(&str)) -> anyhow::Result<Report> {
    let imported = load_customers(demo).await?;
    tell(&format!("{imported} made-up customers are in the vault\n"));
    let steps = story::steps()?;
    let mut report = Report { text: String::new(), right: 0, wrong: 0 };
    for step in &steps {
        act(demo, step).await.with_context(|| step.say.clone())?;
    }
    for (number, step) in steps.iter().enumerate() {
        let mut text = String::new();
        let outcome = check(demo, step, &mut text).await;
        let mark = if outcome.is_ok() { "ok   " } else { "WRONG" };
        let mut section = format!("{mark} {:>2}. {}\n{text}", number + 1, step.say);
        match outcome {
            Ok(()) => report.right += 1,
            Err(error) => {
                report.wrong += 1;
                let _ = writeln!(section, "      {error:#}");
            }
        }
        tell(&section);
        report.text.push_str(&section);
    }
    Ok(report)
}

async fn load_customers(demo: &Demo) -> anyhow::Result<usize> {
    let rows = story::customers()?;
    let changed = wire::ask(&demo.socket, "/v1/vault/import", &json!({ "namespace": "default", "rows": rows })).await?;
    ensure!(changed["faults"].as_array().is_some_and(Vec::is_empty), "customers were refused: {}", changed["faults"]);
    Ok(rows.len())
}

async fn act(demo: &Demo, step: &Step) -> anyhow::Result<()> {
    match &step.act {
        Act::Post { event } => expect_acknowledged(demo, event.to_string().into_bytes()).await,
        Act::PostRaw { body } => expect_acknowledged(demo, body.clone().into_bytes()).await,
        Act::Put { namespace, contact } => {
            let put = json!({ "namespace": namespace, "contact": contact });
            wire::ask(&demo.socket, "/v1/vault/put", &put).await.map(drop)
        }
        Act::Await { event_id, reason } => until(async || {
            let found = find(&demo.socket, event_id).await?;
            Ok(found.filter(|found| match reason {
                None => rests(found),
                Some(reason) => {
                    let mut outcomes = outcomes(found).peekable();
                    outcomes.peek().is_some() && outcomes.all(|outcome| outcome.ends_with(reason))
                }
            }))
        })
        .await
        .map(drop),
    }
}

async fn expect_acknowledged(demo: &Demo, body: Vec<u8>) -> anyhow::Result<()> {
    let status = wire::post_event(demo.intake, body).await?;
    ensure!(status == 200, "the intake answered {status}");
    Ok(())
}

async fn check(demo: &Demo, step: &Step, text: &mut String) -> anyhow::Result<()> {
    match &step.expect {
        Expect::Nothing => Ok(()),
        Expect::Quarantined { reason } => {
            let kept = until(async || {
                let all = wire::get(&demo.socket, "/v1/quarantine").await?;
                let found = all
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find(|q| q["reason"].as_str().is_some_and(|r| r.contains(reason)));
                Ok(found.cloned())
            })
            .await?;
            let _ = writeln!(text, "      quarantined as {}: {}", kept["seq"], kept["reason"].as_str().unwrap_or("?"));
            Ok(())
        }
        Expect::Event { event_id, states, says } => {
            let wanted = sorted(states.iter().map(|s| s.as_str().to_owned()));
            let mut last = None;
            let found = until(async || {
                let found = find(&demo.socket, event_id).await?;
                last.clone_from(&found);
                let told = |f: &Value| says.as_deref().is_none_or(|what| f["timeline"].to_string().contains(what));
                Ok(found.filter(|f| sorted(outcomes(f)) == wanted && told(f)))
            })
            .await;
            if let Some(last) = &last {
                describe(last, text);
            }
            found.map(drop).with_context(|| format!("expected {wanted:?}, and on the timeline {says:?}"))
        }
    }
}

/// An event by Capillary's id, if it is planned.
pub(super) async fn find(socket: &Path, event_id: &str) -> anyhow::Result<Option<Value>> {
    let answer = wire::ask(socket, "/v1/events/find", &json!({ "by": "event_id", "value": event_id })).await?;
    Ok(answer["found"].get(0).cloned())
}

/// `email sent`, `sms dead_letter refused`, …: one for each notification.
fn outcomes(found: &Value) -> impl Iterator<Item = String> {
    found["notifications"].as_array().into_iter().flatten().map(|n| {
        let channel = n["channels"][0].as_str().unwrap_or("?");
        let state = n["state"].as_str().unwrap_or("?");
        match n["reason"].as_str().or_else(|| n["reason"]["reason"].as_str()) {
            Some(reason) => format!("{channel} {state} {reason}"),
            None => format!("{channel} {state}"),
        }
    })
}

fn rests(found: &Value) -> bool {
    outcomes(found).all(|outcome| !outcome.contains("attempting") && !outcome.contains("waiting"))
}

fn sorted(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut words: Vec<String> = words.collect();
    words.sort();
    words
}

fn describe(found: &Value, text: &mut String) {
    for line in found["timeline"].as_array().into_iter().flatten() {
        let what = line["what"].as_str().unwrap_or("?").replace('_', " ");
        let facts: Vec<&str> =
            ["why", "reason", "channel", "code", "source"].iter().filter_map(|name| line[*name].as_str()).collect();
        let _ = writeln!(text, "      {what} {}", facts.join(" "));
    }
}

/// Asks again until there is an answer, with a breath in between, up to [`PATIENCE`].
async fn until<T>(mut fact: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let started = tokio::time::Instant::now();
    loop {
        if let Some(value) = fact().await? {
            return Ok(value);
        }
        ensure!(started.elapsed() < PATIENCE, "it did not happen within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
