//! Feeds of a whole relay: what is sent by real sockets is what reports tell.
//!
//! Promises: segments and senders are those of the messages that the catchers got.
//! Never: a person in a figure.

use sealpost::sink::sms::{SmsAct, SmsScript, SmsSink};
use serde_json::{Value, json};

use crate::support::{ORG, PATIENCE, Relay, Setup, customer_added, person};

/// Rows of the day that it is where the org is, and of the day before: midnight may pass while a test runs.
pub async fn figures(relay: &Relay) -> Vec<Value> {
    let zone = jiff::tz::TimeZone::get("Asia/Kolkata").expect("a zone");
    let today = relay.clock.now().to_jiff().expect("a time").to_zoned(zone).date();
    let mut rows = Vec::new();
    for day in [today.yesterday().expect("a day"), today] {
        let report = relay.admin("GET", &format!("/v1/reports/outcomes?day={day}"), None).await;
        rows.extend(report["rows"].as_array().expect("rows").clone());
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_tells_what_was_sent_as_whom_and_in_how_many_segments() {
    let relay = Relay::start().await;
    relay.put(person(1)).await;
    relay.event(&customer_added("told", 1)).await;
    relay.settled("told").await;
    let rows = figures(&relay).await;
    let of = |channel: &str| rows.iter().find(|row| row["channel"] == channel).unwrap_or_else(|| panic!("{rows:?}"));
    let (mail, text) = (of("email"), of("sms"));
    for (row, sender, provider) in [(mail, "rewards@marigold.example", "mail"), (text, "MRGOLD", "text")] {
        assert_eq!((&row["sender"], &row["provider"]), (&json!(sender), &json!(provider)));
        assert_eq!((&row["outcome"], &row["org"], &row["messages"]), (&json!("sent"), &json!(ORG), &json!(1)));
    }
    let sent = relay.sms.messages();
    let body: Value = serde_json::from_slice(&sent[0].body).expect("the declared body is JSON");
    let billed = sealpost::template::segments::count(body["text"].as_str().expect("a text")).count;
    assert!(billed > 0);
    assert_eq!((&text["segments"], &mail["segments"]), (&json!(billed), &json!(0)));
    let said = json!(rows).to_string();
    assert!(!said.contains("90000") && !said.contains("Givenname") && !said.contains("EXT"), "{said}");
}

fn told_to(receiver: &SmsSink) -> Setup {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    Setup {
        toml: format!("[feed.webhook]\nurl = \"{}/hook\"\nsecret = \"{secret}\"\n", receiver.url()),
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_tells_what_was_sent_with_the_senders_own_ids() {
    let receiver = SmsSink::start(SmsScript::new()).await.expect("a receiver");
    let relay = Relay::with(told_to(&receiver)).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("told", 1)).await;
    relay.settled("told").await;
    let told = async || -> Vec<Value> {
        let posts = receiver.messages();
        let bodies = posts.iter().map(|post| serde_json::from_slice::<Value>(&post.body).expect("JSON"));
        bodies.flat_map(|body| body["data"]["outcomes"].as_array().expect("outcomes").clone()).collect()
    };
    relay.until("both are told", async |_| told().await.len() >= 2).await;
    for outcome in told().await {
        assert_eq!((&outcome["outcome"], &outcome["event_id"]), (&json!("sent"), &json!("told")));
        assert_eq!(outcome["request_id"], "req-told");
    }
    let posts = receiver.messages();
    let text: String = posts.iter().map(|post| String::from_utf8_lossy(&post.body).into_owned()).collect();
    for person in ["Givenname", "Familyname", "person1@", "90000", "EXT0001"] {
        assert!(!text.contains(person), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_slows_no_message_and_no_stop() {
    let receiver = SmsSink::start(SmsScript::new().always(SmsAct::Hang)).await.expect("a receiver");
    let relay = Relay::with(told_to(&receiver)).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("first", 1)).await;
    relay.settled("first").await;
    receiver.wait_for(1, PATIENCE).await.expect("the webhook is tried");
    relay.event(&customer_added("second", 1)).await;
    let second = relay.settled("second").await;
    assert!(second["notifications"].as_array().expect("list").iter().all(|n| n["state"] == "sent"), "{second:#}");
    let (_dir, ended) = relay.stop().await;
    ended.expect("it drains without the receiver");
}
