//! Tests of cancel, requeue and lists.

use super::*;

const CANCEL: &str = "/v1/notifications/cancel";
const REQUEUE: &str = "/v1/notifications/requeue";

#[tokio::test]
async fn a_bulk_change_needs_an_explicit_choice() {
    let office = Office::open();
    office.plan(1, "welcome", dead()).await;
    for path in [CANCEL, REQUEUE] {
        for body in [json!({}), json!({"filter": {}}), json!({"filter": {"limit": 5}}), json!({"ids": []})] {
            let (status, said) = office.refused(Method::POST, path, body.clone()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(said.starts_with("nothing was chosen"), "{body}: {said}");
        }
        let both = json!({"ids": [NotificationId::new(NOW, KeyedHash([1; 16])).to_string()], "all": true});
        let (_, said) = office.refused(Method::POST, path, both).await;
        assert_eq!(said, "give ids, or a filter, not both");
    }
    assert_eq!(office.house.ledger.dead_letter_count().expect("counted"), 1, "nothing was touched");
    assert_eq!(office.post(CANCEL, json!({"all": true})).await["changed"], 1);
}

#[tokio::test]
async fn a_limit_bounds_what_is_changed_and_the_answer_says_where_to_go_on() {
    let office = Office::open();
    for n in 1..=7 {
        office.plan(n, "welcome", if n == 2 { State::Expired { at: NOW } } else { dead() }).await;
    }
    let filter = |after: &Value| json!({"filter": {"state": "dead_letter", "limit": 4, "after": after}, "by": "asha"});
    let first = office.post(REQUEUE, filter(&Value::Null)).await;
    assert_eq!(first["changed"], 4, "{first}");
    assert_eq!(office.house.ledger.dead_letter_count().expect("counted"), 2);
    let second = office.post(REQUEUE, filter(&first["next"])).await;
    assert_eq!((&second["changed"], &second["next"]), (&json!(2), &Value::Null));
}

#[tokio::test]
async fn what_may_have_gone_already_is_requeued_only_by_its_id_or_its_reason() {
    let office = Office::open();
    let held = office.plan(1, "welcome", waiting(WaitReason::AmbiguousHold)).await;
    office.plan(2, "welcome", waiting(WaitReason::Retry)).await;
    let reason = || office.house.ledger.notification(held).expect("read").expect("kept").state.reason();
    for filter in [json!({"template": "welcome"}), json!({"state": "waiting"}), json!({"limit": 1, "org": 41007})] {
        let done = office.post(REQUEUE, json!({"filter": filter})).await;
        assert_eq!((&done["changed"], &done["ambiguous"]), (&json!(1), &json!(1)), "{done}");
    }
    let done = office.post(REQUEUE, json!({"all": true})).await;
    assert_eq!((&done["changed"], &done["ambiguous"]), (&json!(1), &json!(1)), "{done}");
    assert_eq!(reason(), Some("ambiguous_hold"));
    for named in [json!({"ids": [held.to_string()]}), json!({"filter": {"reason": "ambiguous_hold"}})] {
        let done = office.post(REQUEUE, named).await;
        assert_eq!((&done["changed"], &done["ambiguous"]), (&json!(1), &json!(0)), "{done}");
        assert_eq!(reason(), Some("due_later"));
        hold(&office, held).await;
    }
    assert_eq!(
        office.post(CANCEL, json!({"filter": {"template": "welcome"}})).await["changed"],
        2,
        "to withdraw is safe"
    );
}

/// Makes it ambiguous again.
async fn hold(office: &Office, id: NotificationId) {
    let leased = office.house.ledger.lease(id).expect("read").expect("free");
    let state = waiting(WaitReason::AmbiguousHold);
    let mut changes = Changes::new();
    changes.update_notification(&leased.notification, Notification { state, ..leased.notification.clone() });
    office.house.ledger.commit(changes).await.expect("committed");
}

#[tokio::test]
async fn a_dead_letter_gets_its_retries_anew_and_its_attempts_stay_counted() {
    let office = Office::open();
    let mut worn_out = office.notification(1, "welcome", dead());
    worn_out.attempts = 4;
    let id = worn_out.id;
    let mut changes = Changes::new();
    changes.add_notification(worn_out);
    office.house.ledger.commit(changes).await.expect("committed");
    assert_eq!(office.post(REQUEUE, json!({"ids": [id.to_string()]})).await["changed"], 1);
    let again = office.house.ledger.notification(id).expect("read").expect("kept");
    assert_eq!((again.attempts, again.attempts_before), (4, 4));
}

#[tokio::test]
async fn what_is_past_its_expiry_is_not_requeued_to_expire_once_more() {
    let office = Office::open();
    for (n, state) in [(1, State::Expired { at: NOW }), (2, dead()), (3, State::Cancelled { at: NOW })] {
        office.plan(n, "welcome", state).await;
    }
    office.house.clock.advance(std::time::Duration::from_secs(400 * 86_400));
    let done = office.post(REQUEUE, json!({"all": true})).await;
    let counts = ["changed", "too_old", "not_applicable"].map(|count| done[count].as_u64());
    assert_eq!(counts, [Some(0), Some(2), Some(1)], "{done}");
    assert_eq!(office.house.ledger.dead_letter_count().expect("counted"), 1, "a dead letter stays one");
    assert_eq!(office.post(CANCEL, json!({"all": true})).await["changed"], 1);
}

#[tokio::test]
async fn a_list_of_ids_with_an_unknown_one_changes_nothing() {
    let office = Office::open();
    let known = office.plan(1, "welcome", dead()).await;
    let unknown = NotificationId::new(NOW, KeyedHash([9; 16]));
    let body = json!({"ids": [known.to_string(), unknown.to_string()]});
    let (status, _) = office.refused(Method::POST, CANCEL, body).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(office.house.ledger.dead_letter_count().expect("counted"), 1);
}

#[tokio::test]
async fn a_typo_in_a_filter_is_refused_with_the_words_that_exist() {
    let office = Office::open();
    let (_, said) = office.refused(Method::GET, "/v1/notifications?state=dead", json!({})).await;
    insta::assert_snapshot!(said, @"field `state` does not fit; expected one of `waiting`, `attempting`, `sent`, `suppressed`, `expired`, `dead_letter`, `cancelled`");
    let (_, said) = office.refused(Method::POST, CANCEL, json!({"filter": {"reason": "braked"}})).await;
    assert!(said.starts_with("field `filter.reason` does not fit; expected one of `address_suppressed`"), "{said}");
    let (_, said) = office.refused(Method::GET, "/v1/notifications?state=waiting&reason=refused", json!({})).await;
    assert!(said.starts_with("nothing is `waiting` because of `refused`; its reasons are due_later"), "{said}");
}

#[tokio::test]
async fn a_list_that_is_cut_says_where_it_goes_on() {
    let office = Office::open();
    for n in 1..=5 {
        office.plan(n, "welcome", dead()).await;
    }
    let page = office.get("/v1/notifications?limit=3").await;
    assert_eq!(page["notifications"].as_array().map(Vec::len), Some(3));
    let next = page["next"].as_str().expect("there is more");
    let rest = office.get(&format!("/v1/notifications?limit=3&after={next}")).await;
    assert_eq!((rest["notifications"].as_array().map(Vec::len), &rest["next"]), (Some(2), &Value::Null));
}
