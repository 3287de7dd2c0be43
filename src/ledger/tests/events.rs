//! Tests of events: searches, timelines, retention, and what a thief of the files sees. Never a sleep.

use super::*;

fn entry(millis: i64, what: Happening) -> TimelineEntry {
    TimelineEntry { at: at(millis), notification: None, what }
}

async fn add_event(ledger: &Ledger, n: u8, received_at: i64, find: Vec<(FindBy, KeyedHash)>) {
    let mut changes = Changes::new();
    changes.add_event(event(n, received_at), find);
    ledger.commit(changes).await.unwrap();
}

#[tokio::test]
async fn an_event_is_found_by_each_of_its_keys_newest_first() {
    let house = House::new();
    let ledger = house.open();
    let bill = ledger.find_hash(FindBy::BillNumber, "B-17");
    add_event(&ledger, 1, 10, vec![(FindBy::BillNumber, bill)]).await;
    add_event(&ledger, 2, 30, vec![(FindBy::BillNumber, bill)]).await;
    add_event(&ledger, 3, 20, vec![]).await;

    let find = |by, value| ledger.find(by, ledger.find_hash(by, value), 10).unwrap();
    assert_eq!(find(FindBy::EventId, "event-3"), [event_key(3)]);
    assert_eq!(find(FindBy::EventId, "event-4"), []);
    assert_eq!(find(FindBy::RefId, "event-3"), [], "a value is found only as what it is");
    assert_eq!(find(FindBy::RequestId, " request "), [event_key(2), event_key(3), event_key(1)]);
    assert_eq!(find(FindBy::BillNumber, "B-17"), [event_key(2), event_key(1)]);
    assert_eq!(ledger.find(FindBy::Subject, alias(1), 10).unwrap(), [event_key(1)]);
    assert_eq!(ledger.find(FindBy::RequestId, ledger.find_hash(FindBy::RequestId, "request"), 2).unwrap().len(), 2);
    assert_eq!(ledger.events_between(at(10), at(30), 10).unwrap(), [event_key(3), event_key(1)]);
    assert_eq!(ledger.events_between(at(0), at(99), 1).unwrap(), [event_key(2)]);
    assert_eq!(ledger.events_between(at(30), at(10), 10).unwrap(), []);
    let all = ledger.events_received(at(0), at(99), None, 10).unwrap();
    let mut pages = Vec::new();
    while let Some(next) = ledger.events_received(at(0), at(99), pages.last().copied(), 1).unwrap().pop() {
        pages.push(next);
    }
    assert_eq!(pages, all, "pages meet without a gap");
    assert!(all.is_sorted() && all.len() >= 3);
    let within: Vec<_> = all.iter().copied().filter(|(received, _)| (at(10)..at(30)).contains(received)).collect();
    assert_eq!(ledger.events_received(at(10), at(30), None, 10).unwrap(), within);
    assert_eq!(ledger.events_received(at(30), at(10), None, 10).unwrap(), []);
    assert_eq!(ledger.events_received(at(0), at(10), all.last().copied(), 10).unwrap(), []);

    let read = ledger.event(event_key(1)).unwrap().unwrap();
    assert_eq!(
        (read.event.event_id.as_deref(), read.received_at, read.event.data["note"].as_str()),
        (Some("event-1"), at(10), Some("canary-7f3a-data"))
    );
    assert_eq!(read.event.people[0].subject.customer_id.as_ref().unwrap().expose(), "canary-7f3a-id-1");
    assert!(ledger.event(event_key(9)).unwrap().is_none());
}

#[tokio::test]
async fn the_first_copy_of_an_event_stays() {
    let house = House::new();
    let ledger = house.open();
    add_event(&ledger, 1, 10, vec![]).await;
    add_event(&ledger, 1, 99, vec![]).await;
    assert_eq!(ledger.event(event_key(1)).unwrap().unwrap().received_at, at(10));
    assert_eq!(ledger.events_between(at(0), at(1000), 10).unwrap().len(), 1);
}

#[tokio::test]
async fn a_subject_only_a_notification_names_leads_to_its_event_too() {
    let house = House::new();
    let ledger = house.open();
    let mut other = notification(1, waiting(WaitReason::DueLater, 5));
    other.subject = subject(42);
    let mut changes = Changes::new();
    changes.add_notification(other);
    changes.add_event(event(1, 10), vec![]);
    ledger.commit(changes).await.unwrap();
    assert_eq!(ledger.find(FindBy::Subject, alias(42), 10).unwrap(), [event_key(1)]);
    assert_eq!(ledger.find(FindBy::Subject, alias(1), 10).unwrap(), [event_key(1)]);
}

#[tokio::test]
async fn a_timeline_keeps_its_order_over_a_restart_and_a_clock_that_went_back() {
    let house = House::new();
    let mut expected = Vec::new();
    for (round, base) in [1_000_i64, 500].into_iter().enumerate() {
        let ledger = house.open();
        for n in 0..3 {
            let next = entry(base - n, Happening::Transient { code: format!("{round}/{n}") });
            let mut changes = Changes::new();
            changes.add_timeline(event_key(1), next.clone());
            changes.add_timeline(event_key(2), next.clone());
            ledger.commit(changes).await.unwrap();
            expected.push(next);
        }
    }
    let ledger = house.open();
    assert_eq!(ledger.timeline(event_key(1)).unwrap(), expected);
    assert_eq!(ledger.timeline(event_key(2)).unwrap(), expected);
    assert_eq!(ledger.timeline(event_key(3)).unwrap(), []);
}

#[tokio::test]
async fn the_first_lines_of_a_timeline_are_in_the_record_of_the_event_they_came_with() {
    let house = House::new();
    let ledger = house.open();
    let line = |n: u8| entry(n.into(), Happening::Transient { code: n.to_string() });
    // The event that comes again stays as it is; what is said of it does not get lost.
    for lines in [[1, 2], [3, 4]] {
        let mut changes = Changes::new();
        changes.add_timeline(event_key(1), line(lines[0]));
        changes.add_event(event(1, 10), vec![]);
        changes.add_timeline(event_key(1), line(lines[1]));
        ledger.commit(changes).await.unwrap();
    }
    let store = ledger.0.store().unwrap();
    let first = store.get(key::Space::Events, &key::event(event_key(1)), record::read_first_lines).unwrap();
    assert_eq!(first.value().unwrap(), [line(1), line(2)]);
    assert_eq!(ledger.timeline(event_key(1)).unwrap(), [1, 2, 3, 4].map(line));
    assert_eq!(ledger.look(event_key(1)).unwrap().unwrap().timeline, [1, 2, 3, 4].map(line));
}

#[tokio::test]
async fn nothing_of_an_event_is_readable_on_disk() {
    let house = House::new();
    let ledger = house.open();
    let seq = ledger.append(delivery(&format!("{CANARY}-body {}", "x".repeat(10_000)))).await.unwrap();
    let mut changes = Changes::new();
    changes.add_event(event(1, 10), vec![(FindBy::BillNumber, ledger.find_hash(FindBy::BillNumber, CANARY))]);
    changes.add_notification(notification(1, waiting(WaitReason::Brake, 5)));
    changes.add_timeline(event_key(1), entry(1, Happening::Transient { code: CANARY.into() }));
    let refusal = crate::event::Refusal::Missing { field: CANARY.into() };
    changes.quarantine(Quarantined { seq, delivery: delivery(CANARY), refusal });
    changes.set_state("modes", json!(CANARY));
    ledger.commit(changes).await.unwrap();
    {
        let store = ledger.0.store().unwrap();
        // What is not sealed is found, in the journal and in the table.
        store.put_raw(key::Space::Meta, b"control", b"control-words");
        store.flush();
    }
    drop(ledger);

    let files = files(house.path());
    let with = |words: &str| {
        let holds = |bytes: &[u8]| bytes.windows(words.len()).any(|window| window == words.as_bytes());
        files.iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(with("control-words").len(), 2);
    for words in [CANARY, "pointsIssued", "request", "event-1", "data.coupons", "points"] {
        assert_eq!(with(words), Vec::<std::path::PathBuf>::new(), "{words}");
    }
}

/// Every file's bytes, without the zeroes that the engine allocates ahead.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            found.push((path, bytes));
        }
    }
    found
}

#[tokio::test]
async fn old_events_go_with_all_that_hangs_on_them_but_never_while_something_waits() {
    let house = House::new();
    let ledger = house.open();
    let bill = ledger.find_hash(FindBy::BillNumber, "B-17");
    for n in 1..=100_u8 {
        let state = match n {
            3 | 4 => waiting(WaitReason::ContactUnknown, 5_000),
            6 => State::DeadLetter { reason: DeadReason::NoAddress, at: at(3) },
            _ => sent(),
        };
        let mut changes = Changes::new();
        changes.add_event(event(n, n.into()), vec![(FindBy::BillNumber, bill)]);
        changes.add_notification(notification(n, state));
        ledger.commit(changes).await.unwrap();
        let mut changes = Changes::new();
        changes.add_timeline(event_key(n), entry(1, Happening::Woken));
        ledger.commit(changes).await.unwrap();
    }
    let held = ledger.lease(id(5)).unwrap().unwrap();
    assert_eq!(ledger.expire_before(at(91), 40).await.unwrap(), 40);
    assert_eq!(ledger.expire_before(at(91), 1000).await.unwrap(), 47);
    assert_eq!(ledger.expire_before(at(91), 1000).await.unwrap(), 0);
    for (n, there) in [(1, false), (3, true), (4, true), (5, true), (90, false), (91, true)] {
        assert_eq!(ledger.has_event(event_key(n)).unwrap(), there, "event {n}");
        assert_eq!(ledger.notification(id(n)).unwrap().is_some(), there);
        assert_eq!(ledger.notifications_of(event_key(n)).unwrap().len(), usize::from(there));
        assert_eq!(ledger.timeline(event_key(n)).unwrap().len(), usize::from(there));
        assert_eq!(ledger.find(FindBy::Subject, alias(n), 10).unwrap().len(), usize::from(there));
    }
    assert_eq!(ledger.find(FindBy::BillNumber, bill, 1000).unwrap().len(), 13);

    // Finished and let go: what was passed by goes with a later call, also after a restart.
    drop(held);
    let leased = ledger.lease(id(3)).unwrap().unwrap();
    update(&ledger, &leased, State::Expired { at: at(9) }).await;
    drop(leased);
    drop(ledger);
    let ledger = house.open();
    assert_eq!(ledger.expire_before(at(91), 1000).await.unwrap(), 2);
    assert!(!ledger.has_event(event_key(3)).unwrap() && !ledger.has_event(event_key(5)).unwrap());
    assert!(ledger.has_event(event_key(4)).unwrap());
    assert_eq!(ledger.waiting_counts()["contact_unknown"], 1);

    // Nothing of the gone ones is left in any keyspace.
    let store = ledger.0.store().unwrap();
    let count = |space| {
        let mut count = 0;
        store
            .keys(space, .., store::Direction::Up, |_| {
                count += 1;
                true
            })
            .unwrap();
        count
    };
    use key::Space;
    assert_eq!((count(Space::Events), count(Space::Notifications), count(Space::Timeline)), (11, 11, 11));
    // Per event: event id, request id, bill, subject, received, notification; for event 4 its wait and its mark as well.
    assert_eq!(count(Space::Index), 11 * 6 + 2);
    assert_eq!(count(Space::Queue), 1);
}

#[tokio::test]
async fn an_event_planned_after_retention_passed_its_time_still_goes() {
    let house = House::new();
    let ledger = house.open();
    add_event(&ledger, 1, 100, vec![]).await;
    assert_eq!(ledger.expire_before(at(200), 10).await.unwrap(), 1);
    add_event(&ledger, 2, 50, vec![]).await;
    assert_eq!(ledger.expire_before(at(40), 10).await.unwrap(), 0);
    assert_eq!(ledger.expire_before(at(200), 10).await.unwrap(), 1);
    assert!(!ledger.has_event(event_key(2)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_sees_a_batch_whole_or_not_at_all() {
    const EVENTS: u8 = 200;
    let house = House::new();
    let ledger = house.open();
    let looking = ledger.clone();
    let eye = std::thread::spawn(move || {
        for n in 0..EVENTS {
            let found = loop {
                // The first moment at which it is there at all.
                if let Some(found) = looking.look(event_key(n)).unwrap() {
                    break found;
                }
                std::thread::yield_now();
            };
            assert_eq!((found.notifications.len(), found.timeline.len()), (1, 1), "event {n}");
        }
    });
    for n in 0..EVENTS {
        let mut changes = Changes::new();
        changes.add_event(event(n, 10), vec![]);
        changes.add_notification(notification(n, State::Expired { at: at(10) }));
        changes.add_timeline(event_key(n), entry(10, Happening::Expired));
        ledger.commit(changes).await.unwrap();
    }
    eye.join().unwrap();
}

#[tokio::test]
async fn copies_of_an_event_are_counted_in_one_line_for_each_source() {
    let house = House::new();
    let copy = |source: &str, copies: u64, first: i64, last: Option<i64>| {
        entry(first, Happening::Duplicate { source: source.parse().unwrap(), copies, last: last.map(at) })
    };
    let ledger = house.open();
    let mut changes = Changes::new();
    changes.add_timeline(event_key(1), entry(1, Happening::Woken));
    changes.add_copy(event_key(1), "main".parse().unwrap(), at(10));
    ledger.commit(changes).await.unwrap();
    assert_eq!(ledger.timeline(event_key(1)).unwrap(), [entry(1, Happening::Woken), copy("main", 1, 10, None)]);
    for batch in 0..30 {
        let mut changes = Changes::new();
        for n in 0..100 {
            changes.add_copy(event_key(1), "main".parse().unwrap(), at(100 * batch + n));
        }
        changes.add_copy(event_key(1), "spare".parse().unwrap(), at(20 + batch));
        changes.add_timeline(event_key(1), entry(30 + batch, Happening::Expired));
        ledger.commit(changes).await.unwrap();
    }
    let lines = ledger.timeline(event_key(1)).unwrap();
    assert_eq!(lines.len(), 1 + 1 + 1 + 30);
    assert_eq!(
        lines[..3],
        [entry(1, Happening::Woken), copy("main", 3_001, 10, Some(2_999)), copy("spare", 30, 20, Some(49)),]
    );
    drop(ledger);
    assert_eq!(house.open().timeline(event_key(1)).unwrap(), lines, "over a restart");
}

#[test]
fn a_copy_that_was_told_before_copies_were_counted_is_one() {
    let line: TimelineEntry = serde_json::from_str(r#"{"at":5,"what":"duplicate","source":"main"}"#).unwrap();
    assert_eq!(line, entry(5, Happening::Duplicate { source: "main".parse().unwrap(), copies: 1, last: None }));
}

#[tokio::test]
async fn a_full_table_is_handed_over_before_its_engine_asks_for_it() {
    let house = House::new();
    let ledger = house.open();
    let add = async |n: u8, kibibytes: usize| {
        let mut large = event(n, 1);
        large.event.data = json!({"note": "x".repeat(kibibytes << 10)});
        let mut changes = Changes::new();
        changes.add_event(large, vec![]);
        ledger.commit(changes).await.unwrap();
    };
    let in_memory = || ledger.0.store().unwrap().active_bytes(key::Space::Events);
    add(1, 5 << 10).await;
    assert!(in_memory() > 5 << 20, "not before it is full");
    add(2, 5 << 9).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while in_memory() > 0 {
        assert!(Instant::now() < deadline, "fjall asks from 8 MiB on");
        std::thread::yield_now();
    }
}
