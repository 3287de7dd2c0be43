//! What the bench's helper processes do: catch messages, or answer requests with nothing behind it.
//!
//! Promises: one line of JSON with the addresses when ready, one with the counts for each line that comes in, and an end when
//! standard input closes.
//! Never: an address other than loopback.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::serve::{self, Limits, Listener};
use crate::sink::Keep;
use crate::sink::sms::{SmsScript, SmsSink};
use crate::sink::smtp::{SmtpScript, SmtpSink};
use crate::tasks::Tasks;

/// Which helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The catchers of mail and SMS; they count and keep nothing.
    Sink,
    /// The relay's accept loop with a handler that reads the body and says yes.
    Bare,
}

impl Part {
    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Bare => "bare",
        }
    }

    /// The part of that word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Sink, Self::Bare].into_iter().find(|part| part.as_str() == word)
    }
}

/// Plays a part until standard input closes.
///
/// # Errors
/// When a port cannot be had.
pub async fn play(part: Part) -> anyhow::Result<()> {
    match part {
        Part::Sink => sink().await,
        Part::Bare => bare().await,
    }
}

async fn sink() -> anyhow::Result<()> {
    let smtp = SmtpSink::start(SmtpScript::new().keep(Keep::Count), None).await.context("mail catcher")?;
    let sms = SmsSink::start(SmsScript::new().keep(Keep::Count)).await.context("SMS catcher")?;
    let sms_address = sms.address();
    serve_line(
        &json!({ "smtp": smtp.address().to_string(), "sms": sms_address.to_string() }),
        || json!({ "mails": smtp.accepted(), "texts": sms.received() }),
    )
    .await
}

async fn bare() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/v1/events/{source}", post(|_: Bytes| async { r#"{"ok":true}"# }));
    let tasks = Tasks::new();
    let limits = Limits {
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        max_connections: 4096,
        connection_max_age: Duration::from_secs(3600),
    };
    serve::serve(Listener::Tcp(listener), router, limits, &tasks, tasks.stop_token());
    serve_line(&json!({ "intake": address.to_string() }), || json!({})).await
}

/// Tells `hello`, then `counts` for each line, until there are no more.
async fn serve_line(hello: &serde_json::Value, counts: impl Fn() -> serde_json::Value) -> anyhow::Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(format!("{hello}\n").as_bytes()).await?;
    out.flush().await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        out.write_all(format!("{}\n", counts()).as_bytes()).await?;
        out.flush().await?;
    }
    Ok(())
}
