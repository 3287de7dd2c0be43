//! A sender's clock that is ahead of ours.

use super::*;

#[tokio::test]
async fn an_event_dated_in_the_future_is_told_now_and_expires_as_one_of_today() {
    let test = TestHouse::open("");
    let ahead = START.plus(Duration::from_secs(400 * 86_400));
    test.deliver(&customer_added("ahead", 1, ahead)).await;
    test.deliver(&customer_added("today", 2, START)).await;
    test.plan().await;
    let times = |event| {
        let found = test.notifications_of(event).unwrap();
        assert!(!found.is_empty(), "{event}");
        found.iter().map(|n| (n.event_at, n.not_before, n.contact_deadline, n.expires_at)).collect::<Vec<_>>()
    };
    assert_eq!(times("ahead"), times("today"));
    assert!(times("ahead").iter().all(|(event_at, ..)| *event_at == START));
}

#[tokio::test]
async fn what_was_learned_from_a_clock_that_is_ahead_does_not_win_over_what_is_learned_later() {
    let test = TestHouse::open("");
    let ahead = START.plus(Duration::from_secs(400 * 86_400));
    test.put(1).await;
    test.put(2).await;
    // The brand's id moves from the first customer to the second, one day after the clock that was ahead.
    let mut first = customer_added("ahead", 1, ahead);
    first["data"]["customerIdentifiers"]["instore"]["externalId"] = "MOVES".into();
    test.deliver(&first).await;
    test.plan().await;
    test.house.clock.advance(Duration::from_secs(86_400));
    let mut second = customer_added("later", 2, test.house.clock.now());
    second["data"]["customerIdentifiers"]["instore"]["externalId"] = "MOVES".into();
    test.deliver(&second).await;
    test.plan().await;
    assert_eq!(test.who("external_id", "MOVES"), test.who("customer_id", "900002"));
}
