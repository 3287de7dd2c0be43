//! Tests of reports: from what happened to the figures, through the router.

use super::*;
use crate::ledger::{Changes, Happening, SentAs, TimelineEntry};

impl Office {
    /// Has notification `n` end, as the dispatcher records it.
    pub(super) async fn ends(&self, n: u8, at: Time, state: State, lines: Vec<Happening>, sent_as: Option<SentAs>) {
        let id = self.plan(n, "points-issued", waiting(WaitReason::DueLater)).await;
        let leased = self.house.ledger.lease(id).unwrap().unwrap();
        let mut changes = Changes::new();
        for what in lines {
            changes.add_timeline(leased.notification.event, TimelineEntry { at, notification: Some(id), what });
        }
        let new = Notification { state, sent_as, ..leased.notification.clone() };
        changes.update_notification(&leased.notification, new);
        self.house.ledger.commit(changes).await.unwrap();
    }

    pub(super) async fn refused_by_provider(&self, n: u8, at: Time, bad_address: bool) {
        let code = "550 5.1.1".to_owned();
        let reason = DeadReason::Refused { code: code.clone() };
        let lines = vec![Happening::Permanent { code, bad_address }, Happening::DeadLetter { dead: reason.clone() }];
        let sent_as =
            SentAs { provider: "mail".parse().unwrap(), sender: "rewards@marigold.example".into(), segments: None };
        self.ends(n, at, State::DeadLetter { reason, at }, lines, Some(sent_as)).await;
    }
}

#[tokio::test]
async fn a_day_is_told_in_figures_by_what_became_of_its_messages() {
    let office = Office::open();
    // 27 October 2026, 14:49 in Kolkata.
    for n in 1..=2 {
        office.refused_by_provider(n, NOW, true).await;
    }
    office.ends(3, NOW, State::Expired { at: NOW }, vec![Happening::Expired], None).await;
    let day_before = NOW.minus(Duration::from_secs(15 * 3_600));
    office.ends(4, day_before, State::Expired { at: day_before }, vec![Happening::Expired], None).await;
    let cancelled = office.plan(5, "welcome", waiting(WaitReason::ContactUnknown)).await.to_string();
    office.post("/v1/notifications/cancel", json!({"ids": [cancelled]})).await;
    let report = office.get("/v1/reports/outcomes?day=2026-10-27").await;
    let told: Vec<_> = report["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            [&row["template"], &row["outcome"], &row["reason"], &row["sender"], &row["messages"]].map(Value::clone)
        })
        .collect();
    let sender = json!("rewards@marigold.example");
    assert_eq!(
        told,
        [
            [json!("points-issued"), json!("expired"), Value::Null, Value::Null, json!(1)],
            [json!("points-issued"), json!("dead_letter"), json!("refused"), sender, json!(2)],
            [json!("welcome"), json!("cancelled"), Value::Null, Value::Null, json!(1)],
        ]
    );
    assert_eq!(office.get("/v1/reports/outcomes?day=2026-10-26&org=41007").await["rows"][0]["messages"], 1);
    assert_eq!(office.get("/v1/reports/outcomes?day=2026-10-25").await["rows"], json!([]));
}

#[tokio::test]
async fn what_is_no_day_or_no_org_is_refused_without_repeating_it() {
    let office = Office::open();
    for query in
        ["", "day=asha", "day=2026-11-31", "day=2026-11-22&org=asha", "day=2026-11-22&asha=1", "day=2026-11-22&org=1"]
    {
        let (status, said) = office.refused(Method::GET, &format!("/v1/reports/outcomes?{query}"), json!({})).await;
        assert!(status.is_client_error() && !said.contains("asha"), "{query}: {said}");
    }
}
