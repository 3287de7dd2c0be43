//! `status`: the relay on one screen.
//!
//! Promises: everything that keeps a message from being sent is there: mode, pauses, brakes, waits, dead letters, quarantine.
//! Never: a line that says nothing.

use serde_json::Value;

use super::client::Client;
use super::operate::held;
use super::print::{field, rows};
use super::said::Said;

/// `status`
pub(crate) async fn status(client: &Client) -> anyhow::Result<Said> {
    Ok(Said::new(client.get("/v1/status").await?, text))
}

fn text(status: &Value) -> String {
    let mut lines = vec![
        format!(
            "sealpost {}  mode {}  intake {}",
            field(status, "version"),
            field(status, "mode"),
            field(status, "intake")
        ),
        format!("journal: {} received, {} planned", status["journal_head"], status["planned"]),
        format!("vault: {} contacts, {} aliases", status["vault"]["contacts"], status["vault"]["aliases"]),
        format!("dead letters: {}", status["dead_letters"]),
        format!("quarantine: {}", status["quarantined"]),
    ];
    lines.extend(remedy(field(status, "intake")).map(str::to_owned));
    for (target, set) in status["modes_set"].as_object().into_iter().flatten() {
        lines.push(format!("mode set: {target} {} by {}", field(set, "mode"), field(set, "by")));
    }
    for pause in rows(&status["paused"]) {
        let mut line =
            format!("paused: {} since {} by {}", field(pause, "scope"), field(pause, "since"), field(pause, "by"));
        if let Some(reason) = pause["reason"].as_str() {
            line.push_str(": ");
            line.push_str(reason);
        }
        lines.push(line);
    }
    for brake in rows(&status["brake"]) {
        lines.push(format!(
            "brake tripped: {} since {}, limit {} an hour, holds {}",
            field(brake, "template"),
            field(brake, "since"),
            brake["limit"],
            held(brake)
        ));
    }
    for (reason, count) in status["waiting"].as_object().into_iter().flatten().filter(|(_, count)| **count != 0) {
        lines.push(format!("waiting: {count} {reason}"));
    }
    lines.join("\n")
}

/// What a person does about an intake that refuses.
fn remedy(intake: &str) -> Option<&'static str> {
    match intake.strip_prefix("refusing: ")? {
        "disk_low" => Some("remedy: free space where storage.dir is, or grow it; no restart is needed"),
        "store_failed" => Some(
            "remedy: the disk below storage.dir fails or hangs; once it is well the daemon goes on, or ends and is to be restarted",
        ),
        "backlog" => Some("remedy: planning does not keep up, or stands; the log says why"),
        _ => None,
    }
}
