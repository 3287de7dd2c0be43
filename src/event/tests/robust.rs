//! No input panics, and records read what they wrote.

use proptest::prelude::*;

use super::*;

/// Any JSON, with the keys that mean something to the decoder among the others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e18..1e18_f64).prop_map(|float| json!(float.round())),
        "\\PC{0,24}".prop_map(Value::from),
        "[0-9+@. -]{0,20}".prop_map(Value::from),
        prop_oneof![Just("USER"), Just("USERGROUP2"), Just("mobile"), Just("Deleted")].prop_map(Value::from),
    ];
    let key = prop_oneof![
        3 => prop::sample::select(vec![
            "eventName", "orgId", "createdAt", "data", "attributes", "body", "event", "eventId", "customerIdentifiers", "instore", "cards", "cardNumbers",
            "coupons", "entityInformation", "entityType", "entityId", "triggeringActivity", "identifiers", "key", "value", "name", "fieldName",
            "customFields", "profiles", "requestAttributes", "queryParams", "root", "customer", "customers", "primaryMember", "customerId", "userId", "or gId",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,16}",
    ];
    leaf.prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_give_an_event_or_a_refusal(body: Vec<u8>) {
        let _ = try_decode(&body);
    }

    #[test]
    fn any_json_gives_an_event_or_a_refusal(body in any_json()) {
        let _ = try_decode(body.to_string().as_bytes());
    }

    #[test]
    fn any_payload_decodes_and_survives_its_record(
        name in prop::sample::select(vec!["pointsIssued", "requestWorkflowEvent", "identifierReleased", "customerUpdated", "CouponIssue", "cardUpdated", "x"]),
        data in prop::collection::btree_map("[a-zA-Z ]{1,12}", any_json(), 0..6),
    ) {
        let body = json!({"eventName": name, "orgId": 41007, "createdAt": 1, "data": data});
        let event = try_decode(body.to_string().as_bytes()).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?.event;
        let again = Event::from_record(&event.to_record()).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(again.view(), event.view());
        prop_assert_eq!(again.people.len(), event.people.len());
        let _ = (event.special().is_some(), event.search_values(), event.learnable().len());
    }

    #[test]
    fn a_mail_address_or_an_international_number_survives_nowhere(
        payload in prop::collection::btree_map("[a-zA-Z]{1,12}", any_json(), 1..6),
        key in "[a-zA-Z_]{1,16}",
        who in prop_oneof![Just("canary@example.com"), Just("+919876501234")],
    ) {
        let mut data: serde_json::Map<String, Value> = payload.into_iter().collect();
        data.insert(key.clone(), json!([who, {key: {"text": format!("to {who} now")}}]));
        let event = event("x", Value::Object(data));
        prop_assert!(!event.view().to_string().contains(who));
    }

    #[test]
    fn any_bytes_read_as_a_record_are_an_event_or_a_fault(bytes: Vec<u8>) {
        let _ = Event::from_record(&bytes);
    }
}

#[test]
fn an_event_of_a_thousand_coupons_keeps_every_place() {
    let coupons: Vec<Value> =
        (0..1000).map(|i| json!({"code": format!("C{i}"), "customerIdentifiers": {"customerId": i + 1}})).collect();
    let event = event("CouponIssue", json!({"coupons": coupons}));
    assert_eq!(event.people.len(), 1000);
    for (i, person) in event.people.iter().enumerate() {
        assert_eq!(event.at(&format!("{}.code", person.place)), Some(&json!(format!("C{i}"))));
    }
}

#[test]
fn an_older_record_reads_with_defaults_and_a_newer_one_is_refused() {
    let oldest = json!({"v": 1, "key": KeyedHash([7; 16]), "name": "x", "org": 5, "created_at": 9, "shape": "flat", "data": {"a": 1}});
    let event = Event::from_record(oldest.to_string().as_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(event.people.is_empty() && event.nobody.is_none() && event.event_id.is_none());
    let newer = json!({"v": 2, "name": ["another form"]});
    assert_eq!(Event::from_record(newer.to_string().as_bytes()).err(), Some(RecordError::Version { found: 2 }));
    for torn in ["", "{}", r#"{"v":1}"#, r#"{"v":"1"}"#] {
        assert!(matches!(Event::from_record(torn.as_bytes()).err(), Some(RecordError::Malformed { .. })), "{torn}");
    }
}

#[test]
fn numbers_beyond_every_type_are_refused_or_kept_but_never_a_panic() {
    for number in
        ["1e400", "-1e400", "123456789012345678901234567890", "0.000000000000000000000000000000001", "-0", "1E2"]
    {
        let body = format!(
            r#"{{"eventName":"x","orgId":1,"createdAt":1,"data":{{"customerIdentifiers":{{"customerId":{number}}},"userId":{number},"n":{number}}}}}"#
        );
        let _ = try_decode(body.as_bytes());
        let _ = try_decode(body.replace("\"createdAt\":1", &format!("\"createdAt\":{number}")).as_bytes());
        let _ = try_decode(body.replace("\"orgId\":1", &format!("\"orgId\":\"{number}\"")).as_bytes());
    }
}

/// JSON readers that are quick read some fractions as their neighbours, which then are written as others again.
#[test]
fn a_fraction_is_the_same_after_any_number_of_records() {
    for number in [
        "2.357663088358087e-259",
        "-1.2345678901234567e-7",
        "79056.50000000001",
        "0.1",
        "1.7976931348623157e308",
        "5e-324",
    ] {
        let body = format!(r#"{{"eventName":"x","orgId":1,"createdAt":1,"data":{{"amount":{number}}}}}"#);
        let event = try_decode(body.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal}")).event;
        assert_eq!(event.data["amount"].as_f64(), number.parse().ok(), "{number}");
        let again = Event::from_record(&event.to_record()).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(again.to_record(), event.to_record(), "{number}");
    }
}

/// Every way to write a person, or too much, where an id should stand.
#[test]
fn no_id_of_an_event_shows_a_person_or_grows_without_end() {
    let long = "x".repeat(900_000);
    for odd in [
        "esc1-asha@example.com",
        "Asha Rao 919812345678",
        "919812345678",
        "+919812345678",
        "Asha Rao",
        "a\u{1b}[2J",
        &long,
    ] {
        let body = json!({"eventName": "x", "orgId": 1, "createdAt": 1, "eventId": odd, "apiRequestId": odd, "refId": odd, "data": {}});
        let event = decoded(&body).event;
        assert_eq!(event.key, decoded(&body).event.key, "a copy is a copy: {odd:.40}");
        for id in [&event.event_id, &event.request_id, &event.ref_id] {
            let id = id.as_deref().expect("an id is kept, in some form");
            assert!(id.starts_with("hash:") && id.len() < 50 && !id.contains("Asha"), "{odd:.40}: {id}");
            assert_eq!(kept_id(&TestHasher, odd), id, "a search finds it");
        }
        let named = json!({"eventName": odd, "orgId": 1, "createdAt": 1, "data": {}});
        let is_refused = try_decode(named.to_string().as_bytes()).is_err();
        assert_eq!(is_refused, odd != "Asha Rao", "{odd:.40}");
    }
    for fine in [
        "2cae477b-4f9b-5abe-b60f-7d68a266ad5a",
        "41007_FK1k9047eE",
        "05e7d74fddbf738d630706332083097d",
        "9007199254740993",
    ] {
        assert_eq!(kept_id(&TestHasher, fine), fine);
    }
}

#[test]
fn an_identifier_without_end_is_hashed_and_not_kept() {
    let long = "9".repeat(300_000);
    let event = event("x", json!({"customerIdentifiers": {"customerId": long, "instore": {"externalId": long}}}));
    let subject = &event.people[0].subject;
    assert_eq!(subject.aliases.len(), 2);
    assert!(subject.customer_id.is_none() && subject.external_id.is_none());
}
