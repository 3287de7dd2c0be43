//! The demo's page: what the catchers caught, as the people would see it.
//!
//! Promises: mails are shown in sandboxed frames without scripts or network; every text is escaped.
//! Never: served anywhere but on loopback, or anything but made-up people.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use mail_parser::MessageParser;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::serve::{self, Limits, Listener};
use crate::sink::sms::SmsSink;
use crate::sink::smtp::{CaughtMail, SmtpSink};
use crate::tasks::Tasks;

use super::Demo;

struct Caught {
    smtp: Arc<SmtpSink>,
    sms: Arc<SmsSink>,
}

pub(super) async fn serve(
    demo: &Demo,
    port: u16,
    tasks: &Tasks,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.with_context(|| format!("port {port}"))?;
    let address = listener.local_addr()?;
    let caught = Arc::new(Caught { smtp: demo.smtp.clone(), sms: demo.sms.clone() });
    let router = Router::new().route("/", get(index)).with_state(caught);
    let limits = Limits {
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        max_connections: 32,
        connection_max_age: Duration::from_secs(600),
    };
    serve::serve(Listener::Tcp(listener), router, limits, tasks, stop);
    Ok(address)
}

async fn index(State(caught): State<Arc<Caught>>) -> Response {
    let mut page = String::from(HEAD);
    let mails = caught.smtp.mails();
    let _ = write!(page, "<h2>{} mails</h2><div class=grid>", mails.len());
    for mail in &mails {
        mail_card(&mut page, mail);
    }
    let texts = caught.sms.messages();
    let _ = write!(page, "</div><h2>{} text messages</h2><div class=grid>", texts.len());
    for text in &texts {
        sms_card(&mut page, &text.body);
    }
    page.push_str("</div></main>");
    // What is in a frame may not load or run anything, whatever a template says.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
}

fn mail_card(page: &mut String, mail: &CaughtMail) {
    let parsed = MessageParser::default().parse(&mail.raw);
    let subject = parsed.as_ref().and_then(|m| m.subject()).unwrap_or("(no subject)");
    let html = parsed.as_ref().and_then(|m| m.body_html(0));
    let text = parsed.as_ref().and_then(|m| m.body_text(0));
    let _ = write!(
        page,
        "<article><header><b>{}</b><br>to {}</header><iframe sandbox srcdoc=\"{}\"></iframe>\
         <details><summary>text part</summary><pre>{}</pre></details></article>",
        escape(subject),
        escape(&mail.rcpt.join(", ")),
        escape(html.as_deref().unwrap_or("")),
        escape(text.as_deref().unwrap_or("")),
    );
}

fn sms_card(page: &mut String, body: &[u8]) {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |name: &str| escape(body[name].as_str().unwrap_or("?"));
    let _ = write!(
        page,
        "<article class=sms><header><b>{}</b> to {}</header><p dir=auto>{}</p></article>",
        field("from"),
        field("to"),
        field("text"),
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
<title>Sealpost demo</title><style>\
:root{color-scheme:light dark}body{margin:0;font:15px/1.5 system-ui,sans-serif;background:Canvas;color:CanvasText}\
main{max-width:1240px;margin:auto;padding:24px}h1{font-size:22px}h2{font-size:17px;margin-top:32px}\
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(360px,1fr));gap:16px}\
article{border:1px solid color-mix(in srgb,CanvasText 18%,transparent);border-radius:10px;overflow:hidden}\
header{padding:12px 16px;border-bottom:1px solid color-mix(in srgb,CanvasText 12%,transparent);overflow-wrap:anywhere}\
iframe{width:100%;height:520px;border:0;background:#fff}details,.sms p{padding:8px 16px}pre{white-space:pre-wrap}\
</style><main><h1>What the demo's customers received</h1>\
<p>Caught on this machine; the people are made up. Reload for more.</p>";

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_in_a_message_can_leave_its_frame() {
        assert_eq!(escape("\"><script>&"), "&quot;&gt;&lt;script&gt;&amp;");
    }
}
