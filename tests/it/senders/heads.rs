//! Heads that are a flood, and HTTP/2.
//!
//! Promises: the answers that the README's table names, then the end of the connection; HTTP/2 is spoken to nobody.
//! Never: a body.

use sealpost::clock::Clock;

use super::speak::{Heard, POST, agree, event, peace, relay, request, say, whole};
use crate::canary::{EMAIL, FIRST, LAST, MOBILE};
use crate::doors::{self, Door};
use crate::process::Installation;
use crate::support::{KEY, Setup};

/// Each name, what is said, and every answer on the connection.
fn floods() -> Vec<(&'static str, Vec<u8>, Vec<u16>)> {
    let many = |count: usize| (0..count).map(|n| format!("X-{FIRST}-{n}: {EMAIL}\r\n")).collect::<String>();
    let close = "Connection: close\r\nContent-Length: 0\r\n";
    let line = |bytes: usize| format!("POST /{} HTTP/1.1", format!("{EMAIL}/").repeat(bytes / (EMAIL.len() + 1)));
    let value = |bytes: usize| format!("X-Long: {}\r\n", LAST.repeat(bytes / LAST.len()));
    vec![
        // Host, key, Connection and Content-Length are four.
        ("as many headers as may be", request(POST, &format!("{}{close}", many(124)), "").into(), vec![200]),
        ("one more", request(POST, &format!("{}{close}", many(125)), "").into(), vec![431]),
        ("thousands of headers", request(POST, &many(20_000), "").into(), vec![431]),
        ("headers that never end", format!("{POST}\r\n{}", many(200_000)).into(), vec![431]),
        ("a long header", request(POST, &format!("{}{close}", value(40 << 10)), "").into(), vec![200]),
        ("a giant header", request(POST, &value(1 << 20), "").into(), vec![431]),
        ("a name that never ends", format!("{POST}\r\n{}", "x".repeat(1 << 20)).into(), vec![431]),
        ("a long path", request(&line(40 << 10), close, "").into(), vec![404]),
        ("a giant path", request(&line(1 << 20), close, "").into(), vec![431]),
        ("a giant query", request(&format!("POST /v1/events/capillary?{} HTTP/1.1", MOBILE.repeat(90_000)), close, "").into(), vec![431]),
        ("a path as long as a head", format!("POST /{} HTTP/1.1\r\nConnection: close\r\n\r\n", "x".repeat(65_490)).into(), vec![404]),
        ("a method that never ends", "X".repeat(1 << 20).into(), vec![431]),
        ("empty lines that never end", "\r\n".repeat(1 << 20).into(), vec![431]),
        ("HTTP/0.9", format!("GET /{EMAIL}\r\n").into(), vec![400]),
        ("HTTP/3.0", format!("GET /{EMAIL} HTTP/3.0\r\n\r\n").into(), vec![400]),
        ("a handshake of TLS", [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], EMAIL.as_bytes()].concat(), vec![400]),
        ("noise", (0..=255).cycle().take(100_000).collect(), vec![400]),
        // Closed without a word: the preface of HTTP/2, with SETTINGS and a stream that is reset at once, over and over.
        ("HTTP/2", [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], &resets()].concat(), vec![]),
        (
            "an upgrade to HTTP/2",
            request(POST, &format!("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: close\r\n{close}"), "").into(),
            vec![200],
        ),
    ]
}

/// Streams that are opened and reset at once, then a head that CONTINUATION never ends.
fn resets() -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let mut all = Vec::new();
    for stream in (1..2_001).step_by(2) {
        all.extend(frame(1, 0x5, stream, &[0x82, 0x84, 0x86]));
        all.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    all.extend(frame(1, 0, 2_001, &[0x82]));
    (0..1_000).for_each(|_| all.extend(frame(9, 0, 2_001, EMAIL.as_bytes())));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_in_the_head_is_answered_as_documented_and_closed() {
    let relay = relay("").await;
    let (mut heard, mut wrong) = (Vec::new(), Vec::new());
    for (name, said, expected) in floods() {
        let answer = say(relay.intake, &said, false).await;
        if answer.statuses() != expected {
            wrong.push(format!("{name}: {:?}, not {expected:?}", answer.statuses()));
        }
        heard.push(answer);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A little longer, and it depends on how the bytes come in whether the path or the head is found too long.
    let longer = say(relay.intake, format!("POST /{} HTTP/1.1\r\n\r\n", "x".repeat(65_540)).as_bytes(), false).await;
    assert!([[414], [431]].iter().any(|one| longer.statuses() == one), "{longer:?}");
    let upgraded = heard.last().expect("the last one asked for HTTP/2");
    assert!(
        !upgraded.text.contains(" 101 ") && !upgraded.text.to_ascii_lowercase().contains("upgrade"),
        "{}",
        upgraded.text
    );

    // And somebody who means well is served as ever.
    let close = request(POST, "Connection: close\r\nContent-Length: 2\r\n", "{}");
    heard.push(say(relay.intake, format!("{}{close}", whole("after")).as_bytes(), false).await);
    agree(&relay, heard.iter().map(Heard::acknowledged).sum()).await;
    peace(relay, &heard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_agreed_on_with_nobody() {
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let mut relay = Installation::new(Setup { toml: doors::toml(elsewhere.path()), ..Setup::default() }).await;
    relay.start().await;
    for (offered, agreed) in [(&["h2"][..], None), (&["h2", "http/1.1"], Some("http/1.1")), (&[], Some(""))] {
        let met = Door::offering(relay.intake, offered).agreed().await;
        assert_eq!(met.as_deref().ok(), agreed, "{offered:?}: {met:?}");
    }
    let door = Door::new(relay.intake);
    let body = event(&format!("tls-{}", Clock::system().now().as_millis()));
    let (status, _) =
        door.deliver_to("capillary", &format!("X-Sealpost-Key: {KEY}\r\n"), body.as_bytes()).await.expect("an answer");
    assert_eq!(status, 200);
    agree(&relay, 1).await;
    peace(relay, &[]).await;
}
