//! A brand's first day, as the README tells it: keys, check, people, shadow, pilot, live, pause, resume.
//!
//! Promises: the very commands of the README on the real binary; after each what went out is compared with what should have.
//! Never: a step that a reader of the README would not know of.

use std::fmt::Write as _;

use crate::process::Installation;
use crate::support::{self, KEY, Setup, customer_added};

/// The brand's own file knows people by its own ids; a second file says who Capillary means.
fn files(dir: &std::path::Path) {
    let (mut aliases, mut people) = (
        String::from("customer_id,external_id\n"),
        String::from("external_id,first_name,last_name,email,mobile,locale\n"),
    );
    for n in 1..=6 {
        let _ = writeln!(aliases, "{},EXT{n:04}", 900_000 + n);
        let _ = writeln!(people, "EXT{n:04},Givenname{n},Familyname{n},person{n}@example.com,+9199000{n:05},en-IN");
    }
    std::fs::write(dir.join("aliases.csv"), aliases).expect("written");
    std::fs::write(dir.join("customers.csv"), people).expect("written");
}

async fn event(relay: &Installation, n: u32) -> String {
    let id = format!("day-{n}");
    let body = customer_added(&id, n).to_string();
    let answered = support::deliver(relay.intake, KEY, body.as_bytes()).await.expect("the intake answers");
    assert_eq!(answered.0, 200);
    id
}

/// Posts the registration of a person and gives the states of what it led to.
async fn states(relay: &Installation, n: u32) -> Vec<String> {
    let id = event(relay, n).await;
    let found = relay.settled(&id).await;
    let all = found["notifications"].as_array().expect("notifications");
    all.iter()
        .map(|n| format!("{} {}", n["state"].as_str().unwrap_or("?"), n["reason"].as_str().unwrap_or("")))
        .collect()
}

fn written_to(relay: &Installation) -> Vec<String> {
    let mut to: Vec<String> = relay.smtp.mails().into_iter().flat_map(|mail| mail.rcpt).collect();
    to.sort();
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_day_goes_as_the_readme_says() {
    let setup = Setup { relay: "pilot = [\"external_id:EXT0003\"]", allow: vec!["welcome"], ..Setup::default() };
    let mut relay = Installation::new(setup).await;
    files(relay.dir.path());

    assert!(relay.must(&["check"]).contains("no faults"));
    relay.must(&["mode", "shadow"]);
    assert!(relay.must(&["vault", "import", "aliases.csv", "--aliases-only"]).contains("6 rows stored"));
    assert!(relay.must(&["vault", "import", "customers.csv"]).contains("6 rows stored"));
    relay.start().await;
    assert!(relay.must(&["status"]).contains("mode shadow"));

    assert_eq!(states(&relay, 1).await, ["suppressed shadow", "suppressed shadow"]);
    let kept_back = relay.must(&["shadow"]);
    assert!(kept_back.contains("welcome") && !kept_back.contains("Givenname"), "{kept_back}");
    assert!(relay.must(&["notifications", "list", "--state", "suppressed"]).contains("welcome"));
    assert_eq!(written_to(&relay), [""; 0], "the shadow writes to nobody");

    relay.must(&["mode", "pilot"]);
    assert_eq!(states(&relay, 2).await, ["suppressed not_in_pilot", "suppressed not_in_pilot"]);
    assert_eq!(states(&relay, 3).await, ["sent ", "sent "]);
    assert_eq!(written_to(&relay), ["person3@example.com"], "the pilot writes to whom it lists");

    relay.must(&["mode", "live"]);
    assert_eq!(states(&relay, 4).await, ["sent ", "sent "]);

    relay.must(&["pause", "relay", "--reason", "wrong coupon"]);
    assert_eq!(states(&relay, 5).await, ["waiting paused", "waiting paused"]);
    assert!(relay.must(&["status"]).contains("wrong coupon"));
    assert_eq!(written_to(&relay), ["person3@example.com", "person4@example.com"], "a pause holds");
    let resumed = relay.must(&["resume", "relay"]);
    assert!(resumed.contains('2'), "it says how many it freed: {resumed}");
    let found = relay.settled("day-5").await;
    assert!(found["notifications"].as_array().is_some_and(|all| all.iter().all(|n| n["state"] == "sent")), "{found:#}");
    assert_eq!(written_to(&relay), ["person3@example.com", "person4@example.com", "person5@example.com"]);

    assert!(relay.must(&["dead-letters", "list"]).trim().lines().count() <= 1, "nothing was lost on the way");
    assert!(relay.terminate().await.success());
}
