//! The shipped rules, asked about every example, and about events that look like one.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::*;
use crate::template::TemplateSet;

static TEMPLATES: LazyLock<TemplateSet> = LazyLock::new(|| {
    TemplateSet::load(&TemplateSource::Embedded, None).unwrap_or_else(|faults| panic!("{}", Faults(faults)))
});
static RULES: LazyLock<RuleSet> =
    LazyLock::new(|| app::compile_rules(&TEMPLATES).expect("shipped rules are free of faults"));

/// `template as role` of each message that an event leads to.
fn told(event: &Value) -> Vec<String> {
    let namespace = |_| "explain".parse().expect("a namespace");
    let decoded = event::decode(event.to_string().as_bytes(), &Keyring::generate(), &namespace).expect("an event");
    let verdict = RULES.apply(&decoded.event, &jiff::tz::TimeZone::UTC);
    assert!(verdict.faults.is_empty(), "{event}");
    verdict.matches.iter().map(|found| format!("{} as {}", found.rule.id.template, json!(found.role))).collect()
}

/// Templates whose rules fire for an event.
fn fired(event: &Value) -> BTreeSet<String> {
    told(event).iter().filter_map(|message| message.split(' ').next().map(str::to_owned)).collect()
}

#[test]
fn every_shipped_rule_fires_for_the_examples_of_its_template_and_of_no_other() {
    for info in TEMPLATES.all() {
        for example in TEMPLATES.examples(&info.id) {
            // They share a group: of the two only the welcome goes out.
            let expect = if info.id.as_str() == "registration-completed" { "welcome" } else { info.id.as_str() };
            let mut found = fired(&example.event);
            if example.fires == Some(false) {
                assert!(!found.remove(expect), "{} {}", info.id, example.name);
                continue;
            }
            let expect = BTreeSet::from([expect.to_owned()]);
            assert_eq!(found, expect, "{} {}", info.id, example.name);
        }
    }
}

#[test]
fn events_that_only_look_like_good_news_tell_nobody() {
    let event = |name: &str, data: Value| {
        let mut data = data;
        if data.get("customerIdentifiers").is_none() {
            data["customerIdentifiers"] = json!({ "customerId": 438_214_811 });
        }
        json!({ "eventName": name, "eventId": "e-1", "orgId": 41_007, "createdAt": NOW.as_millis(), "data": data })
    };
    for (name, data) in [
        ("pointsRedeemed", json!({ "totalPointsRedeemed": 0 })),
        ("pointsRedeemed", json!({ "pointsRedeemed": 5 })),
        ("pointsExpired", json!({ "pointsExpired": 0.0 })),
        ("pointsExpiryReminder", json!({ "pointsScheduledForExpiry": 0 })),
        ("pointsTransferredInitiated", json!({ "totalPointsTransferred": 0 })),
        ("issuedPointsReversed", json!({ "totalIssuedPointsReversed": 0.0, "programCurrentPoints": 5 })),
        // All of it expired meanwhile: there is nothing to use again.
        ("redeemedPointsReversed", json!({ "redeemedPointsReversedDetails": { "available": 0.0, "expired": 20.0 } })),
        ("transactionAdded", json!({ "billType": "NOT_INTERESTED", "amount": 10 })),
        ("transactionAdded", json!({ "amount": 10 })),
        ("tierDowngraded", json!({ "downgradedTierNumber": 2, "previousTierNumber": 2 })),
        ("tierUpgraded", json!({ "upgradedTierNumber": 1, "previousTierNumber": 2 })),
        // The value that is left of a target after a return.
        ("targetValueAchieved", json!({ "achievedTargetValue": "2", "triggeringActivity": { "name": "ReturnBill" } })),
        ("targetValueAchieved", json!({ "achievedTargetValue": "2", "eventName": "ReturnBill" })),
        ("unifiedTargetsAchieved", json!({ "triggeringActivity": { "name": "ReturnBill" } })),
        ("customerUpdated", json!({ "customerStatus": { "currentLabel": "Active" } })),
        ("customerUpdated", json!({ "updatedFields": [] })),
    ] {
        assert_eq!(fired(&event(name, data.clone())), BTreeSet::new(), "{name} {data}");
    }
    // A group's redemption is nobody's.
    let group = json!({
        "customerIdentifiers": null, "entityInformation": { "entityType": "USERGROUP2", "entityId": 7 }, "totalPointsRedeemed": 5
    });
    assert_eq!(fired(&event("pointsRedeemed", group)), BTreeSet::new());
}

#[test]
fn a_transfer_tells_each_of_the_two_once() {
    let said = |name: &str, other: &str| {
        let event = json!({
            "eventName": name, "eventId": "e-1", "orgId": 41_007, "createdAt": NOW.as_millis(),
            "data": {
                "customerIdentifiers": { "customerId": 1 }, other: { "customerId": 2 }, "totalPointsTransferred": 5
            }
        });
        told(&event)
    };
    let (to, from) = ("transferReceivingCustomerIdentifiers", "transferInitiatingCustomerIdentifiers");
    assert_eq!(said("pointsTransferredInitiated", to), ["points-sent as \"sender\""]);
    assert_eq!(said("pointsTransferredReceived", from), ["points-received as \"receiver\""]);
}
