//! Tests of the journal, the cursor, quarantine and state. Never a sleep.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn a_delivery_is_read_back_as_it_was_received() {
    let house = House::new();
    let ledger = house.open();
    let mut head = ledger.journal_head();
    let first = ledger.append(delivery("{\"a\":1}")).await.unwrap();
    let second = ledger.append(delivery("not json \u{0}")).await.unwrap();
    assert_eq!((first, second), (DeliverySeq(1), DeliverySeq(2)));
    assert!(head.has_changed().unwrap());
    assert_eq!(*head.borrow_and_update(), second);

    let read = ledger.journal_after(DeliverySeq(0), 10).unwrap();
    let bodies: Vec<_> = read.iter().map(|(seq, d)| (seq.0, d.as_ref().unwrap().body.clone())).collect();
    assert_eq!(bodies, [(1, "{\"a\":1}".into()), (2, "not json \u{0}".into())]);
    assert_eq!(read[0].1.as_ref().unwrap().source.as_str(), "main");
    assert_eq!(read[0].1.as_ref().unwrap().received_at, at(5));
    assert_eq!(ledger.journal_after(DeliverySeq(0), 1).unwrap().len(), 1);
    assert!(ledger.journal_after(second, 10).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_get_distinct_numbers_without_gaps() {
    let house = House::new();
    let ledger = house.open();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let mut seqs = Vec::new();
            for n in 0..20 {
                seqs.push(ledger.append(delivery(&format!("{task}/{n}"))).await.unwrap().0);
            }
            seqs
        });
    }
    let all = tasks.join_all().await;
    assert!(all.iter().all(|seqs| seqs.is_sorted()), "one sender's deliveries keep their order");
    let distinct: BTreeSet<_> = all.iter().flatten().copied().collect();
    assert_eq!(distinct, (1..=640).collect());
    assert_eq!(ledger.journal_after(DeliverySeq(0), 1000).unwrap().len(), 640);
}

#[tokio::test]
async fn a_read_of_large_deliveries_stops_long_before_its_count() {
    let house = House::new();
    let ledger = house.open();
    let body = "x".repeat(1 << 20);
    for _ in 0..9 {
        ledger.append(delivery(&body)).await.unwrap();
    }
    let (mut after, mut reads) = (DeliverySeq(0), Vec::new());
    loop {
        let read = ledger.journal_after(after, 256).unwrap();
        let Some((last, _)) = read.last() else { break };
        after = *last;
        reads.push(read.len());
    }
    assert_eq!(reads, [4, 4, 1]);
}

#[tokio::test]
async fn the_cursor_moves_with_its_batch_and_never_back() {
    let house = House::new();
    let ledger = house.open();
    for n in 0..5 {
        ledger.append(delivery(&n.to_string())).await.unwrap();
    }
    let mut changes = Changes::new();
    changes.add_event(event(1, 5), vec![]);
    changes.advance(DeliverySeq(1), DeliverySeq(3));
    ledger.commit(changes).await.unwrap();
    assert_eq!(ledger.cursor(), DeliverySeq(3));
    assert!(ledger.has_event(event_key(1)).unwrap());

    let mut changes = Changes::new();
    changes.advance(DeliverySeq(1), DeliverySeq(2));
    ledger.commit(changes).await.unwrap();
    assert_eq!(ledger.cursor(), DeliverySeq(3));
    drop(ledger);

    let ledger = house.open();
    assert_eq!((ledger.cursor(), *ledger.journal_head().borrow()), (DeliverySeq(3), DeliverySeq(5)));
    let left: Vec<_> = ledger.journal_after(DeliverySeq(0), 10).unwrap().iter().map(|(seq, _)| seq.0).collect();
    assert_eq!(left, [4, 5]);
}

#[tokio::test]
async fn a_cursor_beyond_the_head_does_not_swallow_what_comes() {
    let house = House::new();
    let ledger = house.open();
    ledger.append(delivery("a")).await.unwrap();
    let mut changes = Changes::new();
    changes.advance(DeliverySeq(0), DeliverySeq(u64::MAX));
    ledger.commit(changes).await.unwrap();
    assert_eq!(ledger.cursor(), DeliverySeq(1));
    drop(ledger);
    let ledger = house.open();
    assert_eq!(ledger.append(delivery("b")).await.unwrap(), DeliverySeq(2), "numbers are never reused");
    assert_eq!(ledger.journal_after(ledger.cursor(), 10).unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_next_opening_reads_is_bounded_also_for_tables_that_never_fill() {
    let house = House::new();
    let ledger = house.open();
    let journals = || {
        let files = std::fs::read_dir(house.path()).unwrap().map(|file| file.unwrap());
        let journals = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "jnl"));
        journals.map(|file| file.metadata().unwrap().len()).sum::<u64>() >> 20
    };
    // One value of a table that would take weeks to fill.
    let mut changes = Changes::new();
    changes.set_state("modes", json!(1));
    ledger.commit(changes).await.unwrap();
    let mut most = 0;
    for n in 1..=400 {
        let body = delivery(&"x".repeat(1 << 20));
        let seq = ledger.append(body).await.unwrap();
        let mut changes = Changes::new();
        changes.advance(DeliverySeq(n), seq);
        ledger.commit(changes).await.unwrap();
        most = most.max(journals());
    }
    assert!(most <= 5 * 64, "{most} MiB of journals");
}

#[tokio::test]
async fn quarantine_keeps_a_delivery_until_it_is_released() {
    let house = House::new();
    let ledger = house.open();
    let refusal = crate::event::Refusal::NotJson { line: 1, column: 2 };
    for n in 1..=3 {
        let seq = ledger.append(delivery("broken")).await.unwrap();
        let mut changes = Changes::new();
        changes.quarantine(Quarantined { seq, delivery: delivery("broken"), refusal: refusal.clone() });
        changes.advance(seq, seq);
        ledger.commit(changes).await.unwrap();
        assert_eq!(seq.0, n);
    }
    let mut changes = Changes::new();
    changes.release_quarantined(DeliverySeq(2));
    ledger.commit(changes).await.unwrap();

    let all = ledger.quarantined(None, 10).unwrap();
    assert_eq!(all.iter().map(|q| q.seq.0).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((&all[0].refusal, &all[0].delivery.body[..]), (&refusal, &b"broken"[..]));
    assert_eq!(ledger.quarantined(Some(DeliverySeq(1)), 10).unwrap().len(), 1);
    assert_eq!(ledger.quarantined(None, 1).unwrap().len(), 1);
    assert!(ledger.quarantined_one(DeliverySeq(2)).unwrap().is_none());
    assert!(ledger.quarantined_one(DeliverySeq(3)).unwrap().is_some());
}

#[tokio::test]
async fn state_survives_a_restart() {
    let house = House::new();
    let ledger = house.open();
    assert_eq!(ledger.state("modes").unwrap(), None);
    for mode in ["shadow", "live"] {
        let mut changes = Changes::new();
        changes.set_state("modes", json!({"relay": mode}));
        ledger.commit(changes).await.unwrap();
    }
    ledger.close();
    let ledger = house.open();
    assert_eq!(ledger.state("modes").unwrap(), Some(json!({"relay": "live"})));
    assert_eq!(ledger.state("pauses").unwrap(), None);
}
