//! A planted person, sent down every path of the real binary, then looked for in every byte that it wrote or said.
//!
//! Promises: every value in every encoding of [`crate::needle`]; logs at the finest level; files while it runs, after `kill -9` and at
//! rest.
//! Never: a search that is not known to find: it must find the person in the catcher's mail.

mod doors;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sealpost::sink::sms::{SmsAct, SmsScript, SmsSink};
use sealpost::sink::smtp::{Act, Phase, SmtpScript};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::needle::Needles;
use crate::process::{Installation, traces};
use crate::support::{self, KEY, ORG, Setup, now_millis};

pub const FIRST: &str = "Zyxcanaryfirst";
pub const LAST: &str = "Zyxcanarylast";
pub const EMAIL: &str = "zyxcanary@example.net";
pub const MOBILE: &str = "919811112222";
const EXTERNAL: &str = "CANARYEXT77";
const CUSTOMER: u64 = 7_700_770_077;

/// What may be found nowhere. The national number is in every way to write the whole.
pub fn needles() -> Needles {
    Needles::new(&[FIRST, LAST, EMAIL, "9811112222", EXTERNAL, "7700770077"])
}

/// Everything the binary said: what it was asked, and the answer.
#[derive(Default)]
struct Heard(Vec<(String, Vec<u8>)>);

impl Heard {
    /// Delivers a body and keeps the answer; the status.
    async fn deliver(&mut self, relay: &Installation, what: &str, key: &str, body: &[u8]) -> u16 {
        let (status, text) = support::deliver(relay.intake, key, body).await.expect("the intake answers");
        self.0.push((format!("intake: {what}"), text.into_bytes()));
        status
    }

    /// Asks the daemon and keeps the answer; the status and the answer.
    async fn ask(&mut self, relay: &Installation, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, text) = relay.ask(method, path, body).await;
        let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
        self.0.push((format!("admin: {method} {path}"), text.into_bytes()));
        (status, answer)
    }

    /// Runs a command and keeps what it printed; whether it succeeded.
    fn run(&mut self, relay: &Installation, arguments: &[&str]) -> bool {
        let output = relay.run(arguments);
        self.0.push((format!("command: {arguments:?}"), [output.stdout, output.stderr].concat()));
        output.status.success()
    }

    /// Runs a command as text and as JSON.
    fn run_twice(&mut self, relay: &Installation, arguments: &[&str]) {
        let as_json = [&["--json"], arguments].concat();
        for arguments in [arguments, &as_json] {
            assert!(self.run(relay, arguments), "{arguments:?} failed");
        }
    }
}

/// Every documented event, as of now, with the planted person wherever it names anybody.
fn planted() -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/capillary");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("fixtures can be listed") {
        let path = entry.expect("entry can be read").path();
        let mut event: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("fixture can be read")).expect("JSON");
        plant(&mut event, "");
        all.push((path.display().to_string(), event.to_string().into_bytes()));
    }
    all.sort();
    all
}

fn plant(value: &mut Value, parent: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, parent)),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                let plain: String = key.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
                match plain.as_str() {
                    "createdat" => *value = json!(now_millis()),
                    "firstname" => *value = json!(FIRST),
                    "lastname" => *value = json!(LAST),
                    "email" => *value = json!(EMAIL),
                    "mobile" | "phone" => *value = json!(MOBILE),
                    "customerid" | "userid" => *value = json!(CUSTOMER),
                    "externalid" if parent == "instore" => *value = json!(EXTERNAL),
                    "notes" | "comments" => *value = json!(format!("{FIRST} {LAST} asked, call +{MOBILE}")),
                    _ => plant(value, &plain),
                }
            }
        }
        _ => {}
    }
}

fn event(name: &str, id: &str, extra: &Value) -> Vec<u8> {
    let mut data = json!({
        "firstName": FIRST, "lastName": LAST, "customerName": format!("{FIRST} {LAST}"), "source": "INSTORE",
        "customerIdentifiers": {"customerId": CUSTOMER,
            "instore": {"externalId": EXTERNAL, "email": EMAIL, "mobile": MOBILE}},
        "entityInformation": {"entityType": "USER", "entityId": CUSTOMER},
        "extendedFields": [{"name": "nick", "value": FIRST}], "customFields": {"alt_mail": EMAIL},
    });
    for (key, value) in extra.as_object().expect("an object") {
        data[key] = value.clone();
    }
    json!({"eventName": name, "eventId": id, "orgId": ORG, "createdAt": now_millis(), "data": data}).to_string().into()
}

fn scripts(refuse: Arc<AtomicBool>) -> (SmtpScript, SmsScript) {
    let smtp = SmtpScript::new().behave(move |moment| match (moment.phase, moment.nth) {
        (Phase::Rcpt, _) if refuse.load(Ordering::SeqCst) => {
            Act::Reply(550, format!("5.1.1 <{EMAIL}>: {FIRST} {LAST} is not here"))
        }
        (Phase::Dot, 1) => Act::Reply(451, format!("4.3.0 <{EMAIL}> later")),
        (Phase::Dot, 2) => Act::Reply(554, format!("5.6.0 {FIRST}'s mail <{EMAIL}> is odd")),
        (Phase::Dot, _) => Act::Reply(250, format!("2.0.0 <{EMAIL}> Ok")),
        _ => Act::Usual,
    });
    let quote = format!(r#"{{"id":"{MOBILE}","code":"{MOBILE}","message":"{FIRST} +{MOBILE}"}}"#);
    let sms = SmsScript::new().behave(move |_, nth| match nth {
        1 => SmsAct::answer(400, quote.clone()),
        2 => SmsAct::answer(503, quote.clone()),
        3 => SmsAct::answer(429, quote.clone()),
        4 => SmsAct::Raw(quote.clone().into_bytes()),
        6 => SmsAct::redirect(302, &format!("http://127.0.0.1:1/?to={MOBILE}")),
        _ => SmsAct::answer(200, quote.clone()),
    });
    (smtp, sms)
}

/// Everything people do with the vault, right and wrong. Input files are read, not copied: they lie elsewhere.
fn load(relay: &Installation, heard: &mut Heard, elsewhere: &Path) {
    let write = |name: &str, text: String| {
        let path = elsewhere.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let header = "customer_id,external_id,first_name,last_name,email,mobile";
    let good = write("good.csv", format!("{header}\n{CUSTOMER},{EXTERNAL},{FIRST},{LAST},{EMAIL},+{MOBILE}\n"));
    let bad = write(
        "bad.csv",
        format!("{header}\n{CUSTOMER},{EXTERNAL},{FIRST},{LAST},{EMAIL} {FIRST},+{MOBILE}x\n{FIRST},{LAST},{EMAIL}\n"),
    );
    let headless = write("headless.csv", format!("{CUSTOMER},{EXTERNAL},{FIRST},{LAST},{EMAIL},+{MOBILE}\n"));
    let named_first = write("named-first.csv", format!("{FIRST},{LAST},{EXTERNAL}\n"));
    let numbers = write("numbers.csv", format!("phone\n+{MOBILE}\n{EMAIL}\n{FIRST}\n"));
    let contact = json!({"external_id": EXTERNAL, "first_name": FIRST, "mobile": format!("+{MOBILE} {FIRST}")});
    let invalid = write("invalid.json", contact.to_string());
    let unknown = write("unknown.json", json!({"external_id": EXTERNAL, FIRST: EMAIL}).to_string());
    let torn = write("torn.json", format!("{{\"external_id\": \"{EXTERNAL}\", {EMAIL}"));
    assert!(heard.run(relay, &["vault", "import", &good]));
    assert!(!heard.run(relay, &["vault", "ndnc", &numbers]), "two of its lines are no numbers");
    assert!(heard.run(relay, &["vault", "ndnc"]));
    for arguments in [["vault", "import", &bad], ["vault", "import", &headless], ["vault", "import", &named_first]] {
        assert!(!heard.run(relay, &arguments), "{arguments:?} is refused");
    }
    for file in [&invalid, &unknown, &torn] {
        assert!(!heard.run(relay, &["vault", "put", file]), "{file} is refused");
    }
    assert!(heard.run(relay, &["vault", "stats"]));
}

/// Bodies that cannot be taken, each with the person inside.
async fn break_in(relay: &Installation, heard: &mut Heard) {
    let whole = event("customerAdded", "broken", &json!({}));
    let odd = [
        whole[..whole.len() - 20].to_vec(),
        format!("{FIRST} {LAST} <{EMAIL}>").into_bytes(),
        json!([FIRST, EMAIL, MOBILE]).to_string().into_bytes(),
        json!({ FIRST: EMAIL }).to_string().into_bytes(),
        json!({"eventName": {EMAIL: 1}, "orgId": ORG, "createdAt": 1, "data": {}}).to_string().into_bytes(),
        json!({"eventName": "customerAdded", "orgId": EMAIL, "createdAt": 1, "data": {}}).to_string().into_bytes(),
        json!({"eventName": "customerAdded", "orgId": ORG, "createdAt": FIRST, "data": {}}).to_string().into_bytes(),
        json!({"eventName": "customerAdded", "orgId": ORG, "createdAt": 1, "data": EMAIL}).to_string().into_bytes(),
    ];
    for body in odd {
        assert_eq!(heard.deliver(relay, "an odd body", KEY, &body).await, 200);
    }
    assert_eq!(heard.deliver(relay, "wrong credentials", FIRST, &whole).await, 401);
    let huge = event("customerAdded", "huge", &json!({"padding": format!("{EMAIL} ").repeat(100_000)}));
    assert_eq!(heard.deliver(relay, "an oversized body", KEY, &huge).await, 413);
    let mut stream = tokio::net::TcpStream::connect(relay.intake).await.expect("the intake listens");
    let request = format!("POST /v1/events/{EMAIL}?{MOBILE} HTTP/1.1\r\nHost: {FIRST}\r\n{LAST}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    heard.0.push(("intake: no HTTP".into(), answer));
}

/// Events whose ids, and names of fields, are somebody: they are events like any other, and are found by what was sent.
async fn hide_in_names(relay: &Installation, heard: &mut Heard) {
    for id in [format!("a.{EMAIL}"), format!("+{MOBILE}"), format!("{FIRST} {LAST}")] {
        let named = json!({ format!("{FIRST} {LAST}"): 1, EMAIL: {MOBILE: EMAIL}, "customFields": {format!("{LAST}_size"): "L"} });
        let mut body: Value = serde_json::from_slice(&event("customerAdded", &id, &named)).expect("JSON");
        body["apiRequestId"] = json!(id);
        body["refId"] = json!(format!("{ORG}_{CUSTOMER}"));
        assert_eq!(heard.deliver(relay, "ids that are somebody", KEY, body.to_string().as_bytes()).await, 200);
        body["eventName"] = json!(id);
        assert_eq!(heard.deliver(relay, "a name that is somebody", KEY, body.to_string().as_bytes()).await, 200);
    }
}

/// Everything support looks at.
async fn look(relay: &Installation, heard: &mut Heard) {
    let customer = format!("external_id:{EXTERNAL}");
    let id = format!("customer_id:{CUSTOMER}");
    for arguments in [
        &["events", "list", "--limit", "100"][..],
        &["events", "find", "--customer", &customer],
        &["events", "find", "--customer", &id],
        &["events", "find", "--event-id", "points-0"],
        &["notifications", "list", "--limit", "200"],
        &["dead-letters", "list"],
        &["quarantine", "list"],
        &["status"],
    ] {
        heard.run_twice(relay, arguments);
    }
    for id in [format!("a.{EMAIL}"), format!("+{MOBILE}"), format!("{FIRST} {LAST}")] {
        for by in ["--event-id", "--request-id"] {
            heard.run_twice(relay, &["events", "find", by, &id]);
        }
    }
    let phone = format!("phone:{MOBILE}");
    for arguments in [
        ["events", "find", "--customer", &phone],
        ["events", "find", "--customer", EMAIL],
        ["events", "find", "--bill", MOBILE],
        ["events", "find", "--notification", EMAIL],
        ["events", "find", "--event-id", EMAIL],
    ] {
        assert!(!heard.run(relay, &arguments), "{arguments:?} finds nothing");
    }
    for arguments in [
        &["pause", EMAIL][..],
        &["resume", EMAIL],
        &["brake", "release", EMAIL],
        &["mode", "live", "--for", EMAIL],
        &["notifications", "list", "--state", FIRST],
        &["notifications", "list", "--template", EMAIL],
        &["notifications", "list", "--after", EXTERNAL],
        &["dead-letters", "cancel", "--reason", FIRST],
        &["notifications", "cancel", EXTERNAL],
        &["vault", "get", EMAIL],
        &["vault", "get", &customer, "--namespace", FIRST],
    ] {
        assert!(!heard.run(relay, arguments), "{arguments:?} is refused");
    }
    heard.run_twice(relay, &["pauses"]);
    heard.run_twice(relay, &["brake", "list", "--all"]);
    assert!(!heard.run(relay, &["events", "show", EXTERNAL]));
    assert!(!heard.run(relay, &["notifications", "show", EXTERNAL]));
    for path in ["/metrics", "/v1/status", "/v1/vault/stats", "/v1/quarantine", "/v1/events?limit=100"] {
        assert_eq!(heard.ask(relay, "GET", path, None).await.0, 200, "{path}");
    }
    let (_, listed) = heard.ask(relay, "GET", "/v1/notifications?limit=500", None).await;
    for n in listed["notifications"].as_array().expect("a list") {
        let path = format!("/v1/notifications/{}", n["id"].as_str().expect("an id is text"));
        assert_eq!(heard.ask(relay, "GET", &path, None).await.0, 200, "{path}");
    }
    let (_, kept) = heard.ask(relay, "GET", "/v1/quarantine", None).await;
    let kept = kept.as_array().expect("a list").clone();
    assert!(kept.len() >= 7, "what cannot be decoded is kept: {kept:?}");
    let seq = |at: usize| kept[at]["seq"].to_string();
    heard.run_twice(relay, &["quarantine", "show", &seq(0)]);
    assert!(heard.run(relay, &["quarantine", "redrive", &seq(0)]));
    assert!(heard.run(relay, &["quarantine", "drop", &seq(1)]));
    let as_resource = format!("/v1/customers/external_id:{EXTERNAL}");
    let person = json!({"first_name": FIRST, "email": EMAIL, "mobile": format!("+{MOBILE}")});
    assert_eq!(heard.ask(relay, "PATCH", &as_resource, Some(person)).await.0, 200);
    for (method, path, body) in [
        ("PUT", as_resource.clone(), json!({"mobile": format!("{MOBILE} {FIRST}")})),
        ("PUT", format!("/v1/customers/email:{EMAIL}"), json!({})),
        ("GET", format!("/v1/customers/mobile:{MOBILE}"), Value::Null),
        ("POST", "/v1/customers:bulk".to_owned(), json!([FIRST, EMAIL])),
        ("POST", "/v1/vault/find".to_owned(), json!({"phone": MOBILE, "email": EMAIL, "by": FIRST})),
        ("POST", "/v1/vault/lists".to_owned(), json!({"list": EMAIL})),
    ] {
        let body = (!body.is_null()).then_some(body);
        assert!(heard.ask(relay, method, &path, body).await.0 >= 400, "{method} is refused");
    }
    heard.run_twice(relay, &["vault", "coverage"]);
    assert!(!heard.run(relay, &["vault", "find", "--email", &format!("no{EMAIL}")]));
    // The audited exits: their answers show the person, what they leave behind must not.
    assert!(relay.must(&["vault", "get", &customer]).contains(FIRST));
    assert!(relay.must(&["vault", "find", "--phone", &format!("+{MOBILE}")]).contains(EXTERNAL));
    relay.must(&["quarantine", "show", &seq(2), "--reveal"]);
}

/// Figures and the list of a day, on the day that it is where the org is and the one before: midnight may pass meanwhile.
fn report(relay: &Installation, heard: &mut Heard, elsewhere: &Path) {
    let now = jiff::Timestamp::from_millisecond(now_millis()).expect("a time");
    let today = now.to_zoned(jiff::tz::TimeZone::get("Asia/Kolkata").expect("a zone")).date();
    let mut listed = String::new();
    for day in [today.yesterday().expect("a day"), today].map(|day| day.to_string()) {
        heard.run_twice(relay, &["report", "outcomes", "--day", &day]);
        let file = elsewhere.join(format!("unreachable-{day}.csv")).display().to_string();
        assert!(heard.run(relay, &["report", "unreachable", "--day", &day, "--out", &file]));
        listed.push_str(&std::fs::read_to_string(file).expect("it was written"));
    }
    assert!(listed.contains(EXTERNAL) && listed.contains("address_refused"), "an audited exit: {listed}");
    for never in [FIRST, LAST, EMAIL, MOBILE] {
        assert!(!listed.contains(never), "{listed}");
    }
    assert!(!heard.run(relay, &["report", "outcomes", "--day", FIRST]));
}

fn assert_clean(needles: &Needles, when: &str, relay: &Installation) {
    let written = relay.written();
    let bytes: usize = written.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(written.len() > 5 && bytes > 10_000, "{when}: stores and logs are there to be searched");
    let traces = traces(&written, needles);
    assert!(traces.is_empty(), "{when}: {traces:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_person_is_found_in_nothing_the_relay_writes_or_says() {
    let needles = needles();
    let refuse = Arc::new(AtomicBool::new(false));
    let (smtp, sms) = scripts(refuse.clone());
    let receiver = SmsSink::start(SmsScript::new()).await.expect("a receiver of the webhook");
    let setup = Setup {
        smtp,
        sms,
        retry: Some((4, "50ms")),
        text: "id_pointer = \"/id\"\nerror_pointer = \"/code\"\nbreaker_open = \"200ms\"",
        toml: format!(
            "[log]\nfilter = \"trace\"\nformat = \"text\"\n[feed.webhook]\nurl = \"{}/hook\"\n\
             secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
            receiver.url()
        ),
        ..Setup::default()
    };
    let mut relay = Installation::new(setup).await;
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let mut heard = Heard::default();
    load(&relay, &mut heard, elsewhere.path());
    relay.start().await;
    load(&relay, &mut heard, elsewhere.path());

    let points = json!({"totalPointsIssued": 25, "programCurrentPoints": 120});
    for n in 0..4 {
        let id = format!("points-{n}");
        assert_eq!(heard.deliver(&relay, &id, KEY, &event("pointsIssued", &id, &points)).await, 200);
        relay.settled(&id).await;
    }
    let lacking = json!({"totalPointsIssued": 25});
    assert_eq!(heard.deliver(&relay, "lacking", KEY, &event("pointsIssued", "lacking", &lacking)).await, 200);
    let found = relay.settled("lacking").await;
    assert!(found.to_string().contains("missing_value"), "{found:#}");
    assert_clean(&needles, "at work", &relay);

    refuse.store(true, Ordering::SeqCst);
    assert_eq!(heard.deliver(&relay, "refused", KEY, &event("pointsIssued", "refused", &points)).await, 200);
    assert!(relay.settled("refused").await.to_string().contains("550 5.1.1"));
    for (file, body) in planted() {
        assert_eq!(heard.deliver(&relay, &file, KEY, &body).await, 200, "{file}");
    }
    break_in(&relay, &mut heard).await;
    hide_in_names(&relay, &mut heard).await;
    heard.deliver(&relay, "last", KEY, &event("customerUpdated", "last", &json!({}))).await;
    relay.settled("last").await;
    relay.kill();
    assert_clean(&needles, "after kill -9", &relay);
    relay.start().await;
    load(&relay, &mut heard, elsewhere.path());
    look(&relay, &mut heard).await;
    report(&relay, &mut heard, elsewhere.path());
    assert!(heard.run(&relay, &["vault", "delete", &format!("external_id:{EXTERNAL}")]));
    assert_eq!(heard.deliver(&relay, "erased", KEY, &event("pointsIssued", "erased", &points)).await, 200);
    relay.settled("erased").await;
    assert!(relay.terminate().await.success());
    assert_clean(&needles, "at rest", &relay);

    let posts = receiver.messages();
    assert!(posts.len() > 1, "the webhook told what happened");
    heard.0.extend(posts.into_iter().map(|post| ("webhook".to_owned(), post.body)));
    for (what, said) in &heard.0 {
        let traces = needles.find(said);
        assert!(traces.is_empty(), "{what} said {traces:?}: {}", String::from_utf8_lossy(said));
    }
    let log = std::fs::read_to_string(relay.log()).expect("there is a log");
    for line in
        ["ready", "dead letter", "wrong credentials", "over intake.max_body_bytes", "contact read", "body revealed"]
    {
        assert!(log.contains(line), "the log tells of `{line}`");
    }
    let audit = std::fs::read_to_string(relay.storage().join("audit.log")).expect("there is an audit");
    for words in [
        r#""action":"vault.get","about":{"contact.alias":""#,
        r#""action":"quarantine.reveal""#,
        r#""action":"quarantine.redrive""#,
        r#""action":"quarantine.drop""#,
        r#""action":"vault.import""#,
        r#""action":"vault.find""#,
        r#""action":"vault.put""#,
        r#""action":"vault.list.finish""#,
        r#""action":"vault.delete""#,
        r#""action":"report.unreachable""#,
        r#""who":"local socket uid "#,
        r#""who":"own process uid "#,
    ] {
        assert!(audit.contains(words), "the audit tells of {words}");
    }
    assert!(relay.sms.received() >= 7, "every answer of the gateway was given");
    assert!(relay.smtp.reached(Phase::Dot) >= 4, "every answer of the mail server was given");
    let mails = relay.smtp.mails();
    assert!(!needles.find(&mails[0].raw).is_empty(), "the search finds the person in the mail that was sent");
    assert!(!needles.find(&relay.sms.messages()[0].body).is_empty(), "and in the text");
}

/// The limit is raised first: the relay must not leave its memory on a disk even then.
#[tokio::test(flavor = "multi_thread")]
async fn no_core_file_is_made_even_where_one_is_asked_for() {
    use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
    use std::os::unix::process::ExitStatusExt;
    let mut relay = Installation::new(Setup::default()).await;
    relay.start().await;
    let pid = Pid::from_raw(relay.pid().cast_signed()).expect("a process");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", relay.pid())).expect("its limits can be read");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of cores");
    let core: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    // Only the superuser may; anybody else has shown by now that the limit is there to stay.
    let _ = prlimit(Some(pid), Resource::Core, Rlimit { current: None, maximum: None });
    kill_process(pid, Signal::ABORT).expect("it can be told to abort");
    let ended = relay.ended().await;
    assert!(ended.signal() == Some(Signal::ABORT.as_raw()) && !ended.core_dumped(), "{ended}");
}
