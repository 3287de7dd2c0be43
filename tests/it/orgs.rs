//! Several brands in one relay: whose people, whose sender, whose way out.
//!
//! Promises: everything goes through the real intake, planner, stores and catchers of one relay.
//! Never: a look at one brand only: what the other got is compared too.

use serde_json::{Value, json};

use crate::support::{ORG, Relay, Setup, customer_added, person};

const LOTUS: i64 = 52_008;
const KIDS: i64 = 41_008;

/// A second brand with people, senders and a gateway of its own, and a child of the first.
const BRANDS: &str = r#"
[org.52008]
name = "Lotus"
currency = "AED"
time_zone = "Asia/Dubai"
locale = "en-AE"
namespace = "lotus"
[org.52008.sender.loyalty]
email = "Lotus <hello@lotus.example>"
sms = "LOTUSS"
sms_entity_id = "1101000000000000002"
[org.52008.links]
home = "https://lotus.example/"
account = "https://lotus.example/account"
[org.52008.channel.sms]
providers = ["lotus-text"]
ambiguous = "retry"
[provider.lotus-text]
type = "http_sms"
url = "@gateway/lotus"
method = "POST"
content_type = "application/json"
body = '{"to":"{{to}}","from":"{{sender}}","text":"{{text}}","ref":"{{id}}"}'
[provider.lotus-text.success]
status = [200, 201]
[org.41008]
parent = 41007
name = "Marigold Kids"
[org.41008.sender.loyalty]
sms = "MGKIDS"
"#;

async fn brands(templates: Option<std::path::PathBuf>) -> Relay {
    let setup = Setup { toml: BRANDS.into(), allow: vec!["welcome"], templates, ..Setup::default() };
    Relay::with(setup).await
}

/// The same registration, of another org.
fn of(org: i64, event_id: &str, n: u32) -> Value {
    let mut event = customer_added(event_id, n);
    event["orgId"] = json!(org);
    event["refId"] = json!(format!("{org}_{event_id}"));
    event
}

/// The person with the same identifiers and phone, of another brand.
fn stranger(n: u32) -> Value {
    let mut other = person(n);
    other["first_name"] = json!("Otherwise");
    other["email"] = json!("otherwise@example.net");
    other
}

async fn know(relay: &Relay, namespace: &str, contact: Value) -> Value {
    relay.admin("POST", "/v1/vault/put", Some(json!({ "namespace": namespace, "contact": contact }))).await
}

/// From, to and text of each mail.
fn mails(relay: &Relay) -> Vec<(String, String, String)> {
    let mails = relay.smtp.mails().into_iter();
    mails
        .map(|mail| (mail.envelope_from, mail.rcpt.join(","), String::from_utf8_lossy(&mail.raw).into_owned()))
        .collect()
}

/// Path and body of each text message.
fn texts(relay: &Relay) -> Vec<(String, Value)> {
    let texts = relay.sms.messages().into_iter();
    texts.map(|text| (text.path, serde_json::from_slice(&text.body).expect("the body is JSON"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brands_with_the_same_identifiers_never_meet() {
    let relay = brands(None).await;
    // The first brand's customer is known; the second brand's, with the same ids and phone, is not yet.
    know(&relay, "default", person(1)).await;
    relay.event(&customer_added("first", 1)).await;
    relay.event(&of(LOTUS, "second", 1)).await;
    relay.settled("first").await;
    let waiting = relay.settled("second").await;
    for n in waiting["notifications"].as_array().expect("notifications") {
        assert_eq!(n["reason"], "contact_unknown", "{waiting:#}");
    }
    assert_eq!(mails(&relay).len(), 1);
    assert!(mails(&relay)[0].2.contains("Givenname1"));

    // Another contact of the first brand wakes nobody of the second.
    know(&relay, "default", person(1)).await;
    let still = relay.find("second").await.expect("planned");
    assert_eq!(still["notifications"][0]["reason"], "contact_unknown", "{still:#}");

    let woken = know(&relay, "lotus", stranger(1)).await;
    assert!(woken["woken"].as_u64() > Some(0), "{woken}");
    relay
        .until("the second brand's messages are sent", async |r| {
            let found = r.find("second").await.expect("planned");
            found["notifications"].as_array().is_some_and(|all| all.iter().all(|n| n["state"] == "sent"))
        })
        .await;

    let mails = mails(&relay);
    assert_eq!(mails.len(), 2);
    let (from, to, raw) = &mails[1];
    assert_eq!((from.as_str(), to.as_str()), ("hello@lotus.example", "otherwise@example.net"));
    assert!(raw.contains("Otherwise") && raw.contains("Lotus"), "{raw}");
    for foreign in ["Givenname1", "Marigold", "person1@example.com"] {
        assert!(!raw.contains(foreign), "{foreign} of the first brand is in the second brand's mail: {raw}");
    }
    assert!(!mails[0].2.contains("Otherwise") && !mails[0].2.contains("Lotus"), "{}", mails[0].2);
    let mut texts = texts(&relay);
    texts.sort_by_key(|(path, _)| path.clone());
    let sender = |path: &str| texts.iter().find(|(p, _)| p == path).map(|(_, body)| body["from"].clone());
    assert_eq!(sender("/lotus"), Some(json!("LOTUSS")));
    assert_eq!(sender("/send"), Some(json!("MRGOLD")));

    // What is known of one brand's customer says nothing of the other's.
    let get = |namespace: &str| json!({ "namespace": namespace, "customer": "external_id:EXT0001" });
    let first = relay.admin("POST", "/v1/vault/get", Some(get("default"))).await;
    let second = relay.admin("POST", "/v1/vault/get", Some(get("lotus"))).await;
    assert_eq!(first["contact"]["first_name"], "Givenname1", "{first:#}");
    assert_eq!(second["contact"]["first_name"], "Otherwise", "{second:#}");

    // Neither do its events, and whoever does not say whose customer is meant gets nobody's.
    let search =
        |namespace: Option<&str>| json!({ "by": "customer", "value": "external_id:EXT0001", "namespace": namespace });
    for (namespace, event_id) in [("default", "first"), ("lotus", "second")] {
        let found = relay.admin("POST", "/v1/events/find", Some(search(Some(namespace)))).await;
        let events: Vec<_> =
            found["found"].as_array().expect("events").iter().map(|f| &f["event"]["event_id"]).collect();
        assert_eq!(events, [event_id], "{found:#}");
    }
    let (status, said) = relay.admin_status("POST", "/v1/events/find", Some(search(None))).await;
    assert!(status == 400 && said.to_string().contains("default, lotus"), "{status} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_one_brand_holds_nobody_of_another() {
    let relay = brands(None).await;
    know(&relay, "default", person(2)).await;
    know(&relay, "lotus", stranger(2)).await;
    let scope = format!("org:{LOTUS}");
    relay.admin("POST", "/v1/pauses", Some(json!({ "scope": scope, "by": "test" }))).await;
    relay.event(&of(LOTUS, "held", 2)).await;
    relay.event(&customer_added("goes", 2)).await;
    let goes = relay.settled("goes").await;
    assert!(goes["notifications"].as_array().expect("list").iter().all(|n| n["state"] == "sent"), "{goes:#}");
    let held = relay.settled("held").await;
    assert!(held["notifications"].as_array().expect("list").iter().all(|n| n["reason"] == "paused"), "{held:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_has_its_parents_people_and_whatever_it_does_not_say_itself() {
    let relay = brands(None).await;
    know(&relay, "default", person(3)).await;
    relay.event(&of(KIDS, "child", 3)).await;
    let found = relay.settled("child").await;
    assert!(found["notifications"].as_array().expect("list").iter().all(|n| n["state"] == "sent"), "{found:#}");
    let (from, to, raw) = mails(&relay).remove(0);
    assert_eq!((from.as_str(), to.as_str()), ("rewards@marigold.example", "person3@example.com"));
    assert!(raw.contains("Marigold Kids"), "{raw}");
    let (path, body) = texts(&relay).remove(0);
    assert_eq!((path.as_str(), &body["from"]), ("/send", &json!("MGKIDS")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_may_have_a_sender_of_its_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (path, text) in sealpost::template::shipped() {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let stores = "code,name,city,sender\ns1,Airport Store,Mumbai,airport\ns2,Oakfield Store,Oakfield,\n";
    std::fs::write(dir.path().join("_tables/stores.csv"), stores).expect("written");
    let toml = format!(
        "{BRANDS}[org.{ORG}.sender.loyalty-airport]\nemail = \"Marigold Airport <airport@marigold.example>\"\n"
    );
    let setup = Setup { toml, allow: vec!["welcome"], templates: Some(dir.path().into()), ..Setup::default() };
    let relay = Relay::with(setup).await;
    for n in [4, 5] {
        know(&relay, "default", person(n)).await;
    }
    relay.event(&customer_added("airport", 4)).await;
    relay.settled("airport").await;
    let mut elsewhere = customer_added("elsewhere", 5);
    elsewhere["data"]["enteredBy"]["store"]["code"] = json!("unknown");
    relay.event(&elsewhere).await;
    relay.settled("elsewhere").await;
    let from: Vec<_> = mails(&relay).into_iter().map(|(from, ..)| from).collect();
    assert_eq!(from, ["airport@marigold.example", "rewards@marigold.example"]);
    // The airport's sender has no number: text messages go out as the role's.
    assert!(texts(&relay).iter().all(|(_, body)| body["from"] == "MRGOLD"), "{:?}", texts(&relay));
}
