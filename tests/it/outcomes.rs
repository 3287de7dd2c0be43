//! Every answer that a mail server or a gateway can give, and what the relay makes of it.
//!
//! Promises: one relay and one catcher for each case; what the timeline says is compared with what the catcher has.
//! Never: a case that passes because the misbehaviour did not happen.

use std::time::Duration;

use futures_util::StreamExt;
use sealpost::sink::sms::{Answer, SmsAct, SmsScript};
use sealpost::sink::smtp::{Act, Phase, SmtpScript};
use serde_json::Value;

use crate::support::{Relay, Setup, customer_added, person};

/// Long enough for an honest answer on a busy machine, short enough to wait for.
const TIMEOUT: &str = "4s";
/// Waits between attempts.
const RETRY: (usize, &str) = (4, "20ms");
/// Relays at once.
const AT_ONCE: usize = 6;

fn setup(smtp: SmtpScript, sms: SmsScript) -> Setup {
    Setup { smtp, sms, timeout: Some(TIMEOUT), retry: Some(RETRY), ..Setup::default() }
}

fn reply(code: u16, text: &str) -> Act {
    Act::Reply(code, text.into())
}

/// The notification of a channel.
fn notification<'v>(found: &'v Value, channel: &str) -> &'v Value {
    let all = found["notifications"].as_array().expect("a timeline lists notifications");
    all.iter().find(|n| n["channels"][0] == channel).unwrap_or_else(|| panic!("{channel} was planned: {found:#}"))
}

/// What came of each attempt of a channel's notification, as `transient 451 4.3.0`.
fn outcomes(found: &Value, channel: &str) -> Vec<String> {
    let id = &notification(found, channel)["id"];
    let lines = found["timeline"].as_array().expect("a timeline has lines").iter();
    let told = ["sent", "transient", "permanent", "misconfigured", "ambiguous"];
    lines
        .filter(|line| line["notification"] == *id)
        .filter_map(|line| {
            let what = line["what"].as_str().filter(|what| told.contains(what))?;
            Some(format!("{what} {}", line["code"].as_str().unwrap_or("?")))
        })
        .collect()
}

fn message_ids(relay: &Relay) -> Vec<String> {
    let id = |raw: &[u8]| {
        let text = String::from_utf8_lossy(raw).into_owned();
        text.lines().find_map(|line| line.strip_prefix("Message-ID: ").map(str::to_owned)).expect("a mail has an id")
    };
    relay.smtp.mails().iter().map(|mail| id(&mail.raw)).collect()
}

/// A first attempt that goes wrong, and a second that does not.
struct Stumble {
    at: Phase,
    act: Act,
    /// Begins of what the first attempt may be recorded as.
    first: &'static [&'static str],
    /// How many copies arrived in the end.
    copies: usize,
}

async fn stumbles(case: Stumble) {
    let Stumble { at, act, first, copies } = case;
    let name = format!("{act:?} at {at:?}");
    let once = act.clone();
    let script = SmtpScript::new()
        .behave(move |moment| if moment.phase == at && moment.nth == 0 { once.clone() } else { Act::Usual });
    let relay = Relay::with(setup(script, SmsScript::new())).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("stumble", 1)).await;
    let found = relay
        .until_some(&format!("the mail is sent after {name}"), async |r| {
            let found = r.find("stumble").await?;
            (notification(&found, "email")["state"] == "sent").then_some(found)
        })
        .await;
    let [wrong, right] = &outcomes(&found, "email")[..] else { panic!("{name}: two attempts, not {found:#}") };
    assert!(first.iter().any(|expected| wrong.starts_with(expected)), "{name}: {wrong}");
    assert_eq!(right, "sent 250 2.0.0", "{name}");
    let ids = message_ids(&relay);
    assert_eq!(ids.len(), copies, "{name}");
    let own = format!("<{}@mail.acme.example>", notification(&found, "email")["id"].as_str().expect("an id is text"));
    assert!(ids.iter().all(|id| *id == own), "{name}: {ids:?}, not {own}");
    relay.stop().await.1.unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_stumbles_once_is_sent_by_the_next_attempt_under_the_same_id() {
    // Byte by byte, so that only the whole answer is too late.
    let slow = || Act::Dribble(Duration::from_millis(600));
    // The message and its dot may be on the wire before the server's silence or departure is seen.
    let torn: &[&str] = &["ambiguous after_final_dot_", "transient content_"];
    let table: [(Phase, Act, &[&str], usize); 27] = [
        (Phase::Greeting, reply(421, "4.3.2 busy"), &["transient 421 4.3.2"], 1),
        (Phase::Ehlo, reply(450, "4.3.0 later"), &["transient 450"], 1),
        (Phase::Mail, reply(451, "4.3.0 later"), &["transient 451 4.3.0"], 1),
        (Phase::Rcpt, reply(450, "4.2.0 greylisted"), &["transient 450 4.2.0"], 1),
        (Phase::Data, reply(451, "4.3.0 later"), &["transient 451 4.3.0"], 1),
        (Phase::Dot, reply(452, "4.3.1 full"), &["transient 452 4.3.1"], 1),
        (Phase::Greeting, Act::Drop, &["transient greeting_"], 1),
        (Phase::Ehlo, Act::Drop, &["transient ehlo_"], 1),
        (Phase::Mail, Act::Drop, &["transient mail_"], 1),
        (Phase::Rcpt, Act::Drop, &["transient rcpt_"], 1),
        (Phase::Data, Act::Drop, &["transient data_"], 1),
        (Phase::Content, Act::Drop, torn, 1),
        (Phase::Dot, Act::Drop, &["ambiguous after_final_dot_closed"], 1),
        (Phase::Dot, Act::KeepAndDrop, &["ambiguous after_final_dot_closed"], 2),
        (Phase::Greeting, Act::Stall, &["transient greeting_timeout"], 1),
        (Phase::Ehlo, Act::Stall, &["transient ehlo_timeout"], 1),
        (Phase::Mail, Act::Stall, &["transient mail_timeout"], 1),
        (Phase::Rcpt, Act::Stall, &["transient rcpt_timeout"], 1),
        (Phase::Data, Act::Stall, &["transient data_timeout"], 1),
        (Phase::Content, Act::Stall, torn, 1),
        (Phase::Dot, Act::Stall, &["ambiguous after_final_dot_timeout"], 1),
        (Phase::Mail, slow(), &["transient mail_timeout"], 1),
        // The server took it, and took too long to say so.
        (Phase::Dot, slow(), &["ambiguous after_final_dot_timeout"], 2),
        (Phase::Mail, Act::EndlessLine, &["transient mail_endless_line"], 1),
        (Phase::Dot, Act::EndlessLine, &["ambiguous after_final_dot_endless_line"], 1),
        (Phase::Ehlo, Act::Flood, &["transient ehlo_"], 1),
        (Phase::Dot, Act::Raw(b"what?\r\n".to_vec()), &["ambiguous after_final_dot_garbage"], 1),
    ];
    let cases = table.into_iter().map(|(at, act, first, copies)| stumbles(Stumble { at, act, first, copies }));
    futures_util::stream::iter(cases).buffer_unordered(AT_ONCE).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_taken_at_once_is_sent_once() {
    let relay = Relay::start().await;
    relay.put(person(1)).await;
    relay.event(&customer_added("plain", 1)).await;
    let found = relay.settled("plain").await;
    assert_eq!(outcomes(&found, "email"), ["sent 250 2.0.0"]);
    assert_eq!(relay.smtp.accepted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_does_not_exist_is_a_dead_letter_and_is_not_tried_again() {
    let script = SmtpScript::new().at(Phase::Rcpt, reply(550, "5.1.1 no such user"));
    let relay = Relay::with(setup(script, SmsScript::new())).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("gone", 1)).await;
    let found = relay.settled("gone").await;
    assert_eq!(outcomes(&found, "email"), ["permanent 550 5.1.1"]);
    let mail = notification(&found, "email");
    assert_eq!(mail["state"], "dead_letter");
    assert!(mail["reason"].to_string().contains("refused"), "{mail:#}");
    assert_eq!(notification(&found, "sms")["state"], "sent", "the other channel is not concerned");
    relay.event(&customer_added("gone-again", 1)).await;
    let again = relay.settled("gone-again").await;
    let mail = notification(&again, "email");
    assert_eq!((&mail["state"], &mail["reason"]), (&"suppressed".into(), &"address_suppressed".into()), "{mail:#}");
    assert_eq!(relay.smtp.reached(Phase::Rcpt), 1, "a dead address is asked for once");
    assert_eq!(relay.smtp.accepted(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_us_stops_the_channel_and_suppresses_nobody() {
    let script = SmtpScript::new().behave(|moment| match (moment.phase, moment.nth) {
        (Phase::Dot, 0) => reply(550, "5.7.1 your domain is not welcome"),
        _ => Act::Usual,
    });
    let relay = Relay::with(Setup { mail: "breaker_open = \"500ms\"", ..setup(script, SmsScript::new()) }).await;
    relay.put(person(1)).await;
    relay.put(person(2)).await;
    relay.event(&customer_added("ours-1", 1)).await;
    let found = relay.settled("ours-1").await;
    assert_eq!(outcomes(&found, "email"), ["misconfigured 550 5.7.1"]);
    let mail = notification(&found, "email");
    // The text that is sent meanwhile says nothing about the mail server.
    assert_eq!((&mail["state"], &mail["reason"]), (&"waiting".into(), &"misconfigured".into()), "{mail:#}");
    // The next one is the breaker's trial; it is taken, which frees the first.
    relay.event(&customer_added("ours-2", 2)).await;
    for event in ["ours-2", "ours-1"] {
        relay
            .until(&format!("{event} is sent"), async |r| {
                r.find(event).await.is_some_and(|found| notification(&found, "email")["state"] == "sent")
            })
            .await;
    }
    let mut to: Vec<String> = relay.smtp.mails().into_iter().flat_map(|mail| mail.rcpt).collect();
    to.sort();
    assert_eq!(to, ["person1@example.com", "person2@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_whom_the_server_refuses_as_if_it_were_us_stops_the_channel_once() {
    let script = SmtpScript::new().behave(|moment| {
        let poison = moment.phase == Phase::Rcpt && moment.recipients.iter().any(|to| to == "person1@example.com");
        if poison { reply(550, "5.7.1 not for you") } else { Act::Usual }
    });
    let relay = Relay::with(Setup { mail: "breaker_open = \"300ms\"", ..setup(script, SmsScript::new()) }).await;
    for n in [1, 2] {
        relay.put(person(n)).await;
    }
    relay.event(&customer_added("poison", 1)).await;
    assert_eq!(
        outcomes(&relay.settled("poison").await, "email"),
        ["misconfigured 550 5.7.1"],
        "the first time it may be us"
    );
    // The next one is the trial: it is taken, which frees the first, which is refused again.
    relay.event(&customer_added("good", 2)).await;
    let found = relay
        .until_some("it is judged", async |r| {
            let found = r.find("poison").await?;
            (notification(&found, "email")["state"] == "dead_letter").then_some(found)
        })
        .await;
    assert_eq!(outcomes(&found, "email"), ["misconfigured 550 5.7.1", "permanent 550 5.7.1"]);
    assert!(notification(&found, "email")["reason"].to_string().contains("refused"), "{found:#}");
    let metrics = relay.admin("GET", "/metrics", None).await;
    let closed = "sealpost_provider_open{provider=\"mail\"} 0";
    assert!(metrics.as_str().is_some_and(|text| text.contains(closed)), "it stops nobody again");
    relay.event(&customer_added("poison-again", 1)).await;
    let again = relay.settled("poison-again").await;
    assert_ne!(notification(&again, "email")["state"], "suppressed", "the address is not at fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_rejected_mail_is_never_reported_as_sent() {
    // Person 1 is refused after long thought; person 2 is welcome, and could get the answer meant for person 1.
    let script = SmtpScript::new().behave(|moment| {
        let slow = moment.phase == Phase::Dot && moment.recipients.iter().any(|to| to == "person1@example.com");
        if slow { Act::slow_rejection(Duration::from_secs(5)) } else { Act::Usual }
    });
    let relay = Relay::with(Setup { mail: "max_concurrency = 1", ..setup(script, SmsScript::new()) }).await;
    for n in [2, 1, 3] {
        relay.put(person(n)).await;
        relay.event(&customer_added(&format!("slow-{n}"), n)).await;
    }
    for n in [2, 3] {
        let found = relay.settled(&format!("slow-{n}")).await;
        let attempts = outcomes(&found, "email");
        assert_eq!(attempts.last().map(String::as_str), Some("sent 250 2.0.0"), "{found:#}");
    }
    let found = relay.settled("slow-1").await;
    let attempts = outcomes(&found, "email");
    assert!(attempts.iter().all(|attempt| attempt == "ambiguous after_final_dot_timeout"), "{attempts:?}");
    assert_eq!(attempts.len(), 5, "the schedule has four retries");
    assert_eq!(notification(&found, "email")["state"], "dead_letter", "{found:#}");
    let mut to: Vec<String> = relay.smtp.mails().into_iter().flat_map(|mail| mail.rcpt).collect();
    to.sort();
    assert_eq!(to, ["person2@example.com", "person3@example.com"]);
}

/// An answer of the gateway to its first request, and where the notification stands after it settled.
struct Reaction {
    act: SmsAct,
    outcomes: &'static [&'static str],
    state: &'static str,
    /// One of these.
    reasons: &'static [&'static str],
}

async fn reacts(case: Reaction) {
    let Reaction { act, outcomes: expected, state, reasons } = case;
    let name = match &act {
        SmsAct::Answer(answer) => format!("answer {}", answer.status),
        other => format!("{other:?}"),
    };
    let once = act.clone();
    let script = SmsScript::new().behave(move |_, nth| if nth == 0 { once.clone() } else { SmsAct::answer(200, "{}") });
    let relay = Relay::with(setup(SmtpScript::new(), script)).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("text", 1)).await;
    let found = relay.settled("text").await;
    assert_eq!(outcomes(&found, "sms"), expected, "{name}: {found:#}");
    let text = notification(&found, "sms");
    assert_eq!(text["state"], state, "{name}");
    let why = text["reason"].as_str().or_else(|| text["reason"]["reason"].as_str()).unwrap_or_default();
    assert!(reasons.contains(&why), "{name}: {why}");
    assert_eq!(relay.sms.received(), expected.len() as u64, "{name}: one request for each attempt");
    let id = text["id"].as_str().expect("an id is text");
    for request in relay.sms.messages() {
        let body: Value = serde_json::from_slice(&request.body).expect("the declared body is JSON");
        assert_eq!(body["ref"], id, "{name}: the gateway is told our id, the same each time");
    }
    assert_eq!(notification(&found, "email")["state"], "sent", "{name}: the other channel is not concerned");
    relay.stop().await.1.unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_answers_decides_whether_a_text_is_sent_again() {
    let status = |status| SmsAct::answer(status, r#"{"message":"no"}"#);
    let held: &[&str] = &["ambiguous_hold"];
    // The mail that is sent meanwhile says nothing about the gateway.
    let stopped: &[&str] = &["misconfigured"];
    let table: [(SmsAct, &[&str], &str, &[&str]); 12] = [
        (status(200), &["sent 200"], "sent", &[""]),
        (SmsAct::HugeBody(1 << 20), &["sent 200"], "sent", &[""]),
        (status(429), &["transient 429", "sent 200"], "sent", &[""]),
        (status(400), &["permanent 400"], "dead_letter", &["refused"]),
        (status(401), &["misconfigured 401"], "waiting", stopped),
        (SmsAct::redirect(307, "http://127.0.0.1:1/"), &["misconfigured 307"], "waiting", stopped),
        (status(503), &["ambiguous 503"], "waiting", held),
        (SmsAct::Hang, &["ambiguous after_request_timeout"], "waiting", held),
        (SmsAct::Drop, &["ambiguous after_request_closed"], "waiting", held),
        (SmsAct::Raw(b"SSH-2.0-what\r\n".to_vec()), &["ambiguous after_request_closed"], "waiting", held),
        (SmsAct::Raw(b"HTTP/1.1 99".to_vec()), &["ambiguous after_request_closed"], "waiting", held),
        (SmsAct::WrongLength { claimed: 900, answer: Answer::new(503, "{}") }, &["ambiguous 503"], "waiting", held),
    ];
    let cases =
        table.into_iter().map(|(act, outcomes, state, reasons)| reacts(Reaction { act, outcomes, state, reasons }));
    futures_util::stream::iter(cases).buffer_unordered(AT_ONCE).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_asks_for_time_gets_it() {
    let busy = SmsAct::Answer(Answer::new(429, "").header("retry-after", "2"));
    let script = SmsScript::new().behave(move |_, nth| if nth == 0 { busy.clone() } else { SmsAct::answer(200, "{}") });
    let relay = Relay::with(setup(SmtpScript::new(), script)).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("busy", 1)).await;
    let found = relay.settled("busy").await;
    assert_eq!(outcomes(&found, "sms"), ["transient 429", "sent 200"]);
    let id = &notification(&found, "sms")["id"];
    let at = |what: &str| {
        let lines = found["timeline"].as_array().expect("a timeline has lines");
        let line = lines.iter().find(|line| line["notification"] == *id && line["what"] == what);
        let time = line.and_then(|line| line["time"].as_str()).unwrap_or_else(|| panic!("{what}: {found:#}"));
        time.parse::<jiff::Timestamp>().expect("times are RFC 3339")
    };
    let waited = at("sent").duration_since(at("transient"));
    assert!(waited.as_millis() >= 2_000, "asked for 2 s, came back after {waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_may_have_gone_stays_held_across_a_restart() {
    let relay = Relay::with(setup(SmtpScript::new(), SmsScript::new().always(SmsAct::Drop))).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("maybe", 1)).await;
    let held = relay.settled("maybe").await;
    assert_eq!(notification(&held, "sms")["reason"], "ambiguous_hold");
    let (dir, ended) = relay.stop().await;
    ended.expect("drained");
    let relay = Relay::in_dir(dir, setup(SmtpScript::new(), SmsScript::new()), sealpost::clock::Clock::system()).await;
    // Another event goes all the way, so the dispatcher has been at work since the restart.
    relay.event(&customer_added("after", 1)).await;
    assert_eq!(notification(&relay.settled("after").await, "sms")["state"], "sent");
    let still = relay.settled("maybe").await;
    assert_eq!(notification(&still, "sms")["reason"], "ambiguous_hold", "{still:#}");
    assert_eq!(relay.sms.received(), 1, "only the other event's text");
    assert_eq!(relay.smtp.accepted(), 1, "only the other event's mail");
}
