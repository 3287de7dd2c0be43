//! Every documented event of Capillary, through the real intake and back out by each of its ids.
//!
//! Promises: a new fixture is tested by being there.
//! Never: a list of fixtures that can be forgotten; an id that is written down twice.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{ORG, Relay};

/// A documented delivery and the ids it carries.
struct Fixture {
    file: String,
    body: Vec<u8>,
    name: String,
    org: i64,
    /// How it can be asked for: `event_id`, `request_id`, `ref_id`, as far as it has them.
    ids: Vec<(&'static str, String)>,
}

fn fixtures() -> Vec<Fixture> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/capillary");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("fixtures can be listed") {
        let path = entry.expect("entry can be read").path();
        let body = std::fs::read(&path).expect("fixture can be read");
        let json: Value = serde_json::from_slice(&body).expect("fixture is JSON");
        let names = [("event_id", "eventId"), ("request_id", "apiRequestId"), ("ref_id", "refId")];
        let ids = names.into_iter().filter_map(|(by, name)| Some((by, text(&json, name)?))).collect();
        let org = field(&json, "orgId").and_then(Value::as_i64).expect("an event has an org");
        let file = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        all.push(Fixture { name: text(&json, "eventName").expect("an event has a name"), file, body, org, ids });
    }
    all.sort_by(|a, b| a.file.cmp(&b.file));
    all
}

/// A value at the root or in `attributes`; some documented keys have stray blanks.
fn field<'j>(json: &'j Value, name: &str) -> Option<&'j Value> {
    let objects = [Some(json), json.get("attributes")];
    objects.into_iter().flatten().filter_map(Value::as_object).find_map(|object| {
        let (_, value) = object.iter().find(|(key, _)| key.replace(' ', "") == name)?;
        Some(value)
    })
}

/// A text that is not empty.
fn text(json: &Value, name: &str) -> Option<String> {
    field(json, name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

async fn timeline(relay: &Relay, fixture: &Fixture) -> Option<Value> {
    let (by, value) = fixture.ids.first().expect("every documented event has an id");
    let answer = relay.admin("POST", "/v1/events/find", Some(json!({ "by": by, "value": value }))).await;
    let found = answer["found"].as_array()?.iter().find(|f| f["event"]["name"] == fixture.name.as_str());
    found.cloned()
}

fn notifications(timeline: &Value) -> Vec<&str> {
    let all = timeline["notifications"].as_array().expect("a timeline lists notifications");
    all.iter().filter_map(|n| n["id"].as_str()).collect()
}

fn copies(timeline: &Value) -> u64 {
    let lines = timeline["timeline"].as_array().expect("a timeline has lines");
    lines.iter().filter(|line| line["what"] == "duplicate").filter_map(|line| line["copies"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_event_is_decoded_found_by_each_of_its_ids_and_planned_once() {
    let relay = Relay::start().await;
    let fixtures = fixtures();
    assert!(fixtures.len() >= 40, "the corpus shrank to {}", fixtures.len());
    for fixture in &fixtures {
        assert_eq!(relay.post(&fixture.body).await, 200, "{} is acknowledged", fixture.file);
    }
    let mut first = Vec::new();
    for fixture in &fixtures {
        let what = format!("{} is planned", fixture.file);
        let found = relay.until_some(&what, async |r| timeline(r, fixture).await).await;
        // Workflow events carry org 0; the only org of the source stands in for it.
        let org = if fixture.org == 0 { ORG } else { fixture.org };
        assert_eq!(found["event"]["org"], org, "{}", fixture.file);
        for (by, value) in &fixture.ids {
            let answer = relay.admin("POST", "/v1/events/find", Some(json!({ "by": by, "value": value }))).await;
            let all = answer["found"].as_array().expect("a search answers with a list");
            let same = all.iter().any(|other| other["event"]["key"] == found["event"]["key"]);
            assert!(same, "{} is found by its {by}", fixture.file);
        }
        first.push(found);
    }
    let kept = relay.admin("GET", "/v1/quarantine", None).await;
    assert_eq!(kept, json!([]), "a documented event is in quarantine");
    let planned: usize = first.iter().map(|f| notifications(f).len()).sum();
    assert!(planned > 0, "no documented event is worth a message");

    for fixture in &fixtures {
        assert_eq!(relay.post(&fixture.body).await, 200, "a copy of {} is acknowledged", fixture.file);
    }
    for (fixture, before) in fixtures.iter().zip(&first) {
        let what = format!("the copy of {} is on its timeline", fixture.file);
        let after = relay
            .until_some(&what, async |r| timeline(r, fixture).await.filter(|found| copies(found) > copies(before)))
            .await;
        assert_eq!(notifications(&after), notifications(before), "a copy of {} planned more", fixture.file);
    }
}
