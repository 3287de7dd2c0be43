//! Tests of `explain`: what a marketer reads.

use serde_json::json;

use super::*;
use crate::admin::tests::configure;
use crate::clock::Time;

mod shipped;

const NOW: Time = Time::from_millis(1_793_092_797_616);

fn explained(body: &Value, config: Option<&Config>) -> Said {
    let source = TemplateSource::Embedded;
    of_body(body.to_string().as_bytes(), &source, config, &Clock::manual(NOW)).expect("explained")
}

fn points(total: f64) -> Value {
    json!({
        "eventName": "pointsIssued", "eventId": "e-1", "orgId": 41_007, "createdAt": NOW.as_millis() - 60_000,
        "data": {
            "customerIdentifiers": { "customerId": 438_214_811, "instore": { "mobile": "919845012345", "externalId": "GT0042" } },
            "firstName": "Asha", "totalPointsIssued": total, "programCurrentPoints": 12.0
        }
    })
}

#[test]
fn each_rule_is_told_with_its_reason_and_people_by_role_and_kind_only() {
    let said = explained(&points(0.0), None);
    insta::assert_snapshot!(said.text, @r#"
    event pointsIssued  flat envelope  org 41007  made 2026-10-27T09:18:57.616Z
      customer at data, known by customer_id, external_id, mobile
      personal values taken out: data.customerIdentifiers.customerId (1), data.customerIdentifiers.instore.externalId (1), data.customerIdentifiers.instore.mobile (1), data.firstName (1)

    no  points-issued/0: condition is false: `event.data.totalPointsIssued > 0` does not hold
          when        event.data.totalPointsIssued > 0
          recipients  default
          group       points, priority 10
          live from   2026-01-01T00:00:00.000Z
          sends       email and sms
          not before  2026-10-27T09:18:57.616Z
          waits       for an unknown contact until 2026-10-30T09:18:57.616Z
          expires     2026-11-01T09:18:57.616Z

    listen to other events:
      account-deleted/0  on customerUpdated
      badge-earned/0  on badgeEarned
      coupon-issued/0  on CouponIssue
      coupon-redeemed/0  on CouponRedeem
      milestone-achieved/0  on targetValueAchieved
      milestone-achieved/1  on unifiedTargetsAchieved
      points-expired/0  on pointsExpired
      points-expiring/0  on pointsExpiryReminder
      points-received/0  on pointsTransferredReceived
      points-redeemed/0  on pointsRedeemed
      points-restored/0  on redeemedPointsReversed
      points-reversed/0  on issuedPointsReversed
      points-sent/0  on pointsTransferredInitiated
      purchase-returned/0  on transactionAdded
      purchase-thank-you/0  on transactionAdded
      registration-completed/0  on customerAdded
      reward-issued/0  on rewardIssued
      tier-downgrade-reminder/0  on tierDowngradeReminder
      tier-downgraded/0  on tierDowngraded
      tier-upgraded/0  on tierUpgraded
      welcome/0  on customerAdded
    "#);
    for secret in ["Asha", "919845012345", "GT0042", "438214811"] {
        assert!(!said.text.contains(secret) && !said.json.to_string().contains(secret), "{secret}");
    }
}

#[test]
fn a_configuration_adds_permissions_and_the_org() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = configure(&dir);
    insta::assert_snapshot!(explained(&points(8.0), Some(&config)).text, @r#"
    event pointsIssued  flat envelope  org 41007  made 2026-10-27T09:18:57.616Z
      customer at data, known by customer_id, external_id, mobile
      personal values taken out: data.customerIdentifiers.customerId (1), data.customerIdentifiers.instore.externalId (1), data.customerIdentifiers.instore.mobile (1), data.firstName (1)

    yes points-issued/0: fires for 1
          when        event.data.totalPointsIssued > 0
          recipients  default
          group       points, priority 10
          live from   2026-01-01T00:00:00.000Z
          sends       email and sms
          not before  2026-10-27T09:18:57.616Z
          waits       for an unknown contact until 2026-10-30T09:18:57.616Z
          expires     2026-11-01T09:18:57.616Z

    listen to other events:
      welcome/0  on customerAdded

    not asked, because templates.allow does not enable them: account-deleted, badge-earned, coupon-issued, coupon-redeemed, milestone-achieved, points-expired, points-expiring, points-received, points-redeemed, points-restored, points-reversed, points-sent, purchase-returned, purchase-thank-you, registration-completed, reward-issued, tier-downgrade-reminder, tier-downgraded, tier-upgraded
    "#);
    let mut event = points(8.0);
    event["orgId"] = json!(5);
    let said = explained(&event, Some(&config));
    assert_eq!(said.json["not_planned"], "org 5 is not configured");
    event["orgId"] = json!(41_007);
    event["createdAt"] = json!(NOW.minus(std::time::Duration::from_secs(6 * 86_400)).as_millis());
    let why = explained(&event, Some(&config)).json["rules"][0]["why"].clone();
    assert_eq!(why, "fires for 1; by now it is too old to send");
    event["createdAt"] = json!(1_700_000_000_000_i64);
    let why = explained(&event, Some(&config)).json["rules"][0]["why"].clone();
    assert_eq!(why, "fires for 1; suppressed, because the event was made before `live_from`");
}

#[test]
fn a_body_that_cannot_be_decoded_is_told_as_quarantine_would_tell_it() {
    let source = TemplateSource::Embedded;
    for (body, reason, text) in [
        (
            "{\"a\": ",
            "not_json",
            "this body would be answered 200 and kept in quarantine: body is not JSON: line 1, column 6 (not_json)",
        ),
        (
            "[]",
            "not_an_object",
            "this body would be answered 200 and kept in quarantine: body is JSON but not an object (not_an_object)",
        ),
    ] {
        let said = of_body(body.as_bytes(), &source, None, &Clock::manual(NOW)).expect("explained");
        assert_eq!(said.json["quarantined"]["reason"], reason);
        assert_eq!(said.text, text);
    }
}
