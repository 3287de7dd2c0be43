//! The SMTP session against a server that follows a script, phase by phase.

use super::*;
use crate::clock::Time;
use crate::id::ProviderId;
use crate::personal::Personal;
use crate::provider::breaker::Health;
use crate::provider::{Outcome, fixture};

mod envelope;
mod pki;
mod security;
mod server;

use server::{Alone, Close, Dribble, Flood, Hang, Hear, HearMessage, Server as Script, Silence, Step, say};

fn config(port: u16) -> config::Smtp {
    config::Smtp {
        dangerously_plaintext: false,
        host: "127.0.0.1".into(),
        port,
        tls: SmtpTls::None,
        ca_file: None,
        username: None,
        password: None,
        hello_name: "relay.acme.example".into(),
        connect_timeout: Duration::from_secs(5),
        command_timeout: Duration::from_secs(5),
        data_timeout: Duration::from_secs(5),
        max_mails_per_connection: 100,
        idle_timeout: Duration::from_secs(20),
    }
}

fn clock() -> Clock {
    Clock::manual(Time::from_millis(1_795_392_000_000))
}

fn try_build(config: &config::Smtp) -> Result<Smtp, Vec<config::Fault>> {
    let id: ProviderId = "mail".parse().unwrap();
    let mut faults = vec![];
    let built = Smtp::build(config, 4, clock(), &mut Report { id: &id, faults: &mut faults });
    built.ok_or(faults)
}

fn build(config: &config::Smtp) -> Smtp {
    try_build(config).map_err(|faults| format!("{faults:?}")).unwrap()
}

/// A deadline short enough to wait for.
fn impatient(port: u16) -> config::Smtp {
    let short = Duration::from_millis(150);
    config::Smtp { command_timeout: short, data_timeout: short, ..config(port) }
}

fn hello(offers: &str) -> Vec<Step> {
    let offers: String = offers.split_whitespace().map(|offer| format!("250-{offer}\r\n")).collect();
    vec![
        say("220 mx.example ESMTP"),
        Hear("EHLO relay.acme.example\r\n"),
        say(format!("250-mx.example\r\n{offers}250 HELP")),
    ]
}

/// One mail with PIPELINING that ends as `answer` says.
fn mail(answer: &str) -> Vec<Step> {
    vec![
        Hear("MAIL FROM:<rewards@acme.example>\r\n"),
        Hear("RCPT TO:<asha@example.com>\r\n"),
        Hear("DATA\r\n"),
        say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go"),
        HearMessage,
        say(answer),
    ]
}

fn script(parts: Vec<Vec<Step>>) -> Vec<Step> {
    parts.into_iter().flatten().collect()
}

fn sent() -> Outcome {
    Outcome::Sent { code: "250 2.0.0".into(), provider_ref: None }
}
fn transient(code: &str) -> Outcome {
    Outcome::Transient { code: code.into(), retry_after: None }
}
fn ambiguous(code: &str) -> Outcome {
    Outcome::Ambiguous { code: code.into() }
}
fn ours(code: &str) -> Outcome {
    Outcome::Misconfigured { code: code.into() }
}

#[tokio::test]
async fn mails_follow_each_other_on_one_connection_and_close_says_goodbye() {
    let ok = "250 2.0.0 Ok: queued as 4Xz9";
    let server =
        Script::start(vec![script(vec![hello("PIPELINING"), mail(ok), mail(ok), vec![Hear("QUIT\r\n"), Silence]])]);
    let smtp = build(&config(server.port));
    for _ in 0..2 {
        let verdict = smtp.send(&fixture::email()).await;
        let provider_ref = Some("4Xz9".to_owned());
        assert_eq!(verdict.outcome, Outcome::Sent { code: "250 2.0.0".into(), provider_ref });
        assert_eq!(verdict.health, Health::Good);
    }
    smtp.close().await;
    let heard = server.heard().remove(0);
    assert!(heard.contains("\r\nHello\r\n..\r\nBye\r\n"), "a dot that begins a line is doubled:\n{heard}");
}

#[tokio::test]
async fn each_phase_that_fails_ends_as_the_table_says() {
    let greeted = || hello("PIPELINING");
    let enveloped = || {
        script(vec![
            greeted(),
            vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok\r\n250 ok\r\n354 go"), HearMessage],
        ])
    };
    let with = |mut script: Vec<Step>, more: Vec<Step>| {
        script.extend(more);
        script
    };
    let table: Vec<(&str, Vec<Step>, Outcome)> = vec![
        ("no greeting", vec![Close], transient("greeting_closed")),
        ("a silent server", vec![Silence], transient("greeting_timeout")),
        ("a greeting byte by byte", vec![Dribble], transient("greeting_timeout")),
        (
            "an endless greeting line",
            vec![Flood("220 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")],
            transient("greeting_endless_line"),
        ),
        ("an endless greeting", vec![Flood("220-aaaaaaaaaaaaaaaaaaaaaaa\r\n")], transient("greeting_garbage")),
        ("another protocol", vec![say("SSH-2.0-OpenSSH"), Silence], transient("greeting_garbage")),
        ("a busy server", vec![say("421 4.3.2 busy"), Silence], transient("421 4.3.2")),
        ("a block", vec![say("554 5.7.1 blocked"), Silence], ours("554 5.7.1")),
        ("an odd greeting", vec![say("250 hello"), Silence], transient("greeting_unexpected_code")),
        ("a refused EHLO", vec![say("220 x"), Hear("EHLO"), say("550 who"), Silence], ours("550")),
        ("EHLO and away", vec![say("220 x"), Hear("EHLO"), Close], transient("ehlo_closed")),
        (
            "two answers to EHLO",
            vec![say("220 x"), Hear("EHLO"), say("250 x\r\n250 y"), Silence],
            transient("ehlo_unasked_reply"),
        ),
        (
            "MAIL and away",
            with(greeted(), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), Close]),
            transient("mail_closed"),
        ),
        (
            "MAIL and silence",
            with(greeted(), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), Silence]),
            transient("mail_timeout"),
        ),
        (
            "RCPT and away",
            with(greeted(), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok"), Close]),
            transient("rcpt_closed"),
        ),
        (
            "RCPT and silence",
            with(greeted(), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok"), Silence]),
            transient("rcpt_timeout"),
        ),
        (
            "DATA and silence",
            with(greeted(), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok\r\n250 ok"), Silence]),
            transient("data_timeout"),
        ),
        (
            "replies out of order",
            with(greeted(), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("354 go\r\n250 ok\r\n250 ok"), Silence]),
            transient("mail_unexpected_code"),
        ),
        (
            "250 to DATA",
            with(greeted(), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok\r\n250 ok\r\n250 ok"), Silence]),
            transient("data_unexpected_code"),
        ),
        (
            "421 to RCPT",
            with(
                greeted(),
                vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok\r\n421 4.7.0 slow down"), Silence],
            ),
            transient("421 4.7.0"),
        ),
        ("the dot and away", with(enveloped(), vec![Close]), ambiguous("after_final_dot_closed")),
        ("the dot and silence", with(enveloped(), vec![Silence]), ambiguous("after_final_dot_timeout")),
        ("the dot and dribble", with(enveloped(), vec![Dribble]), ambiguous("after_final_dot_timeout")),
        ("the dot and garbage", with(enveloped(), vec![say("what?"), Silence]), ambiguous("after_final_dot_garbage")),
        (
            "the dot and 354",
            with(enveloped(), vec![say("354 go"), Silence]),
            ambiguous("after_final_dot_unexpected_code"),
        ),
        (
            "the dot and 251",
            with(enveloped(), vec![say("251 ok"), Silence]),
            ambiguous("after_final_dot_unexpected_code"),
        ),
        (
            "the dot and an endless line",
            with(enveloped(), vec![Flood("250 aaaaaaaaaaaaaaaaaaaaaaaaa")]),
            ambiguous("after_final_dot_endless_line"),
        ),
        ("the dot and 421", with(enveloped(), vec![say("421 4.3.0 no"), Silence]), transient("421 4.3.0")),
        ("the dot and 451", with(enveloped(), vec![say("451 4.3.0 later"), Hang]), transient("451 4.3.0")),
        (
            "the dot and 554",
            with(enveloped(), vec![say("554 5.6.0 content"), Hang]),
            Outcome::Permanent { code: "554 5.6.0".into(), bad_address: false },
        ),
        ("the dot and policy", with(enveloped(), vec![say("550 5.7.26 unauthenticated"), Hang]), ours("550 5.7.26")),
        ("two answers to the dot", with(enveloped(), vec![say("250 2.0.0 ok\r\n250 2.0.0 ok"), Silence]), sent()),
    ];
    for (name, script, expected) in table {
        let server = Script::start(vec![script]);
        let smtp = build(&impatient(server.port));
        let outcome = smtp.send(&fixture::email()).await.outcome;
        assert_eq!(outcome, expected, "{name}");
        drop(smtp);
        server.heard();
    }
}

#[tokio::test]
async fn nobody_listening_is_transient() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let verdict = build(&config(port)).send(&fixture::email()).await;
    assert_eq!((verdict.outcome, verdict.health), (transient("connect_refused"), Health::Bad));
}

#[tokio::test]
async fn a_message_that_does_not_get_through_before_its_dot_is_transient() {
    // The server stops reading: more than the socket's buffers hold keeps the dot from being written.
    let stuck = script(vec![
        hello("PIPELINING"),
        vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok\r\n250 ok\r\n354 go"), Hear("Date: "), Close],
    ]);
    let server = Script::start(vec![stuck]);
    let mut email = fixture::email();
    email.text = Personal::new("A line of text that fills the buffers.\n".repeat(800_000));
    let smtp = build(&config::Smtp { data_timeout: Duration::from_secs(2), ..config(server.port) });
    assert_eq!(smtp.send(&email).await.outcome, transient("content_closed"));
    server.heard();
}

#[tokio::test]
async fn a_send_cancelled_at_any_step_takes_its_connection_with_it_and_the_next_gets_its_own_reply() {
    let steps = || {
        script(vec![
            vec![say("220 x"), Hear("EHLO"), say("250-x\r\n250 PIPELINING")],
            vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok\r\n250 ok\r\n354 go"), HearMessage],
        ])
    };
    for stop in 0..=steps().len() {
        // The server goes silent after `stop` steps; the sender gives up before it hears the verdict.
        let silent = steps().into_iter().take(stop).chain([Hang]).collect();
        let refusing = script(vec![hello("PIPELINING"), mail("554 5.6.0 REJECTED"), vec![Hang]]);
        let server = Script::start(vec![silent, refusing]);
        let smtp = build(&config(server.port));
        let cancelled = tokio::time::timeout(Duration::from_millis(150), smtp.send(&fixture::email())).await;
        assert!(cancelled.is_err(), "the server is silent after {stop} steps");
        let outcome = smtp.send(&fixture::email()).await.outcome;
        assert_eq!(outcome, Outcome::Permanent { code: "554 5.6.0".into(), bad_address: false }, "after {stop} steps");
        drop(smtp);
        server.heard();
    }
}

#[tokio::test]
async fn an_idle_connection_that_was_hung_up_is_replaced_once() {
    let farewells: [fn() -> Vec<Step>; 4] = [
        || vec![Close],
        || vec![say("421 4.4.2 idle for too long"), Close],
        || vec![Hear("MAIL"), Close],
        || vec![Hear("MAIL"), say("421 4.4.2 idle for too long"), Hang],
    ];
    for (i, farewell) in farewells.iter().enumerate() {
        let first = script(vec![hello("PIPELINING"), mail("250 2.0.0 ok"), farewell()]);
        let second = script(vec![hello("PIPELINING"), mail("250 2.0.0 ok"), vec![Hang]]);
        let server = Script::start(vec![first, second]);
        let smtp = build(&config(server.port));
        for _ in 0..2 {
            assert_eq!(smtp.send(&fixture::email()).await.outcome, sent(), "farewell {i}");
        }
        drop(smtp);
        server.heard();
    }
}

#[tokio::test]
async fn an_idle_connection_that_hangs_up_in_the_middle_is_not_tried_again() {
    let first = script(vec![
        hello("PIPELINING"),
        mail("250 2.0.0 ok"),
        vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), say("250 ok\r\n250 ok\r\n354 go"), HearMessage, Close],
    ]);
    let server = Script::start(vec![first]);
    let smtp = build(&config(server.port));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, sent());
    assert_eq!(smtp.send(&fixture::email()).await.outcome, ambiguous("after_final_dot_closed"));
    server.heard();
}

#[tokio::test]
async fn a_connection_that_spoke_unasked_is_not_used_again() {
    let first =
        script(vec![hello("PIPELINING"), mail("250 2.0.0 ok\r\n250 2.0.0 and one for the next"), vec![Silence]]);
    let second = script(vec![hello("PIPELINING"), mail("554 5.6.0 no"), vec![Hang]]);
    let server = Script::start(vec![first, second]);
    let smtp = build(&config(server.port));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, sent());
    assert!(matches!(smtp.send(&fixture::email()).await.outcome, Outcome::Permanent { .. }));
    drop(smtp);
    server.heard();
}

#[tokio::test]
async fn a_connection_is_left_after_its_mails_or_its_idle_time() {
    let one = || script(vec![hello("PIPELINING"), mail("250 2.0.0 ok"), vec![Hang]]);
    let server = Script::start(vec![one(), one()]);
    let smtp = build(&config::Smtp { max_mails_per_connection: 1, ..config(server.port) });
    for _ in 0..2 {
        assert_eq!(smtp.send(&fixture::email()).await.outcome, sent());
    }
    assert!(server.heard().iter().all(|heard| heard.ends_with("QUIT\r\n")));

    let server = Script::start(vec![one(), one()]);
    let smtp = build(&config(server.port));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, sent());
    smtp.clock.advance(Duration::from_secs(20));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, sent());
    drop(smtp);
    server.heard();
}

#[tokio::test]
async fn sends_run_side_by_side() {
    let one = || script(vec![hello("PIPELINING"), mail("250 2.0.0 ok"), vec![Hang]]);
    let server = Script::start(vec![one(), one(), one()]);
    let smtp = build(&config(server.port));
    let email = fixture::email();
    let (a, b, c) = tokio::join!(smtp.send(&email), smtp.send(&email), smtp.send(&email));
    assert!([a, b, c].iter().all(|verdict| verdict.outcome == sent()));
    drop(smtp);
    server.heard();
}
