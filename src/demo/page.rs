//! The demo's page: each event with its timeline, and beside it what the people received.
//!
//! Promises: mails are shown in sandboxed frames without scripts or network; every text is escaped.
//! Never: served anywhere but on loopback, or anything but made-up people.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use mail_parser::MessageParser;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::serve::{self, Limits, Listener};
use crate::sink::sms::SmsSink;
use crate::sink::smtp::{CaughtMail, SmtpSink};
use crate::tasks::Tasks;
use crate::template::segments::{self, Segments};

use super::story::{self, Expect};
use super::{Demo, play};

struct Shown {
    smtp: Arc<SmtpSink>,
    sms: Arc<SmsSink>,
    socket: PathBuf,
}

/// Where the page will be served: had before the story is played, so that nobody waits for a story and then cannot read it.
pub struct PageDoor(TcpListener);

impl PageDoor {
    /// The port asked for; if nobody asks, the usual one, or any that is free where another program has that.
    ///
    /// # Errors
    /// When the port asked for cannot be had.
    pub async fn open(asked: Option<u16>) -> anyhow::Result<Self> {
        /// Also the usual port of other mail catchers.
        const USUAL: u16 = 8025;
        Self::open_at(asked, USUAL).await
    }

    async fn open_at(asked: Option<u16>, usual: u16) -> anyhow::Result<Self> {
        let bound = TcpListener::bind(("127.0.0.1", asked.unwrap_or(usual))).await;
        let bound = match (bound, asked) {
            (Err(_), None) => TcpListener::bind(("127.0.0.1", 0)).await,
            (bound, _) => bound,
        };
        let port = asked.unwrap_or(0);
        bound.map(Self).with_context(|| format!("the page cannot be served on port {port}; choose another with --port"))
    }
}

pub(super) fn serve(demo: &Demo, door: PageDoor, tasks: &Tasks, stop: CancellationToken) -> anyhow::Result<SocketAddr> {
    let PageDoor(listener) = door;
    let address = listener.local_addr()?;
    let shown = Shown { smtp: demo.smtp.clone(), sms: demo.sms.clone(), socket: demo.socket.clone() };
    let router = Router::new().route("/", get(index)).with_state(Arc::new(shown));
    let limits = Limits {
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        max_connections: 32,
        connection_max_age: Duration::from_secs(600),
    };
    serve::serve(Listener::Tcp(listener), router, limits, tasks, stop);
    Ok(address)
}

async fn index(State(shown): State<Arc<Shown>>) -> Response {
    let (mails, texts) = (shown.smtp.mails(), shown.sms.messages());
    let mut page = String::from(HEAD);
    let _ = write!(page, "<p>{} mails and {} text messages.</p>", mails.len(), texts.len());
    let mut shown_already = BTreeSet::new();
    for step in story::steps().unwrap_or_default() {
        let Expect::Event { event_id, .. } = &step.expect else { continue };
        if !shown_already.insert(event_id.clone()) {
            continue;
        }
        let Ok(Some(found)) = play::find(&shown.socket, event_id).await else { continue };
        let _ = write!(page, "<section><div><h2>{}</h2>", escape(&step.say));
        timeline(&mut page, &found);
        page.push_str("</div><div class=grid>");
        for notification in found["notifications"].as_array().into_iter().flatten() {
            let Some(id) = notification["id"].as_str() else { continue };
            mails.iter().filter(|mail| is_of(&mail.raw, id)).for_each(|mail| mail_card(&mut page, mail));
            // What the gateway refused at first came again; the last is what it took.
            let asked = texts.iter().filter_map(|text| serde_json::from_slice::<Value>(&text.body).ok());
            if let Some(text) = asked.rev().find(|text| text["reference"] == *id) {
                sms_card(&mut page, &text);
            }
        }
        page.push_str("</div></section>");
    }
    page.push_str("</main>");
    // What is in a frame may not load or run anything, whatever a template says.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
}

/// Its Message-ID begins with the notification's id.
fn is_of(raw: &[u8], notification: &str) -> bool {
    let id = MessageParser::default().parse(raw).and_then(|mail| mail.message_id().map(str::to_owned));
    id.is_some_and(|id| id.split('@').next() == Some(notification))
}

/// What support would see: times, words and codes, and nobody.
fn timeline(page: &mut String, found: &Value) {
    let about = |name: &str| found["event"][name].as_str().unwrap_or("?").to_owned();
    let _ = write!(page, "<p class=id>{} · event {}</p><ol>", escape(&about("name")), escape(&about("event_id")));
    for line in found["timeline"].as_array().into_iter().flatten() {
        let time = line["time"].as_str().and_then(|time| time.get(11..23)).unwrap_or("?");
        let what = line["what"].as_str().unwrap_or("?").replace('_', " ");
        let facts = ["channel", "why", "reason", "code", "source", "number"];
        let facts = facts.into_iter().filter_map(|name| match &line[name] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        let facts = facts.collect::<Vec<_>>().join(" ");
        let _ = write!(page, "<li><time>{}</time> <b>{}</b> {}", escape(time), escape(&what), escape(&facts));
    }
    page.push_str("</ol>");
}

fn mail_card(page: &mut String, mail: &CaughtMail) {
    let parsed = MessageParser::default().parse(&mail.raw);
    let subject = parsed.as_ref().and_then(|m| m.subject()).unwrap_or("(no subject)");
    let html = parsed.as_ref().and_then(|m| m.body_html(0));
    let text = parsed.as_ref().and_then(|m| m.body_text(0));
    let raw = String::from_utf8_lossy(&mail.raw);
    let headers = raw.split("\r\n\r\n").next().unwrap_or_default();
    let _ = write!(
        page,
        "<article><header><b dir=auto>{}</b><br>to {}</header><iframe sandbox srcdoc=\"{}\"></iframe>\
         <details><summary>text part</summary><pre dir=auto>{}</pre></details>\
         <details><summary>headers</summary><pre>{}</pre></details></article>",
        escape(subject),
        escape(&mail.rcpt.join(", ")),
        escape(html.as_deref().unwrap_or("")),
        escape(text.as_deref().unwrap_or("")),
        escape(headers),
    );
}

fn sms_card(page: &mut String, body: &Value) {
    let field = |name: &str| body[name].as_str().unwrap_or("?");
    let Segments { encoding, count, units, .. } = segments::count(field("text"));
    let _ = write!(
        page,
        "<article class=sms><header><b>{}</b> to {}<br>{count} segment{} · {units} units in {encoding:?}</header><p dir=auto>{}</p></article>",
        escape(field("from")),
        escape(field("to")),
        if count == 1 { "" } else { "s" },
        escape(field("text")),
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
<title>Sealpost demo</title><style>\
:root{color-scheme:light dark}body{margin:0;font:15px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText}\
main{max-width:1440px;margin:auto;padding:24px}h1{font-size:22px}h2{font-size:16px;margin:0 0 4px}\
section{display:grid;grid-template-columns:minmax(280px,1fr) 2.4fr;gap:24px;padding:24px 0;\
border-top:1px solid color-mix(in srgb,CanvasText 18%,transparent)}\
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:16px;align-items:start}\
@media(max-width:820px){section{grid-template-columns:1fr}}\
.id{margin:0 0 8px;opacity:.7;font-size:13px;overflow-wrap:anywhere}ol{margin:0;padding:0;list-style:none;font-size:13px}\
li{padding:2px 0}time{opacity:.6;font-variant-numeric:tabular-nums}\
article{border:1px solid color-mix(in srgb,CanvasText 18%,transparent);border-radius:10px;overflow:hidden}\
header{padding:12px 16px;border-bottom:1px solid color-mix(in srgb,CanvasText 12%,transparent);overflow-wrap:anywhere}\
iframe{width:100%;height:480px;border:0;background:#fff}details,.sms p{padding:8px 16px;margin:0}pre{white-space:pre-wrap;overflow-wrap:anywhere}\
</style><main><h1>What happened to each event, and what the people received</h1>\
<p>Caught on this machine; the people are made up.</p>";

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_in_a_message_can_leave_its_frame() {
        assert_eq!(escape("\"><script>&"), "&quot;&gt;&lt;script&gt;&amp;");
    }
}
