//! Every place of reference 2.5 gives its person, in the right role.

use super::*;
use AliasKind::{Card, CardExternalId, CustomerId, Email, ExternalId, Mobile};
use Role::*;

/// Role, default or not, place, strongest alias.
type Seen<P> = (Role, bool, P, Alias);
/// Event name, payload, whom it should name, and why nobody.
type Case<'a> = (&'a str, Value, Vec<Seen<&'a str>>, Option<Nobody>);

fn people(name: &str, data: Value) -> (Vec<Seen<String>>, Option<Nobody>) {
    let event = event(name, data);
    let people = event.people.iter().map(|p| (p.role, p.is_default, p.place.clone(), p.subject.aliases[0])).collect();
    (people, event.nobody)
}

fn id(customer: &str) -> Alias {
    alias(CustomerId, customer)
}

#[test]
fn each_event_names_its_people_where_the_reference_says() {
    let who = |id: i64| json!({"customerId": id});
    let user = |id: i64| json!({"entityType": "USER", "entityId": id});
    let member = |id: i64| json!({"firstName": "A", "customerIdentifiers": {"customerId": id}});
    let group = json!({"primaryMember": member(1), "memberAdded": member(2), "memberRemoved": member(3), "contributingMember": member(4)});
    let only = |field: &str| json!({"primaryMember": group["primaryMember"], field: group[field]});
    let cases: [Case<'_>; 32] = [
        ("customerAdded", json!({"customerIdentifiers": who(1)}), vec![(Customer, true, "data", id("1"))], None),
        ("brandNewEvent", json!({"customerIdentifiers": who(1)}), vec![(Customer, true, "data", id("1"))], None),
        ("brandNewEvent", json!({"userId": 1, "cardNumber": "c"}), vec![], Some(Nobody::Unnamed)),
        ("pointsIssued", json!({"entityInformation": user(1)}), vec![(Customer, true, "data", id("1"))], None),
        (
            "pointsIssued",
            json!({"customerIdentifiers": {}, "entityInformation": user(1)}),
            vec![(Customer, true, "data", id("1"))],
            None,
        ),
        (
            "transactionRejected",
            json!({"customerIdentifiers": who(1), "triggeringActivity": {"entityInformation": {"entityType": "TILL", "entityId": 9}}}),
            vec![(Customer, true, "data", id("1"))],
            None,
        ),
        (
            "pointsRedeemed",
            json!({"entityInformation": {"entityType": "USERGROUP2", "entityId": 8}}),
            vec![],
            Some(Nobody::Group),
        ),
        (
            "pointsExpired",
            json!({"entityInformation": {"entityType": "USERGROUP2", "entityId": 8}, "triggeringActivity": {"entityInformation": user(2)}}),
            vec![(Actor, false, "data.triggeringActivity", id("2"))],
            Some(Nobody::Group),
        ),
        (
            "pointsRedeemed",
            json!({"customerIdentifiers": who(1), "entityInformation": {"entityType": "USERGROUP2", "entityId": 8}}),
            vec![(Customer, true, "data", id("1"))],
            None,
        ),
        (
            "pointsIssued",
            json!({"customerIdentifiers": who(1), "triggeringActivity": {"entityInformation": user(1)}}),
            vec![(Customer, true, "data", id("1"))],
            None,
        ),
        (
            "pointsIssued",
            json!({"customerIdentifiers": who(1), "triggeringActivity": {"entityInformation": user(2)}}),
            vec![(Customer, true, "data", id("1")), (Actor, false, "data.triggeringActivity", id("2"))],
            None,
        ),
        (
            "CouponIssue",
            json!({"coupons": [{"customerIdentifiers": who(1)}, {"code": "x"}, null, {"customerIdentifiers": who(2)}, {"customerIdentifiers": who(1)}]}),
            vec![
                (Customer, true, "data.coupons.0", id("1")),
                (Customer, true, "data.coupons.3", id("2")),
                (Customer, true, "data.coupons.4", id("1")),
            ],
            None,
        ),
        (
            "loyaltyCustomerMerge",
            json!({"survivorCustomerIdentifiers": who(1), "victimCustomerIdentifiers": who(2)}),
            vec![(Survivor, true, "data", id("1")), (Victim, false, "data", id("2"))],
            None,
        ),
        (
            "pointsTransferredInitiated",
            json!({"customerIdentifiers": who(1), "transferReceivingCustomerIdentifiers": who(2)}),
            vec![(Sender, true, "data", id("1")), (Receiver, false, "data", id("2"))],
            None,
        ),
        (
            "pointsTransferredReceived",
            json!({"customerIdentifiers": who(2), "transferInitiatingCustomerIdentifiers": who(1)}),
            vec![(Receiver, true, "data", id("2")), (Sender, false, "data", id("1"))],
            None,
        ),
        (
            "pointsTransferredInitiated",
            json!({"entityInformation": user(1), "transferReceivingEntityInformation": user(2)}),
            vec![(Sender, true, "data", id("1")), (Receiver, false, "data", id("2"))],
            None,
        ),
        ("groupCreated", only("primaryMember"), vec![(PrimaryMember, true, "data.primaryMember", id("1"))], None),
        ("groupUpdated", only("primaryMember"), vec![(PrimaryMember, true, "data.primaryMember", id("1"))], None),
        (
            "groupMemberAdded",
            only("memberAdded"),
            vec![
                (PrimaryMember, false, "data.primaryMember", id("1")),
                (MemberAdded, true, "data.memberAdded", id("2")),
            ],
            None,
        ),
        (
            "groupMemberRemoved",
            only("memberRemoved"),
            vec![
                (PrimaryMember, false, "data.primaryMember", id("1")),
                (MemberRemoved, true, "data.memberRemoved", id("3")),
            ],
            None,
        ),
        (
            "pointsContributionToGroup",
            only("contributingMember"),
            vec![
                (PrimaryMember, false, "data.primaryMember", id("1")),
                (ContributingMember, true, "data.contributingMember", id("4")),
            ],
            None,
        ),
        ("rewardRedeemed", json!({"userId": 1}), vec![(Customer, true, "data", id("1"))], None),
        ("rewardRedemptionReversed", json!({"userId": "1"}), vec![(Customer, true, "data", id("1"))], None),
        ("rewardRevoked", json!({"userId": 1.0}), vec![(Customer, true, "data", id("1"))], None),
        (
            "updateRewardTransaction",
            json!({"transactionUpdates": [{"customerId": 1}, {"customerId": 2}]}),
            vec![
                (Customer, true, "data.transactionUpdates.0", id("1")),
                (Customer, true, "data.transactionUpdates.1", id("2")),
            ],
            None,
        ),
        ("cardUpdated", json!({"cardNumber": "c1"}), vec![(Customer, true, "data", alias(Card, "c1"))], None),
        ("rewardCreated", json!({"rewardId": 1}), vec![], Some(Nobody::Definition)),
        ("rewardUpdated", json!({}), vec![], Some(Nobody::Definition)),
        ("rewardExpiryReminder", json!({}), vec![], Some(Nobody::Definition)),
        ("promotionCreated", json!({}), vec![], Some(Nobody::Definition)),
        ("promotionUpdated", json!({"updatedBy": 4}), vec![], Some(Nobody::Definition)),
        (
            "customerAdded",
            json!({"customerIdentifiers": {"customerId": null, "instore": {"mobile": " ", "email": "null"}}}),
            vec![],
            Some(Nobody::Unnamed),
        ),
    ];
    for (name, data, expected, nobody) in cases {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(role, default, place, alias)| (role, default, place.to_owned(), alias))
            .collect();
        assert_eq!(people(name, data.clone()), (expected, nobody), "{name} {data}");
    }
}

#[test]
fn a_workflow_request_names_its_customer_in_one_corner_and_operators_are_nobody() {
    let body = |body: Value| json!({"requesterId": 77, "checkerId": 78, "requestAttributes": {"body": body}});
    let one = |alias: Alias| vec![(Customer, true, "data".to_owned(), alias)];
    let cases = [
        (body(json!({"customerId": 1})), one(id("1"))),
        (body(json!({"earningEntityType": "CUSTOMER", "earningEntityId": 1})), one(id("1"))),
        (body(json!({"earningEntityType": "TILL", "earningEntityId": 1})), vec![]),
        (
            json!({"requestAttributes": {"queryParams": {"identifierName": "mobile", "identifierValue": "910000000023"}}}),
            one(alias(Mobile, "910000000023")),
        ),
        (
            json!({"requestAttributes": {"queryParams": {"identifierName": "externalId", "identifierValue": "x", "id": "5"}}}),
            one(alias(ExternalId, "x")),
        ),
        (json!({"requestAttributes": {"queryParams": {"mobile": "m", "id": "5"}}}), one(alias(Mobile, "m"))),
        (body(json!({"root": {"redeem": {"customer": {"mobile": "m"}}}})), one(alias(Mobile, "m"))),
        (
            body(json!({"root": {"redeem": [{"customer": [{"external_id": "x", "email": "e"}]}]}})),
            one(alias(ExternalId, "x")),
        ),
        (
            body(json!({"customers": [1, {"id": 2}, null]})),
            vec![
                (Customer, true, "data.requestAttributes.body.customers.0".to_owned(), id("1")),
                (Customer, true, "data.requestAttributes.body.customers.1".to_owned(), id("2")),
            ],
        ),
        (body(json!({"reason": "x"})), vec![]),
    ];
    for (data, expected) in cases {
        let nobody = expected.is_empty().then_some(Nobody::Unnamed);
        assert_eq!(people("requestWorkflowEvent", data.clone()), (expected, nobody), "{data}");
    }
}

#[test]
fn a_subject_has_every_alias_strongest_first_and_the_raw_ids() {
    let data = json!({"customerIdentifiers": {"customerId": 9007199254740993_i64, "instore": {"email": "e", "mobile": 919900076942_i64, "externalId": " GT0042 ",
        "cards": {"cardnumber": "c1", "cardexternalid": "x1"}, "cardNumbers": ["c1", "c2"]}, "wechat": {"accounts": [{"identifiers": [{"identifierType": "mobile", "identifierValue": "w"}]}]}}});
    let subject = &event("customerAdded", data).people[0].subject;
    assert_eq!(
        subject.aliases,
        [
            id("9007199254740993"),
            alias(ExternalId, "GT0042"),
            alias(Card, "c1"),
            alias(Card, "c2"),
            alias(CardExternalId, "x1"),
            alias(Mobile, "919900076942"),
            alias(Email, "e")
        ]
    );
    assert_eq!(subject.customer_id.as_ref().map(Personal::expose), Some("9007199254740993"));
    assert_eq!(subject.external_id.as_ref().map(Personal::expose), Some("GT0042"));
}
