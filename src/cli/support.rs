//! What support types: events, notifications, dead letters, quarantine.
//!
//! Promises: each command is one question to the desk and one answer on the terminal; a list that is cut says so, and where it goes on.
//! Never: a person, but for `quarantine show --reveal`, which is asked for by name and audited.

use std::fmt::Write as _;

use anyhow::{Context, anyhow};
use axum::http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::print::{self, progress_of, rows};
use super::said::Said;

/// Notifications changed in one request, so that progress can be shown between two.
const PAGE: usize = 2_000;
/// Notifications, and quarantined deliveries, that a list shows if nobody says.
const SHOWN: usize = 50;

/// Which notifications a command means.
#[derive(Default)]
pub(crate) struct Which {
    /// These ids.
    pub(crate) ids: Vec<String>,
    /// All that match the words below.
    pub(crate) all: bool,
    /// Of this template.
    pub(crate) template: Option<String>,
    /// Of this org.
    pub(crate) org: Option<i64>,
    /// In this state.
    pub(crate) state: Option<String>,
    /// For this reason.
    pub(crate) reason: Option<String>,
    /// At most this many.
    pub(crate) limit: Option<usize>,
    /// Behind this one.
    pub(crate) after: Option<String>,
}

impl Which {
    fn filter(&self, limit: usize, after: &Value) -> Value {
        json!({
            "template": self.template, "org": self.org, "state": self.state, "reason": self.reason,
            "limit": limit, "after": after
        })
    }

    fn query(&self) -> String {
        let words =
            [("template", &self.template), ("state", &self.state), ("reason", &self.reason), ("after", &self.after)];
        let mut pairs: Vec<String> = words
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", print::encoded(value.as_deref()?))))
            .collect();
        pairs.extend(self.org.map(|org| format!("org={org}")));
        pairs.push(format!("limit={}", self.limit.unwrap_or(SHOWN)));
        pairs.join("&")
    }
}

/// `events find`
pub(crate) async fn find(
    client: &Client,
    by: &str,
    value: &str,
    namespace: Option<&str>,
    asker: &str,
) -> anyhow::Result<Said> {
    let search = json!({ "by": by, "value": value, "namespace": namespace, "asker": asker });
    let answer = client.post("/v1/events/find", &search).await?;
    if rows(&answer["found"]).is_empty() {
        let why = anyhow!("no event is known by this {}", by.replace('_', " "));
        return Ok(Said::failed(answer, why));
    }
    Ok(Said::new(answer, |answer| {
        let mut text = rows(&answer["found"]).iter().map(print::timeline).collect::<Vec<_>>().join("\n");
        if answer["more"] == true {
            text.push_str("\nthere are more; search by a narrower id\n");
        }
        text
    }))
}

/// `events list`
pub(crate) async fn list_events(client: &Client, limit: usize) -> anyhow::Result<Said> {
    let answer = client.get(&format!("/v1/events?limit={limit}")).await?;
    Ok(Said::new(answer, |events| print::table(rows(events), &["received_at", "name", "org", "event_id", "key"])))
}

/// `events show`
pub(crate) async fn show_event(client: &Client, key: &str) -> anyhow::Result<Said> {
    let answer = client.get(&format!("/v1/events/{}", print::encoded(key))).await?;
    Ok(Said::new(answer, print::timeline))
}

/// `notifications list`, `dead-letters list`
pub(crate) async fn list_notifications(client: &Client, which: &Which) -> anyhow::Result<Said> {
    let answer = client.get(&format!("/v1/notifications?{}", which.query())).await?;
    Ok(Said::new(answer, |answer| {
        let shown = rows(&answer["notifications"]);
        if shown.is_empty() {
            return "none".into();
        }
        let mut lines: Vec<String> = shown.iter().map(print::notification).collect();
        if let Some(next) = answer["next"].as_str() {
            lines.push(format!(
                "{0} of at least {0} shown; for the others --after {next}, or a larger --limit (at most 1000)",
                shown.len()
            ));
        }
        lines.join("\n")
    }))
}

/// `notifications show`
pub(crate) async fn show_notification(client: &Client, id: &str) -> anyhow::Result<Said> {
    let answer = client.get(&format!("/v1/notifications/{}", print::encoded(id))).await?;
    Ok(Said::new(answer, print::timeline))
}

/// What a page of changes counts.
const COUNTS: [&str; 5] = ["changed", "not_applicable", "in_hand", "too_old", "ambiguous"];

/// `notifications cancel|requeue`, `dead-letters cancel|requeue`: in pages, with progress on a terminal.
pub(crate) async fn change(client: &Client, verb: &str, which: &Which, by: &str) -> anyhow::Result<Said> {
    let path = format!("/v1/notifications/{verb}");
    if !which.ids.is_empty() {
        return Ok(changed(client.post(&path, &json!({ "ids": which.ids, "by": by })).await?));
    }
    let bar = progress_of("changed");
    let mut total = json!({ "changed": 0, "next": which.after });
    for count in COUNTS {
        total[count] = 0.into();
    }
    let mut left = which.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let filter = which.filter(left.min(PAGE), &total["next"]);
        let asked = client.post(&path, &json!({ "filter": filter, "all": which.all, "by": by })).await;
        let page = asked.with_context(|| format!("stopped after {} were changed", total["changed"]))?;
        for count in COUNTS {
            total[count] = (number(&total, count) + number(&page, count)).into();
        }
        total["next"] = page["next"].clone();
        bar.set_position(number(&total, "changed"));
        left = left.saturating_sub(usize::try_from(number(&page, "changed")).unwrap_or(usize::MAX));
        if page["next"].is_null() {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(changed(total))
}

fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or(0)
}

fn changed(answer: Value) -> Said {
    Said::new(answer, |done| {
        let mut text = format!(
            "{} changed, {} in a state that does not allow it, {} being sent at this moment",
            done["changed"], done["not_applicable"], done["in_hand"]
        );
        if number(done, "too_old") > 0 {
            let _ = write!(text, "; {} past their expiry, left as they are", done["too_old"]);
        }
        if number(done, "ambiguous") > 0 {
            let left = &done["ambiguous"];
            let _ = write!(
                text,
                "; {left} left out that may have gone already (name them by id, or by --reason ambiguous_hold)"
            );
        }
        if !done["next"].is_null() {
            text.push_str("; stopped at the limit, there may be more");
        }
        text
    })
}

/// `quarantine list`
pub(crate) async fn quarantine(client: &Client) -> anyhow::Result<Said> {
    const MOST: usize = 1_000;
    let answer = client.get(&format!("/v1/quarantine?limit={MOST}")).await?;
    Ok(Said::new(answer, |kept| {
        let shown = rows(kept);
        if shown.is_empty() {
            return "nothing is in quarantine".into();
        }
        let mut text = print::table(shown, &["seq", "received_at", "source", "bytes", "reason"]);
        if shown.len() == MOST {
            text.push_str("the oldest 1000 are shown; `sealpost status` counts all\n");
        }
        text
    }))
}

/// `quarantine show`
pub(crate) async fn quarantined(client: &Client, seq: u64, reveal: bool, by: &str) -> anyhow::Result<Said> {
    let path = format!("/v1/quarantine/{seq}");
    let answer = match reveal {
        false => client.get(&path).await?,
        true => client.post(&format!("{path}/reveal"), &json!({ "by": by })).await?,
    };
    Ok(Said::new(answer, |one| {
        let mut text = print::table(std::slice::from_ref(one), &["seq", "received_at", "source", "bytes", "reason"]);
        if let Some(body) = one["body"].as_str() {
            text.push_str(body);
        }
        text
    }))
}

/// `quarantine redrive`
pub(crate) async fn redrive(client: &Client, seq: u64, by: &str) -> anyhow::Result<Said> {
    let answer = client.post(&format!("/v1/quarantine/{seq}/redrive"), &json!({ "by": by })).await?;
    Ok(Said::new(answer, |new| format!("back in the journal as {}", new["seq"])))
}

/// `quarantine drop`
pub(crate) async fn drop_quarantined(client: &Client, seq: u64, by: &str) -> anyhow::Result<Said> {
    let body = json!({ "by": by });
    let answer = client.ask(Method::DELETE, &format!("/v1/quarantine/{seq}"), Some(&body)).await?;
    Ok(Said::new(answer, |gone| format!("dropped {} ({} bytes)", gone["seq"], gone["bytes"])))
}
