//! Tests of leases, holds, waits and the window. Never a sleep.

use super::*;

#[tokio::test]
async fn a_notification_survives_its_record() {
    let house = House::new();
    let ledger = house.open();
    let states = [
        waiting(WaitReason::Retry, -5),
        attempting(),
        sent(),
        State::Suppressed { reason: crate::policy::SuppressReason::Erased, at: at(3) },
        State::Expired { at: at(3) },
        State::DeadLetter { reason: DeadReason::MissingValue { field: "data.x".into() }, at: at(3) },
        State::DeadLetter { reason: DeadReason::ContactUnknown, at: at(3) },
        State::Cancelled { at: at(3) },
    ];
    for (n, state) in (1..).zip(&states) {
        add(&ledger, notification(n, state.clone())).await;
    }
    drop(ledger);
    let ledger = house.open();
    for (n, state) in (1..).zip(&states) {
        let read = ledger.notification(id(n)).unwrap().unwrap();
        assert_eq!(&read.state, state);
        assert_eq!(read.subject.aliases, subject(n).aliases);
        assert_eq!(read.subject.customer_id.unwrap().expose(), format!("{CANARY}-id-{n}"));
        assert_eq!((read.attempts, read.items, read.expires_at), (2, vec!["data.coupons.3".to_owned()], at(1_004)));
    }
}

#[tokio::test]
async fn dead_letters_are_counted_while_they_are_dead() {
    let house = House::new();
    let ledger = house.open();
    let dead = || State::DeadLetter { reason: DeadReason::NoAddress, at: at(3) };
    for n in 1..=3 {
        add(&ledger, notification(n, dead())).await;
    }
    add(&ledger, notification(4, sent())).await;
    assert_eq!(ledger.dead_letter_count().unwrap(), 3);
    update(&ledger, &ledger.lease(id(1)).unwrap().unwrap(), waiting(WaitReason::DueLater, 1)).await;
    assert_eq!(ledger.dead_letter_count().unwrap(), 2);
    drop(ledger);
    assert_eq!(house.open().dead_letter_count().unwrap(), 2, "a restart counts the same");
}

#[tokio::test]
async fn due_notifications_come_earliest_first_and_to_one_holder_only() {
    let house = House::new();
    let ledger = house.open();
    for (n, due) in [(1, 30), (2, 10), (3, 20), (4, 99)] {
        add(&ledger, notification(n, waiting(WaitReason::DueLater, due))).await;
    }
    assert_eq!(ledger.next_due(), Some(at(10)));
    let first = ledger.lease_due(at(30), 2).unwrap();
    assert_eq!(first.iter().map(|l| l.notification.id).collect::<Vec<_>>(), [id(2), id(3)]);
    let second = ledger.lease_due(at(30), 2).unwrap();
    assert_eq!(second.iter().map(|l| l.notification.id).collect::<Vec<_>>(), [id(1)]);
    assert!(ledger.lease_due(at(30), 2).unwrap().is_empty());
    assert!(ledger.lease(id(2)).unwrap().is_none(), "somebody has it");
    assert_eq!(ledger.next_due(), Some(at(99)));

    let mut due_changed = ledger.due_changed();
    drop(first);
    assert!(due_changed.has_changed().unwrap());
    due_changed.mark_unchanged();
    assert_eq!(ledger.next_due(), Some(at(10)), "what nobody changed is offered again");
    assert_eq!(due_ids(&ledger, 30), [id(2), id(3)]);

    let by_id = ledger.lease(id(2)).unwrap().unwrap();
    assert_eq!(due_ids(&ledger, 30), [id(3)], "leased by id, it is out of the queue");
    drop(by_id);
    assert_eq!(due_ids(&ledger, 30), [id(2), id(3)]);
    drop(second);
}

#[tokio::test]
async fn a_deferred_notification_is_offered_at_its_new_time_once_the_lease_ends() {
    let house = House::new();
    let ledger = house.open();
    add(&ledger, notification(1, waiting(WaitReason::DueLater, 10))).await;
    let leased = ledger.lease_due(at(10), 1).unwrap().pop().unwrap();
    update(&ledger, &leased, waiting(WaitReason::Retry, 5)).await;
    assert!(ledger.lease_due(at(99), 1).unwrap().is_empty(), "still in hand");
    assert_eq!((ledger.waiting_counts()["due_later"], ledger.waiting_counts()["retry"]), (0, 1));
    drop(leased);
    assert_eq!(ledger.next_due(), Some(at(5)));
    assert_eq!(due_ids(&ledger, 99), [id(1)]);

    let leased = ledger.lease_due(at(99), 1).unwrap().pop().unwrap();
    update(&ledger, &leased, attempting()).await;
    drop(leased);
    assert_eq!((ledger.next_due(), due_ids(&ledger, 99).len()), (None, 0));
    assert_eq!(ledger.open_attempts().unwrap(), [id(1)]);
    let leased = ledger.lease(id(1)).unwrap().unwrap();
    assert!(ledger.open_attempts().unwrap().is_empty(), "it is in somebody's hands");
    update(&ledger, &leased, sent()).await;
    drop(leased);
    assert!(ledger.open_attempts().unwrap().is_empty());
    assert!(ledger.waiting_counts().values().all(|count| *count == 0));
}

#[tokio::test]
async fn an_earlier_place_wakes_the_one_who_waits_and_a_later_one_does_not() {
    let house = House::new();
    let ledger = house.open();
    let mut changed = ledger.due_changed();
    for (n, due, wakes) in [(1, 50, true), (2, 60, false), (3, 40, true)] {
        add(&ledger, notification(n, waiting(WaitReason::DueLater, due))).await;
        assert_eq!(changed.has_changed().unwrap(), wakes, "due at {due}");
        changed.mark_unchanged();
    }
}

#[tokio::test]
async fn planning_the_same_notification_again_changes_nothing() {
    let house = House::new();
    let ledger = house.open();
    add(&ledger, notification(1, sent())).await;
    let mut changes = Changes::new();
    changes.add_notification(notification(1, waiting(WaitReason::DueLater, 1)));
    changes.add_notification(notification(2, waiting(WaitReason::DueLater, 2)));
    changes.add_notification(notification(2, waiting(WaitReason::DueLater, 3)));
    ledger.commit(changes).await.unwrap();
    assert_eq!(ledger.notification(id(1)).unwrap().unwrap().state, sent());
    assert_eq!(due_ids(&ledger, 99), [id(2)]);
    assert_eq!(ledger.waiting_counts()["due_later"], 1);
}

#[tokio::test]
async fn who_waits_for_a_contact_is_found_by_each_alias_until_it_moves_on() {
    let house = House::new();
    let ledger = house.open();
    let mut first = notification(1, waiting(WaitReason::ContactUnknown, 10));
    first.subject.aliases.push(Alias { kind: AliasKind::Mobile, hash: alias(9) });
    let mut second = notification(2, waiting(WaitReason::ContactUnknown, 10));
    second.subject.aliases.push(Alias { kind: AliasKind::Mobile, hash: alias(9) });
    add(&ledger, first).await;
    add(&ledger, second).await;
    add(&ledger, notification(3, waiting(WaitReason::DueLater, 10))).await;

    let mut all = vec![alias(1), alias(2), alias(9)];
    all.sort();
    assert_eq!(ledger.waited_aliases(None, 10).unwrap(), all);
    assert_eq!(ledger.waited_aliases(Some(all[0]), 1).unwrap(), all[1..2]);
    assert_eq!(ledger.waited_aliases(Some(all[2]), 1).unwrap(), []);
    assert_eq!(ledger.waiting_for(alias(9), 10).unwrap(), [id(1), id(2)]);
    assert_eq!(ledger.waiting_for(alias(9), 1).unwrap(), [id(1)]);
    assert_eq!(ledger.waiting_for(alias(3), 10).unwrap(), []);

    let leased = ledger.lease(id(1)).unwrap().unwrap();
    update(&ledger, &leased, waiting(WaitReason::DueLater, 0)).await;
    assert_eq!(ledger.waiting_for(alias(9), 10).unwrap(), [id(2)]);
    assert_eq!(ledger.waiting_for(alias(1), 10).unwrap(), []);
    assert_eq!(ledger.waited_aliases(None, 10).unwrap().len(), 2);
}

#[tokio::test]
async fn held_notifications_are_found_by_their_hold_and_still_expire() {
    let house = House::new();
    let ledger = house.open();
    for n in 1..=6 {
        add(&ledger, notification(n, waiting(WaitReason::Brake, 100 - i64::from(n)))).await;
    }
    add(&ledger, notification(7, waiting(WaitReason::Paused, 50))).await;
    let brake = Hold::Brake("points".parse().unwrap());
    assert_eq!(ledger.held(&brake, 2).unwrap(), [id(6), id(5)]);
    assert_eq!(ledger.held(&Hold::Paused, 10).unwrap(), [id(7)]);
    assert_eq!(ledger.held(&Hold::Brake("other".parse().unwrap()), 10).unwrap(), []);
    assert_eq!(ledger.held(&Hold::Ambiguous, 10).unwrap(), []);
    assert_eq!(ledger.waiting_counts()["brake"], 6);

    // Released in batches of two.
    let mut released = Vec::new();
    loop {
        let ids = ledger.held(&brake, 2).unwrap();
        if ids.is_empty() {
            break;
        }
        for id in ids {
            let leased = ledger.lease(id).unwrap().unwrap();
            update(&ledger, &leased, waiting(WaitReason::DueLater, 1)).await;
            released.push(id);
        }
    }
    assert_eq!(released, [id(6), id(5), id(4), id(3), id(2), id(1)]);
    // Held again below where the last look ended, it is found.
    let leased = ledger.lease(id(2)).unwrap().unwrap();
    update(&ledger, &leased, waiting(WaitReason::Brake, 3)).await;
    drop(leased);
    assert_eq!(ledger.held(&brake, 10).unwrap(), [id(2)]);

    let due = ledger.lease_due(at(2), 100).unwrap();
    assert_eq!(due.len(), 5, "released ones are due");
    assert_eq!(due_ids(&ledger, 60), [id(2), id(7)], "held ones come up when they expire");
}

#[tokio::test]
async fn a_queue_larger_than_the_window_is_served_in_order_and_survives_a_restart() {
    let mut house = House::new();
    house.options.places_in_memory = 4;
    let ledger = house.open();
    for n in 0..60_u8 {
        add(&ledger, notification(n, waiting(WaitReason::Retry, i64::from(n.wrapping_mul(37) % 60)))).await;
    }
    let mut expected: Vec<_> = (0..60_u8).map(|n| (n.wrapping_mul(37) % 60, id(n))).collect();
    expected.sort();
    let all: Vec<_> = expected.iter().map(|(_, id)| *id).collect();
    assert_eq!(due_ids(&ledger, 1000), all);
    drop(ledger);

    let ledger = house.open();
    assert_eq!(ledger.waiting_counts()["retry"], 60);
    assert_eq!(ledger.next_due(), Some(at(0)));
    let mut served = Vec::new();
    while let Some(leased) = ledger.lease_due(at(1000), 1).unwrap().pop() {
        served.push(leased.notification.id);
        update(&ledger, &leased, sent()).await;
    }
    assert_eq!(served, all);
    assert_eq!((ledger.waiting_counts()["retry"], ledger.next_due()), (0, None));
}

#[tokio::test]
async fn a_list_of_notifications_comes_in_pages() {
    let house = House::new();
    let ledger = house.open();
    for n in 1..=9 {
        add(&ledger, notification(n, if n % 2 == 0 { sent() } else { waiting(WaitReason::Retry, 1) })).await;
    }
    let is_sent = |n: &Notification| matches!(n.state, State::Sent { .. });
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = ledger.notifications(after, 3, &is_sent).unwrap();
        assert!(page.len() <= 3);
        seen.extend(page.iter().map(|n| n.id));
        after = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(seen, [id(2), id(4), id(6), id(8)]);
}
