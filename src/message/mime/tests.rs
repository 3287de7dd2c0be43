//! Mails as they leave, and everything that must not.

use proptest::prelude::*;

use super::*;

fn email() -> Email {
    Email {
        from: message::Mailbox { name: Some("Acme Rewards".into()), address: "rewards@acme.example".into() },
        reply_to: None,
        to: Personal::new("asha@example.com"),
        to_name: Some(Personal::new("Asha Rao")),
        subject: Personal::new("You earned 25 points"),
        html: Some(Personal::new("<p>Hello Asha</p>")),
        text: Personal::new("Hello Asha\nBye"),
        message_id: "<01abc@mail.acme.example>".into(),
        headers: vec![],
    }
}

fn now() -> Time {
    Time::from_millis(1_795_392_000_000)
}

fn text_of(email: &Email) -> String {
    let mail = build(email, now()).map_err(|e| e.to_string()).unwrap();
    String::from_utf8(mail.bytes).unwrap()
}

/// The header part, unfolded, as (name, value).
fn headers_of(text: &str) -> Vec<(String, String)> {
    let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
    head.split("\r\n").map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.into(), v.into())).collect()
}

#[test]
fn a_mail_has_both_parts_our_message_id_and_the_date_it_was_given() {
    let text = text_of(&email());
    let boundary = text.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    insta::assert_snapshot!(text.replace(&boundary, "BOUNDARY").replace("\r\n", "\n"), @r#"
    Date: Mon, 23 Nov 2026 00:00:00 +0000
    From: "Acme Rewards" <rewards@acme.example>
    To: "Asha Rao" <asha@example.com>
    Subject: You earned 25 points
    Message-ID: <01abc@mail.acme.example>
    Auto-Submitted: auto-generated
    MIME-Version: 1.0
    Content-Type: multipart/alternative;
     boundary="BOUNDARY"

    --BOUNDARY
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: 7bit

    Hello Asha
    Bye
    --BOUNDARY
    Content-Type: text/html; charset=utf-8
    Content-Transfer-Encoding: 7bit

    <p>Hello Asha</p>
    --BOUNDARY--
    "#);
}

#[test]
fn no_field_can_start_a_header_of_its_own() {
    const EVIL: &str = "x\r\nBcc: everyone@example.com\r\n\r\n<b>body</b>\n.\r\nMAIL FROM:<a@b.c>\u{85}\u{2028}\0";
    type Poison = fn(&mut Email);
    let poison: [Poison; 6] = [
        |e| e.subject = Personal::new(EVIL),
        |e| e.to_name = Some(Personal::new(EVIL)),
        |e| e.from.name = Some(EVIL.into()),
        |e| e.reply_to = Some(message::Mailbox { name: Some(EVIL.into()), address: "a@b.example".into() }),
        |e| e.headers.push(("Feedback-ID", EVIL.into())),
        |e| e.headers.push(("Auto-Submitted", EVIL.into())),
    ];
    for (i, poison) in poison.iter().enumerate() {
        let mut email = email();
        poison(&mut email);
        let text = text_of(&email);
        let names: Vec<String> = headers_of(&text).into_iter().map(|(name, _)| name).collect();
        assert!(!names.iter().any(|n| n.eq_ignore_ascii_case("bcc")), "field {i}: {names:?}");
        assert!(names.iter().any(|n| n == "MIME-Version"), "field {i} ended the headers early: {names:?}");
    }
    let refused: [(Poison, MimeError); 8] = [
        (|e| e.to = Personal::new(format!("a@b.example{EVIL}")), MimeError::InvalidRecipient),
        (|e| e.to = Personal::new("a\r\nRCPT TO:<x@y.z>@b.example"), MimeError::InvalidRecipient),
        (|e| e.to = Personal::new("\"a\r\n\"@b.example"), MimeError::InvalidRecipient),
        (|e| e.to = Personal::new("a@b.example>\u{0}"), MimeError::InvalidRecipient),
        (|e| e.from.address = format!("a@b.example{EVIL}"), MimeError::InvalidSender),
        (|e| e.message_id = "<a@b>\r\nBcc: c@d.example".into(), MimeError::InvalidMessageId),
        (|e| e.headers.push(("X\r\nBcc", "c@d.example".into())), MimeError::InvalidHeader),
        (|e| e.headers.push(("bcc", "c@d.example".into())), MimeError::InvalidHeader),
    ];
    for (i, (poison, expected)) in refused.iter().enumerate() {
        let mut email = email();
        poison(&mut email);
        assert_eq!(build(&email, now()).err(), Some(*expected), "case {i}");
    }
}

#[test]
fn addresses_are_judged_by_their_grammar() {
    let table = [
        ("asha@example.com", Some(("asha@example.com", false))),
        ("  asha@example.com ", Some(("asha@example.com", false))),
        ("asha+offers@sub.example.com", Some(("asha+offers@sub.example.com", false))),
        ("asha@bücher.example", Some(("asha@xn--bcher-kva.example", false))),
        ("आशा@example.com", Some(("आशा@example.com", true))),
        ("asha@localhost", Some(("asha@localhost", false))),
        ("asha", None),
        ("@example.com", None),
        ("asha@", None),
        ("asha@@example.com", None),
        ("asha@exa mple.com", None),
        ("asha rao@example.com", None),
        ("<asha@example.com>", None),
        ("asha@example.com,b@example.com", None),
        ("a@b.example c@d.example", None),
        ("", None),
    ];
    for (given, expected) in table {
        let mut email = email();
        email.to = Personal::new(given);
        let got = build(&email, now()).ok().map(|m| (m.to.to_string(), m.needs_utf8));
        assert_eq!(got, expected.map(|(a, utf8)| (a.to_string(), utf8)), "{given}");
    }
}

#[test]
fn awkward_but_honest_names_and_subjects_survive() {
    for name in
        ["Acme, Inc.", "O'Neil \"The Shop\"", "back\\slash", "Müller & Söhne", "店舗", "a@b.example", "(x)", "…"]
    {
        let mut email = email();
        email.from.name = Some(name.into());
        email.to_name = Some(Personal::new(name));
        email.subject = Personal::new(format!("{name} says: 🎉 आपको अंक मिले {}", "ठीक ".repeat(80)));
        let text = text_of(&email);
        assert!(text.is_ascii(), "{name} went out unencoded");
        assert!(text.lines().all(|line| line.len() <= 100), "{name} made a long line");
    }
}

#[test]
fn what_stands_encoded_in_a_value_is_not_decoded_by_a_reader() {
    for sly in ["=?utf-8?q?Bcc=0D=0AX?=", "=?utf-8?b?4oCuZXZpbA==?=", "==?utf-8?q?a?==", "Hello =?utf-8?q?a?= there"] {
        let mail = Email {
            subject: Personal::new(sly),
            to_name: Some(Personal::new(sly)),
            headers: vec![("X-Brand", sly.into())],
            ..email()
        };
        let text = text_of(&mail);
        let read = mail_parser::MessageParser::default().parse(text.as_bytes()).unwrap();
        let shown = sly.replace("=?", "= ?");
        assert_eq!(read.subject(), Some(shown.as_str()));
        assert_eq!(read.to().unwrap().first().unwrap().name(), Some(shown.as_str()));
        assert_eq!(headers_of(&text).iter().find(|(name, _)| name == "X-Brand").unwrap().1, shown);
    }
}

#[test]
fn a_header_word_longer_than_a_line_is_refused_instead_of_sent() {
    let mut email = email();
    email.subject = Personal::new("a".repeat(2000));
    assert_eq!(build(&email, now()).err(), Some(MimeError::HeaderTooLong));
}

#[test]
fn a_year_that_no_date_header_can_say_does_not_panic() {
    for time in [Time::MAX, Time::from_millis(i64::MIN), Time::from_millis(-1)] {
        assert!(build(&email(), time).is_ok());
    }
}

#[test]
fn a_mail_of_a_megabyte_of_short_lines_is_made_in_linear_time() {
    let mut email = email();
    email.text = Personal::new("a\n".repeat(500_000));
    assert!(text_of(&email).len() > 1_500_000);
}

proptest! {
    #[test]
    fn any_text_makes_a_mail_with_clean_line_ends(subject in "\\PC{0,80}|[\\s\\S]{0,80}", body in "[\\s\\S]{0,300}", name in "[\\s\\S]{0,40}") {
        let mut email = email();
        email.subject = Personal::new(subject);
        email.to_name = Some(Personal::new(name.clone()));
        email.from.name = Some(name);
        email.html = Some(Personal::new(body.clone()));
        email.text = Personal::new(body);
        let mail = build(&email, now()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let bytes = &mail.bytes;
        for (i, b) in bytes.iter().enumerate() {
            if *b == b'\n' { prop_assert!(i > 0 && bytes[i - 1] == b'\r'); }
            if *b == b'\r' { prop_assert_eq!(bytes.get(i + 1), Some(&b'\n')); }
            prop_assert!(*b != 0 && b.is_ascii());
        }
    }

    #[test]
    fn any_address_is_taken_or_refused_without_a_panic(text in "[\\s\\S]{0,60}|[a-z\"\\\\ @.\\r\\n<>]{0,30}") {
        let mut email = email();
        email.to = Personal::new(text);
        if let Ok(mail) = build(&email, now()) {
            prop_assert!(!mail.to.to_string().chars().any(char::is_control));
        }
    }
}
