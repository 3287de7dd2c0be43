//! Tests of the desk through its router, over real stores in a temporary directory, without a listener or a worker.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::app::House;
use crate::clock::{Clock, Time};
use crate::config::Config;
use crate::event::{Alias, AliasKind, Role, Subject, alias_hash};
use crate::id::{Category, Channel, EventKey, KeyedHash, NotificationId, OrgId, RuleId};
use crate::ledger::{Changes, DeadReason, Notification, State};
use crate::policy::WaitReason;
use crate::seal::Keyring;
use crate::serve::Limits;
use crate::telemetry::Metrics;

use super::{Desk, Door, MAX_BODY, limits, router};

mod audit;
mod bulk;
mod operate;
mod people;
mod rehearse;
mod reports;
mod scopes;

pub(crate) use rehearse::points;

/// A configuration as small as a house allows: one org, two templates, nowhere to send.
const CONFIGURATION: &str = r#"
[relay]
mode = "live"
[org.41007]
name = "Marigold"
currency = "INR"
time_zone = "Asia/Kolkata"
locale = "en-IN"
[org.41007.sender.loyalty]
email = "Marigold <rewards@marigold.example>"
sms = "MRGOLD"
[org.41007.links]
home = "https://marigold.example/"
account = "https://marigold.example/account"
[provider.mail]
type = "smtp"
host = "127.0.0.1"
port = 9
tls = "none"
[provider.text]
type = "file"
dir = "messages"
[channel.email]
providers = ["mail"]
[channel.sms]
providers = ["text"]
[templates]
message_id_domain = "mail.acme.example"
[templates.allow.welcome]
enabled = true
categories = ["transactional", "service"]
reads = ["first_name", "last_name"]
senders = ["loyalty"]
[templates.allow.points-issued]
enabled = true
categories = ["transactional", "service"]
reads = ["first_name", "last_name"]
senders = ["loyalty"]
brake_per_hour = 2
"#;

/// When every test begins.
const NOW: Time = Time::from_millis(1_793_092_797_616);

/// A desk in an open house.
pub(crate) struct Office {
    _dir: TempDir,
    pub(crate) house: House,
    pub(crate) router: Router,
}

impl Office {
    pub(crate) fn open() -> Self {
        Self::open_with("")
    }

    /// With further lines of configuration.
    pub(crate) fn open_with(toml: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let house = house_of(configure_with(&dir, toml));
        let router = router(&house.desk(), Door::Socket);
        Self { _dir: dir, house, router }
    }

    pub(super) fn desk(&self) -> Desk {
        self.house.desk()
    }

    pub(crate) fn storage(&self) -> PathBuf {
        self.house.config.storage.dir.clone()
    }

    /// Asks; the status and the answer.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).body(body.into()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("a router always answers");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body in memory").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// What a request that is refused is told.
    pub(crate) async fn refused(&self, method: Method, path: &str, body: Value) -> (StatusCode, String) {
        let (status, answer) = self.ask(method, path, body.to_string()).await;
        assert!(!status.is_success(), "{path} was taken: {answer}");
        (status, answer["error"].as_str().expect("a refusal says why").to_owned())
    }

    /// Puts a notification for a template into the ledger.
    pub(crate) async fn plan(&self, n: u8, template: &str, state: State) -> NotificationId {
        let mut changes = Changes::new();
        let notification = self.notification(n, template, state);
        let id = notification.id;
        changes.add_notification(notification);
        self.house.ledger.commit(changes).await.expect("a commit");
        id
    }

    fn notification(&self, n: u8, template: &str, state: State) -> Notification {
        let namespace = "default".parse().expect("a namespace");
        let hash = alias_hash(&self.house.keys, &namespace, AliasKind::CustomerId, &format!("90000{n}"));
        Notification {
            id: NotificationId::new(NOW, KeyedHash([n; 16])),
            event: EventKey(KeyedHash([n; 16])),
            event_name: "pointsIssued".into(),
            org: OrgId(41_007),
            rule: RuleId { template: template.parse().expect("a template"), index: 0 },
            template_version: "0123456789abcdef".into(),
            category: Category::Transactional,
            subject: Subject {
                aliases: vec![Alias { kind: AliasKind::CustomerId, hash }],
                customer_id: None,
                external_id: None,
            },
            role: Role::Customer,
            channels: vec![Channel::Email],
            items: Vec::new(),
            event_at: NOW,
            planned_at: NOW,
            not_before: NOW,
            contact_deadline: NOW,
            expires_at: NOW.plus(Duration::from_secs(86_400)),
            live_from: Time::from_millis(0),
            attempts: 0,
            attempts_before: 0,
            brake_released: false,
            refused_by: None,
            freed_by: None,
            sent_as: None,
            state,
        }
    }
}

pub(crate) fn dead() -> State {
    State::DeadLetter { reason: DeadReason::NoAddress, at: NOW }
}

pub(crate) fn waiting(reason: WaitReason) -> State {
    State::Waiting { reason, due_at: NOW.plus(Duration::from_secs(3_600)) }
}

/// Writes a configuration for `dir` and opens its house.
pub(crate) fn house_in(dir: &TempDir) -> House {
    house_of(configure(dir))
}

fn house_of(config: Arc<Config>) -> House {
    if !config.keys.file.exists() {
        Keyring::generate().create(&config.keys.file).expect("keys can be written");
    }
    House::open(config, Clock::manual(NOW), Metrics::new()).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes a configuration for `dir`.
pub(crate) fn configure(dir: &TempDir) -> Arc<Config> {
    configure_with(dir, "")
}

fn configure_with(dir: &TempDir, toml: &str) -> Arc<Config> {
    let file = dir.path().join("sealpost.toml");
    let (data, keys) = (dir.path().join("data"), dir.path().join("keys"));
    let places = format!(
        "[storage]\ndir = {:?}\nmin_free_bytes = 0\n[keys]\nfile = {:?}\n",
        data.display().to_string(),
        keys.display().to_string()
    );
    std::fs::write(&file, format!("{places}{CONFIGURATION}{toml}")).expect("configuration can be written");
    let loaded = Config::load(Some(&file), &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults}"));
    Arc::new(loaded.config)
}

#[test]
fn people_may_take_an_hour_and_are_else_bounded_as_everybody() {
    let second = Duration::from_secs(1);
    let intake =
        Limits { header_timeout: second, body_timeout: second, max_connections: 7, connection_max_age: second };
    let desk = limits(intake);
    assert_eq!((desk.body_timeout, desk.connection_max_age), (3_600 * second, 3_600 * second));
    assert_eq!((desk.header_timeout, desk.max_connections), (second, 7));
}

#[tokio::test]
async fn a_request_of_64_mib_is_read_and_a_byte_more_is_refused() {
    let office = Office::open();
    // Blanks around JSON are JSON.
    let padded = |size: usize| {
        let mut body = br#"{"rows": []}"#.to_vec();
        body.resize(size, b' ');
        body
    };
    let (status, answer) = office.ask(Method::POST, "/v1/vault/import", padded(64 << 20)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(MAX_BODY, 64 << 20);
    let (status, answer) = office.ask(Method::POST, "/v1/vault/import", padded((64 << 20) + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer["error"].as_str().is_some_and(|e| e.contains("64 MiB")), "{answer}");
    // Those that read the body as it comes answer the same.
    for (method, path) in [(Method::PUT, "/v1/customers/card:1"), (Method::POST, "/v1/customers:bulk")] {
        let (status, answer) = office.ask(method, path, padded((64 << 20) + 1)).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert!(answer["error"].as_str().is_some_and(|e| e.contains("64 MiB")), "{path}: {answer}");
    }
}

#[test]
fn every_request_is_read_by_an_extractor_that_repeats_nothing() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin");
    for entry in std::fs::read_dir(dir).expect("the room can be listed") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "rs") || path.ends_with("read.rs") || path.ends_with("tests.rs") {
            continue;
        }
        let code = std::fs::read_to_string(&path).expect("source is text");
        for theirs in ["): Json<", "): Query<", "): Path<u", "): Form<", ": Bytes"] {
            assert!(!code.contains(theirs), "{}: {theirs} quotes what was typed", path.display());
        }
    }
}

#[tokio::test]
async fn a_refusal_never_repeats_what_was_typed() {
    let office = Office::open();
    let typed = "asha@example.com";
    for (method, path, body) in [
        (Method::POST, "/v1/events/find", json!({"by": typed, "value": "x"})),
        (Method::POST, "/v1/events/find", json!({"by": "customer", "value": typed})),
        (Method::POST, "/v1/notifications/cancel", json!({"ids": [typed]})),
        (Method::POST, "/v1/notifications/cancel", json!({"filter": {"template": typed}})),
        (Method::POST, "/v1/notifications/requeue", json!({"filter": {"state": typed}})),
        (Method::POST, "/v1/notifications/requeue", json!({typed: 1})),
        (Method::POST, "/v1/pauses", json!({"scope": typed})),
        (Method::POST, "/v1/pauses", json!({"scope": format!("template:{typed}")})),
        (Method::POST, "/v1/pauses/end", json!({"scope": typed})),
        (Method::PUT, "/v1/mode", json!({"mode": typed})),
        (Method::PUT, "/v1/mode", json!({"mode": "live", "target": typed})),
        (Method::POST, "/v1/brake/release", json!({"template": typed})),
        (Method::POST, "/v1/vault/put", json!({"contact": {"frist_name": typed}})),
        (Method::POST, "/v1/vault/put", json!({"contact": {typed: typed}})),
        (Method::POST, "/v1/vault/put", json!({"contact": {"attributes": {typed: {"a": typed}}}})),
        (Method::POST, "/v1/vault/put", json!({"namespace": "asha", "contact": {}})),
        (Method::POST, "/v1/vault/get", json!({"customer": typed})),
        (Method::POST, "/v1/vault/delete", json!({"customer": typed})),
        (Method::GET, "/v1/notifications/asha@example.com", json!({})),
        (Method::GET, "/v1/notifications?state=asha@example.com", json!({})),
        (Method::GET, "/v1/notifications?asha@example.com=1", json!({})),
        (Method::GET, "/v1/events?limit=asha@example.com", json!({})),
        (Method::GET, "/v1/events/asha@example.com", json!({})),
        (Method::GET, "/v1/quarantine/asha@example.com", json!({})),
        (Method::POST, "/v1/quarantine/asha@example.com/reveal", json!({})),
    ] {
        let (status, said) = office.refused(method, path, body.clone()).await;
        assert!(status.is_client_error(), "{path}: {status}");
        assert!(!said.to_lowercase().contains("asha"), "{path} {body}: {said}");
    }
}
