//! A whole house in a temporary directory, for tests of what several rooms do together.
//!
//! Promises: real stores, a clock that the test moves, no listener, no task.
//! Never: a sleep.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::clock::Time;
use crate::event::{Alias, AliasKind, Role, Subject, alias_hash};
use crate::id::{Category, Channel, EventKey, KeyedHash, NotificationId, OrgId, RuleId};
use crate::ledger::{Changes, Delivery, FindBy, Notification, State};
use crate::policy::WaitReason;
use crate::provider::Readiness;
use crate::vault::json::ContactJson;
use crate::vault::{ContactId, PutMode, Resolution};

use super::*;

mod brakes;
mod clocks;
mod model;
mod readiness;
mod stores;
mod stumbles;
mod sweeps;

/// When every test begins.
pub(crate) const START: Time = Time::from_millis(1_793_092_797_616);
/// The one configured org.
pub(crate) const ORG: OrgId = OrgId(41_007);

/// A house and the directory it lives in.
pub(crate) struct TestHouse {
    pub(crate) house: House,
    pub(crate) dir: tempfile::TempDir,
    relay: String,
    toml: String,
}

impl TestHouse {
    /// Both channels by the `file` provider, live, two shipped templates; `toml` goes on from there.
    pub(crate) fn open(toml: &str) -> Self {
        Self::open_with_mail("mail", toml)
    }

    /// The same with another provider of mail.
    pub(crate) fn open_with_mail(provider: &str, toml: &str) -> Self {
        let sms = "[channel.sms]\nproviders = [\"text\"]\n";
        Self::open_bare(&format!("[channel.email]\nproviders = [{provider:?}]\n{sms}{toml}"))
    }

    /// The same with further keys of `[relay]`.
    pub(crate) fn open_with_relay(provider: &str, relay: &str, toml: &str) -> Self {
        let mut test = Self::open_with_mail(provider, toml);
        test.relay = relay.to_owned();
        test.reopen()
    }

    /// Without a channel, but for those in `toml`.
    pub(crate) fn open_bare(toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let house = open(dir.path(), "", toml);
        Self { house, dir, relay: String::new(), toml: toml.to_owned() }
    }

    /// The same directory after a clean stop; the clock begins anew.
    pub(crate) fn reopen(self) -> Self {
        let Self { house, dir, relay, toml } = self;
        house.close();
        drop(house);
        let house = open(dir.path(), &relay, &toml);
        Self { house, dir, relay, toml }
    }

    pub(crate) async fn add(&self, notifications: impl IntoIterator<Item = Notification>) {
        let mut changes = Changes::new();
        notifications.into_iter().for_each(|n| changes.add_notification(n));
        self.house.ledger.commit(changes).await.unwrap();
    }

    pub(crate) async fn deliver(&self, body: &Value) {
        let delivery = Delivery {
            source: "capillary".parse().unwrap(),
            received_at: self.house.clock.now(),
            body: body.to_string().into(),
        };
        self.house.ledger.append(delivery).await.unwrap();
    }

    /// Plans until the journal is empty.
    pub(crate) async fn plan(&self) {
        let stop = CancellationToken::new();
        let ledger = &self.house.ledger;
        let head = *ledger.journal_head().borrow();
        tokio::select! {
            ended = self.house.planner().run(stop) => panic!("the planner ended: {:?}", ended.err()),
            () = until(|| ledger.cursor() >= head) => {}
        }
    }

    /// Dispatches until something is so.
    pub(crate) async fn dispatch_until(&self, is_so: impl Fn() -> bool) {
        self.dispatch_with(&self.providers(), is_so).await;
    }

    /// The ways out, as configured.
    pub(crate) fn providers(&self) -> Arc<Providers> {
        let House { config, clock, metrics, .. } = &self.house;
        Arc::new(Providers::build(&config.providers, clock.clone(), metrics.clone()).unwrap())
    }

    /// The same with providers that remember.
    pub(crate) async fn dispatch_with(&self, providers: &Arc<Providers>, is_so: impl Fn() -> bool) {
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        let dispatcher = self.dispatcher(providers, &tasks);
        tokio::select! {
            ended = dispatcher.run(stop) => panic!("the dispatcher ended: {:?}", ended.err()),
            failed = tasks.failed() => panic!("task {failed} failed"),
            () = until(is_so) => {}
        }
        tasks.drain(Duration::from_secs(10)).await.unwrap();
    }

    /// The dispatcher itself, not running.
    pub(crate) fn dispatcher(&self, providers: &Arc<Providers>, tasks: &Tasks) -> Dispatcher {
        self.house.dispatcher(providers.clone(), Lookup::default(), tasks.clone())
    }

    /// The same with a way to ask for people.
    pub(crate) fn dispatcher_with(&self, lookup: Lookup, tasks: &Tasks) -> Dispatcher {
        self.house.dispatcher(self.providers(), lookup, tasks.clone())
    }

    /// The notification of an event that goes by this channel first.
    pub(crate) fn by(&self, channel: Channel, event_id: &str) -> Notification {
        let found = self.notifications_of(event_id).unwrap();
        found.into_iter().find(|n| n.channels.first() == Some(&channel)).unwrap()
    }

    /// The notifications of an event; `None` until it is planned.
    pub(crate) fn notifications_of(&self, event_id: &str) -> Option<Vec<Notification>> {
        let ledger = &self.house.ledger;
        let kept = crate::event::kept_id(&self.house.keys, event_id);
        let found = ledger.find(FindBy::EventId, ledger.find_hash(FindBy::EventId, &kept), 1).unwrap();
        found.first().map(|event| ledger.notifications_of(*event).unwrap())
    }

    /// Puts customer `n`, with a name and both addresses.
    pub(crate) async fn put(&self, n: u32) {
        self.put_person(Self::person(n)).await;
    }

    /// The same without a mail address.
    pub(crate) async fn put_without_mail(&self, n: u32) {
        let mut person = Self::person(n);
        person["email"] = Value::Null;
        self.put_person(person).await;
    }

    fn person(n: u32) -> Value {
        json!({
            "customer_id": format!("{}", 900_000 + n), "first_name": format!("Givenname{n}"), "last_name": "Familyname",
            "email": format!("person{n}@example.com"), "mobile": format!("+9199000{n:05}"), "locale": "en-IN",
        })
    }

    async fn put_person(&self, person: Value) {
        let json = ContactJson::parse(person.to_string().as_bytes()).unwrap();
        let (contact, aliases) = json.into_parts(self.house.clock.now()).unwrap();
        let namespace = &self.house.config.orgs[&ORG].namespace;
        self.house.vault.put(namespace, &aliases, contact, PutMode::Patch).unwrap();
        self.house.vault.sync().await.unwrap();
    }

    /// Whom the vault knows by an identifier.
    pub(crate) fn who(&self, kind: &str, value: &str) -> Option<ContactId> {
        let (kind, value) = AliasKind::split(&format!("{kind}:{value}")).map(|(k, v)| (k, v.to_owned())).unwrap();
        let namespace = &self.house.config.orgs[&ORG].namespace;
        let alias = Alias { kind, hash: alias_hash(&self.house.keys, namespace, kind, &value) };
        match self.house.vault.resolve(namespace, &[alias], Time::MAX).unwrap() {
            Resolution::Known(id) => Some(id),
            _ => None,
        }
    }

    pub(crate) fn state(&self, n: u32) -> State {
        self.house.ledger.notification(id(n)).unwrap().unwrap().state
    }
}

/// Forgets all looked-up contacts whose time is over.
pub(crate) async fn forget_stale(test: &TestHouse) {
    while upkeep::forget_stale(&test.house).await {}
}

/// Waits for a fact that another task brings about.
async fn until(is_so: impl Fn() -> bool) {
    let looks = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looks).await.expect("waited in vain");
}

fn open(dir: &Path, relay: &str, toml: &str) -> House {
    let mut text = format!(
        r#"
[relay]
mode = "live"
{relay}
[intake]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[storage]
dir = "{dir}/data"
min_free_bytes = 0
[keys]
file = "{dir}/keys"
[templates]
message_id_domain = "mail.acme.example"
[source.capillary]
headers = {{ "X-Sealpost-Key" = ["test-secret-0123456789"] }}
[org.{ORG}]
name = "Marigold"
currency = "INR"
time_zone = "Asia/Kolkata"
locale = "en-IN"
[org.{ORG}.sender.loyalty]
email = "Marigold <rewards@marigold.example>"
sms = "MRGOLD"
[org.{ORG}.links]
home = "https://marigold.example/"
account = "https://marigold.example/account"
[provider.mail]
type = "file"
dir = "{dir}/mail"
[provider.text]
type = "file"
dir = "{dir}/text"
"#,
        dir = dir.display()
    );
    for template in ["welcome", "points-issued"] {
        text.push_str(&format!(
            "[templates.allow.{template}]\nenabled = true\ncategories = [\"transactional\", \"service\"]\n\
             reads = [\"first_name\", \"last_name\"]\nsenders = [\"loyalty\"]\n"
        ));
    }
    text.push_str(toml);
    let loaded = Config::from_text(Path::new("test.toml"), &text, &BTreeMap::new()).unwrap_or_else(|e| panic!("{e}"));
    let config = Arc::new(loaded.config);
    if !config.keys.file.exists() {
        Keyring::generate().create(&config.keys.file).unwrap();
    }
    House::open(config, Clock::manual(START), Metrics::new()).unwrap_or_else(|e| panic!("{e}"))
}

fn hash(n: u32) -> KeyedHash {
    let bytes = n.to_be_bytes();
    KeyedHash(std::array::from_fn(|i| bytes[i % 4]))
}

/// The id of [`notification`] `n`.
pub(crate) fn id(n: u32) -> NotificationId {
    NotificationId::new(START, hash(n))
}

/// Notification `n` of the template `welcome`, by mail, for somebody whom nobody knows.
pub(crate) fn notification(n: u32, reason: WaitReason) -> Notification {
    let expires_at = START.plus(Duration::from_secs(86_400));
    let alias = Alias { kind: AliasKind::CustomerId, hash: hash(n) };
    Notification {
        id: id(n),
        event: EventKey(hash(n)),
        event_name: "customerAdded".into(),
        org: ORG,
        rule: RuleId { template: "welcome".parse().unwrap(), index: 0 },
        template_version: "0123456789abcdef".into(),
        category: Category::Transactional,
        subject: Subject { aliases: vec![alias], customer_id: None, external_id: None },
        role: Role::Customer,
        channels: vec![Channel::Email],
        items: vec![],
        event_at: START,
        planned_at: START,
        not_before: START,
        contact_deadline: expires_at,
        expires_at,
        live_from: Time::from_millis(0),
        attempts: 0,
        attempts_before: 0,
        brake_released: false,
        refused_by: None,
        freed_by: None,
        sent_as: None,
        state: State::Waiting { reason, due_at: if reason == WaitReason::DueLater { START } else { expires_at } },
    }
}

/// A registration of customer `n`, made at `created_at`.
pub(crate) fn customer_added(event_id: &str, n: u32, created_at: Time) -> Value {
    json!({
        "eventName": "customerAdded", "eventId": event_id, "orgId": ORG.0, "refId": format!("ref-{event_id}"),
        "apiRequestId": format!("req-{event_id}"), "createdAt": created_at.as_millis(),
        "data": {
            "loyaltyType": "LOYALTY", "source": "INSTORE", "enteredAt": created_at.as_millis(),
            "enteredBy": {"id": 1, "till": {"code": "t1", "name": "Till"}, "store": {"code": "s1", "name": "Oakfield Store"}},
            "customerIdentifiers": {"customerId": 900_000 + n, "instore": {"externalId": format!("EXT{n:04}")}}
        }
    })
}
