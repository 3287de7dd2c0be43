//! What support types: events, notifications, dead letters, quarantine, status.
//!
//! Promises: each command is one question to the desk and one answer on the terminal.
//! Never: a person, but for `quarantine show --reveal`, which is asked for by name and logged.

use anyhow::bail;
use axum::http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::print;

/// How answers are printed.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// The answer itself.
    Json,
}

impl Format {
    fn show(self, answer: &Value, text: impl FnOnce(&Value) -> String) {
        match self {
            Self::Text => print::out(&text(answer)),
            Self::Json => print::out(&print::json(answer)),
        }
    }
}

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
}

impl Which {
    fn filter(&self) -> Value {
        json!({ "template": self.template, "org": self.org, "state": self.state, "reason": self.reason, "limit": self.limit })
    }

    fn query(&self) -> String {
        let mut pairs = Vec::new();
        let words = [("template", &self.template), ("state", &self.state), ("reason", &self.reason)];
        pairs.extend(words.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_deref()?))));
        pairs.extend(self.org.map(|org| format!("org={org}")));
        pairs.extend(self.limit.map(|limit| format!("limit={limit}")));
        pairs.join("&")
    }
}

/// `events find`
pub(crate) async fn find(client: &Client, by: &str, value: &str, format: Format) -> anyhow::Result<()> {
    let answer = client.post("/v1/events/find", &json!({ "by": by, "value": value })).await?;
    let found = answer["found"].as_array().cloned().unwrap_or_default();
    if found.is_empty() {
        bail!("no event is known by this {}", by.replace('_', " "));
    }
    format.show(&answer, |answer| {
        let mut text = found.iter().map(print::timeline).collect::<Vec<_>>().join("\n");
        if answer["more"] == true {
            text.push_str("\nthere are more; search by a narrower id\n");
        }
        text
    });
    Ok(())
}

/// `events list`
pub(crate) async fn list_events(client: &Client, limit: usize, format: Format) -> anyhow::Result<()> {
    let answer = client.get(&format!("/v1/events?limit={limit}")).await?;
    format.show(&answer, |rows| {
        print::table(rows.as_array().map_or(&[], Vec::as_slice), &["received_at", "name", "org", "event_id", "key"])
    });
    Ok(())
}

/// `events show`
pub(crate) async fn show_event(client: &Client, key: &str, format: Format) -> anyhow::Result<()> {
    let answer = client.get(&format!("/v1/events/{key}")).await?;
    format.show(&answer, print::timeline);
    Ok(())
}

/// `notifications list`, `dead-letters list`
pub(crate) async fn list_notifications(client: &Client, which: &Which, format: Format) -> anyhow::Result<()> {
    let answer = client.get(&format!("/v1/notifications?{}", which.query())).await?;
    format.show(&answer, |answer| {
        let rows = answer["notifications"].as_array().map_or(&[][..], Vec::as_slice);
        if rows.is_empty() {
            return "none".into();
        }
        rows.iter().map(print::notification).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

/// `notifications show`
pub(crate) async fn show_notification(client: &Client, id: &str, format: Format) -> anyhow::Result<()> {
    let answer = client.get(&format!("/v1/notifications/{id}")).await?;
    format.show(&answer, print::timeline);
    Ok(())
}

/// `notifications cancel|requeue`, `dead-letters cancel|requeue`
pub(crate) async fn change(client: &Client, verb: &str, which: &Which, by: &str, format: Format) -> anyhow::Result<()> {
    let body = if which.ids.is_empty() {
        json!({ "filter": which.filter(), "all": which.all, "by": by })
    } else {
        json!({ "ids": which.ids, "by": by })
    };
    let answer = client.post(&format!("/v1/notifications/{verb}"), &body).await?;
    format.show(&answer, |done| {
        format!(
            "{} changed, {} in a state that does not allow it, {} being sent at this moment",
            done["changed"], done["not_applicable"], done["in_hand"]
        )
    });
    Ok(())
}

/// `quarantine list`
pub(crate) async fn quarantine(client: &Client, format: Format) -> anyhow::Result<()> {
    let answer = client.get("/v1/quarantine").await?;
    format.show(&answer, |rows| {
        let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
        if rows.is_empty() {
            return "nothing is in quarantine".into();
        }
        print::table(rows, &["seq", "received_at", "source", "bytes", "reason"])
    });
    Ok(())
}

/// `quarantine show`
pub(crate) async fn quarantined(
    client: &Client,
    seq: u64,
    reveal: bool,
    by: &str,
    format: Format,
) -> anyhow::Result<()> {
    let path = format!("/v1/quarantine/{seq}");
    let answer = match reveal {
        false => client.get(&path).await?,
        true => client.post(&format!("{path}/reveal"), &json!({ "by": by })).await?,
    };
    format.show(&answer, |one| {
        let mut text = print::table(std::slice::from_ref(one), &["seq", "received_at", "source", "bytes", "reason"]);
        if let Some(body) = one["body"].as_str() {
            text.push_str(body);
        }
        text
    });
    Ok(())
}

/// `quarantine redrive`
pub(crate) async fn redrive(client: &Client, seq: u64, format: Format) -> anyhow::Result<()> {
    let answer = client.post(&format!("/v1/quarantine/{seq}/redrive"), &json!({})).await?;
    format.show(&answer, |new| format!("back in the journal as {}", new["seq"]));
    Ok(())
}

/// `quarantine drop`
pub(crate) async fn drop_quarantined(client: &Client, seq: u64, format: Format) -> anyhow::Result<()> {
    let answer = client.ask(Method::DELETE, &format!("/v1/quarantine/{seq}"), None).await?;
    format.show(&answer, |gone| format!("dropped {} ({} bytes)", gone["seq"], gone["bytes"]));
    Ok(())
}

/// `status`
pub(crate) async fn status(client: &Client, format: Format) -> anyhow::Result<()> {
    let answer = client.get("/v1/status").await?;
    format.show(&answer, |s| {
        let mut lines = vec![
            format!("sealpost {}  mode {}  intake {}", text(s, "version"), text(s, "mode"), text(s, "intake")),
            format!("journal: {} received, {} planned", s["journal_head"], s["planned"]),
            format!("quarantine: {}", s["quarantined_shown"]),
            format!("vault: {} contacts, {} aliases", s["vault"]["contacts"], s["vault"]["aliases"]),
        ];
        for (reason, count) in s["waiting"].as_object().into_iter().flatten() {
            lines.push(format!("waiting: {count} {reason}"));
        }
        lines.join("\n")
    });
    Ok(())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("-")
}
