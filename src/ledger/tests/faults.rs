//! Tests of what goes wrong: damage, poison, a stuck disk, locks, keys. Waits only for conditions.

use std::sync::atomic::Ordering;

use super::key::Space;
use super::*;

pub(super) fn corrupt(house: &House, space: &'static str) -> u64 {
    house.metrics.corrupt_records.get_or_create(&crate::telemetry::Reason { reason: space }).get()
}

/// Flips one bit in the middle of a stored value.
pub(super) fn damage(ledger: &Ledger, space: Space, key: &[u8]) {
    let store = ledger.0.store().unwrap();
    let mut value = store.get_raw(space, key).unwrap();
    let middle = value.len() / 2;
    value[middle] ^= 1;
    store.put_raw(space, key, &value);
}

#[tokio::test]
async fn a_damaged_record_is_counted_and_does_not_stop_those_behind_it() {
    let house = House::new();
    let ledger = house.open();
    for n in 1..=3 {
        ledger.append(delivery("body")).await.unwrap();
        let mut changes = Changes::new();
        changes.add_event(event(n, 5), vec![]);
        changes.add_notification(notification(n, waiting(WaitReason::DueLater, n.into())));
        ledger.commit(changes).await.unwrap();
    }
    damage(&ledger, Space::Journal, &key::seq(DeliverySeq(2)));
    damage(&ledger, Space::Notifications, &key::notification(id(1)));
    damage(&ledger, Space::Events, &key::event(event_key(3)));
    // A value that is whole but stands under another's key.
    let stolen = ledger.0.store().unwrap().get_raw(Space::Events, &key::event(event_key(1))).unwrap();
    ledger.0.store().unwrap().put_raw(Space::Events, &key::event(event_key(2)), &stolen);

    let journal = ledger.journal_after(DeliverySeq(0), 10).unwrap();
    assert_eq!(
        journal.iter().map(|(seq, d)| (seq.0, d.is_some())).collect::<Vec<_>>(),
        [(1, true), (2, false), (3, true)]
    );
    assert_eq!(corrupt(&house, "journal"), 1);

    assert_eq!(due_ids(&ledger, 99), [id(2), id(3)]);
    assert_eq!(corrupt(&house, "notifications"), 1);
    assert_eq!(due_ids(&ledger, 99), [id(2), id(3)]);
    assert_eq!(corrupt(&house, "notifications"), 1, "it is not tried again and again");
    assert!(ledger.lease(id(1)).unwrap().is_none());
    assert!(ledger.notification(id(1)).unwrap().is_none());

    assert!(ledger.event(event_key(3)).unwrap().is_none());
    assert!(ledger.event(event_key(2)).unwrap().is_none());
    assert_eq!(corrupt(&house, "events"), 2);
    assert!(ledger.has_event(event_key(3)).unwrap(), "a damaged event is still not planned twice");
}

#[tokio::test]
async fn a_damaged_cursor_or_number_is_found_again_from_the_rest() {
    let house = House::new();
    let ledger = house.open();
    for _ in 0..5 {
        ledger.append(delivery("body")).await.unwrap();
    }
    let mut changes = Changes::new();
    changes.advance(DeliverySeq(1), DeliverySeq(3));
    changes.add_timeline(event_key(1), TimelineEntry { at: at(1), notification: None, what: Happening::Woken });
    ledger.commit(changes).await.unwrap();
    damage(&ledger, Space::Meta, key::CURSOR);
    damage(&ledger, Space::Meta, key::TIMELINE_NUMBER);
    drop(ledger);
    let ledger = house.open();
    assert_eq!((ledger.cursor(), *ledger.journal_head().borrow()), (DeliverySeq(3), DeliverySeq(5)));
    let mut changes = Changes::new();
    changes.add_timeline(event_key(1), TimelineEntry { at: at(2), notification: None, what: Happening::Erased });
    ledger.commit(changes).await.unwrap();
    assert_eq!(ledger.timeline(event_key(1)).unwrap().last().unwrap().what, Happening::Erased);
    assert_eq!(corrupt(&house, "meta"), 2);
}

#[tokio::test]
async fn any_bytes_under_any_key_are_survived() {
    let house = House::new();
    let ledger = house.open();
    add(&ledger, notification(1, waiting(WaitReason::DueLater, 1))).await;
    {
        let store = ledger.0.store().unwrap();
        for space in Space::ALL.into_iter().filter(|space| *space != Space::Meta) {
            for key in [&[0_u8][..], &[1; 3], b"w", &[b't'; 9], &[2; 16], &[0xff; 60]] {
                store.put_raw(space, key, b"rubbish");
            }
        }
    }
    let all = |_: &Notification| true;
    let look = |ledger: &Ledger| {
        ledger.journal_after(DeliverySeq(0), 100).unwrap();
        ledger.quarantined(None, 100).unwrap();
        ledger.notifications(None, 100, &all).unwrap();
        ledger.waited_aliases(None, 100).unwrap();
        ledger.events_between(at(i64::MIN), Time::MAX, 100).unwrap();
        ledger.open_attempts().unwrap();
        ledger.timeline(event_key(0xff)).unwrap();
        due_ids(ledger, 99)
    };
    assert_eq!(look(&ledger), [id(1)]);
    drop(ledger);
    assert_eq!(look(&house.open()), [id(1)]);
}

/// Flips a byte of the `n`th last batch of the journal.
fn tear(house: &House, n: usize) {
    let journal = house.path().join("0.jnl");
    let mut bytes = std::fs::read(&journal).unwrap();
    let ends: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"FJL\x03")).collect();
    bytes[ends[ends.len() - 1 - n] - 40] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
}

#[tokio::test]
async fn a_last_batch_that_is_only_partly_on_the_disk_is_dropped_and_no_other() {
    let house = House::new();
    let ledger = house.open();
    for _ in 0..3 {
        ledger.append(delivery("body")).await.unwrap();
    }
    ledger.close();
    tear(&house, 0);
    let ledger = house.open();
    assert_eq!(ledger.journal_after(DeliverySeq(0), 10).unwrap().len(), 2);
    assert_eq!(ledger.append(delivery("again")).await.unwrap(), DeliverySeq(3));
    ledger.close();
    assert_eq!(house.open().journal_after(DeliverySeq(0), 10).unwrap().len(), 3);
    tear(&house, 1);
    assert!(matches!(house.try_open(), Err(LedgerError::Open { .. })), "what others follow was acknowledged");
}

#[tokio::test]
async fn a_poisoned_store_answers_at_once_and_for_ever() {
    let house = House::new();
    let ledger = house.open();
    add(&ledger, notification(1, waiting(WaitReason::DueLater, 1))).await;
    let health = ledger.health();
    assert_eq!(*health.borrow(), Health::Well);
    ledger.0.shared.hooks.fail.store(true, Ordering::SeqCst);
    let is_poison = |error: &LedgerError| matches!(error, LedgerError::Poisoned { cause } if cause == "injected");
    let first = ledger.append(delivery("lost")).await.unwrap_err();
    assert!(is_poison(&first), "{first}");
    ledger.0.shared.hooks.fail.store(false, Ordering::SeqCst);

    assert_eq!(*health.borrow(), Health::Poisoned("injected".into()));
    assert_eq!(house.metrics.store_stuck.get(), 1);
    assert!(is_poison(&ledger.append(delivery("later")).await.unwrap_err()));
    let leased = ledger.lease(id(1)).unwrap().unwrap();
    let mut changes = Changes::new();
    changes.update_notification(&leased.notification, with_state(&leased.notification, sent()));
    assert!(is_poison(&ledger.commit(changes).await.unwrap_err()));
    drop(leased);
    assert_eq!(due_ids(&ledger, 1), [id(1)], "memory did not learn of what did not become durable");
    drop(ledger);

    let ledger = house.open();
    assert_eq!(*ledger.health().borrow(), Health::Well);
    assert!(ledger.journal_after(DeliverySeq(0), 10).unwrap().is_empty());
    assert_eq!(ledger.append(delivery("again")).await.unwrap(), DeliverySeq(1));
}

#[tokio::test]
async fn a_stuck_commit_is_noticed_answered_and_keeps_its_leases_until_it_lands() {
    let mut house = House::new();
    house.options.stuck_after = Duration::from_millis(200);
    let ledger = house.open();
    add(&ledger, notification(1, waiting(WaitReason::DueLater, 1))).await;
    let leased = ledger.lease_due(at(1), 1).unwrap().pop().unwrap();
    let mut health = ledger.health();

    let gate = ledger.0.shared.clone();
    let gate = gate.hooks.gate.lock().await;
    let mut changes = Changes::new();
    changes.update_notification(&leased.notification, with_state(&leased.notification, attempting()));
    let answer = ledger.commit(changes).await;
    assert!(matches!(answer, Err(LedgerError::Stuck)));
    health.wait_for(|health| *health == Health::Stuck).await.unwrap();
    assert_eq!(house.metrics.store_stuck.get(), 1);
    assert!(matches!(ledger.append(delivery("x")).await, Err(LedgerError::Stuck)));

    // The caller gives up, the batch is still under way: nobody else may act on what it replaces.
    drop(leased);
    assert!(due_ids(&ledger, 99).is_empty());
    assert!(ledger.lease(id(1)).unwrap().is_none());

    drop(gate);
    health.wait_for(|health| *health == Health::Well).await.unwrap();
    assert_eq!(house.metrics.store_stuck.get(), 0);
    // Anything behind it in line is answered after it.
    ledger.append(delivery("y")).await.unwrap();
    assert!(due_ids(&ledger, 99).is_empty());
    assert_eq!(ledger.open_attempts().unwrap(), [id(1)]);
}

#[tokio::test]
async fn a_ledger_in_use_names_its_path_and_closing_gives_it_free() {
    let house = House::new();
    let ledger = house.open();
    let second = house.try_open();
    assert!(matches!(second, Err(LedgerError::Locked { path }) if path == house.path()));
    let clone = ledger.clone();
    ledger.append(delivery("x")).await.unwrap();
    ledger.close();
    let again = house.open();
    assert_eq!(*again.journal_head().borrow(), DeliverySeq(1));
    assert!(matches!(clone.append(delivery("y")).await, Err(LedgerError::Closed)));
    assert!(matches!(clone.has_event(event_key(1)), Err(LedgerError::Closed)));
    assert!(matches!(clone.lease_due(at(1), 1), Err(LedgerError::Closed)));
    assert_eq!(clone.next_due(), None);
    clone.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_serves_what_was_handed_in_before() {
    let house = House::new();
    let ledger = house.open();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let ledger = ledger.clone();
        tasks.spawn(async move { ledger.append(delivery("x")).await });
    }
    tokio::task::yield_now().await;
    ledger.close();
    let answers = tasks.join_all().await;
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(LedgerError::Closed))));
    assert_eq!(house.open().journal_after(DeliverySeq(0), 100).unwrap().len(), kept);
}

#[tokio::test]
async fn another_key_ring_is_refused_before_anything_is_written() {
    let mut house = House::new();
    house.open().append(delivery("x")).await.unwrap();
    let right = std::mem::replace(&mut house.keys, Keyring::generate());
    let refused = house.try_open().err().unwrap();
    assert!(matches!(refused, LedgerError::OtherKeys { .. }), "{refused}");
    house.keys = right;
    assert_eq!(house.open().journal_after(DeliverySeq(0), 10).unwrap().len(), 1);
}

#[test]
fn a_ledger_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>(_: T) {}
    shared::<Ledger>();
    sent(|ledger: Ledger| async move { (ledger.append(delivery("x")).await, ledger.commit(Changes::new()).await) });
    shared::<Leased>();
}
