//! Tests of `shadow` and `replay`, asking a desk in this process.

use super::*;
use crate::admin::tests::{Office, points, waiting};
use crate::clock::Time;
use crate::ledger::State;
use crate::policy::{SuppressReason, WaitReason};

const HOUR: i64 = 3_600_000;

fn desk(office: &Office) -> Client {
    Client::Own { house: office.house.clone(), router: office.router.clone() }
}

fn shadowed(office: &Office, ago: i64) -> State {
    let at = Time::from_millis(office.house.clock.now().as_millis() - ago);
    State::Suppressed { reason: SuppressReason::Shadow, at }
}

#[tokio::test]
async fn what_only_the_shadow_kept_back_is_counted_by_template_and_hour() {
    let office = Office::open();
    let client = desk(&office);
    insta::assert_snapshot!(shadow(&client, "24h").await.expect("said").text, @"nothing was kept back by the shadow from 2026-10-26T09:19:57.616Z to 2026-10-27T09:19:57.616Z");
    let other = State::Suppressed { reason: SuppressReason::BeforeLiveFrom, at: office.house.clock.now() };
    for (n, template, state) in [
        (1, "points-issued", shadowed(&office, 1)),
        (2, "points-issued", shadowed(&office, 2)),
        (3, "points-issued", shadowed(&office, HOUR)),
        (4, "welcome", shadowed(&office, 23 * HOUR)),
        (5, "welcome", shadowed(&office, 25 * HOUR)),
        (6, "welcome", other),
        (7, "welcome", waiting(WaitReason::DueLater)),
    ] {
        office.plan(n, template, state).await;
    }
    let said = shadow(&client, "24h").await.expect("said");
    insta::assert_snapshot!(said.text, @r"
    4 messages would have been sent from 2026-10-26T09:19:57.616Z to 2026-10-27T09:19:57.616Z

    template       org    channel  messages
    points-issued  41007  email    3
    welcome        41007  email    1

    hour               template       org    channel  messages
    2026-10-26T10:00Z  welcome        41007  email    1
    2026-10-27T08:00Z  points-issued  41007  email    1
    2026-10-27T09:00Z  points-issued  41007  email    2
    ");
    assert_eq!(shadow(&client, "2d").await.expect("said").json["rows"].as_array().map(Vec::len), Some(4));
    assert!(!said.json.to_string().contains("90000"), "{}", said.json);
    let said = shadow(&client, "asha").await.err().map(|error| error.to_string()).unwrap_or_default();
    insta::assert_snapshot!(said, @"field `since` does not fit; expected up to `31d`, as `24h`");
}

/// The shipped templates in a folder, one of them changed.
fn changed(from: &str, to: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let mut changes = 0;
    for (path, text) in crate::template::shipped() {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let text = if path.ends_with("points-issued/template.toml") {
            changes += text.matches(from).count();
            text.replacen(from, to, 1)
        } else {
            text.to_owned()
        };
        std::fs::write(path, text).expect("written");
    }
    assert!(changes > 0, "there is something to change");
    dir
}

async fn difference(office: &Office, from: &str, to: &str) -> Value {
    let dir = changed(from, to);
    let said = replay(&desk(office), dir.path(), "24h", false).await.expect("said");
    let row = said.json["rules"].as_array().and_then(|rules| rules.first()).cloned().unwrap_or_default();
    json!(COUNTS.map(|name| row[name].clone()))
}

/// The shipped rule behind its `on`.
const WHOLE: &str = r#"when = "event.data.totalPointsIssued > 0"
send = ["email", "sms"]
group = "points"
priority = 10
wait_for_contact = "3d"
expires_after = "5d"
live_from = 2026-01-01T00:00:00Z"#;

#[tokio::test]
async fn changed_rules_are_held_against_what_was_planned() {
    let office = Office::open();
    let bodies: Vec<Value> = [0.0, 5.0, 50.0].iter().zip(1..).map(|(total, n)| points(n, *total)).collect();
    office.deliver(&bodies).await;
    let when = "when = \"event.data.totalPointsIssued > 0\"";
    let send = "send = [\"email\", \"sms\"]";
    // same, new, of these before live_from, gone, other channels, faults; two messages for each event that matches
    for (from, to, counts) in [
        (when, when, [4, 0, 0, 0, 0, 0]),
        (when, "when = \"event.data.totalPointsIssued > 10\"", [2, 0, 0, 2, 0, 0]),
        (when, "", [4, 2, 0, 0, 0, 0]),
        ("live_from = 2026-01-01T00:00:00Z", "live_from = 2027-01-01T00:00:00Z", [4, 0, 0, 0, 0, 0]),
        (WHOLE, "send = [\"email\", \"sms\"]\nlive_from = 2027-01-01T00:00:00Z", [4, 2, 2, 0, 0, 0]),
        (when, "when = \"event.data.totalPointsIssued.contains('a')\"", [0, 0, 0, 4, 0, 3]),
        (send, "send = [\"email\"]", [2, 0, 0, 2, 0, 0]),
        (send, "first_of = [\"sms\", \"email\"]", [0, 0, 0, 2, 2, 0]),
        ("on = [\"pointsIssued\"]", "on = [\"pointsRedeemed\"]", [0, 0, 0, 4, 0, 0]),
    ] {
        assert_eq!(difference(&office, from, to).await, json!(counts), "{to}");
    }
}

#[tokio::test]
async fn a_replay_tells_examples_and_changes_nothing() {
    let office = Office::open();
    office.deliver(&[points(1, 0.0), points(2, 5.0)]).await;
    let before = office.get("/v1/notifications").await;
    let dir = changed("event.data.totalPointsIssued > 0", "event.data.totalPointsIssued < 5");
    let said = replay(&desk(&office), dir.path(), "24h", false).await.expect("said");
    let mut text = said.text.clone();
    for (name, _) in SAMPLES {
        for key in words(&said.json["rules"][0][name]) {
            assert!(office.get(&format!("/v1/events/{key}")).await["event"].is_object());
            text = text.replace(key, "KEY");
        }
    }
    insta::assert_snapshot!(text, @r#"
    2 events received from 2026-10-26T09:19:58.616Z to 2026-10-27T09:19:58.616Z; nothing was planned or sent
    messages: 0 the same, 2 new, 2 gone, 0 by other channels

    rule             same  new  of these before live_from  gone  other channels  faults
    points-issued/0  0     2    0                          2     0               0
    points-issued/0 new: sealpost explain --key KEY
    points-issued/0 gone: sealpost explain --key KEY
    not asked, because templates.allow does not enable them (--all asks them too): account-deleted, badge-earned, coupon-issued, coupon-redeemed, milestone-achieved, points-expired, points-expiring, points-received, points-redeemed, points-restored, points-reversed, points-sent, purchase-returned, purchase-thank-you, registration-completed, reward-issued, tier-downgrade-reminder, tier-downgraded, tier-upgraded
    "#);
    assert_eq!(office.get("/v1/notifications").await, before);
    let unread = tempfile::tempdir().expect("a directory");
    let refused = replay(&desk(&office), unread.path(), "24h", false).await.err().map(|e| e.to_string());
    assert!(refused.is_some_and(|said| said.contains("holds no template")));
}

#[test]
fn pages_add_up_and_examples_stay_few() {
    let page = |keys: [&str; 2], new: u64| json!({ "events": 10, "rules": [{ "rule": "a/0", "same": 1, "new": new, "new_in": keys }] });
    let mut sums = Sums::default();
    for (keys, new) in [(["k1", "k2"], 2), (["k2", "k3"], 5), (["k4", "k5"], 1)] {
        sums.add(&page(keys, new));
    }
    assert_eq!(sums.events, 30);
    let sum = &sums.rules["a/0"];
    assert_eq!((count(sum, "same"), count(sum, "new"), count(sum, "gone")), (3, 8, 0));
    assert_eq!(words(&sum["new_in"]), ["k1", "k2", "k3"]);
}
