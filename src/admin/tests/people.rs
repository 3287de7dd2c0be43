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
