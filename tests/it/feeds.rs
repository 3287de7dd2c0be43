//! Feeds of a whole relay: what is sent by real sockets is what reports tell.
//!
//! Promises: segments and senders are those of the messages that the catchers got.
//! Never: a person in a figure.

use serde_json::{Value, json};

use crate::support::{ORG, Relay, customer_added, person};

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
