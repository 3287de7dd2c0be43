//! Tests of the log of outcomes: what goes into it, its numbers, its end.

use super::*;

fn sent_as() -> SentAs {
    SentAs { provider: "text".parse().unwrap(), sender: "MRGOLD".into(), segments: Some(2) }
}

fn line(n: u8, when: i64, what: Happening) -> TimelineEntry {
    TimelineEntry { at: at(when), notification: Some(id(n)), what }
}

/// Adds notification `n`, then changes it in one batch with these lines.
async fn happen(ledger: &Ledger, n: u8, state: State, lines: Vec<TimelineEntry>) {
    add(ledger, notification(n, waiting(WaitReason::DueLater, 10))).await;
    let leased = ledger.lease(id(n)).unwrap().unwrap();
    let new = Notification {
        sent_as: Some(sent_as()),
        channels: vec![Channel::Sms],
        ..with_state(&leased.notification, state)
    };
    let mut changes = Changes::new();
    for line in lines {
        changes.add_timeline(event_key(n), line);
    }
    changes.update_notification(&leased.notification, new);
    ledger.commit(changes).await.unwrap();
}

fn sent_line(n: u8, when: i64) -> TimelineEntry {
    line(n, when, Happening::Sent { channel: Channel::Sms, provider: "text".parse().unwrap(), code: "201".into() })
}

fn all(ledger: &Ledger) -> Vec<(u64, OutcomeRecord)> {
    let found = ledger.outcomes_after(OutcomePlace::default(), 100).unwrap();
    found.into_iter().map(|(place, outcome)| (place.number, outcome.unwrap())).collect()
}

#[tokio::test]
async fn what_a_batch_tells_the_timeline_is_in_the_log_in_the_order_of_the_commits() {
    let house = House::new();
    let ledger = house.open();
    happen(&ledger, 1, sent(), vec![sent_line(1, 50)]).await;
    let code = || "550".to_owned();
    let dead = DeadReason::Refused { code: code() };
    let lines = vec![
        line(2, 51, Happening::Permanent { code: code(), bad_address: true }),
        line(2, 51, Happening::DeadLetter { dead: dead.clone() }),
    ];
    happen(&ledger, 2, State::DeadLetter { reason: dead, at: at(51) }, lines).await;
    let wait = |reason| Happening::Waiting { reason, until: at(90) };
    let lines =
        vec![line(3, 52, Happening::Ambiguous { code: "x".into() }), line(3, 52, wait(WaitReason::AmbiguousHold))];
    happen(&ledger, 3, waiting(WaitReason::AmbiguousHold, 90), lines).await;
    happen(&ledger, 4, waiting(WaitReason::Brake, 90), vec![line(4, 53, wait(WaitReason::Brake))]).await;
    let lines = vec![line(5, 54, Happening::Transient { code: code() }), line(5, 54, wait(WaitReason::Retry))];
    happen(&ledger, 5, waiting(WaitReason::Retry, 90), lines).await;
    happen(&ledger, 6, State::Cancelled { at: at(55) }, vec![line(6, 55, Happening::Cancelled { by: "asha".into() })])
        .await;
    let told: Vec<_> = all(&ledger)
        .into_iter()
        .map(|(number, o)| (number, o.notification, o.outcome, o.reason, o.code, o.segments, o.sender, o.bad_address))
        .collect();
    let (sender, reason) = (|| Some("MRGOLD".to_owned()), |word: &str| Some(word.to_owned()));
    assert_eq!(
        told,
        [
            (1, id(1), OutcomeWord::Sent, None, reason("201"), Some(2), sender(), false),
            (2, id(2), OutcomeWord::DeadLetter, reason("refused"), reason("550"), None, sender(), true),
            (3, id(3), OutcomeWord::Ambiguous, None, reason("x"), Some(2), sender(), false),
            (4, id(4), OutcomeWord::Waiting, reason("brake"), None, None, None, false),
            (5, id(6), OutcomeWord::Cancelled, None, None, None, None, false),
        ]
    );
    let text = serde_json::to_string(&all(&ledger)).unwrap();
    assert!(!text.contains(CANARY) && !text.contains("asha"), "{text}");
}

#[tokio::test]
async fn numbers_have_no_gaps_whoever_commits_and_go_on_after_a_restart() {
    let house = House::new();
    let ledger = house.open();
    let mut logged = ledger.logged();
    assert_eq!(*logged.borrow_and_update(), OutcomePlace::default());
    // The clock of the third stands still, and the second's goes back.
    let times = [100, 40, 100, 101];
    let commits = (1_u8..).zip(times).map(|(n, when)| happen(&ledger, n, sent(), vec![sent_line(n, when)]));
    futures_util::future::join_all(commits).await;
    assert!(logged.has_changed().unwrap());
    let end = *logged.borrow_and_update();
    assert_eq!(end.number, 4);
    ledger.close();
    let ledger = house.open();
    assert_eq!(*ledger.logged().borrow(), end);
    happen(&ledger, 9, sent(), vec![sent_line(9, 7)]).await;
    let places: Vec<_> =
        ledger.outcomes_after(OutcomePlace::default(), 100).unwrap().into_iter().map(|(p, _)| p).collect();
    assert_eq!(places.iter().map(|place| place.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(places.is_sorted(), "{places:?}");
    let behind = ledger.outcomes_after(places[2], 1).unwrap();
    assert_eq!(
        behind.iter().map(|(place, _)| place.number).collect::<Vec<_>>(),
        [4],
        "behind a place, as many as asked"
    );
}

#[tokio::test]
async fn old_lines_go_and_the_last_one_stays_to_keep_the_number() {
    let house = House::new();
    let ledger = house.open();
    for n in 1..=4 {
        happen(&ledger, n, sent(), vec![sent_line(n, i64::from(n) * 10)]).await;
    }
    assert_eq!(ledger.expire_outcomes_before(at(30), 1).await.unwrap(), 1, "in small batches");
    assert_eq!(ledger.expire_outcomes_before(at(30), 100).await.unwrap(), 1);
    assert_eq!(all(&ledger).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(ledger.expire_outcomes_before(Time::MAX, 100).await.unwrap(), 1);
    assert_eq!(ledger.expire_outcomes_before(Time::MAX, 100).await.unwrap(), 0);
    ledger.close();
    let ledger = house.open();
    happen(&ledger, 5, sent(), vec![sent_line(5, 50)]).await;
    assert_eq!(all(&ledger).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [4, 5]);
}

#[tokio::test]
async fn records_of_before_the_log_are_still_read() {
    // As they were written then: without `sent_as`, `bad_address` and what else came later.
    let old = Notification { sent_as: Some(sent_as()), ..notification(1, sent()) };
    let plain = record::notification(&old);
    let mut header: serde_json::Value = serde_json::from_slice(&plain[5..]).unwrap();
    assert!(header.as_object_mut().unwrap().remove("sent_as").is_some(), "it is stored where it is known");
    let text = serde_json::to_vec(&header).unwrap();
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let read = record::read_notification(&[&[1], length.as_slice(), &text].concat()).unwrap();
    assert_eq!((read.id, read.sent_as, read.state), (old.id, None, sent()));
    assert_eq!(record::read_notification(&plain).unwrap().sent_as, Some(sent_as()));
    let line: Happening = serde_json::from_value(json!({"what": "permanent", "code": "550"})).unwrap();
    assert_eq!(line, Happening::Permanent { code: "550".into(), bad_address: false });
}

#[test]
fn every_outcome_has_its_word() {
    for outcome in OutcomeWord::ALL {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        assert_eq!(OutcomeWord::of(outcome.as_str()), Some(outcome));
    }
}
