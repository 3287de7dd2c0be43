//! Events and their messages against a model: whatever comes, in whatever order, however often, and however often the process begins anew,
//! an event is planned once for as long as it is kept, and a message is sent once.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use proptest::prelude::*;
use tower::ServiceExt;

use super::*;
use crate::admin::{Door, router};
use crate::control::Waker;
use crate::ledger::{DeadReason, Happening};
use crate::policy::pause::Scope;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// `config/default.toml`, and the rule of `welcome`.
const KEEP: Duration = Duration::from_secs(45 * 86_400);
const WAIT_FOR_CONTACT: Duration = Duration::from_secs(3 * 86_400);
const EXPIRES: Duration = Duration::from_secs(7 * 86_400);
const EVENTS: u32 = 5;
const CHANNELS: [Channel; 2] = [Channel::Email, Channel::Sms];

/// How a copy differs from the first.
#[derive(Clone, Copy, Debug)]
enum Copy {
    Same,
    /// Another webhook with more options: more of the person, and of the till.
    Enriched,
    /// The event's time as a float, its data in another order of keys.
    Spelled,
}

#[derive(Clone, Debug)]
enum Op {
    /// A delivery of event `n`. Those of an odd number come without an event id: they are known by their fingerprint.
    Deliver(u32, Copy),
    Plan,
    /// The person of the event comes to be known.
    Put(u32),
    /// Everything that is due is looked at; the ways out take nothing, or all.
    Dispatch {
        fails: bool,
    },
    Pause,
    Resume,
    Cancel(u32),
    Requeue(u32),
    Pass(Duration),
    /// The ways out take nothing for so many tries, each when its time has come.
    Outage(u32),
    /// The clock is set back by an hour.
    SetBack,
    Sweep,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let copy = prop_oneof![Just(Copy::Same), Just(Copy::Enriched), Just(Copy::Spelled)];
    let minutes = |m: u64| Duration::from_secs(60 * m);
    prop_oneof![
        8 => (0..EVENTS, copy).prop_map(|(n, copy)| Op::Deliver(n, copy)),
        8 => Just(Op::Plan),
        6 => (0..EVENTS).prop_map(Op::Put),
        8 => prop::bool::weighted(0.4).prop_map(|fails| Op::Dispatch { fails }),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        1 => (0..EVENTS).prop_map(Op::Cancel),
        2 => (0..EVENTS).prop_map(Op::Requeue),
        6 => prop::sample::select(vec![minutes(1), minutes(2), minutes(7), minutes(40), HOUR * 3, HOUR * 15]).prop_map(Op::Pass),
        1 => prop::sample::select(vec![DAY * 4, DAY * 8, DAY * 46]).prop_map(Op::Pass),
        2 => (1..8_u32).prop_map(Op::Outage),
        1 => Just(Op::SetBack),
        2 => Just(Op::Sweep),
        2 => Just(Op::Reopen),
    ]
}

/// What is known of an event.
#[derive(Clone)]
struct Known {
    received: Time,
    copies: u64,
    event_at: Time,
    /// By channel.
    states: BTreeMap<Channel, Expected>,
}

#[derive(Clone, Debug, PartialEq)]
struct Expected {
    state: State,
    attempts: u32,
    /// Attempts before it was last taken from the dead letters.
    before: u32,
}

struct Model {
    journal: Vec<(u32, Time)>,
    events: BTreeMap<u32, Known>,
    people: BTreeSet<u32>,
    paused: bool,
    /// Messages that went, by event, over all times that it was planned.
    sent: u64,
}

struct Run {
    test: Option<TestHouse>,
    model: Model,
    /// The event of `n` is of this moment.
    first: Time,
}

impl Run {
    fn new() -> Self {
        let model = Model { journal: vec![], events: BTreeMap::new(), people: BTreeSet::new(), paused: false, sent: 0 };
        Self { test: Some(TestHouse::open("")), model, first: START }
    }

    fn test(&self) -> &TestHouse {
        self.test.as_ref().unwrap()
    }

    fn now(&self) -> Time {
        self.test().house.clock.now()
    }

    fn body(&self, n: u32, copy: Copy) -> Value {
        let created_at = self.first.plus(Duration::from_secs(u64::from(n)));
        let mut body = customer_added(&format!("event-{n}"), n, created_at);
        if n % 2 == 1 {
            body.as_object_mut().unwrap().remove("eventId");
        }
        match copy {
            Copy::Same => {}
            Copy::Enriched => {
                let instore = &mut body["data"]["customerIdentifiers"]["instore"];
                instore["mobile"] = format!("9199000{n:05}").into();
                instore["cards"] = json!({"cardnumber": format!("K{n}")});
                body["data"]["enteredBy"]["till"]["name"] = "Another till".into();
            }
            Copy::Spelled => body["createdAt"] = (created_at.as_millis() as f64).into(),
        }
        body
    }

    async fn step(&mut self, op: Op) {
        let now = self.now();
        match op {
            Op::Deliver(n, copy) => {
                self.test().deliver(&self.body(n, copy)).await;
                self.model.journal.push((n, now));
            }
            Op::Plan => {
                self.test().plan().await;
                self.planned(now);
            }
            Op::Put(n) => {
                self.test().put(n).await;
                self.model.people.insert(n);
                let House { ledger, clock, vault, .. } = &self.test().house;
                Waker::new(ledger.clone(), clock.clone()).wake_known(vault).await.unwrap();
                self.free(WaitReason::ContactUnknown, |known| known == n);
            }
            Op::Dispatch { fails } => self.dispatch(fails).await,
            Op::Pause => {
                self.test().house.control.pause(Scope::Relay, "asha", None).await.unwrap();
                self.model.paused = true;
            }
            Op::Resume => {
                self.test().house.control.resume(&Scope::Relay, "asha").await.unwrap();
                self.model.paused = false;
                self.free(WaitReason::Paused, |_| true);
            }
            Op::Cancel(n) => {
                self.change(n, "cancel", |expected, _| {
                    let changes = matches!(expected.state, State::Waiting { .. } | State::DeadLetter { .. });
                    changes.then_some(State::Cancelled { at: now })
                })
                .await
            }
            Op::Requeue(n) => {
                self.change(n, "requeue", |expected, event_at| {
                    let expires = event_at.plus(EXPIRES);
                    let again =
                        matches!(expected.state, State::Waiting { .. } | State::DeadLetter { .. }) && now < expires;
                    again.then_some(State::Waiting { reason: WaitReason::DueLater, due_at: now.max(event_at) })
                })
                .await
            }
            Op::Pass(by) => self.test().house.clock.advance(by),
            Op::Outage(_) => unreachable!("done step by step"),
            Op::SetBack => self.test().house.clock.set(now.minus(HOUR)),
            Op::Sweep => {
                while upkeep::sweep(&self.test().house).await.unwrap() {}
                self.model.events.retain(|_, known| {
                    let open = known.states.values().any(|e| matches!(e.state, State::Waiting { .. }));
                    open || known.received >= now.minus(KEEP)
                });
            }
            Op::Reopen => {
                let test = self.test.take().unwrap().reopen();
                test.house.clock.set(now);
                self.test = Some(test);
            }
        }
    }

    /// What waits for this reason is looked at anew; never before its event was made, should the clock have been set back since.
    fn free(&mut self, of: WaitReason, which: impl Fn(u32) -> bool) {
        let now = self.now();
        for (_, known) in self.model.events.iter_mut().filter(|(n, _)| which(**n)) {
            for expected in known.states.values_mut() {
                if matches!(expected.state, State::Waiting { reason, .. } if reason == of) {
                    expected.state = State::Waiting { reason: WaitReason::DueLater, due_at: now.max(known.event_at) };
                }
            }
        }
    }

    /// What planning makes of the journal.
    fn planned(&mut self, now: Time) {
        for (n, received) in std::mem::take(&mut self.model.journal) {
            if let Some(known) = self.model.events.get_mut(&n) {
                known.copies += 1;
                continue;
            }
            let event_at = self.first.plus(Duration::from_secs(u64::from(n))).min(now);
            let state = State::Waiting { reason: WaitReason::DueLater, due_at: now };
            let states = CHANNELS.map(|channel| (channel, Expected { state: state.clone(), attempts: 0, before: 0 }));
            self.model.events.insert(n, Known { received, copies: 0, event_at, states: states.into() });
        }
    }

    async fn change(&mut self, n: u32, verb: &str, new: impl Fn(&Expected, Time) -> Option<State>) {
        let Some(found) = self.notifications(n) else { return };
        let ids: Vec<String> = found.iter().map(|n| n.id.to_string()).collect();
        let body = json!({"ids": ids, "by": "asha"}).to_string();
        let request = Request::post(format!("/v1/notifications/{verb}"))
            .header("content-type", "application/json")
            .body(Body::from(body));
        let answer = router(&self.test().house.desk(), Door::Socket).oneshot(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let known = self.model.events.get_mut(&n).unwrap();
        let event_at = known.event_at;
        for expected in known.states.values_mut() {
            if let Some(state) = new(expected, event_at) {
                if matches!(expected.state, State::DeadLetter { .. }) && verb == "requeue" {
                    expected.before = expected.attempts;
                }
                expected.state = state;
            }
        }
    }

    async fn dispatch(&mut self, fails: bool) {
        let now = self.now();
        let due: Vec<(u32, Channel)> = self
            .model
            .events
            .iter()
            .flat_map(|(n, known)| known.states.iter().map(move |(channel, expected)| (*n, *channel, &expected.state)))
            .filter(|(_, _, state)| matches!(state, State::Waiting { due_at, .. } if *due_at <= now))
            .map(|(n, channel, _)| (n, channel))
            .collect();
        // Where a message's own file would stand there is a folder: it cannot be written now.
        let mut in_the_way = Vec::new();
        if fails {
            for (n, channel) in &due {
                let (folder, end) = if *channel == Channel::Email { ("mail", "eml") } else { ("text", "sms.txt") };
                let id = self.of(*n, *channel).unwrap().id;
                in_the_way.push(self.test().dir.path().join(folder).join(format!("{id}-{}.{end}", now.as_millis())));
            }
        }
        in_the_way.iter().for_each(|path| std::fs::create_dir_all(path).unwrap());
        let ledger = self.test().house.ledger.clone();
        let idle = || ledger.next_due().is_none_or(|due| due > now);
        // One round may end while the last of it is in hand, and be offered again.
        loop {
            self.test().dispatch_until(idle).await;
            if idle() {
                break;
            }
        }
        in_the_way.iter().for_each(|path| std::fs::remove_dir(path).unwrap());
        for (n, channel) in due {
            let found = self.of(n, channel).unwrap();
            let (paused, known_person) = (self.model.paused, self.model.people.contains(&n));
            let known = self.model.events.get_mut(&n).unwrap();
            let (expires, deadline) = (known.event_at.plus(EXPIRES), known.event_at.plus(WAIT_FOR_CONTACT));
            let expected = known.states.get_mut(&channel).unwrap();
            expected.state = if now >= expires {
                State::Expired { at: now }
            } else if paused {
                State::Waiting { reason: WaitReason::Paused, due_at: expires }
            } else if !known_person && now >= deadline {
                State::DeadLetter { reason: DeadReason::ContactUnknown, at: now }
            } else if !known_person {
                State::Waiting { reason: WaitReason::ContactUnknown, due_at: deadline }
            } else if fails {
                expected.attempts += 1;
                retried(expected, &found.state, now, expires)
            } else {
                expected.attempts += 1;
                self.model.sent += 1;
                State::Sent {
                    channel,
                    provider: if channel == Channel::Email { "mail" } else { "text" }.parse().unwrap(),
                    at: now,
                    provider_ref: None,
                }
            };
        }
    }

    fn notifications(&self, n: u32) -> Option<Vec<Notification>> {
        let ledger = &self.test().house.ledger;
        let found = ledger.find(FindBy::RefId, ledger.find_hash(FindBy::RefId, &format!("ref-event-{n}")), 9).unwrap();
        assert!(found.len() <= 1, "one event is stored as {}", found.len());
        found.first().map(|event| ledger.notifications_of(*event).unwrap())
    }

    fn of(&self, n: u32, channel: Channel) -> Option<Notification> {
        self.notifications(n)?.into_iter().find(|n| n.channels == [channel])
    }

    fn check(&self) {
        let ledger = &self.test().house.ledger;
        let mut waiting: BTreeMap<&str, u64> = BTreeMap::new();
        for n in 0..EVENTS {
            let found = self.notifications(n);
            let Some(known) = self.model.events.get(&n) else {
                assert!(found.is_none(), "event {n} is not known, or known no more");
                continue;
            };
            let found = found.unwrap_or_else(|| panic!("event {n} is lost"));
            assert_eq!(found.len(), CHANNELS.len(), "event {n}");
            for notification in &found {
                let expected = &known.states[&notification.channels[0]];
                let is = Expected {
                    state: notification.state.clone(),
                    attempts: notification.attempts,
                    before: notification.attempts_before,
                };
                assert_eq!(is, *expected, "event {n}");
                if let State::Waiting { reason, .. } = &expected.state {
                    *waiting.entry(reason.as_str()).or_default() += 1;
                }
            }
            let timeline = ledger.timeline(found[0].event).unwrap();
            let copies = timeline.iter().map(|line| match line.what {
                Happening::Duplicate { copies, .. } => copies,
                _ => 0,
            });
            assert_eq!(copies.sum::<u64>(), known.copies, "copies of event {n}");
        }
        let counts = ledger.waiting_counts().into_iter().filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>();
        assert_eq!(counts, waiting);
        assert!(ledger.open_attempts().unwrap().is_empty());
        assert_eq!(self.files(), self.model.sent, "messages that went");
    }

    fn files(&self) -> u64 {
        let count = |folder: &str| {
            std::fs::read_dir(self.test().dir.path().join(folder)).map_or(0, |entries| entries.count() as u64)
        };
        count("mail") + count("text")
    }
}

/// What follows a failure: by the schedule, with its jitter; or no more.
fn retried(expected: &Expected, found: &State, now: Time, expires: Time) -> State {
    const SCHEDULE: [u64; 6] = [60, 300, 1_800, 7_200, 21_600, 43_200];
    let attempt = (expected.attempts - expected.before) as usize;
    let Some(wait) = SCHEDULE.get(attempt - 1).map(|seconds| Duration::from_secs(*seconds)) else {
        return State::DeadLetter {
            reason: DeadReason::RetriesExhausted { code: "file_write_failed".into() },
            at: now,
        };
    };
    let State::Waiting { reason: WaitReason::Retry, due_at } = found else {
        panic!("a failure is not tried again: {found:?}")
    };
    let (least, most) = (now.plus(wait * 8 / 10), now.plus(wait * 12 / 10));
    assert!(
        (least.min(expires)..=most.min(expires)).contains(due_at),
        "{due_at:?} is not within {least:?} and {most:?}"
    );
    found.clone()
}

/// The longest wait between two tries is half a day and a fifth.
fn one_by_one(op: Op) -> Vec<Op> {
    match op {
        Op::Outage(tries) => (0..tries).flat_map(|_| [Op::Dispatch { fails: true }, Op::Pass(HOUR * 15)]).collect(),
        op => vec![op],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_is_planned_once_and_a_message_sent_once_whatever_happens(ops in prop::collection::vec(op(), 1..70)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new();
            for op in ops {
                for op in one_by_one(op) {
                    run.step(op).await;
                    run.check();
                }
            }
        });
    }
}
