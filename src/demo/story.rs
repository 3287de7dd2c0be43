//! The demo's story: customers, events in Capillary's own shapes, and how each must end.
//!
//! Promises: plain data files beside this one; times in them are relative (`"@-300"`: 300 seconds ago), so the story is always fresh.
//! Never: a real person.

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::sink::sms::{SmsAct, SmsScript};
use crate::sink::smtp::{Act as Reply, Phase, SmtpScript};

/// The address that the demo's mail server does not know.
const BOUNCING: &str = "bounce@example.com";

/// One step.
#[derive(Deserialize)]
pub(super) struct Step {
    /// What it shows, in words.
    pub(super) say: String,
    /// What is done.
    #[serde(rename = "do")]
    pub(super) act: Act,
    /// How it ends.
    #[serde(default)]
    pub(super) expect: Expect,
}

/// Something done.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Act {
    /// Capillary posts an event.
    Post {
        /// The body, in whichever shape.
        event: Value,
    },
    /// Somebody posts something else.
    PostRaw {
        /// The body as it is.
        body: String,
    },
    /// The brand adds a customer.
    Put {
        /// Whose customer, where it is another brand's.
        #[serde(default = "our_own")]
        namespace: String,
        /// The customer.
        contact: Value,
    },
    /// The story waits until an earlier event has come to rest.
    Await {
        /// Which.
        event_id: String,
        /// Until it waits for this reason; else until nothing of it waits.
        reason: Option<String>,
    },
}

fn our_own() -> String {
    "default".into()
}

/// How a step ends.
#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expect {
    /// Another step looks.
    #[default]
    Nothing,
    /// In quarantine.
    Quarantined {
        /// Part of the reason.
        reason: String,
    },
    /// With these notifications.
    Event {
        /// Capillary's event id.
        event_id: String,
        /// `email sent`, `sms sent`, …: exactly these, in any order.
        states: Vec<String>,
        /// What the timeline must also tell.
        says: Option<String>,
    },
}

/// Every step, with times made absolute.
pub(super) fn steps() -> anyhow::Result<Vec<Step>> {
    let mut story: Value = serde_json::from_str(include_str!("story.json")).context("demo story")?;
    let now = Clock::system().now().as_millis();
    make_absolute(&mut story, now);
    serde_json::from_value(story).context("demo story")
}

/// The customers, as rows of the vault's import.
pub(super) fn customers() -> anyhow::Result<Vec<Value>> {
    let mut reader = csv::Reader::from_reader(include_str!("customers.csv").as_bytes());
    let headers = reader.headers()?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.context("demo customers")?;
        let fields = headers.iter().zip(record.iter()).filter(|(_, value)| !value.is_empty());
        let row: Map<String, Value> = fields.map(|(name, value)| (name.to_owned(), value.into())).collect();
        rows.push(Value::Object(row));
    }
    Ok(rows)
}

fn make_absolute(value: &mut Value, now: i64) {
    match value {
        Value::String(text) => {
            let seconds = text.strip_prefix('@').and_then(|offset| offset.parse::<i64>().ok());
            if let Some(seconds) = seconds {
                *value = (now + seconds * 1_000).into();
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| make_absolute(one, now)),
        Value::Object(all) => all.values_mut().for_each(|one| make_absolute(one, now)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A mail server that knows everybody but one.
pub(super) fn mail_script() -> SmtpScript {
    SmtpScript::new().behave(|moment| {
        let unknown = moment.phase == Phase::Rcpt && moment.recipients.last().is_some_and(|to| to == BOUNCING);
        if unknown { Reply::Reply(550, "5.1.1 no such mailbox".into()) } else { Reply::Usual }
    })
}

/// A gateway that is out of order at first, and says so honestly.
pub(super) fn gateway_script() -> SmsScript {
    SmsScript::new().behave(|_, nth| match nth {
        0 | 1 => SmsAct::answer(503, r#"{"error":"503"}"#),
        _ => SmsAct::answer(200, r#"{"id":"demo"}"#),
    })
}
