//! Slow loris: heads and bodies that come a byte at a time and never end.
//!
//! Promises: hundreds at once, beside one who sends as he should and is served throughout; each ends by its deadline, a head without a
//! word, a body with 408, a stranger's with 401 or without a word; every connection is counted back.
//! Never: a look at how long it took.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::speak::{Heard, POST, agree, honest, peace, relay, request, until};
use crate::canary::{EMAIL, FIRST, MOBILE};
use crate::support::PATIENCE;

/// Of each kind.
const EACH: usize = 120;
/// A byte each: often enough for any deadline between two bytes.
const PACE: Duration = Duration::from_millis(200);
/// What one who sends as he should sends meanwhile.
const EVENTS: u64 = 60;

/// Begins, then drips until the relay closes; what was answered.
async fn drip(intake: SocketAddr, begin: String) -> Heard {
    let mut stream = TcpStream::connect(intake).await.expect("the intake listens");
    stream.write_all(begin.as_bytes()).await.expect("a connection takes its first bytes");
    let (mut read, mut write) = stream.split();
    let drops = async {
        let mut pace = tokio::time::interval(PACE);
        for drop in EMAIL.bytes().cycle() {
            pace.tick().await;
            if write.write_all(&[drop]).await.is_err() {
                // What was said before the end is still to be heard.
                std::future::pending::<()>().await;
            }
        }
    };
    let mut heard = Vec::new();
    let hears = async {
        // A reset is an end as well.
        let _ = read.read_to_end(&mut heard).await;
    };
    let ended = async {
        tokio::select! { () = drops => {}, () = hears => {} }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("a slow connection is closed");
    Heard { text: String::from_utf8_lossy(&heard).into_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_slow_connections_end_by_their_deadline_and_hold_up_nobody() {
    let relay = relay("header_timeout = \"3s\"\nbody_timeout = \"3s\"").await;
    let kinds: [(&str, String, &[u16]); 5] = [
        ("nothing but a method", "PO".into(), &[]),
        ("a head", format!("{POST}\r\nHost: relay\r\nX-{FIRST}: "), &[]),
        ("a body", request(POST, "Content-Length: 100000\r\n", MOBILE), &[408]),
        ("a chunked body", request(POST, "Transfer-Encoding: chunked\r\n", "fffff\r\n"), &[408]),
        (
            "a stranger's body",
            "POST /v1/events/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n".into(),
            &[401],
        ),
    ];
    let mut slow = JoinSet::new();
    for (kind, (_, begin, _)) in kinds.iter().enumerate() {
        for _ in 0..EACH {
            let (intake, begin) = (relay.intake, begin.clone());
            slow.spawn(async move { (kind, drip(intake, begin).await) });
        }
    }
    let open = async |relay: &crate::process::Installation| relay.metric("sealpost_connections", "").await;
    until(&relay, "most of them are open", async |relay| open(relay).await > 3 * EACH as u64).await;
    let put_off = honest(relay.intake, "beside", EVENTS).await;
    assert_eq!(put_off, 0, "slow connections are no reason for one who sends as he should to come again");

    let mut all = Vec::new();
    while let Some(ended) = slow.join_next().await {
        let (kind, heard) = ended.expect("whoever drips comes to an end");
        let (name, _, expected) = &kinds[kind];
        // One that is closed while it writes may lose what was said to it.
        assert!(heard.statuses().is_empty() || heard.statuses() == *expected, "{name}: {heard:?}");
        all.push((kind, heard));
    }
    for (kind, (name, _, expected)) in kinds.iter().enumerate().filter(|(_, kind)| !kind.2.is_empty()) {
        let told = all.iter().filter(|(of, heard)| *of == kind && !heard.text.is_empty()).count();
        assert!(told > EACH / 2, "{name}: only {told} of {EACH} heard {expected:?}");
    }
    agree(&relay, EVENTS).await;
    assert_eq!(relay.metric("sealpost_connections_given_up_total", "").await, 0, "there was room for all of them");
    let heard: Vec<Heard> = all.into_iter().map(|(_, heard)| heard).collect();
    peace(relay, &heard).await;
}
