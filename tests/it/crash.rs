//! `kill -9` of the real binary, again and again, under load.
//!
//! Promises: what was acknowledged is told; what is told twice is on the timeline as ambiguous and has the same Message-ID.
//! Never: a kill at a moment that was chosen to be kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealpost::sink::sms::{SmsScript, SmsSink};
use sealpost::sink::smtp::{Act, Phase, SmtpScript};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::doors::{self, Door, Shows};
use crate::process::Installation;
use crate::support::{PATIENCE, Setup, breath, customer_added, seed};

const ROUNDS: usize = 20;
/// Webhooks at once.
const SENDERS: usize = 6;
/// One for each event, so that a mail is known by its recipient.
const PEOPLE: u32 = 4_000;

/// Events by number: which were acknowledged, and which must be delivered again because nobody knows.
#[derive(Default)]
struct Sent {
    next: AtomicU32,
    acknowledged: Mutex<BTreeSet<u32>>,
    unsure: Mutex<Vec<u32>>,
}

fn event_id(n: u32) -> String {
    format!("crash-{n}")
}

fn people() -> String {
    let mut csv = String::from("customer_id,external_id,first_name,last_name,email,mobile\n");
    for n in 0..PEOPLE {
        let customer = 900_000 + n;
        csv.push_str(&format!(
            "{customer},EXT{n:04},Givenname{n},Familyname{n},person{n}@example.com,+9199000{n:05}\n"
        ));
    }
    csv
}

/// Delivers as Capillary does: what was not acknowledged comes again, under the same id.
async fn sender(door: Door, sent: Arc<Sent>, count: Arc<AtomicUsize>) {
    loop {
        let again = sent.unsure.lock().expect("nobody panics").pop();
        let n = again.unwrap_or_else(|| sent.next.fetch_add(1, Ordering::SeqCst));
        assert!(n < PEOPLE, "more events than people");
        let body = customer_added(&event_id(n), n).to_string();
        let shows = if n.is_multiple_of(2) { Shows::Signature } else { Shows::Key };
        match door.deliver(shows, body.as_bytes()).await {
            Ok((200, _)) => {
                sent.acknowledged.lock().expect("nobody panics").insert(n);
                count.fetch_add(1, Ordering::SeqCst);
            }
            _ => {
                sent.unsure.lock().expect("nobody panics").push(n);
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_and_nothing_is_silently_told_twice() {
    let seed = seed();
    let mut chance = fastrand::Rng::with_seed(seed);
    // A server that takes its time, so that many kills meet a mail between its dot and its answer.
    let smtp = SmtpScript::new().at(Phase::Dot, Act::After(Duration::from_millis(5), Box::new(Act::Usual)));
    let receiver = SmsSink::start(SmsScript::new()).await.expect("a receiver of the webhook");
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let toml = format!(
        "{}[feed.webhook]\nurl = \"{}/hook\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
        doors::toml(elsewhere.path()),
        receiver.url()
    );
    let setup = Setup { smtp, retry: Some((ROUNDS, "200ms")), toml, ..Setup::default() };
    let mut relay = Installation::new(setup).await;
    std::fs::write(relay.dir.path().join("people.csv"), people()).expect("a file can be written");
    relay.must(&["vault", "import", "people.csv"]);
    let door = Door::new(relay.intake);

    let sent = Arc::new(Sent::default());
    for round in 0..ROUNDS {
        relay.start().await;
        let count = Arc::new(AtomicUsize::new(0));
        let wanted = chance.usize(1..60);
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            senders.spawn(sender(door.clone(), sent.clone(), count.clone()));
        }
        let mails_before = relay.smtp.reached(Phase::Dot);
        let reached = async {
            // Every other kill comes while a mail is between its dot and its answer; the others come whenever they come.
            let too_early = || round % 2 == 1 && relay.smtp.reached(Phase::Dot) == mails_before;
            while count.load(Ordering::SeqCst) < wanted || too_early() {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, reached).await;
        assert!(waited.is_ok(), "round {round}: {wanted} acknowledgements never came (seed {seed})");
        relay.kill();
        while let Some(ended) = senders.join_next().await {
            ended.expect("a sender ends with its connection");
        }
    }

    relay.start().await;
    let acknowledged = sent.acknowledged.lock().expect("nobody panics").clone();
    assert!(acknowledged.len() >= ROUNDS, "only {} events were acknowledged", acknowledged.len());
    let mut timelines = BTreeMap::new();
    for n in &acknowledged {
        timelines.insert(*n, relay.settled(&event_id(*n)).await);
    }
    quiet(&relay).await;
    let told = told(&receiver, &relay).await;
    let ended = relay.terminate().await;
    assert_eq!(ended.code(), Some(0), "SIGTERM ends the daemon in order (seed {seed})");

    let mails = mails(&relay);
    let texts = texts(&relay);
    let mut doubtful = 0;
    for (n, found) in &timelines {
        let all = found["notifications"].as_array().expect("a timeline lists notifications");
        assert_eq!(all.len(), 2, "one mail and one text are planned for {n}, once (seed {seed}): {found:#}");
        for notification in all {
            let id = notification["id"].as_str().expect("an id is text");
            let is_mail = notification["channels"][0] == "email";
            let copies = if is_mail { mails.get(n) } else { texts.get(n) }.cloned().unwrap_or_default();
            assert!(copies.iter().all(|copy| copy == id), "{n}: {copies:?}, not {id} (seed {seed})");
            let ambiguous = is_ambiguous(found, id);
            doubtful += usize::from(ambiguous);
            assert!(copies.len() <= 1 || (ambiguous && is_mail), "{n}: told twice in silence (seed {seed}): {found:#}");
            // A text that may have gone is held for a person: that it is missing is no secret.
            let held = !is_mail && ambiguous && notification["reason"] == "ambiguous_hold";
            assert!(!copies.is_empty() || held, "{n} was acknowledged and never told (seed {seed}): {found:#}");
            let outcome = if held { "ambiguous" } else { "sent" };
            assert!(told.contains(&(id.to_owned(), outcome.to_owned())), "{n}: the webhook never told (seed {seed})");
            assert!(notification["state"] == "sent" || held, "{n} (seed {seed}): {found:#}");
        }
    }
    let delivered = sent.next.load(Ordering::SeqCst);
    assert!(mails.keys().chain(texts.keys()).all(|n| *n < delivered), "a message to somebody without an event");
    assert!(doubtful > 0, "no kill met a message on its way: the test proves nothing (seed {seed})");
}

/// Every outcome that the webhook told, once it has told all: notification and word. What is new comes in the order of its numbers.
async fn told(receiver: &SmsSink, relay: &Installation) -> BTreeSet<(String, String)> {
    let looks = async {
        loop {
            let (_, metrics) = relay.ask("GET", "/metrics", None).await;
            if metrics.lines().any(|line| line == "sealpost_webhook_backlog 0") {
                return;
            }
            breath().await;
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.expect("the webhook tells everything");
    let (mut last, mut told) = (0, BTreeMap::new());
    for post in receiver.messages() {
        let body: Value = serde_json::from_slice(&post.body).expect("a post is JSON");
        for outcome in body["data"]["outcomes"].as_array().expect("outcomes").clone() {
            let number = outcome["number"].as_u64().expect("a number");
            let text = |name: &str| outcome[name].as_str().expect("a text").to_owned();
            let what = (text("notification"), text("outcome"));
            match told.get(&number) {
                Some(before) => assert_eq!(before, &what, "a repeated number is the same outcome"),
                None => {
                    assert!(number > last, "{number} after {last}: something overtook it");
                    last = number;
                    told.insert(number, what);
                }
            }
        }
    }
    told.into_values().collect()
}

/// Waits until nothing but what is held for a person waits: also events that were kept and not acknowledged.
async fn quiet(relay: &Installation) {
    let looks = async {
        loop {
            let (_, text) = relay.ask("GET", "/v1/status", None).await;
            let status: Value = serde_json::from_str(&text).expect("the daemon answers in JSON");
            let planned = status["journal_head"] == status["planned"];
            let waiting = status["waiting"].as_object().expect("counts by reason");
            if planned && waiting.iter().all(|(reason, count)| reason == "ambiguous_hold" || *count == 0) {
                return;
            }
            breath().await;
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.expect("the relay comes to rest");
}

fn is_ambiguous(found: &Value, id: &str) -> bool {
    let lines = found["timeline"].as_array().expect("a timeline has lines");
    lines.iter().any(|line| line["notification"] == id && line["what"] == "ambiguous")
}

/// For each person the notification ids of the mails that arrived.
fn mails(relay: &Installation) -> BTreeMap<u32, Vec<String>> {
    let mut all: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for mail in relay.smtp.mails() {
        let person = mail.rcpt[0].strip_prefix("person").and_then(|rest| rest.strip_suffix("@example.com"));
        let text = String::from_utf8_lossy(&mail.raw).into_owned();
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: <")?.strip_suffix("@mail.acme.example>"));
        let person = person.and_then(|n| n.parse().ok()).expect("a mail goes to a person of this test");
        all.entry(person).or_default().push(id.expect("a mail has our id").to_owned());
    }
    all
}

/// The same of texts.
fn texts(relay: &Installation) -> BTreeMap<u32, Vec<String>> {
    let mut all: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for text in relay.sms.messages() {
        let body: Value = serde_json::from_slice(&text.body).expect("the declared body is JSON");
        let person = body["to"].as_str().and_then(|to| to.strip_prefix("+9199000")?.parse().ok());
        let id = body["ref"].as_str().expect("a text has our id").to_owned();
        all.entry(person.expect("a text goes to a person of this test")).or_default().push(id);
    }
    all
}
