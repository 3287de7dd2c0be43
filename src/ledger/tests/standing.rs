//! Tests of how notifications stand: what an update writes, what a reader makes of it, and of files of before.

use super::key::Space;
use super::*;

fn with_everything_changed(n: &Notification) -> Notification {
    Notification {
        channels: vec![Channel::Sms],
        attempts: 3,
        attempts_before: 2,
        brake_released: true,
        refused_by: Some("smtp".parse().unwrap()),
        freed_by: Some("sms".parse().unwrap()),
        sent_as: Some(SentAs { provider: "sms".parse().unwrap(), sender: "ACMEIN".into(), segments: Some(2) }),
        state: attempting(),
        ..n.clone()
    }
}

fn plain(n: &Notification) -> Vec<u8> {
    record::notification(n).to_vec()
}

#[tokio::test]
async fn an_update_writes_how_it_stands_and_leaves_the_plan() {
    let house = House::new();
    let ledger = house.open();
    for n in 1..=3 {
        let mut changes = Changes::new();
        changes.add_event(event(n, 5), vec![]);
        changes.add_notification(notification(n, waiting(WaitReason::DueLater, n.into())));
        ledger.commit(changes).await.unwrap();
    }
    let raw = |ledger: &Ledger, key: &[u8]| ledger.0.store().unwrap().get_raw(Space::Notifications, key);
    let planned = raw(&ledger, &key::notification(id(2)));
    assert_eq!(raw(&ledger, &key::standing(id(2))), None, "one that stands as it was planned has one record");

    let leased = ledger.lease(id(2)).unwrap().unwrap();
    let new = with_everything_changed(&leased.notification);
    let mut changes = Changes::new();
    changes.update_notification(&leased.notification, new.clone());
    ledger.commit(changes).await.unwrap();
    drop(leased);
    assert_eq!(raw(&ledger, &key::notification(id(2))), planned);

    let is_whole = |ledger: &Ledger| {
        let all = ledger.notifications(None, 10, &|_| true).unwrap().0;
        assert_eq!(
            all.iter().map(|n| n.id).collect::<Vec<_>>(),
            [id(1), id(2), id(3)],
            "a standing is no notification"
        );
        let (page, more) = ledger.notifications(Some(id(1)), 1, &|_| true).unwrap();
        assert_eq!(page.iter().map(|n| n.id).collect::<Vec<_>>(), [id(2)]);
        let (rest, end) = ledger.notifications(more, 1, &|_| true).unwrap();
        assert_eq!((rest.iter().map(|n| n.id).collect::<Vec<_>>(), more, end), (vec![id(3)], Some(id(2)), None));
        let reads = [
            ledger.notification(id(2)).unwrap().unwrap(),
            ledger.notifications_of(event_key(2)).unwrap().remove(0),
            ledger.look(event_key(2)).unwrap().unwrap().notifications.remove(0),
            ledger.lease(id(2)).unwrap().unwrap().notification.clone(),
            all[1].clone(),
            page[0].clone(),
        ];
        reads.iter().for_each(|read| assert!(plain(read) == plain(&new)));
        assert_eq!(ledger.open_attempts().unwrap(), [id(2)]);
    };
    is_whole(&ledger);
    drop(ledger);
    is_whole(&house.open());
}

#[tokio::test]
async fn one_whose_standing_cannot_be_read_is_not_taken_for_one_that_waits() {
    let house = House::new();
    let ledger = house.open();
    for n in 1..=2 {
        add(&ledger, notification(n, waiting(WaitReason::DueLater, n.into()))).await;
        let leased = ledger.lease(id(n)).unwrap().unwrap();
        update(&ledger, &leased, waiting(WaitReason::Retry, 10)).await;
    }
    faults::damage(&ledger, Space::Notifications, &key::standing(id(1)));
    assert_eq!(due_ids(&ledger, 99), [id(2)]);
    assert!(ledger.lease(id(1)).unwrap().is_none() && ledger.notification(id(1)).unwrap().is_none());
    assert_eq!(ledger.notifications(None, 10, &|_| true).unwrap().0.len(), 1);
    assert_eq!(faults::corrupt(&house, "notifications"), 4, "counted by each who looked");
}

#[tokio::test]
async fn files_of_the_version_before_are_read_and_become_ones_of_this() {
    let house = House::new();
    let version = |ledger: &Ledger, set: Option<u32>| {
        let store = ledger.0.store().unwrap();
        if let Some(version) = set {
            let sealed = store.seal(Space::Meta, key::FORMAT, &record::value(&version));
            store.put_raw(Space::Meta, key::FORMAT, &sealed);
        }
        store.get_value::<u32>(key::FORMAT).unwrap().value()
    };
    // As it was written then: how it stands, in the one record it had.
    let old = with_everything_changed(&notification(1, sent()));
    let ledger = house.open();
    assert_eq!(version(&ledger, None), Some(2));
    add(&ledger, old.clone()).await;
    version(&ledger, Some(1));
    drop(ledger);

    let ledger = house.open();
    assert_eq!(version(&ledger, None), Some(2), "a relay of before must not open it any more");
    let leased = ledger.lease(id(1)).unwrap().unwrap();
    assert!(plain(&leased.notification) == plain(&old));
    assert_eq!(ledger.open_attempts().unwrap(), [], "it is in hand");
    update(&ledger, &leased, sent()).await;
    drop(leased);
    assert_eq!(ledger.notification(id(1)).unwrap().unwrap().state, sent());
    assert_eq!(ledger.open_attempts().unwrap(), []);

    version(&ledger, Some(3));
    drop(ledger);
    let refused = house.try_open().err().unwrap().to_string();
    assert!(refused.ends_with("its format is 3, this relay reads 1 to 2; use the relay that wrote it"), "{refused}");
}
