//! What people, and the webhook's receiver, were told: read from the catchers, which survive every kill.
//!
//! Promises: every copy of every message, by person; every outcome once, in the order of its number.
//! Never: a word of the relay's own.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use sealpost::sink::sms::SmsSink;
use serde_json::Value;

use crate::process::Installation;

/// Notification ids of the copies that reached a person.
pub type Copies = BTreeMap<u32, Vec<String>>;

/// What the webhook said became of a notification.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    pub channel: String,
    pub word: String,
    pub reason: Option<String>,
}

/// Everything that was caught.
pub struct Told {
    pub mails: Copies,
    pub texts: Copies,
    /// By notification.
    pub outcomes: BTreeMap<String, Vec<Outcome>>,
}

impl Told {
    pub fn read(relay: &Installation, receiver: &SmsSink) -> Result<Self> {
        Ok(Self { mails: mails(relay)?, texts: texts(relay)?, outcomes: outcomes(receiver)? })
    }
}

fn mails(relay: &Installation) -> Result<Copies> {
    let mut all = Copies::new();
    for mail in relay.smtp.mails() {
        let person = mail.rcpt[0].strip_prefix("person").and_then(|rest| rest.strip_suffix("@example.com"));
        let person = person.and_then(|n| n.parse().ok()).context("a mail to somebody who is not of this test")?;
        let text = String::from_utf8_lossy(&mail.raw).into_owned();
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: <")?.strip_suffix("@mail.acme.example>"));
        all.entry(person).or_default().push(id.context("a mail without our Message-ID")?.to_owned());
    }
    Ok(all)
}

fn texts(relay: &Installation) -> Result<Copies> {
    let mut all = Copies::new();
    for text in relay.sms.messages() {
        let body: Value = serde_json::from_slice(&text.body)?;
        let person = body["to"].as_str().and_then(|to| to.strip_prefix("+9199000")?.parse().ok());
        let person = person.context("a text to somebody who is not of this test")?;
        all.entry(person).or_default().push(body["ref"].as_str().context("a text without our id")?.to_owned());
    }
    Ok(all)
}

/// Each number once. What is new comes in the order of its numbers, and none is left out.
fn outcomes(receiver: &SmsSink) -> Result<BTreeMap<String, Vec<Outcome>>> {
    let (mut last, mut numbers, mut all) = (0, BTreeMap::new(), BTreeMap::<_, Vec<Outcome>>::new());
    for post in receiver.messages() {
        let body: Value = serde_json::from_slice(&post.body)?;
        for told in body["data"]["outcomes"].as_array().context("outcomes")? {
            let number = told["number"].as_u64().context("a number")?;
            let text = |name: &str| told[name].as_str().map(ToOwned::to_owned);
            let notification = text("notification").context("a notification")?;
            let outcome = Outcome {
                channel: text("channel").context("a channel")?,
                word: text("outcome").context("an outcome")?,
                reason: text("reason"),
            };
            match numbers.get(&number) {
                Some(before) => ensure!(*before == (notification, outcome), "number {number} was told in two ways"),
                None => {
                    ensure!(number > last, "{number} came after {last}: something overtook it");
                    last = number;
                    numbers.insert(number, (notification.clone(), outcome.clone()));
                    all.entry(notification).or_default().push(outcome);
                }
            }
        }
    }
    Ok(all)
}
