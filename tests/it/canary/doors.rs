//! The planted person at the front door and in the brand's own directory: TLS, signatures, networks, look-ups.
//!
//! Promises and nevers: those of its parent.

use std::sync::atomic::{AtomicU64, Ordering};

use sealpost::sink::sms::{SmsAct, SmsScript, SmsSink};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{CUSTOMER, EMAIL, EXTERNAL, FIRST, Heard, LAST, MOBILE, assert_clean, event, needles};
use crate::doors::{self, Door, Shows};
use crate::process::Installation;
use crate::support::{KEY, Setup};

/// Everything a directory may get wrong with a person in hand, and then the person.
fn directory_script() -> SmsScript {
    let asked = AtomicU64::new(0);
    let person = || json!({"customer_id": CUSTOMER, "external_id": EXTERNAL, "first_name": FIRST, "last_name": LAST, "email": EMAIL});
    SmsScript::new().behave(move |_, _| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => SmsAct::answer(503, format!("{FIRST} {LAST} <{EMAIL}> is busy")),
        1 => SmsAct::answer(200, format!("{{\"customers\": [{{\"{EMAIL}\": \"{FIRST}\"")),
        2 => {
            let mut odd = person();
            odd[EMAIL] = json!(FIRST);
            let mut unfit = person();
            unfit["mobile"] = json!(format!("+{MOBILE} {FIRST}"));
            let other = json!({"external_id": LAST, "first_name": FIRST, "email": EMAIL});
            SmsAct::answer(200, json!({"customers": [odd, unfit, other]}).to_string())
        }
        _ => SmsAct::answer(200, json!({"customers": [person()]}).to_string()),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_person_leaves_no_trace_at_the_front_door_nor_on_the_way_from_the_brands_directory() {
    let needles = needles();
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let directory = SmsSink::start(directory_script()).await.expect("a directory");
    let toml = format!(
        "[log]\nfilter = \"trace\"\nformat = \"text\"\n[lookup.default]\nurl = \"{}/people\"\nagain_after = \"1s\"\n{}",
        directory.url(),
        doors::toml(elsewhere.path())
    );
    let mut relay = Installation::new(Setup { toml, ..Setup::default() }).await;
    let mut heard = Heard::default();
    relay.start().await;
    let door = Door::new(relay.intake);

    let added = |id: &str| event("customerAdded", id, &json!({}));
    let mut knock = async |what: &str, shows: Shows, body: &[u8]| {
        let (status, text) = door.deliver(shows, body).await.expect("the intake answers");
        heard.0.push((format!("intake: {what}"), text.into_bytes()));
        status
    };
    assert_eq!(knock("a wrong signature", Shows::WrongSignature, &added("wrong")).await, 401);
    assert_eq!(knock("an old signature", Shows::OldSignature, &added("old")).await, 401);
    assert_eq!(knock("a signed oddity", Shows::Signature, format!("{FIRST} <{EMAIL}>").as_bytes()).await, 200);
    assert_eq!(knock("signed", Shows::Signature, &added("signed")).await, 200);
    assert_eq!(knock("with a key", Shows::Key, &added("keyed")).await, 200);
    let named = format!("webhook-id: {EMAIL}\r\nwebhook-timestamp: {MOBILE}\r\nwebhook-signature: v1,{FIRST}\r\n");
    for (source, headers) in [("signed", named), ("elsewhere", format!("X-Sealpost-Key: {KEY}\r\n"))] {
        let (status, text) = door.deliver_to(source, &headers, &added("refused")).await.expect("the intake answers");
        heard.0.push((format!("intake: {source}"), text.into_bytes()));
        assert!((400..500).contains(&status), "{source}: {status}");
    }
    let mut plain = TcpStream::connect(relay.intake).await.expect("the intake listens");
    plain.write_all(format!("POST /{EMAIL} HTTP/1.1\r\nHost: {FIRST}\r\n\r\n").as_bytes()).await.expect("it is taken");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    heard.0.push(("intake: no TLS".into(), answer));

    // What the directory got wrong is asked for again, and in the end both are written to.
    for id in ["signed", "keyed"] {
        sent(&relay, id).await;
    }
    assert_clean(&needles, "at work", &relay);
    relay.kill();
    assert_clean(&needles, "after kill -9", &relay);
    relay.start().await;
    for path in ["/metrics", "/v1/status", "/v1/quarantine", "/v1/events?limit=100", "/v1/notifications?limit=100"] {
        assert_eq!(heard.ask(&relay, "GET", path, None).await.0, 200, "{path}");
    }
    assert!(relay.terminate().await.success());
    assert_clean(&needles, "at rest", &relay);

    for (what, said) in &heard.0 {
        let traces = needles.find(said);
        assert!(traces.is_empty(), "{what} said {traces:?}: {}", String::from_utf8_lossy(said));
    }
    let log = std::fs::read_to_string(relay.log()).expect("there is a log");
    for line in [
        "wrong credentials",
        "the directory did not answer",
        "answer is not {\"customers\"",
        "rows that cannot be used",
    ] {
        assert!(log.contains(line), "the log tells of `{line}`");
    }
    assert!(directory.received() >= 4, "every answer of the directory was given");
    // What is asked with is what Capillary said: the ids, and nothing else of the person.
    for question in directory.messages() {
        let text = String::from_utf8_lossy(&question.body).into_owned();
        assert!(text.contains(EXTERNAL), "{text}");
        for never in [FIRST, LAST, EMAIL, MOBILE] {
            assert!(!text.contains(never), "{text}");
        }
    }
    assert!(
        !needles.find(&relay.smtp.mails()[0].raw).is_empty(),
        "the search finds the person in the mail that was sent"
    );
}

/// Waits until the mail of an event was sent; its text has no number to go to.
async fn sent(relay: &Installation, event_id: &str) {
    let looks = async {
        loop {
            let found = relay.settled(event_id).await;
            let all = found["notifications"].as_array().expect("a list").clone();
            if all.iter().any(|n| n["channels"][0] == "email" && n["state"] == "sent") {
                return;
            }
            crate::support::breath().await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, looks).await.expect("the mail is sent in the end");
}
