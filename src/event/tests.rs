//! Tests of decoding as a whole: every published structure, every place of a person, and canaries in all of them.

mod fallback;
mod fixtures;
mod places;
mod robust;

use serde_json::{Value, json};

use super::*;

pub(super) use crate::choices::WeakHasher as TestHasher;

pub(super) fn namespace(org: OrgId) -> Namespace {
    format!("org-{org}").parse().expect("an org id makes a namespace")
}

pub(super) fn try_decode(body: &[u8]) -> Result<Decoded, Refusal> {
    decode(body, &TestHasher, &|org| if org.0 < 0 { namespace(OrgId(0)) } else { namespace(org) })
}

#[track_caller]
pub(super) fn decoded(body: &Value) -> Decoded {
    try_decode(body.to_string().as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// A flat event of org 41007.
#[track_caller]
pub(super) fn event(name: &str, data: Value) -> Event {
    decoded(
        &json!({"eventName": name, "eventId": "e-1", "orgId": 41007, "createdAt": 1_796_162_664_080_i64, "data": data}),
    )
    .event
}

pub(super) fn alias(kind: AliasKind, value: &str) -> Alias {
    Alias { kind, hash: alias_hash(&TestHasher, &namespace(OrgId(41007)), kind, value) }
}

#[test]
fn an_event_id_alone_decides_the_key_and_the_org_is_part_of_it() {
    let with = |org: i64, id: &str, data: Value| {
        decoded(&json!({"eventName": "x", "eventId": id, "orgId": org, "createdAt": 1, "data": data})).event.key
    };
    assert_eq!(with(1, "a", json!({"p": 1})), with(1, " a ", json!({"p": 2})));
    assert_ne!(with(1, "a", json!({})), with(2, "a", json!({})));
    assert_ne!(with(1, "a", json!({})), with(1, "b", json!({})));
    assert_eq!(with(1, "a", json!({})), event_key(&TestHasher, OrgId(1), "a"));
}

#[test]
fn aliases_are_hashed_within_the_namespace_of_the_org() {
    let of = |org: i64| {
        let body = json!({"eventName": "x", "eventId": "e", "orgId": org, "createdAt": 1, "data": {"customerIdentifiers": {"customerId": 5}}});
        decoded(&body).event.people[0].subject.aliases.clone()
    };
    assert_ne!(of(1), of(2));
    assert_eq!(of(41007), [alias(AliasKind::CustomerId, "5")]);
}

#[test]
fn a_request_id_that_is_an_address_is_kept_as_its_hash() {
    let body = json!({"eventName": "x", "eventId": "e", "orgId": 1, "createdAt": 1, "apiRequestId": "asha@example.com", "refId": "1_77", "data": {}});
    let event = decoded(&body).event;
    assert_eq!(event.request_id, Some(kept_id(&TestHasher, "asha@example.com")));
    assert_eq!(event.ref_id.as_deref(), Some("1_77"));
}

#[test]
fn refusals_have_bounded_words() {
    let reasons = ["x", "[]", "{}", r#"{"orgId":1}"#, r#"{"eventName":1,"orgId":1}"#]
        .map(|body| try_decode(body.as_bytes()).err().map(|refusal| refusal.reason()));
    assert_eq!(
        reasons,
        [Some("not_json"), Some("not_an_object"), Some("unknown_envelope"), Some("missing_field"), Some("wrong_type")]
    );
    assert_eq!(try_decode("[".repeat(65).as_bytes()).err().map(|refusal| refusal.reason()), Some("too_deep"));
}

#[test]
fn an_event_shows_its_view_and_leads_to_its_values() {
    let event = event("CouponIssue", json!({"coupons": [{"code": "A"}, {"code": "B"}], "amount": 2.5}));
    assert_eq!(
        event.view(),
        json!({"name": "CouponIssue", "id": "e-1", "org": 41007, "created_at": 1_796_162_664_080_i64,
               "data": {"coupons": [{"code": "A"}, {"code": "B"}], "amount": 2.5}})
    );
    let at = [
        ("data.coupons.1.code", Some(json!("B"))),
        ("data.amount", Some(json!(2.5))),
        ("data.coupons.2.code", None),
        ("data.coupons.-1", None),
        ("data.amount.x", None),
        ("coupons", None),
        ("", None),
    ];
    for (path, value) in at {
        assert_eq!(event.at(path), value.as_ref(), "{path}");
    }
    assert_eq!(event.at("data"), Some(&event.data));
}

#[test]
fn support_finds_an_event_by_bill_and_coupon() {
    use SearchKind::{BillNumber, CouponCode};
    let cases = [
        (json!({"billNumber": "B1", "redemptionBillNumber": 42}), vec![(BillNumber, "42"), (BillNumber, "B1")]),
        (
            json!({"triggeringActivity": {"identifiers": [{"key": "bill Number", "value": "9876543210"}, {"key": "BillId", "value": "7"}]}}),
            vec![(BillNumber, "9876543210")],
        ),
        (
            json!({"earningActivityReference": [{"identifiers": [{"key": "billNumber", "value": "B2"}]}]}),
            vec![(BillNumber, "B2")],
        ),
        (
            json!({"coupon": {"code": "C1"}, "transaction": {"number": "B3", "bill_id": 0}, "billNumber": ""}),
            vec![(BillNumber, "B3"), (CouponCode, "C1")],
        ),
        (
            json!({"coupons": [{"code": "C1"}, {"code": "C2"}, {"code": "C1"}]}),
            vec![(CouponCode, "C1"), (CouponCode, "C2")],
        ),
        (json!({"intouchRewardDetails": {"intouchCouponCode": "C9"}}), vec![(CouponCode, "C9")]),
        (json!({"enteredBy": {"store": {"code": "S"}}, "code": "x"}), vec![]),
    ];
    for (data, expected) in cases {
        let found = event("x", data.clone()).search_values();
        let found: Vec<(SearchKind, &str)> = found.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
        assert_eq!(found, expected, "{data}");
    }
}

#[test]
fn merges_releases_and_deletions_are_special_and_only_merges_teach() {
    let who = json!({"customerId": 1, "instore": {"mobile": "m"}});
    let says = |name: &str, mut data: Value| {
        data["customerIdentifiers"] = who.clone();
        let event = event(name, data);
        let special = match event.special() {
            None => "none".to_owned(),
            Some(Special::Deleted { who }) => format!("deleted {}", who.aliases.len()),
            Some(Special::Merge { .. }) => "merge".to_owned(),
            Some(Special::IdentifierReleased { of, released }) => {
                format!("released {} of {}", released.len(), of.is_some())
            }
        };
        (special, event.learnable().len())
    };
    let deletion = |status: &str| json!({"requestType": "CUSTOMER", "requestBaseType": "DELETE", "status": status});
    let cases = [
        ("customerUpdated", json!({"customerStatus": {"currentLabel": "DELETED "}}), "deleted 2", 0),
        ("customerUpdated", json!({"customerStatus": {"currentLabel": "Active"}}), "none", 1),
        ("customerAdded", json!({"customerStatus": {"currentLabel": "Deleted"}}), "none", 1),
        ("requestUpdated", deletion("APPROVED"), "deleted 2", 0),
        ("requestUpdated", deletion("success"), "deleted 2", 0),
        ("requestUpdated", deletion("REJECTED"), "none", 1),
        (
            "identifierReleased",
            json!({"profiles": [{"source": "instore", "identifiers": {"mobile": "m", "externalId": "x"}}, {"source": "WECHAT", "identifiers": {"mobile": "w"}}]}),
            "released 2 of true",
            0,
        ),
        (
            "loyaltyCustomerMerge",
            json!({"survivorCustomerIdentifiers": {"customerId": 2}, "victimCustomerIdentifiers": {"customerId": 3}}),
            "merge",
            3,
        ),
        ("loyaltyCustomerMerge", json!({"survivorCustomerIdentifiers": {"customerId": 2}}), "none", 2),
    ];
    for (name, data, special, learnable) in cases {
        assert_eq!(says(name, data.clone()), (special.to_owned(), learnable), "{name} {data}");
    }
}
