//! MAIL, RCPT and DATA: refused one by one, with and without PIPELINING.

use super::*;

fn permanent(code: &str, bad_address: bool) -> Outcome {
    Outcome::Permanent { code: code.into(), bad_address }
}

#[tokio::test]
async fn a_refused_envelope_leaves_a_connection_that_serves_the_next_mail() {
    let table = [
        (
            "250 ok\r\n550 5.1.1 <asha@example.com> unknown\r\n554 5.5.1 no valid recipients",
            permanent("550 5.1.1", true),
        ),
        ("250 ok\r\n550 unknown\r\n503 no", permanent("550", true)),
        ("250 ok\r\n450 4.7.1 greylisted\r\n503 no", transient("450 4.7.1")),
        ("550 5.7.1 sender\r\n503 no\r\n503 no", ours("550 5.7.1")),
        ("451 4.3.0 later\r\n250 odd\r\n503 no", transient("451 4.3.0")),
        ("250 ok\r\n251 will forward\r\n451 4.3.1 full", transient("451 4.3.1")),
    ];
    for (answers, expected) in table {
        let refused = vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say(answers)];
        let next = vec![
            Hear("RSET\r\n"),
            Hear("MAIL"),
            Hear("RCPT"),
            Hear("DATA"),
            say("250 reset\r\n250 ok\r\n250 ok\r\n354 go"),
            HearMessage,
            say("250 2.0.0 ok"),
        ];
        let server =
            Script::start(vec![script(vec![hello("PIPELINING"), refused, next, mail("250 2.0.0 ok"), vec![Hang]])]);
        let smtp = build(&config(server.port));
        assert_eq!(smtp.send(&fixture::email()).await.outcome, expected, "{answers}");
        for _ in 0..2 {
            assert_eq!(smtp.send(&fixture::email()).await.outcome, sent(), "{answers}");
        }
        drop(smtp);
        server.heard();
    }
}

#[tokio::test]
async fn a_server_that_wants_data_for_nobody_gets_a_lone_dot_and_no_message() {
    let refused = vec![
        Hear("MAIL"),
        Hear("RCPT"),
        Hear("DATA"),
        say("250 ok\r\n550 5.1.1 unknown\r\n354 go"),
        Hear(".\r\n"),
        Hear("QUIT\r\n"),
        Silence,
    ];
    let server = Script::start(vec![script(vec![hello("PIPELINING"), refused])]);
    let smtp = build(&config(server.port));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, permanent("550 5.1.1", true));
    assert!(smtp.pool.take().is_none());
    server.heard();
}

#[tokio::test]
async fn a_server_that_refuses_mail_but_takes_the_recipient_gets_no_dot() {
    // The dot would send an empty mail to a real person.
    let refused = vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("451 4.3.0 later\r\n250 ok\r\n354 go"), Silence];
    let server = Script::start(vec![script(vec![hello("PIPELINING"), refused])]);
    let smtp = build(&config(server.port));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, transient("451 4.3.0"));
    server.heard();
}

#[tokio::test]
async fn without_pipelining_each_command_waits_for_its_answer() {
    let mail = || {
        vec![
            Hear("MAIL FROM:<rewards@acme.example> SIZE="),
            Alone,
            say("250 ok"),
            Hear("RCPT TO:<asha@example.com>\r\n"),
            Alone,
            say("250 ok"),
            Hear("DATA\r\n"),
            say("354 go"),
            HearMessage,
            say("250 2.0.0 ok"),
        ]
    };
    let refused = vec![Hear("MAIL"), say("250 ok"), Hear("RCPT"), say("550 5.1.1 unknown")];
    let reset = vec![Hear("RSET\r\n"), say("250 ok")];
    let late = vec![Hear("MAIL"), say("250 ok"), Hear("RCPT"), say("250 ok"), Hear("DATA"), say("451 4.3.0 later")];
    let again = vec![Hear("RSET\r\n"), say("250 ok")];
    let server = Script::start(vec![script(vec![
        hello("SIZE"),
        mail(),
        refused,
        reset,
        mail(),
        late,
        again,
        mail(),
        vec![Hang],
    ])]);
    let smtp = build(&config(server.port));
    for expected in [sent(), permanent("550 5.1.1", true), sent(), transient("451 4.3.0"), sent()] {
        assert_eq!(smtp.send(&fixture::email()).await.outcome, expected);
    }
    drop(smtp);
    server.heard();
}

#[tokio::test]
async fn a_connection_that_does_not_reset_is_replaced() {
    let refused = vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok\r\n550 5.1.1 unknown\r\n503 no")];
    let stubborn = vec![Hear("RSET\r\n"), say("421 4.3.0 no"), Hang];
    let first = script(vec![hello("PIPELINING"), refused, stubborn]);
    let second = script(vec![hello("PIPELINING"), mail("250 2.0.0 ok"), vec![Hang]]);
    let server = Script::start(vec![first, second]);
    let smtp = build(&config(server.port));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, permanent("550 5.1.1", true));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, sent());
    drop(smtp);
    server.heard();
}

#[tokio::test]
async fn a_local_part_outside_ascii_needs_a_server_that_takes_it() {
    let mut email = fixture::email();
    email.to = Personal::new("आशा@example.com");
    let server = Script::start(vec![script(vec![hello("PIPELINING"), mail("250 2.0.0 ok"), vec![Hang]])]);
    let smtp = build(&config(server.port));
    let verdict = smtp.send(&email).await;
    assert_eq!((verdict.outcome, verdict.health), (permanent("smtputf8_needed", false), Health::Unknown));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, sent(), "the connection is none the worse");
    drop(smtp);
    server.heard();

    let taken = vec![
        Hear("MAIL FROM:<rewards@acme.example> SMTPUTF8 BODY=8BITMIME\r\n"),
        Hear("RCPT TO:<आशा@example.com>\r\n"),
        Hear("DATA\r\n"),
        say("250 ok\r\n250 ok\r\n354 go"),
        HearMessage,
        say("250 2.0.0 ok"),
        Hang,
    ];
    let server = Script::start(vec![script(vec![hello("PIPELINING SMTPUTF8 8BITMIME"), taken])]);
    let smtp = build(&config(server.port));
    assert_eq!(smtp.send(&email).await.outcome, sent());
    drop(smtp);
    server.heard();
}

#[tokio::test]
async fn what_is_no_address_is_refused_without_a_connection() {
    let mut email = fixture::email();
    email.to = Personal::new("asha@example.com\r\nRCPT TO:<x@y.example>");
    let verdict = build(&config(1)).send(&email).await;
    assert_eq!((verdict.outcome, verdict.health), (permanent("invalid_address", true), Health::Unknown));
}
