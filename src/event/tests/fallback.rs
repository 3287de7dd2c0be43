//! The key of an event without an id.

use super::*;

fn key(body: &Value) -> EventKey {
    let event = decoded(body).event;
    assert_eq!(event.event_id, None);
    event.key
}

fn points(customer: Value, extra: Value) -> Value {
    let mut body = json!({"eventName": "pointsIssued", "orgId": 41007, "refId": "41007_-1", "apiRequestId": "job", "createdAt": 1_796_162_664_080_i64,
        "data": {"customerIdentifiers": customer, "totalPointsIssued": 8.0, "triggeringActivity": {"name": "TransactionAdd", "enteredBy": {"id": 3}}}});
    for (path, value) in extra.as_object().cloned().unwrap_or_default() {
        let (parent, field) = path.rsplit_once('/').expect("a pointer starts with a slash");
        body.pointer_mut(parent).expect("the parent exists")[field] = value;
    }
    body
}

#[test]
fn two_webhooks_that_enrich_differently_give_one_key() {
    let plain = key(&points(json!({"customerId": 5}), json!({})));
    let same = [
        (
            "identifiers",
            points(
                json!({"customerId": 5, "firstName": "A", "instore": {"mobile": "m", "externalId": "x"}, "wechat": {"accounts": []}}),
                json!({}),
            ),
        ),
        ("empty identifiers", points(json!({"customerId": "5", "instore": {}}), json!({}))),
        (
            "cards",
            points(
                json!({"customerId": 5.0, "instore": {"cardNumbers": ["c"], "cards": {"cardnumber": "c"}}}),
                json!({}),
            ),
        ),
        (
            "till and store",
            points(
                json!({"customerId": 5}),
                json!({
            "/data/triggeringActivity/enteredBy": {"id": 3, "till": {"code": "t"}, "store": {"code": "s"}}, "/data/enteredBy": {"store": {"code": "s"}}}),
            ),
        ),
        (
            "awarded references",
            points(
                json!({"customerId": 5}),
                json!({"/data/awardedReferenceIds": [1, 2], "/data/pointsAwardedId": 9, "/data/behavioralEventAttributes": {"a": 1}}),
            ),
        ),
        ("balance", points(json!({"customerId": 5}), json!({"/data/AvailablePointsBalance": 45.0}))),
        (
            "number spelling",
            points(
                json!({"customerId": 5}),
                json!({"/data/totalPointsIssued": 8, "/createdAt": 1_796_162_664_080.0, "/orgId": "41007"}),
            ),
        ),
        (
            "nothing",
            points(json!({"customerId": 5}), json!({"/data/promotions": [], "/data/x": null, "/data/y": {"z": {}}})),
        ),
    ];
    for (what, body) in same {
        assert_eq!(key(&body), plain, "{what}");
    }
}

#[test]
fn shape_does_not_matter_and_every_other_difference_does() {
    let body = points(json!({"customerId": 5}), json!({}));
    let plain = key(&body);
    assert_eq!(key(&json!({"attributes": body})), plain);
    assert_eq!(key(&json!({"data": body, "errors": null, "warnings": null})), plain);
    assert_eq!(key(&json!({"event": {"method": "POST", "body": body}})), plain);
    assert_eq!(key(&json!({"body": body})), plain);
    let different = [
        points(json!({"customerId": 6}), json!({})),
        points(json!({"customerId": 5}), json!({"/data/totalPointsIssued": 9})),
        points(json!({"customerId": 5}), json!({"/data/triggeringActivity/name": "ReturnBill"})),
        points(json!({"customerId": 5}), json!({"/refId": "41007_-2"})),
        points(json!({"customerId": 5}), json!({"/apiRequestId": "job2"})),
        points(json!({"customerId": 5}), json!({"/createdAt": 1_796_162_664_081_i64})),
        points(json!({"customerId": 5}), json!({"/orgId": 41008})),
        points(json!({"customerId": 5}), json!({"/eventName": "pointsRedeemed"})),
        points(json!({"customerId": 5}), json!({"/data/extra": [null, 1]})),
        points(json!({"customerId": 5}), json!({"/data/extra": [1, null]})),
        points(json!({"customerId": 5}), json!({"/data/extra": "1"})),
    ];
    let mut keys: Vec<EventKey> = different.iter().map(key).collect();
    keys.push(plain);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), different.len() + 1);
}

#[test]
fn one_batch_for_many_customers_gives_a_key_each_whoever_they_are_named_by() {
    let keys = [
        key(&points(json!({"customerId": 5}), json!({}))),
        key(&points(json!({"customerId": 6}), json!({}))),
        key(&points(json!({"instore": {"externalId": "a"}}), json!({}))),
        key(&points(json!({"instore": {"externalId": "b"}}), json!({}))),
        key(&points(json!({}), json!({}))),
    ];
    let distinct: std::collections::BTreeSet<EventKey> = keys.into_iter().collect();
    assert_eq!(distinct.len(), keys.len());
}
