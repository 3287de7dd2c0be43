//! Thousands of connections that say nothing, or not enough.
//!
//! Promises: whoever has something to say is served beside them, with room for all of them and without; what a connection costs in
//! memory is bounded; every connection is counted back.
//! Never: more connections than the system lets this process have: a test that cannot have them all says so and has fewer.

use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::speak::{POST, agree, honest, peace, until};
use crate::canary::EMAIL;
use crate::process::Installation;
use crate::support::Setup;

/// Idle connections.
const CROWD: usize = 5_000;
/// Connections whose head is nearly as long as one may be, and never ends.
const HEAVY: usize = 256;
/// What an idle connection may cost the relay, bytes; and one with a head of 60 KiB. Measured: docs/performance.md.
const EACH: (u64, u64) = (32 << 10, 288 << 10);

/// As many connections as are wanted and this process may have, beside the files of other tests.
#[expect(clippy::print_stdout, reason = "a test that tries less than it says tells so")]
fn allowed(wanted: usize) -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // As `run` does for itself; where it is refused, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let most = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let allowed = wanted.min(most.saturating_sub(1_000));
    if allowed < wanted {
        println!("only {allowed} of {wanted} connections: this process may have {most} open files");
    }
    assert!(allowed >= HEAVY, "{most} open files are too few to try this");
    allowed
}

async fn connect(intake: SocketAddr, count: usize, begin: &str) -> Vec<TcpStream> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(intake).await.expect("the intake listens");
        stream.write_all(begin.as_bytes()).await.expect("a connection takes its first bytes");
        all.push(stream);
    }
    all
}

/// The real binary, started, with the log that ships: at its finest it would tell of every socket.
async fn quiet(intake_with: &'static str) -> Installation {
    let mut relay = Installation::new(Setup { intake_with, allow: vec!["welcome"], ..Setup::default() }).await;
    relay.start().await;
    relay
}

async fn open(relay: &Installation) -> u64 {
    relay.metric("sealpost_connections", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_with_room_for_them_cost_little_and_hold_up_nobody() {
    let crowd = allowed(CROWD);
    let relay = quiet("max_connections = 6000\nheader_timeout = \"10m\"").await;
    honest(relay.intake, "before", 20).await;
    let before = relay.resident();
    let idle = connect(relay.intake, crowd, "").await;
    until(&relay, "all are open", async |relay| open(relay).await >= crowd as u64).await;
    let each = relay.resident().saturating_sub(before) / crowd as u64;
    assert!(each < EACH.0, "{each} bytes for an idle connection");

    let before = relay.resident();
    let head = format!("{POST}\r\nHost: relay\r\nX-Long: {}", EMAIL.repeat((60 << 10) / EMAIL.len()));
    let heavy = connect(relay.intake, HEAVY, &head).await;
    until(&relay, "these too", async |relay| open(relay).await >= (crowd + HEAVY) as u64).await;
    let put_off = honest(relay.intake, "beside", 50).await;
    let each_heavy = relay.resident().saturating_sub(before) / HEAVY as u64;
    assert!(each_heavy < EACH.1, "{each_heavy} bytes for a connection with a head that never ends");
    assert_eq!(put_off, 0);
    say(&format!("{each} bytes for each of {crowd} idle connections, {each_heavy} with a head of 60 KiB"));
    assert_eq!(relay.metric("sealpost_connections_given_up_total", "").await, 0, "there was room for all of them");

    drop((idle, heavy));
    agree(&relay, 70).await;
    peace(relay, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_idle_connections_without_room_for_them_give_up_their_places() {
    let crowd = allowed(CROWD);
    let relay = quiet("header_timeout = \"10m\"").await;
    // One who is known keeps the connection, and is not the first to lose it.
    let mut known = connect(relay.intake, 1, &super::speak::whole("known")).await;
    let mut answer = [0; 12];
    known[0].read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");

    let beside = tokio::join!(connect(relay.intake, crowd, ""), honest(relay.intake, "among", 100));
    assert_eq!(beside.1, 0, "idle connections are no reason for one who sends as he should to come again");
    until(&relay, "no more are open than there are places", async |relay| open(relay).await <= 1_024).await;
    until(&relay, "the longest idle have gone", async |relay| {
        relay.metric("sealpost_connections_given_up_total", "").await >= (crowd as u64).saturating_sub(1_024)
    })
    .await;
    assert_eq!(honest(relay.intake, "after", 20).await, 0);

    known[0].write_all(super::speak::whole("known-again").as_bytes()).await.expect("it is open still");
    let mut rest = vec![0; 512];
    let mut heard = String::new();
    while !heard.contains("HTTP/1.1 200") {
        let read = known[0].read(&mut rest).await.expect("it is open still");
        assert!(read > 0, "one who is known loses his place after all strangers: {heard}");
        heard.push_str(&String::from_utf8_lossy(&rest[..read]));
    }
    drop((known, beside));
    agree(&relay, 122).await;
    let log = peace(relay, &[]).await;
    assert!(log.contains("all places (intake.max_connections) were taken"), "somebody is told: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_never_take_the_files_that_the_stores_need() {
    let setup = Setup { intake_with: "header_timeout = \"10m\"", allow: vec!["welcome"], ..Setup::default() };
    let mut relay = Installation::new(setup).await;
    for (limit, name, places, told) in [("-S -n 512", "more", 1_024, false), ("-n 900", "fewer", 132, true)] {
        relay.start_within(limit).await;
        let idle = connect(relay.intake, 300, "").await;
        assert_eq!(honest(relay.intake, name, 20).await, 0, "{limit}");
        // One who was served took a place, and left it.
        let fewest = 300.min(places) - 20;
        until(&relay, "as many are open as may be", async |relay| (fewest..=places).contains(&open(relay).await)).await;
        drop(idle);
        let log = std::fs::read_to_string(relay.log()).expect("there is a log");
        assert_eq!(log.contains("fewer connections than intake.max_connections"), told, "{limit}: {log}");
        assert!(!log.contains("cannot be accepted"), "{limit}: {log}");
        assert!(relay.terminate().await.success(), "{limit}");
    }
}

#[expect(clippy::print_stdout, reason = "figures, for whoever looks")]
fn say(text: &str) {
    println!("{text}");
}
