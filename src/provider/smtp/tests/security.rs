//! TLS, STARTTLS and AUTH: what is required, what is refused, and what an attacker may try.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::server::Tls;
use super::*;

/// A configuration that trusts the test root; the folder must live as long.
fn secured(port: u16, tls: SmtpTls) -> (config::Smtp, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("root.pem");
    std::fs::write(&ca_file, pki::ROOT).unwrap();
    let config = config::Smtp { tls, ca_file: Some(ca_file), host: "localhost".into(), ..config(port) };
    (config, dir)
}

fn with_login(config: config::Smtp) -> config::Smtp {
    config::Smtp { username: Some("relay".into()), password: Some("s3cret".into()), ..config }
}

async fn outcome(tls: SmtpTls, script: Vec<Step>) -> Outcome {
    let server = Script::start(vec![script]);
    let (config, _dir) = secured(server.port, tls);
    let smtp = build(&config::Smtp { command_timeout: Duration::from_secs(2), ..config });
    let outcome = smtp.send(&fixture::email()).await.outcome;
    drop(smtp);
    server.heard();
    outcome
}

fn started() -> Vec<Step> {
    script(vec![hello("PIPELINING STARTTLS"), vec![Hear("STARTTLS\r\n"), say("220 go")]])
}

/// The second EHLO, under TLS.
fn hello_again(offers: &str) -> Vec<Step> {
    hello(offers).into_iter().skip(1).collect()
}

#[tokio::test]
async fn mail_goes_under_starttls_and_what_was_offered_in_clear_is_forgotten() {
    // PIPELINING was offered before TLS only: it must not be used.
    let steps = vec![
        Hear("MAIL"),
        Alone,
        say("250 ok"),
        Hear("RCPT"),
        Alone,
        say("250 ok"),
        Hear("DATA"),
        say("354 go"),
        HearMessage,
        say("250 2.0.0 ok"),
        Hang,
    ];
    let script = script(vec![started(), vec![Tls], hello_again("8BITMIME"), steps]);
    assert_eq!(outcome(SmtpTls::StartTls, script).await, sent());
}

#[tokio::test]
async fn mails_go_one_after_the_other_under_implicit_tls() {
    // The session tickets that TLS 1.3 sends unasked must not count as words out of turn.
    let ok = "250 2.0.0 ok";
    let server = Script::start(vec![script(vec![vec![Tls], hello("PIPELINING"), mail(ok), mail(ok), vec![Hang]])]);
    let (config, _dir) = secured(server.port, SmtpTls::Implicit);
    let smtp = build(&config);
    for _ in 0..2 {
        assert_eq!(smtp.send(&fixture::email()).await.outcome, sent());
    }
    drop(smtp);
    server.heard();
}

#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let table = [
        (script(vec![hello("PIPELINING"), vec![Silence]]), ours("starttls_not_offered")),
        (script(vec![hello("PIPELINING XSTARTTLS"), vec![Silence]]), ours("starttls_not_offered")),
        (
            script(vec![hello("STARTTLS"), vec![Hear("STARTTLS"), say("454 4.7.0 not now"), Silence]]),
            transient("454 4.7.0"),
        ),
        (script(vec![hello("STARTTLS"), vec![Hear("STARTTLS"), say("501 no"), Silence]]), ours("501")),
        (script(vec![hello("STARTTLS"), vec![Hear("STARTTLS"), Close]]), transient("starttls_closed")),
    ];
    for (script, expected) in table {
        assert_eq!(outcome(SmtpTls::StartTls, script).await, expected);
    }
}

#[tokio::test]
async fn plaintext_leaves_this_machine_only_if_somebody_wrote_so_and_then_it_does() {
    // No loopback address, and yet the system connects it to this machine.
    let elsewhere = |port| config::Smtp { host: "0.0.0.0".into(), dangerously_plaintext: true, ..config(port) };
    let server = Script::start(vec![script(vec![hello("PIPELINING"), mail("250 2.0.0 ok"), vec![Hang]])]);
    let mut smtp = build(&elsewhere(server.port));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, sent());
    server.heard();
    smtp.server.dangerously_plaintext = false;
    smtp.pool.drain();
    assert_eq!(smtp.send(&fixture::email()).await.outcome, transient("connect_name_unknown"));

    let login =
        config::Smtp { username: Some("relay".into()), password: Some("s3cret".to_owned().into()), ..elsewhere(1) };
    let faults = try_build(&login).err().unwrap();
    assert_eq!(faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), ["provider.mail.username"]);
}

#[tokio::test]
async fn words_stuffed_in_before_the_handshake_are_an_attack() {
    let stuffed = script(vec![
        hello("STARTTLS"),
        vec![Hear("STARTTLS"), say("220 go\r\n250-mx.example\r\n250 AUTH PLAIN"), Silence],
    ]);
    assert_eq!(outcome(SmtpTls::StartTls, stuffed).await, ours("starttls_injection"));
}

#[tokio::test]
async fn a_certificate_of_another_name_or_root_is_refused_before_a_word_is_said() {
    type Change = fn(&mut Smtp, &config::Smtp);
    let wrong_name: Change = |smtp: &mut Smtp, _: &config::Smtp| {
        let name = ServerName::try_from("mail.example").unwrap();
        smtp.server.security = smtp.server.security.take().map(|(tls, _)| (tls, name));
    };
    let wrong_root: Change = |smtp: &mut Smtp, config: &config::Smtp| {
        // The server's own certificate, which signed nothing.
        std::fs::write(config.ca_file.as_ref().unwrap(), pki::CHAIN).unwrap();
        smtp.server.security = build(config).server.security;
    };
    let changes: [Change; 2] = [wrong_name, wrong_root];
    for change in changes {
        let server = Script::start(vec![script(vec![started(), vec![Tls, Silence]])]);
        let (config, _dir) = secured(server.port, SmtpTls::StartTls);
        let mut smtp = build(&config);
        change(&mut smtp, &config);
        assert_eq!(smtp.send(&fixture::email()).await.outcome, ours("tls_certificate_refused"));
        server.heard();
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_or_breaks_is_transient() {
    let stalled = script(vec![started(), vec![Hang]]);
    assert_eq!(outcome(SmtpTls::StartTls, stalled).await, transient("tls_timeout"));
    let broken = script(vec![started(), vec![Close]]);
    assert_eq!(outcome(SmtpTls::StartTls, broken).await, transient("tls_handshake_failed"));
}

#[tokio::test]
async fn the_password_goes_by_plain_or_login_and_a_refusal_is_ours() {
    // base64 of "\0relay\0s3cret", "relay", "s3cret", "Username:", "Password:".
    let plain = "AUTH PLAIN AHJlbGF5AHMzY3JldA==\r\n";
    let (name, word) = ("cmVsYXk=\r\n", "czNjcmV0\r\n");
    let login =
        || vec![Hear("AUTH LOGIN\r\n"), say("334 VXNlcm5hbWU6"), Hear(name), say("334 UGFzc3dvcmQ6"), Hear(word)];
    let done = || script(vec![vec![say("235 2.7.0 ok")], mail("250 2.0.0 ok"), vec![Hang]]);
    let table = [
        ("PLAIN first", "AUTH LOGIN PLAIN", script(vec![vec![Hear(plain)], done()]), sent()),
        ("LOGIN", "AUTH XOAUTH2 login", script(vec![login(), done()]), sent()),
        ("refused", "AUTH PLAIN", vec![Hear(plain), say("535 5.7.8 bad"), Silence], ours("535 5.7.8")),
        ("later", "AUTH PLAIN", vec![Hear(plain), say("454 4.7.0 later"), Silence], transient("454 4.7.0")),
        ("asks on", "AUTH PLAIN", vec![Hear(plain), say("334 more"), Silence], transient("auth_unexpected_challenge")),
        (
            "asks oddly",
            "AUTH LOGIN",
            vec![Hear("AUTH"), say("334 !!"), Silence],
            transient("auth_unexpected_challenge"),
        ),
        ("not offered", "AUTH CRAM-MD5", vec![Silence], ours("auth_not_offered")),
        ("none", "", vec![Silence], ours("auth_not_offered")),
    ];
    for (case, offers, steps, expected) in table {
        let greeting = format!("250-mx.example\r\n250-PIPELINING\r\n250 {offers}");
        let start = vec![say("220 x"), Hear("EHLO"), say(greeting)];
        let server = Script::start(vec![script(vec![start, steps])]);
        let smtp = build(&with_login(config(server.port)));
        assert_eq!(smtp.send(&fixture::email()).await.outcome, expected, "{case}");
        drop(smtp);
        server.heard();
    }
}

#[tokio::test]
async fn the_password_is_not_said_before_tls() {
    let script = script(vec![
        hello("STARTTLS AUTH=PLAIN"),
        vec![
            Hear("STARTTLS\r\n"),
            say("220 go"),
            Tls,
            Hear("EHLO"),
            say("250-x\r\n250 AUTH PLAIN"),
            Hear("AUTH PLAIN"),
            say("235 ok"),
        ],
        vec![Hear("MAIL"), say("451 4.3.0 later"), Hang],
    ]);
    let server = Script::start(vec![script]);
    let (config, _dir) = secured(server.port, SmtpTls::StartTls);
    let smtp = build(&with_login(config));
    assert_eq!(smtp.send(&fixture::email()).await.outcome, transient("451 4.3.0"));
    drop(smtp);
    server.heard();
}

#[test]
fn a_configuration_that_could_leak_is_a_fault() {
    let faults = |config: &config::Smtp| -> Vec<String> {
        try_build(config).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    };
    let foreign = config::Smtp { host: "mail.example.com".into(), ..config(25) };
    insta::assert_snapshot!(faults(&foreign).join("\n"), @r#"
    configuration: provider.mail.tls: is "none", but the host is not this machine
        hint: use "starttls" or "implicit"; dangerously_plaintext lets it leave the machine
    "#);
    let wrong = config::Smtp {
        tls: SmtpTls::Implicit,
        ca_file: Some(PathBuf::from("/nonexistent/root.pem")),
        hello_name: "a\r\nMAIL".into(),
        username: Some("relay".into()),
        host: "not a host".into(),
        ..config(465)
    };
    let all = faults(&wrong);
    assert_eq!(all.len(), 4, "{all:#?}");
    let secret = with_login(config(25)).password.unwrap();
    assert!(all.iter().all(|fault| !fault.contains(secret.expose_secret())));
}

#[test]
fn ehlo_says_a_name_or_an_address_and_nothing_else() {
    let table = [
        ("mail.acme.example", Some("mail.acme.example")),
        ("[127.0.0.1]", Some("[127.0.0.1]")),
        ("[IPv6:::1]", Some("[IPv6:::1]")),
        ("", None),
        ("a b", None),
        ("a\r\nQUIT", None),
        ("[mail]", None),
    ];
    for (given, expected) in table {
        assert_eq!(client_id(given).map(|id| id.to_string()).as_deref(), expected, "{given}");
    }
}
