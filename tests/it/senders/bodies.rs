//! Bodies that are too large, packed, or not as long as they say.
//!
//! Promises: each is answered as the README's table says or its connection is closed; what is broken or too large is never acknowledged;
//! what is packed is kept as it came and never unpacked.
//! Never: an answer 400 to a head that could be read.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::speak::{Heard, POST, agree, event, honest, is_known, peace, relay, request, say};

/// The default of `intake.max_body_bytes`.
const MOST: usize = 1 << 20;

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("memory takes it");
    packer.finish().expect("memory takes it")
}

/// Each name, what is said, whether the sender ends behind it, and every answer on the connection.
fn lengths() -> Vec<(String, String, bool, Vec<u16>)> {
    let body = event("length");
    let mut all = Vec::new();
    let mut add = |name: &str, headers: &str, body: &str, ends: bool, expected: &[u16]| {
        all.push((name.to_owned(), request(POST, headers, body), ends, expected.to_vec()));
    };
    for bad in ["-5", "+5", "x", "", " ", "5x", "0x5", "5.0", "5, 6", "5,5", "5 5", "٥", "1e1"] {
        add(&format!("length {bad:?}"), &format!("Content-Length: {bad}\r\n"), &body, false, &[400]);
    }
    for huge in ["18446744073709551616", "99999999999999999999999999"] {
        add(huge, &format!("Content-Length: {huge}\r\n"), &body, false, &[400]);
    }
    // Beyond what the HTTP layer can count to, and just below.
    add("2^64-1", "Content-Length: 18446744073709551615\r\n", &body, false, &[431]);
    add("2^63-1", "Content-Length: 9223372036854775807\r\n", &body, false, &[413]);
    add("one too many", &format!("Content-Length: {}\r\n", MOST + 1), &body, false, &[413]);
    add("two that differ", "Content-Length: 5\r\nContent-Length: 6\r\n", &body, false, &[400]);
    let twice = format!("Content-Length: {0}\r\nContent-Length: {0}\r\nConnection: close\r\n", body.len());
    add("two that agree", &twice, &body, false, &[200]);
    add("longer than what comes", &format!("Content-Length: {}\r\n", body.len() + 1), &body, false, &[408]);
    add("broken off", &format!("Content-Length: {}\r\n", body.len() + 1), &body, true, &[408]);
    add(
        "broken off in a chunk",
        "Transfer-Encoding: chunked\r\n",
        &format!("{:x}\r\n{body}", body.len() + 9),
        true,
        &[408],
    );
    // Nobody can know that a body should have been longer: what stands behind it is no request, and the connection ends.
    add("shorter than what comes", "Content-Length: 10\r\n", &body, false, &[200, 400]);
    add("nothing at all", "Connection: close\r\n", "", false, &[200]);
    add("waits to be asked", &format!("Expect: 100-continue\r\nContent-Length: {}\r\n", MOST + 1), "", false, &[413]);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_as_long_as_it_says_is_answered_as_documented() {
    let relay = relay("body_timeout = \"1s\"").await;
    let (mut heard, mut wrong) = (Vec::new(), Vec::new());
    for (name, said, ends, expected) in lengths() {
        let answer = say(relay.intake, said.as_bytes(), ends).await;
        if answer.statuses() != expected {
            wrong.push(format!("{name}: {:?}, not {expected:?}", answer.statuses()));
        }
        heard.push(answer);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    agree(&relay, heard.iter().map(Heard::acknowledged).sum()).await;
    peace(relay, &heard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_or_packed_costs_no_more_than_it_weighs() {
    let relay = relay("").await;
    honest(relay.intake, "before", 5).await;
    let before = relay.resident();
    let mut heard = Vec::new();
    let head = |headers: &str| request(POST, &format!("Connection: close\r\n{headers}"), "").into_bytes();
    let line = event("too-large").into_bytes();

    // As many bytes as there are in three bodies, declared and not.
    let large: Vec<u8> = line.iter().copied().cycle().take(3 * MOST).collect();
    let declared = [head(&format!("Content-Length: {}\r\n", large.len())), large.clone()].concat();
    heard.push(say(relay.intake, &declared, false).await);
    let mut chunked = head("Transfer-Encoding: chunked\r\n");
    for chunk in large.chunks(10_000) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    heard.push(say(relay.intake, &chunked, false).await);
    for heard in &heard {
        assert_eq!(heard.statuses(), [413], "{}", heard.text);
    }

    // Kept as they came: nobody unpacks what a stranger to this house packed. Half a megabyte that would become half a gigabyte.
    let member = packed(&vec![0; MOST]);
    let bomb: Vec<u8> = member.iter().copied().cycle().take(member.len() * 480).collect();
    assert!(bomb.len() < MOST, "it would be refused for its length");
    for (coding, body) in [
        ("gzip", packed(event("packed").as_bytes())),
        ("gzip", bomb.clone()),
        ("gzip, gzip", packed(&bomb)),
        ("br", line.clone()),
        ("deflate, identity", line.clone()),
        (crate::canary::EMAIL, line.clone()),
    ] {
        let head = head(&format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len()));
        let answer = say(relay.intake, &[head, body].concat(), false).await;
        assert_eq!(answer.statuses(), [200], "{coding}: {}", answer.text);
        heard.push(answer);
    }
    agree(&relay, 5 + heard.iter().map(Heard::acknowledged).sum::<u64>()).await;
    assert!(!is_known(&relay, "packed").await, "it stands in quarantine, as it came");
    assert_eq!(relay.metric("sealpost_quarantined_total", "").await, 3, "what is packed cannot be decoded");
    let grown = relay.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more for a few bodies of at most {MOST}");
    peace(relay, &heard).await;
}
