//! What a mail is held to, whatever stands in its parts: the target `mail`.
//!
//! Promises: it is read back by a reader that is not ours, and by its bare lines: no value has become a header, and what a person reads is what
//! was meant.
//! Never: an address of somebody.

use mail_parser::MessageParser;

use super::{MimeError, build};
use crate::choices::Choices;
use crate::clock::Time;
use crate::message::{Email, Mailbox};
use crate::personal::Personal;

const OURS: [&str; 11] = [
    "from",
    "to",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "auto-submitted",
    "x-brand",
];

/// One mail of odd parts.
pub(crate) fn mail(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    const ADDRESSES: [&str; 7] = [
        "asha@example.com",
        "ünï@example.com",
        "a@bücher.example",
        "a\r\nBcc: b@example.com",
        "a b@example.com",
        "\"a b\"@example.com",
        "@",
    ];
    let address =
        |of: &mut Choices<'_>| if of.one_in(4) { of.text(&ADDRESSES) } else { of.pick(&ADDRESSES).to_owned() };
    let (from, to) = (address(&mut choices), address(&mut choices));
    let reply_to =
        choices.one_in(2).then(|| Mailbox { name: Some(choices.text(&["Acme"])), address: address(&mut choices) });
    let text = |of: &mut Choices<'_>| {
        let (text, times) = (
            of.text(&["Asha", "\r\nBcc: b@example.com", "=?utf-8?q?a?=", "\n.\n", "नमस्ते"]),
            of.pick(&[1, 1, 1, 2, 40, 300]),
        );
        text.repeat(times)
    };
    let email = Email {
        from: Mailbox { name: choices.one_in(2).then(|| text(&mut choices)), address: from },
        reply_to,
        to: Personal::new(to),
        to_name: choices.one_in(2).then(|| Personal::new(text(&mut choices))),
        subject: Personal::new(text(&mut choices)),
        html: choices.one_in(2).then(|| Personal::new(text(&mut choices))),
        text: Personal::new(text(&mut choices)),
        message_id: if choices.one_in(4) { text(&mut choices) } else { "<01abc@mail.acme.example>".into() },
        headers: if choices.one_in(2) { vec![("X-Brand", text(&mut choices))] } else { vec![] },
    };
    let built = build(&email, Time::from_millis(choices.number()));
    let mail = match built {
        Ok(mail) => mail.bytes,
        Err(MimeError::InvalidHeader) => panic!("a header of ours is refused"),
        Err(_) => return,
    };
    lines_are_ours(&mail);
    let read = MessageParser::default().parse(&mail).expect("a mail that is one");
    let words = |text: &str| {
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect::<String>()
    };
    assert_eq!(read.subject().map(words).unwrap_or_default(), words(email.subject.expose()), "another subject");
    assert_eq!(read.to().map_or(0, |to| to.iter().count()), 1, "another recipient");
    assert!(read.cc().is_none() && read.bcc().is_none());
    let got = read.body_text(0).unwrap_or_default();
    assert_eq!(words(&got), words(email.text.expose()), "another text");
    if let Some(html) = &email.html {
        let got = read.body_html(0).unwrap_or_default();
        assert_eq!(words(&got), words(html.expose()), "another page");
    }
}

/// Header lines are the ones that we write, once each; every line is ended by CRLF, short enough, and of ASCII but for the addresses.
fn lines_are_ours(mail: &[u8]) {
    let mut seen = Vec::new();
    let mut in_head = true;
    for line in mail.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.contains(&b'\r') && line.len() <= super::MAX_LINE, "a line that is none");
        in_head &= !line.is_empty();
        if !in_head || line.starts_with(b" ") || line.starts_with(b"\t") {
            continue;
        }
        let name = String::from_utf8_lossy(line.split(|b| *b == b':').next().unwrap_or_default()).to_lowercase();
        assert!(OURS.contains(&name.as_str()), "a header that is not ours");
        assert!(!seen.contains(&name), "the header {name} twice");
        seen.push(name);
    }
}
