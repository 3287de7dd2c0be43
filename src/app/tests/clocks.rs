//! Clocks that are wrong: a sender's that is ahead of ours, and ours that is set.

use super::*;
use crate::control::Waker;
use crate::ledger::DeadReason;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How our clock is set, while something waits.
#[derive(Clone, Copy, Debug)]
enum Set {
    BackAnHour,
    AheadAMonth,
    /// A month ahead, something happens, and then as it should be.
    AheadForAWhile,
}

const SETS: [Set; 3] = [Set::BackAnHour, Set::AheadAMonth, Set::AheadForAWhile];

impl Set {
    async fn apply(self, clock: &Clock, meanwhile: impl AsyncFn()) {
        let now = clock.now();
        match self {
            Self::BackAnHour => clock.set(now.minus(HOUR)),
            Self::AheadAMonth => clock.set(now.plus(DAY * 30)),
            Self::AheadForAWhile => {
                clock.set(now.plus(DAY * 30));
                meanwhile().await;
                clock.set(now);
            }
        }
    }
}

async fn sweep(test: &TestHouse) {
    while upkeep::sweep(&test.house).await.unwrap() {}
}

/// Looks at everything that is due now.
async fn look(test: &TestHouse) {
    let (ledger, now) = (test.house.ledger.clone(), test.house.clock.now());
    let idle = || ledger.next_due().is_none_or(|due| due > now);
    while !idle() {
        test.dispatch_until(idle).await;
    }
}

fn sent(test: &TestHouse) -> usize {
    ["mail", "text"].map(|dir| std::fs::read_dir(test.dir.path().join(dir)).map_or(0, Iterator::count)).iter().sum()
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_a_copy_however_the_clock_was_set_between() {
    for set in SETS {
        let test = TestHouse::open("");
        test.put(1).await;
        test.deliver(&customer_added("once", 1, START)).await;
        test.plan().await;
        look(&test).await;
        assert_eq!(sent(&test), 2);
        set.apply(&test.house.clock, async || sweep(&test).await).await;
        sweep(&test).await;
        test.deliver(&customer_added("once", 1, START)).await;
        test.plan().await;
        look(&test).await;
        assert_eq!((sent(&test), test.notifications_of("once").unwrap().len()), (2, 2), "{set:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_received_while_the_clock_was_ahead_goes_in_its_time() {
    let test = TestHouse::open("");
    Set::AheadForAWhile
        .apply(&test.house.clock, async || {
            test.deliver(&customer_added("ahead", 1, START)).await;
            test.plan().await;
            sweep(&test).await;
            look(&test).await;
        })
        .await;
    let states = |event: &str| {
        test.notifications_of(event).map(|found| found.into_iter().map(|n| n.state.as_str()).collect::<Vec<_>>())
    };
    assert_eq!(states("ahead"), Some(vec!["expired", "expired"]), "by our clock it was a month old");
    test.deliver(&customer_added("now", 2, START)).await;
    test.plan().await;
    for (days, left) in [(46, vec!["ahead"]), (76, vec![])] {
        test.house.clock.set(START.plus(DAY * days + HOUR));
        look(&test).await;
        sweep(&test).await;
        let found: Vec<_> = ["ahead", "now"].into_iter().filter(|event| states(event).is_some()).collect();
        assert_eq!(found, left, "after {days} days");
    }
}

/// Waits, their ends and what ends them, with the clock set between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_goes_or_ends_by_the_clock_as_it_is_and_nothing_is_told_twice() {
    use WaitReason::{ContactUnknown, DueLater};
    let dead = |at| State::DeadLetter { reason: DeadReason::ContactUnknown, at };
    let deadline = START.plus(DAY * 3);
    for (set, then, known, expected) in [
        // A contact is waited for until its date, by the clock.
        (Set::BackAnHour, DAY * 3, false, State::Waiting { reason: ContactUnknown, due_at: deadline }),
        (Set::BackAnHour, DAY * 3 + HOUR, false, dead(deadline)),
        (Set::AheadAMonth, Duration::ZERO, false, State::Expired { at: START.plus(DAY * 30) }),
        (Set::AheadForAWhile, Duration::ZERO, false, State::Waiting { reason: ContactUnknown, due_at: deadline }),
        // Who comes to be known is told at once, never before the event was made.
        (Set::BackAnHour, Duration::ZERO, true, State::Waiting { reason: DueLater, due_at: START }),
    ] {
        let test = TestHouse::open("");
        test.deliver(&customer_added("waits", 1, START)).await;
        test.plan().await;
        look(&test).await;
        let clock = &test.house.clock;
        set.apply(clock, async || {}).await;
        clock.advance(then);
        if known {
            test.put(1).await;
            let waker = Waker::new(test.house.ledger.clone(), clock.clone());
            waker.wake_known(&test.house.vault).await.unwrap();
        }
        look(&test).await;
        assert_eq!(test.by(Channel::Email, "waits").state, expected, "{set:?} {then:?}");
        if known {
            clock.advance(HOUR);
            look(&test).await;
            assert_eq!(sent(&test), 2, "{set:?}");
            look(&test).await;
            assert_eq!(sent(&test), 2, "{set:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_and_a_dead_letter_outlast_a_clock_that_is_set() {
    for set in SETS {
        let test = TestHouse::open("");
        test.deliver(&customer_added("waits", 1, START)).await;
        test.plan().await;
        let id = test.by(Channel::Email, "waits").id;
        let leased = test.house.ledger.lease(id).unwrap().unwrap();
        set.apply(&test.house.clock, async || {}).await;
        assert!(test.house.ledger.lease(id).unwrap().is_none(), "{set:?}: in two hands");
        let now = test.house.clock.now().plus(DAY * 400);
        assert!(
            test.house.ledger.lease_due(now, 9).unwrap().iter().all(|other| other.notification.id != id),
            "{set:?}"
        );
        drop(leased);
        assert!(test.house.ledger.lease(id).unwrap().is_some());
    }
    for set in SETS {
        let test = TestHouse::open("");
        let reason = DeadReason::NoAddress;
        test.add([Notification {
            state: State::DeadLetter { reason, at: START },
            ..notification(1, WaitReason::DueLater)
        }])
        .await;
        set.apply(&test.house.clock, async || sweep(&test).await).await;
        look(&test).await;
        assert!(matches!(test.state(1), State::DeadLetter { .. }), "{set:?}: only a person takes it out");
    }
}
