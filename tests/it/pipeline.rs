//! The main way, as a reader's introduction: a webhook in, a message out, and every turn on the way.

use serde_json::json;

use crate::support::{ORG, Relay, Setup, customer_added, person, points_issued};

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_becomes_a_welcome_to_the_person_and_nobody_else() {
    let relay = Relay::start().await;
    relay.put(person(1)).await;
    relay.put(person(2)).await;
    relay.event(&customer_added("welcome-1", 1)).await;
    let found = relay.settled("welcome-1").await;
    for n in found["notifications"].as_array().expect("notifications") {
        assert_eq!(n["state"], "sent", "{found:#}");
    }
    let mails = relay.smtp.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].rcpt, ["person1@example.com"]);
    let raw = String::from_utf8_lossy(&mails[0].raw).into_owned();
    assert!(raw.contains("Givenname1"), "{raw}");
    assert!(raw.contains("Auto-Submitted: auto-generated"));
    let id = found["notifications"].as_array().and_then(|all| {
        all.iter().find(|n| n["channels"][0] == "email").and_then(|n| n["id"].as_str()).map(str::to_owned)
    });
    let message_id = format!("Message-ID: <{}@mail.acme.example>", id.expect("a mail was planned"));
    assert!(raw.contains(&message_id), "Message-ID names the notification and nobody: {raw}");
    let (_, ended) = relay.stop().await;
    ended.expect("a relay with nothing to do drains at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_three_times_is_told_once() {
    let relay = Relay::start().await;
    relay.put(person(1)).await;
    for _ in 0..3 {
        relay.event(&customer_added("again", 1)).await;
    }
    let found = relay
        .until_some("both copies are on the timeline", async |r| {
            let found = r.find("again").await?;
            let copies = found["timeline"].as_array()?.iter().find(|l| l["what"] == "duplicate")?["copies"].as_u64()?;
            (copies == 2).then_some(found)
        })
        .await;
    assert!(!found["notifications"].as_array().expect("list").is_empty());
    relay.settled("again").await;
    assert_eq!(relay.smtp.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_waits_for_its_contact_and_is_woken_when_it_comes() {
    let relay = Relay::start().await;
    relay.event(&points_issued("early", 7, 25.0)).await;
    let waiting = relay.settled("early").await;
    assert_eq!(waiting["notifications"][0]["reason"], "contact_unknown", "{waiting:#}");
    let changed = relay.put(person(7)).await;
    assert!(changed["woken"].as_u64() > Some(0), "{changed}");
    let found = relay
        .until_some("the woken notification is sent", async |r| {
            let found = r.find("early").await?;
            found["notifications"].as_array()?.iter().all(|n| n["state"] == "sent").then_some(found)
        })
        .await;
    assert!(found["timeline"].as_array().expect("lines").iter().any(|l| l["what"] == "woken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_learned_from_one_event_lets_another_find_its_person() {
    let relay = Relay::start().await;
    let mut by_external_id = person(8);
    by_external_id.as_object_mut().expect("object").remove("customer_id");
    relay.put(by_external_id).await;
    // This one knows the customer id only, which the brand's file does not have.
    relay.event(&points_issued("by-id", 8, 5.0)).await;
    let waiting = relay.settled("by-id").await;
    assert_eq!(waiting["notifications"][0]["reason"], "contact_unknown");
    // This one carries both.
    relay.event(&customer_added("teaches", 8)).await;
    relay
        .until("the alias wakes the waiting event", async |r| {
            r.find("by-id").await.is_some_and(|f| f["notifications"][0]["state"] == "sent")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decoded_is_acknowledged_kept_and_can_be_re_driven() {
    let relay = Relay::start().await;
    assert_eq!(relay.post(b"{ this is not json").await, 200);
    let kept = relay
        .until_some("the body is in quarantine", async |r| r.admin("GET", "/v1/quarantine", None).await.get(0).cloned())
        .await;
    let seq = kept["seq"].as_u64().expect("a sequence");
    assert!(kept.get("body").is_none(), "a list shows no body");
    let shown = relay.admin("POST", &format!("/v1/quarantine/{seq}/reveal"), Some(json!({"by": "test"}))).await;
    assert_eq!(shown["body"], "{ this is not json");
    relay.admin("POST", &format!("/v1/quarantine/{seq}/redrive"), Some(json!({}))).await;
    relay
        .until("it is refused again under a new number", async |r| {
            let all = r.admin("GET", "/v1/quarantine", None).await;
            all.as_array().is_some_and(|all| all.len() == 1 && all[0]["seq"].as_u64() > Some(seq))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_that_is_not_configured_never_sends() {
    let relay = Relay::start().await;
    relay.put(person(1)).await;
    let mut event = customer_added("elsewhere", 1);
    event["orgId"] = json!(ORG + 1);
    relay.event(&event).await;
    let found = relay.settled("elsewhere").await;
    assert_eq!(found["notifications"].as_array().map(Vec::len), Some(0));
    assert!(found["timeline"].to_string().contains("is not configured"));
    assert!(relay.smtp.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_in_shadow_does_everything_but_send() {
    let relay = Relay::start().await;
    relay.admin("PUT", "/v1/mode", Some(json!({"mode": "shadow"}))).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("shadow", 1)).await;
    let found = relay.settled("shadow").await;
    assert_eq!(found["notifications"][0]["state"], "suppressed", "{found:#}");
    assert_eq!(found["notifications"][0]["reason"], "shadow");
    assert!(relay.smtp.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pilot_writes_to_the_listed_only() {
    let relay = Relay::with(Setup { relay: "pilot = [\"external_id:EXT0001\"]", ..Setup::default() }).await;
    relay.admin("PUT", "/v1/mode", Some(json!({"mode": "pilot"}))).await;
    relay.put(person(1)).await;
    relay.put(person(2)).await;
    relay.event(&customer_added("listed", 1)).await;
    relay.event(&customer_added("unlisted", 2)).await;
    assert_eq!(relay.settled("listed").await["notifications"][0]["state"], "sent");
    assert_eq!(relay.settled("unlisted").await["notifications"][0]["reason"], "not_in_pilot");
}

#[tokio::test(flavor = "multi_thread")]
async fn pilot_knows_the_listed_also_by_what_only_the_vault_knows() {
    let relay = Relay::with(Setup { relay: "pilot = [\"external_id:EXT0001\"]", ..Setup::default() }).await;
    relay.admin("PUT", "/v1/mode", Some(json!({"mode": "pilot"}))).await;
    relay.put(person(1)).await;
    relay.put(person(2)).await;
    for (event_id, n) in [("listed", 1), ("unlisted", 2)] {
        let mut event = customer_added(event_id, n);
        event["data"]["customerIdentifiers"] = json!({ "customerId": 900_000 + n });
        relay.event(&event).await;
    }
    assert_eq!(relay.settled("listed").await["notifications"][0]["state"], "sent");
    assert_eq!(relay.settled("unlisted").await["notifications"][0]["reason"], "not_in_pilot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_and_a_resume_sends_also_across_a_restart() {
    let relay = Relay::start().await;
    relay.put(person(1)).await;
    relay.admin("POST", "/v1/pauses", Some(json!({"scope": "template:welcome", "by": "test"}))).await;
    relay.event(&customer_added("paused", 1)).await;
    let held = relay.settled("paused").await;
    assert_eq!(held["notifications"][0]["reason"], "paused", "{held:#}");
    let (dir, ended) = relay.stop().await;
    ended.expect("drained");

    let relay = Relay::in_dir(dir, Setup::default(), sealpost::clock::Clock::system()).await;
    assert_eq!(relay.settled("paused").await["notifications"][0]["reason"], "paused", "a restart forgets no pause");
    let freed = relay.admin("POST", "/v1/pauses/end", Some(json!({"scope": "template:welcome", "by": "test"}))).await;
    assert!(freed["released"].as_u64() > Some(0));
    relay
        .until("it is sent", async |r| {
            r.find("paused").await.is_some_and(|f| {
                f["notifications"].as_array().is_some_and(|all| all.iter().all(|n| n["state"] == "sent"))
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_holds_what_is_too_much_until_a_person_releases_it() {
    let relay = Relay::with(Setup { allow_with: "brake_per_hour = 3", ..Setup::default() }).await;
    for n in 0..8 {
        relay.put(person(n)).await;
        relay.event(&customer_added(&format!("flood-{n}"), n)).await;
    }
    let mut held = 0;
    for n in 0..8 {
        let found = relay.settled(&format!("flood-{n}")).await;
        held += found["notifications"].as_array().expect("list").iter().filter(|n| n["reason"] == "brake").count();
    }
    let sent = relay.smtp.mails().len() + relay.sms.messages().len();
    assert_eq!(sent, 3, "the brake lets three messages of this template through in an hour");
    assert!(held >= 5);
    relay.admin("POST", "/v1/brake/release", Some(json!({"template": "welcome", "by": "test"}))).await;
    relay
        .until("everything held is sent", async |r| {
            r.admin("GET", "/v1/notifications?state=waiting", None).await["notifications"]
                .as_array()
                .is_some_and(Vec::is_empty)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_is_under_way() {
    let relay = Relay::start().await;
    for n in 0..20 {
        relay.put(person(n)).await;
        relay.event(&customer_added(&format!("drain-{n}"), n)).await;
    }
    let (dir, ended) = relay.stop().await;
    ended.expect("drained within its time");
    let relay = Relay::in_dir(dir, Setup::default(), sealpost::clock::Clock::system()).await;
    for n in 0..20 {
        let found = relay.settled(&format!("drain-{n}")).await;
        let text = found.to_string();
        assert!(!text.contains("ambiguous"), "a drain leaves nothing in the middle: {found:#}");
        assert!(found["notifications"].as_array().expect("list").iter().all(|n| n["state"] == "sent"), "{found:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_relay_on_the_same_stores_gets_a_clear_message() {
    let relay = Relay::start().await;
    let file = relay.dir.path().join("sealpost.toml");
    let loaded = sealpost::config::Config::load(Some(&file), &std::collections::BTreeMap::new()).expect("loads");
    let second = sealpost::app::House::open(
        std::sync::Arc::new(loaded.config),
        relay.clock.clone(),
        sealpost::telemetry::Metrics::new(),
    );
    let message = second.err().expect("the stores are taken").to_string();
    assert!(message.contains("in use by another process"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_wants_a_token_and_the_probes_do_not() {
    // printf %s open-sesame | sha256sum
    let hash = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";
    let toml = format!("[admin.token.dashboard]\nsha256 = \"{hash}\"\nscopes = [\"read\"]\n");
    let relay = Relay::with(Setup { toml, ..Setup::default() }).await;
    let ours = "Authorization: Bearer open-sesame\r\n";
    for (path, headers, status) in [
        ("/livez", "", 200),
        ("/readyz", "", 200),
        ("/metrics", "", 200),
        ("/v1/status", "", 401),
        ("/v1/status", "Authorization: Bearer close-sesame\r\n", 401),
        ("/v1/status", ours, 200),
        ("/v1/customers/external_id:GT0042", ours, 403),
        ("/v1/nothing", "", 401),
        ("/v1/nothing", ours, 404),
    ] {
        assert_eq!(relay.over_tcp(path, headers).await, status, "{path} {headers}");
    }
    let metrics = relay.admin("GET", "/metrics", None).await;
    assert!(metrics.as_str().is_some_and(|m| m.contains("sealpost_journal_backlog")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_brake_counted_outlives_a_clean_stop() {
    let setup = || Setup { allow_with: "brake_per_hour = 2", ..Setup::default() };
    let relay = Relay::with(setup()).await;
    relay.put(person(1)).await;
    relay.event(&customer_added("before", 1)).await;
    let sent = relay.settled("before").await;
    assert!(sent["notifications"].as_array().expect("list").iter().all(|n| n["state"] == "sent"), "{sent:#}");
    let (dir, ended) = relay.stop().await;
    ended.expect("drained");
    let relay = Relay::in_dir(dir, setup(), sealpost::clock::Clock::system()).await;
    relay.event(&customer_added("after", 1)).await;
    let held = relay.settled("after").await;
    let all = held["notifications"].as_array().expect("list");
    assert!(all.len() == 2 && all.iter().all(|n| n["reason"] == "brake"), "a restart grants no new hour: {held:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_id_is_searched_by_and_not_shown() {
    let relay = Relay::start().await;
    let mut event = customer_added("made", 1);
    event["refId"] = json!(format!("{ORG}_900001"));
    relay.event(&event).await;
    relay.until_some("the event is planned", async |r| r.find("made").await).await;
    let search = json!({ "by": "ref_id", "value": format!("{ORG}_900001") });
    let found = relay.admin("POST", "/v1/events/find", Some(search)).await;
    assert_eq!(found["found"][0]["event"]["event_id"], "made", "{found:#}");
    let listed = relay.admin("GET", "/v1/events", None).await;
    assert_eq!(listed[0]["event_id"], "made");
    for answer in [&found, &listed] {
        assert!(!answer.to_string().contains("900001"), "{answer:#}");
    }
}
