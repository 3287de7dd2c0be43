//! Tests of pauses, modes, the brake and the status.

use super::*;

#[tokio::test]
async fn pauses_are_listed_with_since_by_and_reason() {
    let office = Office::open();
    let body = json!({"scope": "template:welcome", "by": "asha", "reason": "typo in the subject"});
    office.post("/v1/pauses", body).await;
    let listed = office.get("/v1/pauses").await;
    insta::assert_snapshot!(listed, @r#"[{"by":"asha","reason":"typo in the subject","scope":"template:welcome","since":"2026-10-27T09:19:57.616Z"}]"#);
    office.post("/v1/pauses/end", json!({"scope": "template:welcome"})).await;
    assert_eq!(office.get("/v1/pauses").await, json!([]));
}

#[tokio::test]
async fn a_scope_that_is_not_known_or_not_paused_is_refused_with_the_nearest() {
    let office = Office::open();
    let scope = |text: &str| json!({"scope": text});
    let (status, said) = office.refused(Method::POST, "/v1/pauses", scope("template:welcom")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    insta::assert_snapshot!(said, @"no template that is allowed to send has this name; did you mean `welcome`?");
    let (_, said) = office.refused(Method::POST, "/v1/pauses", scope("org:1")).await;
    insta::assert_snapshot!(said, @"no org has this id; configured: 41007");
    let (_, said) = office.refused(Method::POST, "/v1/pauses", scope("welcome")).await;
    insta::assert_snapshot!(said, @"this is not a scope; expected `relay`, `org:<id>`, `template:<name>` or `channel:<email or sms>`");

    let (status, said) = office.refused(Method::POST, "/v1/pauses/end", scope("template:welcome")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    insta::assert_snapshot!(said, @"this scope is not paused; nothing is paused");
    office.post("/v1/pauses", scope("template:welcome")).await;
    let (_, said) = office.refused(Method::POST, "/v1/pauses/end", scope("template:welcom")).await;
    insta::assert_snapshot!(said, @"this scope is not paused; did you mean `template:welcome`?");
    assert_eq!(office.post("/v1/pauses/end", scope("template:welcome")).await, json!({"released": 0}));
}

#[tokio::test]
async fn resuming_the_relay_frees_what_waits_for_a_mended_configuration() {
    let office = Office::open();
    let relay = json!({"scope": "relay"});
    let (_, said) = office.refused(Method::POST, "/v1/pauses/end", relay.clone()).await;
    insta::assert_snapshot!(said, @"the relay is not paused, and nothing waits for it; nothing is paused");
    office.plan(1, "welcome", waiting(WaitReason::Misconfigured)).await;
    assert_eq!(office.post("/v1/pauses/end", relay).await, json!({"released": 1}));
}

#[tokio::test]
async fn a_mode_that_was_set_can_be_taken_back() {
    let office = Office::open();
    let set = async |body: Value| office.ask(Method::PUT, "/v1/mode", body.to_string()).await;
    let (status, modes) = set(json!({"mode": "shadow", "target": "template:welcome", "by": "asha"})).await;
    assert_eq!(status, StatusCode::OK, "{modes}");
    assert_eq!(modes["rules"]["welcome/0"], "shadow");
    assert_eq!(modes["set"]["template:welcome"]["by"], "asha");
    let (status, modes) = set(json!({"mode": "default", "target": "template:welcome"})).await;
    assert_eq!(status, StatusCode::OK, "{modes}");
    assert_eq!((&modes["rules"]["welcome/0"], &modes["set"]), (&json!("live"), &json!({})));

    let (_, said) = office.refused(Method::PUT, "/v1/mode", json!({"mode": "default"})).await;
    insta::assert_snapshot!(said, @"no mode is set for this target; nothing is set for");
    let (_, said) = office.refused(Method::PUT, "/v1/mode", json!({"target": "relay"})).await;
    insta::assert_snapshot!(said, @"field `mode` is missing");
    let (_, said) = office.refused(Method::PUT, "/v1/mode", json!({"mode": "live", "target": "rule:welcome/99"})).await;
    insta::assert_snapshot!(said, @"no rule has this name; did you mean `welcome/0`?");
    let (_, said) =
        office.refused(Method::PUT, "/v1/mode", json!({"mode": "live", "target": "template:pionts-issued"})).await;
    insta::assert_snapshot!(said, @"no template that is allowed to send has this name; did you mean `points-issued`?");
}

async fn trip(office: &Office) {
    let points = "points-issued".parse().expect("a template");
    for n in 0..3 {
        let admitted = office.house.control.brake_admits(&points, 2, NOW).await.expect("counted");
        assert_eq!(admitted, n < 2);
    }
    office.plan(1, "points-issued", waiting(WaitReason::Brake)).await;
}

#[tokio::test]
async fn brakes_tell_what_tripped_since_when_at_what_and_what_they_hold() {
    let office = Office::open();
    assert_eq!(office.get("/v1/brake").await, json!([]), "nothing has tripped");
    let (_, said) = office.refused(Method::POST, "/v1/brake/release", json!({"template": "points-issued"})).await;
    insta::assert_snapshot!(said, @"this template's brake has not tripped; nothing is tripped");
    trip(&office).await;
    insta::assert_snapshot!(office.get("/v1/brake").await, @r#"[{"count":2,"held":1,"held_more":false,"limit":2,"released_at":null,"released_by":null,"since":"2026-10-27T09:19:57.616Z","template":"points-issued","tripped":true}]"#);
    let all = office.get("/v1/brake?all=true").await;
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&all[1]["template"], &all[1]["tripped"], &all[1]["limit"]),
        (&json!("welcome"), &json!(false), &json!(5000))
    );

    let (_, said) = office.refused(Method::POST, "/v1/brake/release", json!({"template": "point-issued"})).await;
    insta::assert_snapshot!(said, @"this template's brake has not tripped; did you mean `points-issued`?");
    let freed = office.post("/v1/brake/release", json!({"template": "points-issued", "by": "asha"})).await;
    assert_eq!(freed, json!({"released": 1}));
    let all = office.get("/v1/brake?all=true").await;
    assert_eq!(
        (&all[0]["tripped"], &all[0]["released_by"], &all[0]["held"]),
        (&json!(false), &json!("asha"), &json!(0))
    );
}

#[tokio::test]
async fn the_status_tells_everything_that_holds_a_message_back() {
    let office = Office::open();
    trip(&office).await;
    office.plan(2, "welcome", dead()).await;
    office.plan(3, "welcome", waiting(WaitReason::ContactUnknown)).await;
    office.post("/v1/pauses", json!({"scope": "channel:sms", "by": "asha"})).await;
    office.ask(Method::PUT, "/v1/mode", json!({"mode": "pilot", "target": "template:welcome"}).to_string()).await;
    let status = office.get("/v1/status").await;
    assert_eq!(
        (&status["mode"], &status["dead_letters"], &status["quarantined"]),
        (&json!("live"), &json!(1), &json!(0))
    );
    assert_eq!(status["paused"][0]["scope"], "channel:sms");
    assert_eq!(status["brake"][0]["template"], "points-issued");
    assert_eq!((&status["waiting"]["contact_unknown"], &status["waiting"]["brake"]), (&json!(1), &json!(1)));
    assert_eq!(status["modes_set"]["template:welcome"]["mode"], "pilot");
}
