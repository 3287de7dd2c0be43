//! What operators type: modes, pauses, the brake.
//!
//! Promises: each says what it changed and how many it freed.
//! Never: a change by accident; the scope is always named.

use axum::http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::print;

/// `mode`: shows, or sets.
pub(crate) async fn mode(client: &Client, mode: Option<&str>, target: Option<&str>, by: &str) -> anyhow::Result<()> {
    let answer = match mode {
        None => client.get("/v1/mode").await?,
        Some(mode) => {
            let body = json!({ "mode": mode, "target": target, "by": by });
            client.ask(Method::PUT, "/v1/mode", Some(&body)).await?
        }
    };
    let mut lines = vec![format!("relay: {}", word(&answer["relay"]))];
    for (rule, mode) in answer["rules"].as_object().into_iter().flatten() {
        lines.push(format!("{rule}: {}", word(mode)));
    }
    print::out(&lines.join("\n"));
    Ok(())
}

/// `pause SCOPE`
pub(crate) async fn pause(client: &Client, scope: &str, by: &str) -> anyhow::Result<()> {
    client.post("/v1/pauses", &json!({ "scope": scope, "by": by })).await?;
    print::out(&format!("paused {scope}; what is due waits until `sealpost resume {scope}`"));
    Ok(())
}

/// `resume SCOPE`
pub(crate) async fn resume(client: &Client, scope: &str, by: &str) -> anyhow::Result<()> {
    let answer = client.post("/v1/pauses/end", &json!({ "scope": scope, "by": by })).await?;
    print::out(&format!("resumed {scope}; {} back in the queue", answer["released"]));
    Ok(())
}

/// `brake list`
pub(crate) async fn brake(client: &Client) -> anyhow::Result<()> {
    print::out(&print::json(&client.get("/v1/brake").await?));
    Ok(())
}

/// `brake release TEMPLATE`
pub(crate) async fn release_brake(client: &Client, template: &str, by: &str) -> anyhow::Result<()> {
    let answer = client.post("/v1/brake/release", &json!({ "template": template, "by": by })).await?;
    print::out(&format!("released {template}; {} back in the queue", answer["released"]));
    Ok(())
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}
