//! A whole relay on loopback, with catchers whose answers a test can script.
//!
//! Promises: real sockets, real stores in a temporary directory, nothing shared between tests; waits for facts, never for time.
//! Never: a sleep, a fixed port, a look into the relay past its own doors.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sealpost::app::{App, House, RunError};
use sealpost::clock::Clock;
use sealpost::config::Config;
use sealpost::seal::Keyring;
use sealpost::sink::sms::{SmsScript, SmsSink};
use sealpost::sink::smtp::{SmtpScript, SmtpSink};
use sealpost::telemetry::Metrics;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The header that the test source wants.
pub const KEY: &str = "test-secret-0123456789";
/// The org of the fixtures.
pub const ORG: i64 = 41007;
/// Longest wait for a fact before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A relay under test.
pub struct Relay {
    pub dir: TempDir,
    pub smtp: SmtpSink,
    pub sms: SmsSink,
    pub clock: Clock,
    intake: SocketAddr,
    admin: SocketAddr,
    socket: PathBuf,
    stop: CancellationToken,
    run: Option<JoinHandle<Result<(), RunError>>>,
}

/// What differs between tests; everything else is as in production.
#[derive(Default)]
pub struct Setup {
    /// Further keys of `[relay]`.
    pub relay: &'static str,
    /// Further keys of every `[templates.allow.…]`.
    pub allow_with: &'static str,
    /// The timeout of every phase of both providers; "5s" if not said.
    pub timeout: Option<&'static str>,
    /// How many retries, and the wait before each; 4 and "1s" if not said.
    pub retry: Option<(usize, &'static str)>,
    /// The port of the intake; any if not said.
    pub intake: u16,
    /// Further keys of `[intake]`.
    pub intake_with: &'static str,
    /// Further keys of `[provider.mail]`.
    pub mail: &'static str,
    /// Further keys of `[provider.text]`.
    pub text: &'static str,
    /// Further TOML, appended to the configuration.
    pub toml: String,
    /// How the mail catcher behaves.
    pub smtp: SmtpScript,
    /// How the SMS catcher behaves.
    pub sms: SmsScript,
    /// A folder of templates instead of the shipped ones.
    pub templates: Option<PathBuf>,
    /// Templates to allow (all shipped ones if empty).
    pub allow: Vec<&'static str>,
}

pub const SHIPPED: &[&str] = &["welcome", "purchase-thank-you", "points-issued", "tier-upgraded", "coupon-issued"];

/// The configuration of a test relay: live, fast retries, one org, catchers as the only ways out.
pub fn configuration(dir: &Path, smtp_port: u16, sms_port: u16, setup: &Setup) -> String {
    let storage = dir.join("data");
    let templates = setup.templates.as_ref().map_or(String::new(), |d| format!("dir = {:?}", d.display().to_string()));
    let (retries, wait) = setup.retry.unwrap_or((4, "1s"));
    let mut toml = format!(
        r#"
[relay]
mode = "live"
wait_for_contact = "3650d"
expires_after = "3650d"
{relay}
[intake]
listen = "127.0.0.1:{intake}"
{intake_with}
[admin]
listen = "127.0.0.1:0"
[storage]
dir = {storage:?}
min_free_bytes = 0
[keys]
file = {keys:?}
[templates]
message_id_domain = "mail.acme.example"
{templates}
[source.capillary]
headers = {{ "X-Sealpost-Key" = ["{KEY}"] }}
[org.{ORG}]
name = "Marigold"
currency = "INR"
time_zone = "Asia/Kolkata"
locale = "en-IN"
[org.{ORG}.sender.loyalty]
email = "Marigold <rewards@marigold.example>"
sms = "MRGOLD"
sms_entity_id = "1101000000000000001"
[org.{ORG}.links]
home = "https://marigold.example/"
account = "https://marigold.example/account"
[provider.mail]
type = "smtp"
host = "127.0.0.1"
port = {smtp_port}
tls = "none"
connect_timeout = "{timeout}"
command_timeout = "{timeout}"
data_timeout = "{timeout}"
{mail}
[provider.text]
type = "http_sms"
url = "http://127.0.0.1:{sms_port}/send"
method = "POST"
content_type = "application/json"
body = '{{"to":"{{{{to}}}}","from":"{{{{sender}}}}","text":"{{{{text}}}}","ref":"{{{{id}}}}"}}'
timeout = "{timeout}"
{text}
[provider.text.success]
status = [200, 201]
[channel.email]
providers = ["mail"]
retry = {retry:?}
ambiguous = "retry"
[channel.sms]
providers = ["text"]
retry = {retry:?}
ambiguous = "hold"
"#,
        relay = setup.relay,
        mail = setup.mail,
        text = setup.text,
        timeout = setup.timeout.unwrap_or("5s"),
        intake = setup.intake,
        intake_with = setup.intake_with,
        retry = vec![wait; retries],
        storage = storage.display().to_string(),
        keys = dir.join("keys").display().to_string(),
    );
    let allowed = if setup.allow.is_empty() { SHIPPED } else { &setup.allow };
    for template in allowed {
        let _ = write!(
            toml,
            "[templates.allow.{template}]\nenabled = true\ncategories = [\"transactional\", \"service\"]\n\
             reads = [\"first_name\", \"last_name\"]\nsenders = [\"loyalty\"]\n{}\n",
            setup.allow_with
        );
    }
    toml.push_str(&setup.toml.replace("@gateway", &format!("http://127.0.0.1:{sms_port}")));
    toml
}

impl Relay {
    /// A relay with everything at its default.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// A relay set up as asked.
    pub async fn with(setup: Setup) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self::in_dir(dir, setup, Clock::system()).await
    }

    /// A relay in a directory that may hold an earlier relay's stores.
    pub async fn in_dir(dir: TempDir, setup: Setup, clock: Clock) -> Self {
        let smtp = SmtpSink::start(setup.smtp.clone(), None).await.expect("mail catcher starts");
        let sms = SmsSink::start(setup.sms.clone()).await.expect("SMS catcher starts");
        let toml = configuration(dir.path(), smtp.address().port(), sms.address().port(), &setup);
        let file = dir.path().join("sealpost.toml");
        std::fs::write(&file, toml).expect("configuration can be written");
        let loaded = Config::load(Some(&file), &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults}"));
        let config = Arc::new(loaded.config);
        if !config.keys.file.exists() {
            Keyring::generate().create(&config.keys.file).expect("keys can be written");
        }
        let house = House::open(config.clone(), clock.clone(), Metrics::new()).unwrap_or_else(|e| panic!("{e}"));
        let app = App::build(house).await.unwrap_or_else(|e| panic!("{e}"));
        let (intake, admin) = (app.intake_address(), app.admin_address());
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "the relay as a whole is what a test waits for")]
        let run = tokio::spawn(app.run(stop.clone()));
        let relay =
            Self { dir, smtp, sms, clock, intake, admin, socket: config.admin.socket.clone(), stop, run: Some(run) };
        relay.until("the relay is ready", async |r| r.admin_status("GET", "/readyz", None).await.0 == 200).await;
        relay
    }

    /// Posts a body with the right header; the status.
    pub async fn post(&self, body: &[u8]) -> u16 {
        deliver(self.intake, KEY, body).await.expect("intake answers").0
    }

    /// Posts an event; it must be acknowledged.
    pub async fn event(&self, event: &Value) {
        assert_eq!(self.post(event.to_string().as_bytes()).await, 200);
    }

    /// Asks the admin API through the local socket.
    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.admin_status(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path} answered {status}: {answer}");
        answer
    }

    /// The same with the status.
    pub async fn admin_status(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, text) = ask(&self.socket, method, path, body).await.expect("socket answers");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Asks the admin listener over TCP, with these headers; the status.
    pub async fn over_tcp(&self, path: &str, headers: &str) -> u16 {
        let mut stream = TcpStream::connect(self.admin).await.expect("the admin listener answers");
        let head = format!("GET {path} HTTP/1.1\r\nHost: relay\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("it takes the request");
        exchange(stream).await.0
    }

    /// Asks with a body that is not one JSON value.
    pub async fn admin_text(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.socket).await.expect("socket answers");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: relay\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("socket takes it");
        exchange(stream).await
    }

    /// Puts a person.
    pub async fn put(&self, contact: Value) -> Value {
        self.admin("POST", "/v1/vault/put", Some(json!({ "contact": contact }))).await
    }

    /// What is known of an event by Capillary's event id: `None` until it is planned.
    pub async fn find(&self, event_id: &str) -> Option<Value> {
        let search = json!({ "by": "event_id", "value": event_id });
        let found = self.admin("POST", "/v1/events/find", Some(search)).await;
        found["found"].get(0).cloned()
    }

    /// Waits until every notification of the event rests (none waits on time or is under way), and returns the timeline.
    pub async fn settled(&self, event_id: &str) -> Value {
        self.until_some(&format!("event {event_id} settles"), async |r| {
            let found = r.find(event_id).await?;
            rests(&found).then_some(found)
        })
        .await
    }

    /// Waits for a fact.
    pub async fn until(&self, what: &str, fact: impl AsyncFn(&Self) -> bool) {
        self.until_some(what, async |r| fact(r).await.then_some(())).await;
    }

    /// Waits for a fact that comes with a value.
    pub async fn until_some<T>(&self, what: &str, fact: impl AsyncFn(&Self) -> Option<T>) -> T {
        let looks = async {
            loop {
                if let Some(value) = fact(self).await {
                    return value;
                }
                breath().await;
            }
        };
        tokio::time::timeout(PATIENCE, looks).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
    }

    /// Stops the relay in order and gives back its directory and how it ended.
    pub async fn stop(mut self) -> (TempDir, Result<(), RunError>) {
        self.stop.cancel();
        let run = self.run.take().expect("a relay is stopped once");
        let ended = run.await.expect("the relay does not panic");
        (self.dir, ended)
    }
}

/// Posts a body to an intake; the status and what was answered.
pub async fn deliver(intake: SocketAddr, key: &str, body: &[u8]) -> io::Result<(u16, String)> {
    let head = format!(
        "POST /v1/events/capillary HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n\
         X-Sealpost-Key: {key}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(intake).await?;
    stream.write_all(head.as_bytes()).await?;
    // A body that is refused unread may meet a closed connection; the answer is there all the same.
    let _ = stream.write_all(body).await;
    Ok(exchange(stream).await)
}

/// Asks the admin API through a local socket.
pub async fn ask(socket: &Path, method: &str, path: &str, body: Option<Value>) -> io::Result<(u16, String)> {
    let body = body.map(|b| b.to_string()).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(head.as_bytes()).await?;
    Ok(exchange(stream).await)
}

/// True if no notification of a found event waits on time or is under way.
pub fn rests(found: &Value) -> bool {
    let held = ["contact_unknown", "brake", "paused", "ambiguous_hold", "misconfigured", "provider_down"];
    found["notifications"].as_array().is_some_and(|all| {
        all.iter().all(|n| {
            let waits = n["state"] == "waiting" && !held.iter().any(|word| n["reason"] == *word);
            n["state"] != "attempting" && !waits
        })
    })
}

/// A breath between two looks at somebody else's progress, not a guess at how long it takes.
pub async fn breath() {
    tokio::time::interval_at(tokio::time::Instant::now() + Duration::from_millis(10), PATIENCE).tick().await;
}

/// Waits until nothing is left, for as long as it gets on: [`PATIENCE`] until less is left than ever before. `left`: how much, and what it is;
/// looked at after every so many breaths.
pub async fn until_none(breaths: u32, mut left: impl AsyncFnMut() -> Option<(u64, String)>) {
    let (mut least, mut last) = (u64::MAX, String::new());
    loop {
        let less = async {
            loop {
                match left().await {
                    Some((count, _)) if count < least => return Some(count),
                    Some((_, what)) => last = what,
                    None => return None,
                }
                for _ in 0..breaths {
                    breath().await;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, less).await {
            Ok(Some(count)) => least = count,
            Ok(None) => return,
            Err(_) => panic!("it does not get on: {least} left; {last}"),
        }
    }
}

/// Reads a whole HTTP answer of a connection that the server closes.
async fn exchange(mut stream: impl tokio::io::AsyncRead + Unpin) -> (u16, String) {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, dechunk(&text, body))
}

fn dechunk(whole: &str, body: &str) -> String {
    if !whole.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let mut rest = body;
    let mut text = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || after.len() < size {
            break;
        }
        text.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    text
}

/// A made-up person.
pub fn person(n: u32) -> Value {
    json!({
        "customer_id": format!("{}", 900_000 + n),
        "external_id": format!("EXT{n:04}"),
        "first_name": format!("Givenname{n}"),
        "last_name": format!("Familyname{n}"),
        "email": format!("person{n}@example.com"),
        "mobile": format!("+9199000{n:05}"),
        "locale": "en-IN",
    })
}

/// A registration of [`person`] `n`.
pub fn customer_added(event_id: &str, n: u32) -> Value {
    json!({
        "eventName": "customerAdded", "eventId": event_id, "orgId": ORG, "refId": format!("{ORG}_{event_id}"),
        "apiRequestId": format!("req-{event_id}"), "createdAt": now_millis(),
        "data": {
            "loyaltyType": "LOYALTY", "source": "INSTORE", "enteredAt": now_millis(),
            "enteredBy": {"id": 1, "till": {"code": "t1", "name": "Till"}, "store": {"code": "s1", "name": "Oakfield Store"}},
            "customerIdentifiers": {"customerId": 900_000 + n, "instore": {"externalId": format!("EXT{n:04}")}}
        }
    })
}

/// Points for [`person`] `n`.
pub fn points_issued(event_id: &str, n: u32, points: f64) -> Value {
    json!({
        "eventName": "pointsIssued", "eventId": event_id, "orgId": ORG, "refId": format!("{ORG}_{event_id}"),
        "apiRequestId": format!("req-{event_id}"), "createdAt": now_millis(),
        "data": {
            "customerIdentifiers": {"customerId": 900_000 + n},
            "entityInformation": {"entityType": "USER", "entityId": 900_000 + n},
            "loyaltyProgramDetails": {"id": 1, "name": "Marigold Circle", "isDefault": true, "pointsToCurrencyRatio": 1.0,
                "tiers": [{"tierNumber": 1, "tierName": "Silver"}]},
            "loyaltyProgramId": 1, "programCurrentPoints": 120.0 + points, "programLifetimePoints": 300.0,
            "totalPointsIssued": points, "regularPointsIssued": points,
            "regularPointsBreakup": [], "promotionalPointsIssued": [], "promisedPointsIssued": [],
            "triggeringActivity": {"name": "TransactionAdd", "identifiers": [{"key": "billNumber", "value": format!("B-{event_id}")}]}
        }
    })
}

/// Now, as Capillary writes it.
pub fn now_millis() -> i64 {
    Clock::system().now().as_millis()
}

/// Chance, or the seed of a run that failed.
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a failed run is repeated by its printed seed")]
pub fn seed() -> u64 {
    let given = std::env::var("SEALPOST_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..1 << 48));
    println!("SEALPOST_TEST_SEED={seed}");
    seed
}
