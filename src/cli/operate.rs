//! What operators type: modes, pauses, the brake.
//!
//! Promises: each says what it changed and how many it freed.
//! Never: a change by accident; the scope is always named.

use axum::http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::print::{field, rows, table};
use super::said::Said;

/// `mode`: shows, or sets.
pub(crate) async fn mode(client: &Client, mode: Option<&str>, target: Option<&str>, by: &str) -> anyhow::Result<Said> {
    let answer = match mode {
        None => client.get("/v1/mode").await?,
        Some(mode) => {
            let body = json!({ "mode": mode, "target": target, "by": by });
            client.ask(Method::PUT, "/v1/mode", Some(&body)).await?
        }
    };
    Ok(Said::new(answer, |modes| {
        let mut lines = vec![format!("relay: {}", field(modes, "relay"))];
        for (rule, mode) in modes["rules"].as_object().into_iter().flatten() {
            lines.push(format!("{rule}: {}", mode.as_str().unwrap_or("-")));
        }
        for (target, set) in modes["set"].as_object().into_iter().flatten() {
            lines.push(format!("set for {target}: {} by {}", field(set, "mode"), field(set, "by")));
        }
        lines.join("\n")
    }))
}

/// `pause SCOPE`
pub(crate) async fn pause(client: &Client, scope: &str, reason: Option<&str>, by: &str) -> anyhow::Result<Said> {
    let body = json!({ "scope": scope, "by": by, "reason": reason });
    let answer = client.post("/v1/pauses", &body).await?;
    Ok(Said::new(answer, |pauses| {
        // Somebody may have been here before; then theirs is the pause that stands.
        let first = rows(pauses).iter().find(|pause| pause["scope"] == scope).unwrap_or(&Value::Null);
        format!(
            "{scope} is paused since {} by {}; what is due waits until `sealpost resume {scope}`",
            field(first, "since"),
            field(first, "by")
        )
    }))
}

/// `pauses`
pub(crate) async fn pauses(client: &Client) -> anyhow::Result<Said> {
    let answer = client.get("/v1/pauses").await?;
    Ok(Said::new(answer, |pauses| match rows(pauses) {
        [] => "nothing is paused".into(),
        rows => table(rows, &["scope", "since", "by", "reason"]),
    }))
}

/// `resume SCOPE`
pub(crate) async fn resume(client: &Client, scope: &str, by: &str) -> anyhow::Result<Said> {
    let answer = client.post("/v1/pauses/end", &json!({ "scope": scope, "by": by })).await?;
    Ok(Said::new(answer, |freed| format!("resumed {scope}; {} back in the queue", freed["released"])))
}

/// `brake list`
pub(crate) async fn brakes(client: &Client, all: bool) -> anyhow::Result<Said> {
    let answer = client.get(&format!("/v1/brake?all={all}")).await?;
    Ok(Said::new(answer, |brakes| {
        let rows: Vec<Value> = rows(brakes)
            .iter()
            .map(|brake| {
                json!({
                    "template": brake["template"],
                    "tripped": brake["since"],
                    "held": held(brake),
                    "in the hour": format!("{} of {}", brake["count"], brake["limit"]),
                    "last release": brake["released_at"].as_str().map(|at| format!("{at} by {}", field(brake, "released_by"))),
                })
            })
            .collect();
        match rows.as_slice() {
            [] => "no brake has tripped".into(),
            rows => table(rows, &["template", "tripped", "held", "in the hour", "last release"]),
        }
    }))
}

/// `brake release TEMPLATE`
pub(crate) async fn release_brake(client: &Client, template: &str, by: &str) -> anyhow::Result<Said> {
    let answer = client.post("/v1/brake/release", &json!({ "template": template, "by": by })).await?;
    Ok(Said::new(answer, |freed| format!("released {template}; {} back in the queue", freed["released"])))
}

/// How many a brake holds; beyond what is counted, a `+`.
pub(super) fn held(brake: &Value) -> String {
    format!("{}{}", brake["held"], if brake["held_more"] == true { "+" } else { "" })
}
