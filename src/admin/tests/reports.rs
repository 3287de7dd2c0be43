//! Tests of reports: from what happened to the figures, through the router.

use super::*;
use crate::ledger::{Changes, Happening, SentAs, TimelineEntry};
use crate::policy::SuppressReason;

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

    /// Has it end another way, as after a requeue.
    async fn again(&self, n: u8, state: State, what: Happening) {
        let id = NotificationId::new(NOW, KeyedHash([n; 16]));
        let leased = self.house.ledger.lease(id).unwrap().unwrap();
        let mut changes = Changes::new();
        changes.add_timeline(leased.notification.event, TimelineEntry { at: NOW, notification: Some(id), what });
        changes.update_notification(&leased.notification, Notification { state, ..leased.notification.clone() });
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

#[tokio::test]
async fn who_could_not_be_reached_is_told_once_for_each_reason_by_ids_only_and_audited() {
    let office = Office::open();
    let contact =
        json!({"customer_id": "900001", "external_id": "GT0042", "first_name": "Priya", "email": "priya@example.com"});
    office.post("/v1/vault/put", json!({"contact": contact})).await;
    // Twice the same person for the same reason, and somebody whom nobody can name.
    office.refused_by_provider(1, NOW, true).await;
    let dead = |reason: DeadReason| {
        (State::DeadLetter { reason: reason.clone(), at: NOW }, Happening::DeadLetter { dead: reason })
    };
    for reason in [DeadReason::NoAddress, DeadReason::ContactUnknown] {
        let (state, line) = dead(reason);
        office.again(1, state, line).await;
    }
    let suppressed = State::Suppressed { reason: SuppressReason::AddressSuppressed, at: NOW };
    office.again(1, suppressed, Happening::Suppressed { reason: SuppressReason::AddressSuppressed }).await;
    office.refused_by_provider(2, NOW, true).await;
    office.refused_by_provider(3, NOW, false).await;
    let before = office.audit().len();
    let list = office.get("/v1/reports/unreachable?day=2026-10-27&by=asha").await;
    let told: Vec<_> =
        list["rows"].as_array().expect("rows").iter().map(|row| (&row["channel"], &row["reason"])).collect();
    let (email, none) = (json!("email"), Value::Null);
    assert_eq!(
        told,
        [(&email, &json!("address_refused")), (&email, &json!("no_address")), (&none, &json!("no_contact"))]
    );
    assert_eq!(
        (&list["rows"][0]["external_id"], &list["rows"][0]["customer_id"]),
        (&json!("GT0042"), &json!("900001"))
    );
    assert_eq!((&list["unnamed"], &list["more"]), (&json!(1), &json!(false)));
    let said = list.to_string();
    assert!(!said.contains("Priya") && !said.contains("example.com"), "{said}");
    let lines = office.audit();
    assert_eq!(lines.len(), before + 2);
    let last = &lines[before + 1];
    assert_eq!(
        (&last["action"], &last["by"], &last["count"]),
        (&json!("report.unreachable"), &json!("asha"), &json!(3))
    );
    assert_eq!(last["about"], json!({"day": "2026-10-27"}));
    assert!(!json!(lines).to_string().contains("GT0042"), "the audit names nobody");
}
