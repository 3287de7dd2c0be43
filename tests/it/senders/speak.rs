//! A connection spoken by hand, and what the relay made of it.
//!
//! Promises: bytes go out as they are given; every answer on the connection is read, and whether it was closed; each is searched for the
//! planted person.
//! Never: a client library, which would mend what a test breaks.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::canary;
use crate::needle::Needles;
use crate::process::{Installation, traces};
use crate::support::{KEY, PATIENCE, Setup, breath, deliver, points_issued, until_none};

/// A connection's answers until the relay closed it.
#[derive(Debug)]
pub struct Heard {
    pub text: String,
}

impl Heard {
    /// Every status, in order; `100` is no answer.
    pub fn statuses(&self) -> Vec<u16> {
        let mut all = Vec::new();
        for (at, _) in self.text.match_indices("HTTP/1.") {
            let status: Option<u16> = self.text[at..].split(' ').nth(1).and_then(|s| s.get(..3)?.parse().ok());
            all.extend(status.filter(|status| *status != 100));
        }
        all
    }

    /// How often it was told that something was kept.
    pub fn acknowledged(&self) -> u64 {
        self.statuses().iter().filter(|status| (200..300).contains(*status)).count() as u64
    }
}

/// Says all of it, ends the saying if asked to, and hears the relay out.
pub async fn say(intake: SocketAddr, bytes: &[u8], ends: bool) -> Heard {
    let stream = TcpStream::connect(intake).await.expect("the intake listens");
    let (mut read, mut write) = stream.into_split();
    let saying = async {
        // One that is closed in the middle of it has its answer.
        let _ = write.write_all(bytes).await;
        if ends {
            let _ = write.shutdown().await;
        }
        write
    };
    let hearing = async {
        let mut heard = Vec::new();
        let _ = read.read_to_end(&mut heard).await;
        String::from_utf8_lossy(&heard).into_owned()
    };
    let (_write, text) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(saying, hearing) }).await.unwrap_or_else(|_| {
            panic!("the relay holds on to: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]))
        });
    Heard { text }
}

/// An event with the planted person in it.
pub fn event(id: &str) -> String {
    let mut event = points_issued(id, 1, 10.0);
    event["data"]["customerName"] = json!(format!("{} {}", canary::FIRST, canary::LAST));
    event["data"]["customerIdentifiers"]["instore"] = json!({"email": canary::EMAIL, "mobile": canary::MOBILE});
    event.to_string()
}

/// A request as it should be, but for what is given: the right key, further header lines, a body as it stands.
pub fn request(line: &str, headers: &str, body: &str) -> String {
    format!("{line}\r\nHost: relay\r\nX-Sealpost-Key: {KEY}\r\n{headers}\r\n{body}")
}

/// The usual first line.
pub const POST: &str = "POST /v1/events/capillary HTTP/1.1";

/// A whole request as it should be.
pub fn whole(id: &str) -> String {
    let body = event(id);
    request(POST, &format!("Content-Length: {}\r\n", body.len()), &body)
}

/// The real binary, started, that logs at its finest.
pub async fn relay(intake_with: &'static str) -> Installation {
    let toml = "[log]\nfilter = \"trace\"\nformat = \"text\"\n".into();
    let mut relay = Installation::new(Setup { intake_with, toml, allow: vec!["welcome"], ..Setup::default() }).await;
    relay.start().await;
    relay
}

/// One who sends as he should: so many events, one after the other; each must be acknowledged, or was told to come again and is then.
/// How often he had to.
pub async fn honest(intake: SocketAddr, name: &str, events: u64) -> u64 {
    let mut again = 0;
    for n in 0..events {
        let body = points_issued(&format!("{name}-{n}"), 1, 10.0).to_string();
        loop {
            match deliver(intake, KEY, body.as_bytes()).await {
                Ok((200, _)) => break,
                Ok((429, _)) => again += 1,
                other => panic!("one who sends as he should was answered {other:?}"),
            }
            breath().await;
        }
    }
    again
}

/// Waits for a fact that the metrics tell.
pub async fn until(relay: &Installation, what: &str, fact: impl AsyncFn(&Installation) -> bool) {
    let looks = async {
        while !fact(relay).await {
            breath().await;
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Deliveries that were journalled, once all are planned: by what planning made of each, not by what the intake says.
pub async fn journalled(relay: &Installation) -> u64 {
    // A siege leaves a million behind: what is asked is that there are fewer and fewer.
    let left = async || match relay.metric("sealpost_journal_backlog", "").await {
        0 => None,
        backlog => Some((backlog, "deliveries that are not planned".into())),
    };
    until_none(1, left).await;
    relay.metric("sealpost_events_total", "").await + relay.metric("sealpost_quarantined_total", "").await
}

/// As many as were acknowledged are journalled, waiting for those that are on their way from the journal to the plan.
pub async fn agree(relay: &Installation, acknowledged: u64) {
    // First those of the backlog, which may take long.
    journalled(relay).await;
    until(relay, "what was acknowledged is planned", async |relay| journalled(relay).await >= acknowledged).await;
    assert_eq!(journalled(relay).await, acknowledged, "acknowledged and journalled are the same");
}

/// True if the relay knows an event by this id.
pub async fn is_known(relay: &Installation, id: &str) -> bool {
    let (status, text) = relay.ask("POST", "/v1/events/find", Some(json!({"by": "event_id", "value": id}))).await;
    assert_eq!(status, 200, "{text}");
    let answer: serde_json::Value = serde_json::from_str(&text).expect("the daemon answers in JSON");
    answer["found"].as_array().is_some_and(|found| !found.is_empty())
}

/// Nobody is named in what was heard, nor in the log; the relay stops in order and every connection is counted back.
pub async fn peace(mut relay: Installation, heard: &[Heard]) -> String {
    until(&relay, "no connection is open", async |relay| relay.metric("sealpost_connections", "").await == 0).await;
    let ended = relay.terminate().await;
    assert!(ended.success(), "the relay stops in order: {ended}");
    let needles: Needles = canary::needles();
    for heard in heard {
        assert!(needles.find(heard.text.as_bytes()).is_empty(), "an answer names the person: {}", heard.text);
    }
    let log = std::fs::read_to_string(relay.log()).expect("there is a log");
    let traces = traces(&relay.written(), &needles);
    assert!(traces.is_empty(), "{traces:#?}");
    assert!(!log.contains("panic"), "nothing panicked: {log}");
    log
}
