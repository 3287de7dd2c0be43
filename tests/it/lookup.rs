//! The brand's own directory, asked by a whole relay.
//!
//! Promises: a person who was never loaded is written to; a slow directory holds up nobody else.
//! Never: a person in an answer of the relay.

use sealpost::sink::sms::{Answer, SmsAct, SmsScript, SmsSink};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Relay, Setup, customer_added, person};

async fn directory(says: impl Fn(Value) -> SmsAct + Send + Sync + 'static) -> SmsSink {
    let script =
        SmsScript::new().behave(move |sms, _| says(serde_json::from_slice(&sms.body).expect("a question is JSON")));
    SmsSink::start(script).await.expect("a directory")
}

fn asks(directory: &SmsSink) -> Setup {
    Setup { toml: format!("[lookup.default]\nurl = \"{}/people\"\n", directory.url()), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_was_never_loaded_is_found_in_the_brands_directory_and_written_to() {
    let directory = directory(|question| {
        let known =
            question["customers"].as_array().expect("customers").iter().any(|ids| ids["external_id"] == "EXT0001");
        let customers = if known { vec![person(1)] } else { vec![] };
        SmsAct::Answer(Answer::new(200, json!({ "customers": customers }).to_string()))
    })
    .await;
    let relay = Relay::with(asks(&directory)).await;
    relay.event(&customer_added("told", 1)).await;
    relay.until("both messages are sent", async |r| (r.smtp.mails().len(), r.sms.messages().len()) == (1, 1)).await;
    assert!(directory.messages().iter().all(|question| question.path == "/people"));
    let contact =
        relay.admin("POST", "/v1/vault/get", Some(json!({"customer": "external_id:EXT0001", "by": "officer"}))).await;
    assert_eq!(contact["contact"]["first_name"], "Givenname1");
    assert!(contact["kept_until"].is_string(), "the officer sees that it is kept for a time");
    relay.stop().await.1.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_hangs_holds_up_nobody_else() {
    let directory = directory(|_| SmsAct::Hang).await;
    let relay = Relay::with(asks(&directory)).await;
    relay.put(person(2)).await;
    relay.event(&customer_added("missed", 1)).await;
    directory.wait_for(1, PATIENCE).await.expect("the directory is asked");
    relay.event(&customer_added("known", 2)).await;
    relay.settled("known").await;
    assert_eq!(relay.smtp.mails().len(), 1);
    relay.stop().await.1.expect("a clean stop");
}
