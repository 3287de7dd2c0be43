//! Tests of the vault's door.

use super::*;

fn asha(more: Value) -> Value {
    let mut contact = json!({"external_id": "GT0042", "first_name": "Asha", "email": "asha@example.com"});
    contact.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    contact
}

#[tokio::test]
async fn an_undated_import_does_not_bring_back_somebody_who_was_erased() {
    let office = Office::open();
    let who = json!({"customer": "external_id:GT0042"});
    office.post("/v1/vault/put", json!({"contact": asha(json!({}))})).await;
    assert_eq!(office.post("/v1/vault/delete", who.clone()).await["deleted"], true);
    // Days later: an undated row counts as of now, which is after the erasure.
    office.house.clock.advance(Duration::from_secs(3 * 86_400));
    for how in ["patch", "replace", "aliases"] {
        let done = office.post("/v1/vault/import", json!({"how": how, "rows": [asha(json!({}))]})).await;
        assert_eq!((&done["erased"], &done["linked"]), (&json!(1), &json!(0)), "{how}: {done}");
    }
    let older = asha(json!({"updated_at": "2026-10-01T00:00:00Z"}));
    assert_eq!(office.post("/v1/vault/import", json!({"rows": [older]})).await["erased"], 1);
    let (status, said) = office.refused(Method::POST, "/v1/vault/get", who.clone()).await;
    assert_eq!((status, said.as_str()), (StatusCode::CONFLICT, "this person was erased"));

    let newer = asha(json!({"updated_at": "2026-10-28T10:00:00Z"}));
    assert_eq!(office.post("/v1/vault/import", json!({"rows": [newer]})).await["erased"], 0);
    assert_eq!(office.post("/v1/vault/get", who).await["contact"]["first_name"], "Asha");
}

/// Who each customer is, by `vault get`.
async fn first_names(office: &Office, customers: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for customer in customers {
        let found = office.post("/v1/vault/get", json!({ "customer": customer })).await;
        names.push(found["contact"]["first_name"].as_str().expect("a name").to_owned());
    }
    names
}

#[tokio::test]
async fn an_identifier_that_stands_beside_many_customers_makes_nobody_of_them_another_one() {
    let office = Office::open();
    let row = |customer: u32, external: Value, name: &str| json!({"customer_id": customer, "external_id": external, "first_name": name, "card": ["-", "n/a"]});
    let none = [("NULL", "Anna"), ("null", "Bob"), ("0", "Cyd"), (" - ", "Eve"), ("N/A", "Fay")];
    let rows: Vec<Value> =
        (31..).zip(none).map(|(customer, (external, name))| row(customer, json!(external), name)).collect();
    let done = office.post("/v1/vault/import", json!({ "rows": rows })).await;
    assert_eq!((&done["linked"], &done["conflicts"], done.get("contested")), (&json!(5), &json!(0), None), "{done}");
    let customers = ["customer_id:31", "customer_id:32", "customer_id:33", "customer_id:34", "customer_id:35"];
    assert_eq!(first_names(&office, &customers).await, ["Anna", "Bob", "Cyd", "Eve", "Fay"]);

    let rows = [row(41, json!("GUEST"), "Ina"), row(42, json!("GUEST"), "Jon"), row(43, json!(["GUEST", 0]), "Kim")];
    let done = office.post("/v1/vault/import", json!({ "rows": rows })).await;
    assert_eq!((&done["conflicts"], &done["contested"]), (&json!(2), &json!([1, 2])), "{done}");
    assert_eq!(
        first_names(&office, &["customer_id:41", "customer_id:42", "customer_id:43", "external_id:GUEST"]).await,
        ["Ina", "Jon", "Kim", "Ina"]
    );
    assert_eq!(office.house.metrics.alias_conflicts.get(), 2);
    let nameless = json!({"contact": {"external_id": "NULL", "first_name": "Lea"}});
    let (status, said) = office.refused(Method::POST, "/v1/vault/put", nameless).await;
    assert!(status == StatusCode::BAD_REQUEST && said.contains("is needed"), "{status} {said}");
}
