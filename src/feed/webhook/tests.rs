//! Tests of the webhook, over a real ledger, a real socket and a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;

use super::*;
use crate::app::House;
use crate::app::tests::{ORG, START, TestHouse, customer_added, notification};
use crate::id::Channel;
use crate::ledger::{DeadReason, Happening, Notification, State, TimelineEntry};
use crate::policy::WaitReason;
use crate::sink::sms::{Answer, CaughtSms, SmsAct, SmsScript, SmsSink};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const WITHIN: Duration = Duration::from_secs(60);

/// A receiver whose answer the test chooses, and a house that tells it.
struct Line {
    test: TestHouse,
    receiver: SmsSink,
    status: Arc<AtomicU16>,
}

impl Line {
    async fn open(more: &str) -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let answer = status.clone();
        let script =
            SmsScript::new().behave(move |_, _| SmsAct::Answer(Answer::new(answer.load(Ordering::SeqCst), "{}")));
        let receiver = SmsSink::start(script).await.unwrap();
        let toml = format!("[feed.webhook]\nurl = \"{}/hook\"\nsecret = \"{SECRET}\"\n{more}", receiver.url());
        Self { test: TestHouse::open(&toml), receiver, status }
    }

    fn webhook(&self) -> Webhook {
        let House { config, ledger, clock, metrics, .. } = self.test.house.clone();
        Webhook::build(config.feed.webhook.as_ref().unwrap(), ledger, clock, metrics).unwrap()
    }

    /// Runs the webhook until the receiver has read so many posts, and the last of them is settled.
    async fn run_until(&self, posts: u64, backlog: i64) {
        let metrics = &self.test.house.metrics;
        let settled = async {
            self.receiver.wait_for(posts, WITHIN).await.unwrap();
            while metrics.webhook_backlog.get() != backlog || self.receiver.received() < posts {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = self.webhook().run(CancellationToken::new()) => panic!("the webhook ended: {:?}", ended.err()),
            settled = tokio::time::timeout(WITHIN, settled) => settled.unwrap(),
        }
    }

    /// One notification that ends so.
    async fn ends(&self, n: u32, state: State, what: Happening) {
        let planned = notification(n, WaitReason::DueLater);
        let id = planned.id;
        self.test.add([planned]).await;
        let leased = self.test.house.ledger.lease(id).unwrap().unwrap();
        let mut changes = Changes::new();
        changes.add_timeline(leased.notification.event, TimelineEntry { at: START, notification: Some(id), what });
        changes.update_notification(&leased.notification, Notification { state, ..leased.notification.clone() });
        self.test.house.ledger.commit(changes).await.unwrap();
    }

    async fn expires(&self, n: u32) {
        self.ends(n, State::Expired { at: START }, Happening::Expired).await;
    }

    fn posts(&self) -> Vec<CaughtSms> {
        self.receiver.messages()
    }

    fn numbers(&self) -> Vec<Vec<u64>> {
        let of = |post: &CaughtSms| {
            let body: Value = serde_json::from_slice(&post.body).unwrap();
            let told = body["data"]["outcomes"].as_array().unwrap().clone();
            told.iter().map(|outcome| outcome["number"].as_u64().unwrap()).collect()
        };
        self.posts().iter().map(of).collect()
    }
}

/// Lets the webhook begin, so that what comes next is news.
async fn begin(line: &Line) {
    let webhook = line.webhook();
    let end = *line.test.house.ledger.logged().borrow();
    webhook.begin(end).await.unwrap();
}

#[tokio::test]
async fn outcomes_are_posted_in_order_signed_and_without_a_person() {
    let line = Line::open("").await;
    begin(&line).await;
    let code = || "550 5.1.1".to_owned();
    let dead = DeadReason::Refused { code: code() };
    line.ends(1, State::DeadLetter { reason: dead.clone(), at: START }, Happening::DeadLetter { dead }).await;
    let (channel, provider) = (Channel::Email, "mail".parse::<crate::id::ProviderId>().unwrap());
    let sent = State::Sent { channel, provider: provider.clone(), at: START, provider_ref: Some("their-id".into()) };
    line.ends(2, sent, Happening::Sent { channel, provider, code: "250".into() }).await;
    line.run_until(1, 0).await;
    let posts = line.posts();
    let post = &posts[0];
    assert_eq!((post.method.as_str(), post.path.as_str(), posts.len()), ("POST", "/hook", 1));
    assert_eq!(post.header("content-type"), Some("application/json"));
    let (id, stamp) = (post.header("webhook-id").unwrap(), post.header("webhook-timestamp").unwrap());
    let text = String::from_utf8(post.body.clone()).unwrap();
    let keys = [sign::Key::read(&SECRET.into()).unwrap()];
    let signature = sign::signature(&keys, id, stamp.parse().unwrap(), &text);
    assert_eq!((id, post.header("webhook-signature")), ("outcomes-1-2", Some(signature.as_str())));
    let body: Value = serde_json::from_str(&text).unwrap();
    let told = &body["data"]["outcomes"];
    assert_eq!(
        (&told[0]["outcome"], &told[0]["reason"], &told[0]["code"]),
        (&json!("dead_letter"), &json!("refused"), &json!(code()))
    );
    assert_eq!((&told[1]["outcome"], &told[1]["org"], &told[1]["code"]), (&json!("sent"), &json!(ORG), &json!("250")));
    assert_eq!(told[1]["notification"], crate::app::tests::id(2).to_string());
    assert_eq!(body["type"], "sealpost.outcomes");
}

#[tokio::test]
async fn what_is_not_taken_is_posted_again_and_nothing_behind_it_overtakes() {
    let line = Line::open("").await;
    begin(&line).await;
    line.expires(1).await;
    line.status.store(503, Ordering::SeqCst);
    let clock = &line.test.house.clock;
    let steps = async {
        for tried in 1..=3 {
            line.receiver.wait_for(tried, WITHIN).await.unwrap();
            if tried == 2 {
                line.expires(2).await;
                line.status.store(200, Ordering::SeqCst);
            }
            // However long the next wait is, it is over.
            while line.receiver.received() == tried && tried < 3 {
                clock.advance(LONGEST_WAIT);
                tokio::task::yield_now().await;
            }
        }
        while line.test.house.metrics.webhook_backlog.get() != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = line.webhook().run(CancellationToken::new()) => panic!("the webhook ended: {:?}", ended.err()),
        steps = tokio::time::timeout(WITHIN, steps) => steps.unwrap(),
    }
    let numbers = line.numbers();
    assert_eq!(numbers[..2], [[1], [1]], "the same batch again");
    let all: Vec<u64> = numbers.concat();
    assert!(all.is_sorted() && all.last() == Some(&2), "nothing overtakes, nothing is lost: {numbers:?}");
    let ids: Vec<_> = line.posts().iter().map(|post| post.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_restart_goes_on_where_the_receiver_took_the_last() {
    let mut line = Line::open("").await;
    line.expires(1).await;
    begin(&line).await;
    line.expires(2).await;
    line.run_until(1, 0).await;
    // Nobody posts while this happens.
    line.expires(3).await;
    let Line { test, receiver, status } = line;
    line = Line { test: test.reopen(), receiver, status };
    line.run_until(2, 0).await;
    assert_eq!(line.numbers(), [vec![2], vec![3]], "what was before the first start is not news");
}

#[tokio::test]
async fn only_outcomes_that_were_asked_for_are_posted_and_the_rest_is_passed_by() {
    let line = Line::open("events = [\"cancelled\"]\n").await;
    begin(&line).await;
    line.expires(1).await;
    line.ends(2, State::Cancelled { at: START }, Happening::Cancelled { by: "asha".into() }).await;
    line.expires(3).await;
    line.run_until(1, 0).await;
    assert_eq!(line.numbers(), [[2]]);
    let text = String::from_utf8(line.posts()[0].body.clone()).unwrap();
    assert!(!text.contains("asha"), "{text}");
}

#[tokio::test]
async fn a_reference_id_that_is_made_of_the_customers_id_is_not_told() {
    let line = Line::open("").await;
    let mut event = customer_added("made", 1, START);
    event["refId"] = json!("41007_900001");
    line.test.deliver(&event).await;
    line.test.plan().await;
    begin(&line).await;
    let planned = line.test.by(Channel::Email, "made");
    let leased = line.test.house.ledger.lease(planned.id).unwrap().unwrap();
    let mut changes = Changes::new();
    let what = Happening::Expired;
    changes.add_timeline(planned.event, TimelineEntry { at: START, notification: Some(planned.id), what });
    let state = State::Expired { at: START };
    changes.update_notification(&leased.notification, Notification { state, ..leased.notification.clone() });
    line.test.house.ledger.commit(changes).await.unwrap();
    line.run_until(1, 0).await;
    let text = String::from_utf8(line.posts()[0].body.clone()).unwrap();
    assert!(text.contains("\"event_id\":\"made\"") && text.contains("\"request_id\":\"req-made\""), "{text}");
    assert!(!text.contains("900001") && !text.contains("EXT0001"), "{text}");
}

#[tokio::test]
async fn a_long_past_is_posted_in_batches() {
    let line = Line::open("").await;
    begin(&line).await;
    for n in 1..=u32::try_from(BATCH).unwrap() + 1 {
        line.expires(n).await;
    }
    line.run_until(2, 0).await;
    let sizes: Vec<_> = line.numbers().iter().map(Vec::len).collect();
    assert_eq!(sizes, [BATCH, 1]);
}

#[test]
fn waits_double_to_five_minutes_and_honour_what_the_receiver_asks_for() {
    let seconds = |failures, asked: Option<u64>| wait(failures, asked.map(Duration::from_secs), 0.0).as_secs();
    assert_eq!([1, 2, 3, 9, 10, 1_000].map(|n| seconds(n, None)), [1, 2, 4, 256, 300, 300]);
    assert_eq!((seconds(1, Some(60)), seconds(1, Some(100_000))), (60, 3_600));
    assert_eq!(wait(1, None, 1.0), Duration::from_millis(1_250));
}

#[test]
fn the_configurations_words_are_those_of_the_log() {
    assert_eq!(crate::config::OUTCOMES, OutcomeWord::WORDS);
}
