//! Credentials guessed at full speed, from the address of one who has them.
//!
//! Promises: all guessers together get so many answers in a while, however many they are; the one who has them never waits in their line;
//! no guess is in the log or in an answer, and that somebody guesses is.
//! Never: a guess that could be right.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::speak::{Heard, agree, honest, peace, relay, say};
use crate::canary::{EMAIL, FIRST, MOBILE};
use crate::support::now_millis;

/// Connections that guess at the same time.
const GUESSERS: usize = 128;
/// What is sent rightly meanwhile.
const EVENTS: u64 = 400;
/// What the intake promises: so many strangers wait at the same time, each for so long.
const STRANGERS: (u32, Duration) = (16, Duration::from_millis(200));

/// Guesses on until it is stopped; what was heard.
async fn guess(intake: SocketAddr, number: usize, stop: CancellationToken) -> Vec<Heard> {
    let mut all = Vec::new();
    for n in 0_u64.. {
        let secret = format!("{EMAIL}-{MOBILE}-{number}-{n}");
        let close = "Host: relay\r\nConnection: close\r\nContent-Length: 2\r\n";
        let signed = format!("webhook-id: {secret}\r\nwebhook-timestamp: {}\r\n", now_millis() / 1_000);
        let request = match n % 4 {
            0 => format!("POST /v1/events/capillary HTTP/1.1\r\n{close}X-Sealpost-Key: {secret}\r\n\r\n{{}}"),
            1 => format!("POST /v1/events/capillary/{secret} HTTP/1.1\r\n{close}X-Sealpost-Key: {secret}\r\n\r\n{{}}"),
            2 => format!("POST /v1/events/{FIRST}{n} HTTP/1.1\r\n{close}Authorization: Bearer {secret}\r\n\r\n{{}}"),
            _ => {
                format!("POST /v1/events/signed HTTP/1.1\r\n{close}{signed}webhook-signature: v1,{secret}\r\n\r\n{{}}")
            }
        };
        let heard = tokio::select! {
            () = stop.cancelled() => return all,
            heard = say(intake, request.as_bytes(), false) => heard,
        };
        all.push(heard);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn guessers_stand_in_a_line_in_which_a_valid_sender_of_their_address_does_not() {
    let relay = relay("").await;
    let stop = CancellationToken::new();
    let (mut guessers, began) = (JoinSet::new(), Instant::now());
    for number in 0..GUESSERS {
        guessers.spawn(guess(relay.intake, number, stop.clone()));
    }
    super::speak::until(&relay, "they are heard", async |relay| {
        relay.metric("sealpost_deliveries_total", "unauthorized").await >= GUESSERS as u64
    })
    .await;
    let mut honest_ones = JoinSet::new();
    for name in ["one", "two", "three", "four"] {
        honest_ones.spawn(honest(relay.intake, name, EVENTS / 4));
    }
    let put_off: u64 = honest_ones.join_all().await.into_iter().sum();
    assert_eq!(put_off, 0, "guesses are no reason for one who has the key to come again");
    stop.cancel();
    let heard: Vec<Heard> = guessers.join_all().await.into_iter().flatten().collect();
    // All that the relay may have answered in a time that was at least as long as the one it had.
    let turns = u32::try_from(began.elapsed().as_millis() / STRANGERS.1.as_millis()).expect("a test ends") + 1;
    let answered = u32::try_from(heard.len()).expect("a count");
    assert!(heard.iter().all(|heard| heard.statuses() == [401]), "{:?}", heard.iter().find(|h| h.statuses() != [401]));
    assert!(answered <= turns * STRANGERS.0, "{answered} guesses were answered in {turns} turns of {}", STRANGERS.0);

    agree(&relay, EVENTS).await;
    let log = peace(relay, &heard).await;
    assert!(log.contains("wrong credentials"), "somebody is told that there are guesses");
    let lines = log.lines().filter(|line| line.contains("wrong credentials")).count();
    assert!(lines <= 2 + began.elapsed().as_secs() as usize / 60, "{lines} lines for one flood of guesses");
    for guess in ["Bearer", "whsec", &format!("{FIRST}0")] {
        assert!(!log.contains(guess), "the log has `{guess}`");
    }
}
