//! Tests of look-ups: a real house, a real socket, a directory whose answers the test chooses, and a clock that it moves.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::*;
use crate::app::House;
use crate::app::tests::{ORG, START, TestHouse, customer_added};
use crate::event::AliasKind;
use crate::id::Channel;
use crate::ledger::State;
use crate::personal::Personal;
use crate::sink::sms::{Answer, SmsAct, SmsScript, SmsSink};
use crate::vault::{Contact, NamedAlias, PutMode};

const DAY: Duration = Duration::from_secs(86_400);
const AGAIN: Duration = Duration::from_secs(900);

/// What a directory says to the bodies it was asked with so far.
type Says = Box<dyn Fn(&[Value]) -> (u16, String) + Send + Sync>;

/// A house whose people are in a directory.
struct Brand {
    test: TestHouse,
    directory: SmsSink,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Brand {
    async fn open(more: &str, says: Says) -> Self {
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let seen = asked.clone();
        let script = SmsScript::new().behave(move |sms, _| {
            let mut seen = seen.lock().unwrap();
            seen.push(serde_json::from_slice(&sms.body).unwrap());
            let (status, body) = says(&seen);
            SmsAct::Answer(Answer::new(status, body))
        });
        let directory = SmsSink::start(script).await.unwrap();
        let toml = format!(
            "[lookup.default]\nurl = \"{}/people\"\nheaders = {{ Authorization = \"Bearer of-the-relay\" }}\n{more}",
            directory.url()
        );
        Self { test: TestHouse::open(&toml), directory, asked }
    }

    /// Dispatches and asks until something is so; a run knows nothing of the one before, as after a restart.
    async fn run_until(&self, is_so: impl Fn(&Self) -> bool) {
        self.run(self.until(is_so)).await;
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            tokio::task::yield_now().await;
        }
    }

    /// Dispatches and asks while a test goes on.
    async fn run(&self, meanwhile: impl Future<Output = ()>) {
        let House { config, ledger, vault, clock, metrics, .. } = self.test.house.clone();
        let (lookup, askers) = Lookup::build(&config, &Stores { ledger, vault, clock, metrics }).unwrap();
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        for asker in askers {
            tasks.spawn_fallible("lookups", asker.run(tasks.clone(), stop.clone()));
        }
        let dispatcher = self.test.dispatcher_with(lookup, &tasks);
        tokio::select! {
            ended = dispatcher.run(stop.clone()) => panic!("the dispatcher ended: {:?}", ended.err()),
            failed = tasks.failed() => panic!("task {failed} failed"),
            so = tokio::time::timeout(Duration::from_secs(60), meanwhile) => so.expect("waited in vain"),
        }
        stop.cancel();
        tasks.drain(Duration::from_secs(10)).await.unwrap();
    }

    async fn told(&self, event: &str, customer: u32) {
        self.test.deliver(&customer_added(event, customer, self.test.house.clock.now())).await;
        self.test.plan().await;
    }

    fn mail(&self, event: &str) -> State {
        self.test.by(Channel::Email, event).state
    }

    fn is_sent(&self, event: &str) -> bool {
        self.test.notifications_of(event).unwrap().iter().all(|n| matches!(n.state, State::Sent { .. }))
    }

    fn waits(&self, event: &str) -> bool {
        self.test.notifications_of(event).unwrap().iter().all(|n| n.state.reason() == Some("contact_unknown"))
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn count(&self, reason: &'static str) -> u64 {
        self.test.house.metrics.lookups.get_or_create(&Reason { reason }).get()
    }

    fn customers(&self) -> u64 {
        self.test.house.vault.stats().unwrap().contacts
    }
}

fn person(n: u32) -> Value {
    serde_json::json!({
        "customer_id": format!("{}", 900_000 + n), "first_name": format!("Givenname{n}"), "last_name": "Familyname",
        "email": format!("person{n}@example.com"), "mobile": format!("+9199000{n:05}"), "locale": "en-IN",
    })
}

fn answer(people: &[Value]) -> (u16, String) {
    (200, serde_json::json!({ "customers": people }).to_string())
}

/// Knows everybody it is asked for whose number is not above 500.
fn knows(asked: &[Value]) -> (u16, String) {
    let wanted = asked.last().unwrap()["customers"].as_array().unwrap();
    let number = |ids: &Value| ids["customer_id"].as_str().unwrap().parse::<u32>().unwrap() - 900_000;
    answer(&wanted.iter().map(number).filter(|n| *n <= 500).map(person).collect::<Vec<_>>())
}

#[tokio::test]
async fn whoever_is_not_in_the_vault_is_asked_for_by_id_and_then_written_to() {
    let brand = Brand::open("", Box::new(knows)).await;
    brand.told("first", 1).await;
    brand.run_until(|brand| brand.is_sent("first")).await;
    let posts = brand.directory.messages();
    assert_eq!((posts.len(), posts[0].method.as_str(), posts[0].path.as_str()), (1, "POST", "/people"));
    assert_eq!(posts[0].header("authorization"), Some("Bearer of-the-relay"));
    assert_eq!(posts[0].header("content-type"), Some("application/json"));
    let asked = String::from_utf8(posts[0].body.clone()).unwrap();
    insta::assert_snapshot!(asked, @r#"{"customers":[{"customer_id":"900001","external_id":"EXT0001"}]}"#);
    // A second event finds them in the vault.
    brand.told("second", 1).await;
    brand.run_until(|brand| brand.is_sent("second")).await;
    assert_eq!((brand.asked(), brand.count("found"), brand.count("not_found")), (1, 1, 0));
}

#[tokio::test]
async fn what_was_found_is_kept_for_its_time_and_then_asked_for_again() {
    let brand = Brand::open("keep = \"1d\"\n", Box::new(knows)).await;
    brand.told("first", 1).await;
    brand.run_until(|brand| brand.is_sent("first")).await;
    brand.test.house.clock.advance(DAY - Duration::from_millis(1));
    brand.told("in time", 1).await;
    brand.run_until(|brand| brand.is_sent("in time")).await;
    assert_eq!(brand.asked(), 1);
    brand.test.house.clock.advance(Duration::from_millis(2));
    brand.told("too late", 1).await;
    brand.run_until(|brand| brand.is_sent("too late")).await;
    assert_eq!(brand.asked(), 2);
    // Whom nobody writes to is forgotten all the same.
    brand.test.house.clock.advance(DAY);
    assert_eq!(brand.customers(), 1);
    crate::app::tests::forget_stale(&brand.test).await;
    assert_eq!(brand.customers(), 0);
}

#[tokio::test]
async fn somebody_who_is_not_found_waits_and_is_asked_for_again_later_and_not_by_each_message() {
    let known = Arc::new(AtomicUsize::new(0));
    let knows_later = known.clone();
    let says: Says =
        Box::new(move |asked| if knows_later.load(Ordering::SeqCst) == 0 { answer(&[]) } else { knows(asked) });
    let brand = Brand::open("", says).await;
    brand.told("first", 1).await;
    brand
        .run(async {
            brand.until(|brand| brand.waits("first") && brand.count("not_found") == 1).await;
            let State::Waiting { due_at, .. } = brand.mail("first") else { panic!("it waits") };
            assert_eq!(due_at, START.plus(AGAIN));
            brand.told("second", 1).await;
            brand.until(|brand| brand.waits("second")).await;
            assert_eq!(brand.asked(), 1, "four messages are one question");
            known.store(1, Ordering::SeqCst);
            brand.test.house.clock.advance(AGAIN);
            brand.until(|brand| brand.is_sent("first") && brand.is_sent("second")).await;
        })
        .await;
    assert_eq!(brand.asked(), 2);
}

#[tokio::test]
async fn who_waits_long_is_asked_for_ever_more_rarely() {
    let brand = Brand::open("", Box::new(|_| answer(&[]))).await;
    let lookup = {
        let House { config, ledger, vault, clock, metrics, .. } = brand.test.house.clone();
        Lookup::build(&config, &Stores { ledger, vault, clock, metrics }).unwrap().0
    };
    let namespace = &brand.test.house.config.orgs[&ORG].namespace;
    let (mut at, mut looks) = (START, 0);
    while at < START.plus(DAY * 3) {
        at = lookup.next_look(namespace, START, at).unwrap();
        looks += 1;
    }
    assert_eq!(looks, 15);
    assert_eq!(lookup.next_look(&"other".parse().unwrap(), START, START), None, "nobody is asked there");
}

#[tokio::test]
async fn many_are_asked_for_in_few_requests() {
    let brand = Brand::open("batch = 50\nmax_concurrency = 1\n", Box::new(knows)).await;
    for n in 1..=200 {
        brand.test.deliver(&customer_added(&format!("event-{n}"), n, START)).await;
    }
    brand.test.plan().await;
    brand.run_until(|brand| brand.count("found") == 200).await;
    let batches: Vec<usize> =
        brand.asked.lock().unwrap().iter().map(|body| body["customers"].as_array().unwrap().len()).collect();
    assert_eq!(batches.iter().sum::<usize>(), 200, "each person once, though two messages miss them");
    assert!(batches.iter().all(|batch| *batch <= 50), "{batches:?}");
    assert!(batches.len() < 100, "{batches:?}");
}

#[tokio::test]
async fn rows_that_nobody_asked_for_or_that_cannot_be_used_are_left_out_and_cost_the_others_nothing() {
    let says: Says = Box::new(|_| {
        let mut bad = person(1);
        bad["mobile"] = "canary".into();
        let unknown = serde_json::json!({ "customer_id": "900001", "canary": 1 });
        answer(&[person(7), bad, unknown, person(1)])
    });
    let brand = Brand::open("", says).await;
    brand.told("first", 1).await;
    brand.run_until(|brand| brand.is_sent("first") && brand.count("refused") == 2).await;
    assert_eq!((brand.count("not_asked_for"), brand.count("found"), brand.customers()), (1, 1, 1));
    assert!(brand.test.who("customer_id", "900007").is_none());
}

#[tokio::test]
async fn a_directory_that_is_down_is_tried_again_and_then_left_alone_and_nothing_is_lost() {
    let up = Arc::new(AtomicUsize::new(0));
    let is_up = up.clone();
    let says: Says =
        Box::new(move |asked| if is_up.load(Ordering::SeqCst) == 0 { (503, "canary".into()) } else { knows(asked) });
    let brand = Brand::open("breaker_failures = 2\nbreaker_open = \"30s\"\n", says).await;
    brand.told("first", 1).await;
    brand.run_until(|brand| brand.asked() == 1).await;
    for tries in 2..=3 {
        assert!(brand.waits("first"));
        brand.test.house.clock.advance(AGAIN * 2);
        brand.run_until(|brand| brand.asked() == tries).await;
    }
    up.store(1, Ordering::SeqCst);
    brand.test.house.clock.advance(AGAIN * 8);
    brand.run_until(|brand| brand.is_sent("first")).await;
}

#[tokio::test]
async fn answers_that_are_none_and_refusals_leave_the_message_waiting() {
    let large = "x".repeat(100_000);
    for (status, body, reason) in [
        (200, "canary", "failed"),
        (200, "{\"customers\": 1}", "failed"),
        (401, "canary", "failed"),
        (302, "", "failed"),
    ] {
        let brand = Brand::open("", Box::new(move |_| (status, body.to_owned()))).await;
        brand.told("first", 1).await;
        brand.run_until(|brand| brand.count(reason) == 1 && brand.waits("first")).await;
        assert_eq!(brand.asked(), 1, "{status}: it is not asked the same again at once");
    }
    let brand = Brand::open("", Box::new(move |_| (200, large.clone()))).await;
    brand.told("first", 1).await;
    brand.run_until(|brand| brand.asked() == 1 && brand.waits("first")).await;
    assert_eq!(brand.customers(), 0);
}

#[tokio::test]
async fn somebody_who_was_erased_is_not_asked_for_and_not_brought_back() {
    let brand = Brand::open("", Box::new(knows)).await;
    brand.told("first", 1).await;
    brand.run_until(|brand| brand.is_sent("first")).await;
    let House { config, vault, clock, keys, .. } = &brand.test.house;
    let namespace = &config.orgs[&ORG].namespace;
    let kind = crate::event::AliasKind::CustomerId;
    let alias = crate::event::Alias { kind, hash: crate::event::alias_hash(keys, namespace, kind, "900001") };
    clock.advance(DAY * 2);
    assert!(vault.delete(namespace, alias, clock.now()).unwrap());
    brand.told("after", 1).await;
    brand.run_until(|brand| brand.mail("after").reason() == Some("erased")).await;
    assert_eq!((brand.asked(), brand.customers()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_names_somebody_else_too_takes_nothing_from_them_and_gives_nobody_their_contact() {
    let brand = Brand::open(
        "",
        Box::new(|asked| {
            let wanted = asked.last().unwrap()["customers"].as_array().unwrap();
            let of = |id: &str| wanted.iter().any(|ids| ids["customer_id"] == id);
            let (mut one, mut two) = (person(1), person(2));
            (one["card"], two["external_id"]) = ("1001".into(), "GT0001".into());
            let rows = [(of("900001"), one), (of("900002"), two)];
            answer(&rows.into_iter().filter(|(asked, _)| *asked).map(|(_, row)| row).collect::<Vec<_>>())
        }),
    )
    .await;
    let House { config, vault, clock, .. } = &brand.test.house;
    let namespace = &config.orgs[&ORG].namespace;
    let named = |kind, value: &str| NamedAlias { kind, value: Personal::new(value) };
    let asha =
        [named(AliasKind::CustomerId, "111"), named(AliasKind::ExternalId, "GT0001"), named(AliasKind::Card, "1001")];
    let contact = Contact { first_name: Some(Personal::new("Asha")), updated_at: clock.now(), ..Contact::default() };
    vault.put(namespace, &asha, contact, PutMode::Replace).unwrap();
    clock.advance(Duration::from_secs(60));
    brand.told("one", 1).await;
    brand.run_until(|brand| brand.is_sent("one")).await;
    brand.told("two", 2).await;
    brand.run_until(|brand| brand.asked() == 2 && brand.test.house.metrics.alias_conflicts.get() > 1).await;
    assert!(brand.waits("two"), "whose external id is another customer's is not written to");
    let who = |kind: &str, value: &str| brand.test.who(kind, value);
    assert!(who("card", "1001").is_some() && who("card", "1001") == who("customer_id", "111"));
    assert!(who("external_id", "GT0001") == who("customer_id", "111"));
    assert!(who("customer_id", "900001").is_some_and(|id| Some(id) != who("customer_id", "111")));
    assert!(who("customer_id", "900002").is_none());
}
