//! People as a resource, over the admin API.
//!
//! Promises: any call may be repeated. What `docs/openapi.json` says is held to the table of routes in `admin::tests::scopes`.
//! Never: a person in an answer that is not a `get`.

use serde_json::{Value, json};

use crate::support::{ORG, Relay, customer_added, person, points_issued};

const ASHA: &str = "/v1/customers/external_id%3AGT%2042";

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_put_patched_shown_and_removed_any_number_of_times() {
    let relay = Relay::start().await;
    let whole =
        json!({"customer_id": 381, "first_name": "Asha", "email": "asha@example.in", "updated_at": "2026-01-01"});
    for _ in 0..2 {
        assert_eq!(relay.admin("PUT", ASHA, Some(whole.clone())).await["rows"], 1);
    }
    relay.admin("PATCH", ASHA, Some(json!({"locale": "hi", "updated_at": "2026-01-02"}))).await;
    let contact = |shown: Value| {
        let mut contact = shown["contact"].clone();
        contact.as_object_mut().expect("a contact").remove("updated_at");
        contact
    };
    let shown = contact(relay.admin("GET", "/v1/customers/customer_id:381?by=test", None).await);
    assert_eq!(shown, json!({"first_name": "Asha", "email": "asha@example.in", "locale": "hi", "attributes": {}}));
    relay.admin("PATCH", ASHA, Some(json!({"email": "", "updated_at": "2026-01-03"}))).await;
    relay.admin("PUT", ASHA, Some(whole)).await;
    let shown = contact(relay.admin("GET", ASHA, None).await);
    assert_eq!(shown, json!({"first_name": "Asha", "locale": "hi", "attributes": {}}), "an older put changes nothing");
    relay.admin("PUT", ASHA, Some(json!({"first_name": "Asha", "updated_at": "2026-01-04"}))).await;
    assert_eq!(contact(relay.admin("GET", ASHA, None).await), json!({"first_name": "Asha", "attributes": {}}));

    assert_eq!(relay.admin("DELETE", ASHA, None).await["deleted"], true);
    assert_eq!(relay.admin("DELETE", ASHA, None).await["deleted"], false);
    assert_eq!(relay.admin_status("GET", ASHA, None).await.0, 409);
    assert_eq!(relay.admin_status("PUT", ASHA, Some(json!({"first_name": "Asha"}))).await.0, 409, "not dated");
    assert_eq!(relay.admin("GET", "/v1/vault/stats", None).await["contacts"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_is_refused_without_repeating_it() {
    let relay = Relay::start().await;
    let cases = [
        ("PUT", "/v1/customers/canary", json!({}), "KIND:VALUE"),
        ("PUT", "/v1/customers/mobile:+91981canary", json!({}), "does not belong into a path"),
        ("GET", "/v1/customers/email:canary@example.in", Value::Null, "does not belong into a path"),
        ("PUT", "/v1/customers/card:%ff%fecanary", json!({}), "not percent-encoded UTF-8"),
        ("PUT", "/v1/customers/card:1?canary=1", json!({}), "the query knows"),
        ("PUT", "/v1/customers/card:1?namespace=Ca%20nary", json!({}), "the query knows"),
        ("PUT", "/v1/customers/card:1", json!({"canary": 1}), "not a contact: line 1, column"),
        ("PATCH", "/v1/customers/card:1", json!({"mobile": "canary"}), "field `mobile` is not E.164"),
    ];
    for (method, path, body, expected) in cases {
        let (status, answer) = relay.admin_status(method, path, Some(body)).await;
        let said = answer["error"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{method} {path}: {answer}");
        assert!(said.contains(expected) && !said.contains("anary"), "{method} {path}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_call_answers_each_line_and_wakes_who_waited() {
    let relay = Relay::start().await;
    relay.event(&points_issued("bulk-1", 7, 10.0)).await;
    let waits = |found: &Value| found["notifications"][0]["reason"] == "contact_unknown";
    relay.until("it waits", async |r| r.find("bulk-1").await.is_some_and(|found| waits(&found))).await;
    let lines = [
        person(7).to_string(),
        json!({"external_id": "GT1", "mobile": "canary"}).to_string(),
        String::new(),
        "{\"external_id\": \"canary\"".into(),
        json!({"external_id": "GT5", "nickname": "canary"}).to_string(),
        json!({"first_name": "canary"}).to_string(),
        json!({"card": [1, 2], "first_name": "Mira", "attributes": {"tier": "gold"}}).to_string(),
    ];
    for _ in 0..2 {
        let (status, answer) = relay.admin_text("POST", "/v1/customers:bulk?mode=replace", &lines.join("\n")).await;
        assert_eq!(status, 200, "{answer}");
        assert!(!answer.contains("canary"), "{answer}");
        let results: Vec<(u64, String, String)> = answer
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"))
            .map(|line| {
                (line["line"].as_u64().unwrap(), line["result"].as_str().unwrap().into(), line["field"].to_string())
            })
            .collect();
        let expected = [
            (1, "stored", "null"),
            (2, "refused", "\"mobile\""),
            (4, "refused", "null"),
            (5, "refused", "\"nickname\""),
            (6, "refused", "null"),
            (7, "stored", "null"),
        ];
        assert_eq!(results, expected.map(|(line, result, field)| (line, result.into(), field.into())));
    }
    relay.settled("bulk-1").await;
    assert_eq!(relay.admin("GET", "/v1/vault/stats", None).await["contacts"], 2);
    let too_many = "{}\n".repeat(10_001);
    for body in ["card\n1\n", "\u{1f}\u{8b}x", "[{\"card\":1}]", "", &too_many] {
        assert_eq!(relay.admin_text("POST", "/v1/customers:bulk", body).await.0, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_counts_what_the_people_of_recent_events_lack_and_names_nobody() {
    let relay = Relay::start().await;
    let told = |n: u32, change: &dyn Fn(&mut Value)| {
        let mut contact = person(n);
        change(&mut contact);
        contact
    };
    relay.put(told(1, &|_| {})).await;
    relay.put(told(2, &|contact| contact["first_name"] = "NA".into())).await;
    relay.put(told(3, &|contact| (contact["email"], contact["mobile"]) = (Value::Null, Value::Null))).await;
    // The fourth is known by two names and by nothing else, the fifth not at all, the sixth is gone.
    relay
        .admin(
            "POST",
            "/v1/vault/put",
            Some(json!({"how": "aliases", "contact": {"customer_id": 900_004, "external_id": "X"}})),
        )
        .await;
    relay.put(person(6)).await;
    relay.admin("DELETE", "/v1/customers/customer_id:900006", None).await;
    for n in 1..=6 {
        relay.event(&points_issued(&format!("cover-{n}"), n, 10.0)).await;
    }
    for n in 1..=6 {
        relay.until("it is planned", async |r| r.find(&format!("cover-{n}")).await.is_some()).await;
    }
    let found = relay.admin("GET", "/v1/vault/coverage?events=100", None).await;
    assert_eq!(found["events"], 6);
    let lacks =
        json!({"all": 6, "no_alias": 1, "no_contact": 1, "no_address": 1, "no_name": 1, "several": 0, "erased": 1});
    let org = &found["orgs"][ORG.to_string()];
    assert_eq!((&org["events"], &org["about_nobody"]), (&json!(6), &json!(0)));
    for (name, count) in lacks.as_object().expect("counts") {
        assert_eq!(&org[name], count, "{name} of the org");
        let of_template = found["templates"]["points-issued"][name].as_u64().expect("a count");
        // One notification for each channel.
        assert_eq!(of_template % count.as_u64().unwrap().max(1), 0, "{name} of the template: {found}");
        assert_eq!(of_template > 0, count.as_u64() > Some(0), "{name} of the template: {found}");
    }
    let said = found.to_string();
    assert!(!said.contains("90000") && !said.contains("Givenname"), "{said}");
    assert_eq!(relay.admin("GET", "/v1/vault/coverage?events=2", None).await["events"], 2);
}

#[test]
fn every_reference_of_the_description_leads_somewhere() {
    let described: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).expect("it is JSON");
    assert!(described["paths"].as_object().is_some_and(|paths| paths.len() > 5), "it has paths");
    assert_every_reference_leads_somewhere(&described, &described);
}

fn assert_every_reference_leads_somewhere(whole: &Value, at: &Value) {
    match at {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match (name.as_str(), value.as_str()) {
            ("$ref", Some(place)) => assert!(whole.pointer(place.trim_start_matches('#')).is_some(), "{place}"),
            _ => assert_every_reference_leads_somewhere(whole, value),
        }),
        Value::Array(items) => items.iter().for_each(|item| assert_every_reference_leads_somewhere(whole, item)),
        _ => {}
    }
}

/// A registration of [`person`] `n` that gives no external id, but a phone.
fn registered(event_id: &str, n: u32, phone: &Value) -> Value {
    let mut event = customer_added(event_id, n);
    let phone = phone.as_str().expect("a phone").trim_start_matches('+');
    event["data"]["customerIdentifiers"] = json!({"customerId": 900_000 + n, "instore": {"mobile": phone}});
    event
}

/// The states and reasons of an event's notifications, each once.
fn stand(found: &Value) -> Vec<String> {
    let all = found["notifications"].as_array().expect("notifications").iter();
    let words = |n: &Value| format!("{} {}", n["state"].as_str().unwrap_or("?"), n["reason"].as_str().unwrap_or("-"));
    let mut words: Vec<String> = all.map(words).collect();
    words.dedup();
    words
}

async fn until_sent(relay: &Relay, event_id: &str) {
    let sent = async |r: &Relay| stand(&r.find(event_id).await.unwrap_or_default()) == ["sent -"];
    relay.until(&format!("{event_id} is sent"), sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_a_phone_is_not_sent_the_others_message_and_it_goes_when_its_own_person_comes() {
    let relay = Relay::start().await;
    let mut husband = person(1);
    husband.as_object_mut().expect("a person").remove("customer_id");
    relay.put(husband.clone()).await;
    relay.event(&registered("hers", 2, &husband["mobile"])).await;
    assert_eq!(stand(&relay.settled("hers").await), ["waiting contact_unknown"]);
    let mut wife = person(2);
    wife["mobile"] = husband["mobile"].clone();
    wife.as_object_mut().expect("a person").remove("external_id");
    relay.put(wife).await;
    until_sent(&relay, "hers").await;
    assert_eq!(relay.smtp.mails().into_iter().flat_map(|mail| mail.rcpt).collect::<Vec<_>>(), ["person2@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_speaks_neither_for_somebody_new_with_the_same_phone_nor_after_a_newer_registration() {
    let relay = Relay::start().await;
    let phone = &person(1)["mobile"];
    relay.put(person(1)).await;
    assert_eq!(relay.admin("DELETE", "/v1/customers/external_id:EXT0001", None).await["deleted"], true);
    let mut late = registered("late", 1, phone);
    late["createdAt"] = json!(late["createdAt"].as_i64().expect("a time") - 3_600_000);
    relay.event(&late).await;
    assert_eq!(stand(&relay.settled("late").await), ["suppressed erased"], "an old event");
    relay.event(&registered("new", 2, phone)).await;
    assert_eq!(stand(&relay.settled("new").await), ["waiting contact_unknown"], "the phone's new owner");
    let mut back = registered("back", 1, phone);
    back["data"]["customerIdentifiers"]["instore"]["externalId"] = json!("EXT0001");
    relay.event(&back).await;
    assert_eq!(stand(&relay.settled("back").await), ["waiting contact_unknown"], "a newer registration");
    for n in [1, 2] {
        let mut told = person(n);
        told["mobile"] = phone.clone();
        relay.put(told).await;
    }
    until_sent(&relay, "new").await;
    until_sent(&relay, "back").await;
    assert_eq!(stand(&relay.settled("late").await), ["suppressed erased"], "it is about the life that was erased");
}
