//! What the reader of a mail server's replies is held to, and the writer of DATA: the target `smtp`.
//!
//! Promises: whatever a server says is a reply, or garbage after a bounded number of bytes; nothing that it says reaches an outcome but the
//! codes; what a server takes as the message is what was meant, and ends where we end it.
//! Never: a socket.

use bytes::BytesMut;

use super::data::terminated;
use super::reply::{MAX_LINE, Partial, Phase, Reply, broken, refusal};
use crate::choices::Choices;
use crate::provider::{Outcome, Verdict};

const PHASES: [Phase; 11] = [
    Phase::Connect,
    Phase::Tls,
    Phase::Greeting,
    Phase::Ehlo,
    Phase::StartTls,
    Phase::Auth,
    Phase::Mail,
    Phase::Rcpt,
    Phase::Data,
    Phase::Content,
    Phase::FinalDot,
];

/// Stands in the text of replies only.
const CANARY: &str = "qanarya";

/// A server's words, and a message.
pub(crate) fn smtp(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    if choices.one_in(4) {
        dots(choices.rest());
        return;
    }
    let phase = choices.pick(&PHASES);
    let cut = choices.pick(&[1, 2, 3, 7, 64, 5_000]);
    let mut said = Vec::new();
    while !choices.is_over() {
        said.extend(line(&mut choices));
        said.extend_from_slice(choices.pick(&["\r\n", "\r\n", "\r\n", "\n", "\r", ""]).as_bytes());
    }
    let whole = heard(&said, said.len().max(1), phase);
    assert_eq!(whole, heard(&said, cut, phase), "what arrives in pieces is heard differently");
}

/// What is made of these words, arriving in pieces of so many bytes: each reply, and how it ended.
fn heard(said: &[u8], cut: usize, phase: Phase) -> Vec<String> {
    let mut heard = Vec::new();
    let mut partial = Partial::default();
    let mut buffer = BytesMut::new();
    for piece in said.chunks(cut) {
        buffer.extend_from_slice(piece);
        loop {
            match partial.take(&mut buffer) {
                Ok(None) => break,
                Ok(Some(reply)) => {
                    judged(phase, &reply);
                    heard.push(reply.to_string());
                    partial = Partial::default();
                }
                // A line without an end is given up before its end is there.
                Err(what) => {
                    assert!(matches!(what, "garbage" | "endless_line"));
                    heard.push("garbage".to_owned());
                    return heard;
                }
            }
        }
        assert!(buffer.len() <= MAX_LINE, "an endless line is held");
    }
    heard
}

fn line(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    if choices.one_in(8) {
        line.extend_from_slice(choices.some(40));
    } else {
        let code = choices.pick(&[
            "250",
            "220",
            "354",
            "421",
            "450",
            "452",
            "500",
            "535",
            "550",
            "552",
            "554",
            "199",
            "600",
            "25x",
            "5\u{661}0",
        ]);
        line.extend_from_slice(code.as_bytes());
        line.extend_from_slice(choices.pick(&[" ", "-", "", "\t"]).as_bytes());
        for _ in 0..choices.below(4) {
            let word = choices.text(&[
                "5.1.1",
                "4.7.1 ",
                "2.0.0",
                "5.7.1",
                "5.2.2",
                "queued as ",
                "PIPELINING",
                "SIZE 1000",
                "AUTH PLAIN",
                "  ",
                CANARY,
                "99.999.999",
                "İ",
            ]);
            line.extend_from_slice(word.as_bytes());
        }
    }
    line.repeat(choices.pick(&[1, 1, 1, 1, 300]))
}

fn judged(phase: Phase, reply: &Reply) {
    let codes = |code: &str| {
        !code.is_empty()
            && code.len() <= 40
            && code.bytes().all(|b| b.is_ascii_digit() || b" ._".contains(&b) || b.is_ascii_lowercase())
    };
    let verdict = refusal(phase, reply);
    for Verdict { outcome, .. } in [verdict, broken(phase, "timeout")] {
        match &outcome {
            Outcome::Sent { .. } => panic!("a refusal is taken as sent"),
            Outcome::Transient { code, .. }
            | Outcome::Permanent { code, .. }
            | Outcome::Misconfigured { code }
            | Outcome::Ambiguous { code } => {
                assert!(codes(code) && !code.contains(CANARY), "an outcome quotes the server")
            }
        }
        if let Outcome::Ambiguous { .. } = outcome {
            assert!(phase == Phase::FinalDot, "in doubt before the point of no return");
        }
    }
    assert!(!reply.to_string().contains(CANARY));
    if let Some(id) = reply.queue_id() {
        assert!(
            id.len() <= 40 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "a queue id that is a sentence"
        );
    }
    let _ = (reply.closes(), reply.challenge(), reply.keyword("AUTH"), reply.keyword("SIZE"));
}

/// RFC 5321, 4.5.2, from the server's side: lines up to the lone dot, one leading dot taken off.
fn dots(message: &[u8]) {
    let data = terminated(message);
    let mut lines: Vec<&[u8]> = data.split(|b| *b == b'\n').collect();
    assert!(lines.pop().is_some_and(<[u8]>::is_empty), "does not end with a line end");
    let ended = |line: &&[u8]| line.strip_suffix(b"\r").expect("every line ends in CRLF").len();
    assert!(lines.iter().all(|line| !line[..ended(line)].contains(&b'\r')), "a bare CR");
    assert_eq!(lines.iter().position(|line| *line == b".\r"), Some(lines.len() - 1), "ends before its end");
    lines.pop();
    let got: Vec<&[u8]> =
        lines.iter().map(|line| &line[..ended(line)]).map(|line| line.strip_prefix(b".").unwrap_or(line)).collect();
    let text = String::from_utf8_lossy(message);
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut meant: Vec<&str> = unified.split('\n').collect();
    if meant.last().is_some_and(|last| last.is_empty()) {
        meant.pop();
    }
    // Compared as text, so that bytes outside UTF-8 are the same replacement on both sides.
    assert!(
        got.len() == meant.len() && got.iter().zip(&meant).all(|(got, meant)| String::from_utf8_lossy(got) == *meant),
        "another message"
    );
}
