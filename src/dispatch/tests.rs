//! Tests of what may happen while a notification is in hand.

use std::time::Duration;

use futures_util::poll;

use crate::app::tests::{START, TestHouse, customer_added, id, notification};
use crate::ledger::Place;
use crate::policy::pause::Scope;
use crate::provider::Outcome;

use super::*;

/// Ends a hold in the moment between the commit that holds a notification and the end of its lease.
async fn ended_in_hand(begin: impl AsyncFn(&Control), end: impl AsyncFn(&Control) -> usize) -> State {
    let test = TestHouse::open("");
    let (ledger, control) = (&test.house.ledger, &test.house.control);
    test.add([notification(1, WaitReason::DueLater)]).await;
    begin(control).await;
    let dispatcher = test.dispatcher(&test.providers(), &Tasks::new());
    let leased = ledger.lease(id(1)).unwrap().unwrap();
    let stop = CancellationToken::new();
    let mut handling = std::pin::pin!(dispatcher.handle(leased, &stop));
    let gate = ledger.hold_commits().await;
    assert!(poll!(handling.as_mut()).is_pending(), "it waits for its commit");
    drop(gate);
    while !matches!(ledger.notification(id(1)).unwrap().unwrap().place(), Place::Held(..)) {
        std::thread::yield_now();
    }
    assert_eq!(end(control).await, 0, "it is in hand, so whoever ends the hold cannot free it");
    handling.await;
    test.state(1)
}

#[tokio::test]
async fn a_pause_that_ends_while_a_notification_is_being_held_frees_it() {
    let state = ended_in_hand(
        async |control| control.pause(Scope::Relay, "asha", None).await.unwrap(),
        async |control| control.resume(&Scope::Relay, "asha").await.unwrap(),
    )
    .await;
    assert_eq!(state, State::Waiting { reason: WaitReason::DueLater, due_at: START });
}

#[tokio::test]
async fn a_brake_that_is_released_while_a_notification_is_being_held_frees_it_also_under_a_new_pause() {
    let template = "welcome".parse().unwrap();
    for also_paused in [false, true] {
        let state = ended_in_hand(
            async |control| assert!(!control.brake_admits(&template, 0, START).await.unwrap()),
            async |control| {
                if also_paused {
                    control.pause(Scope::Relay, "ben", None).await.unwrap();
                }
                control.release_brake(&template, "asha").await.unwrap()
            },
        )
        .await;
        // Free of the brake it is judged afresh, and then held for the pause, whose end finds it.
        assert_eq!(state, State::Waiting { reason: WaitReason::DueLater, due_at: START }, "paused: {also_paused}");
    }
}

#[tokio::test]
async fn a_pause_of_the_second_of_several_channels_holds_who_has_no_address_for_the_first() {
    let test = TestHouse::open("");
    test.put_without_mail(1).await;
    test.deliver(&customer_added("second", 1, START)).await;
    test.plan().await;
    let ledger = &test.house.ledger;
    let text = test.by(Channel::Sms, "second");
    let leased = ledger.lease(text.id).unwrap().unwrap();
    let mut changes = Changes::new();
    let channels = vec![Channel::Email, Channel::Sms];
    changes.update_notification(&leased.notification, Notification { channels, ..leased.notification.clone() });
    ledger.commit(changes).await.unwrap();
    drop(leased);
    let scope = Scope::Channel(Channel::Sms);
    test.house.control.pause(scope.clone(), "asha", None).await.unwrap();
    let state = || ledger.notification(text.id).unwrap().unwrap().state;
    test.dispatch_until(|| state().reason() != Some("due_later")).await;
    assert_eq!(state().reason(), Some("paused"));
    assert_eq!(test.house.control.resume(&scope, "asha").await.unwrap(), 1);
    test.dispatch_until(|| matches!(state(), State::Sent { channel: Channel::Sms, .. })).await;
}

#[tokio::test]
async fn a_provider_that_stalls_does_not_keep_the_only_hand_from_another_channel() {
    let slow = "[provider.slow]\ntype = \"file\"\ndir = \"/nowhere\"\nmax_concurrency = 1\n";
    let test = TestHouse::open_with_relay("slow", "dispatch_concurrency = 1", slow);
    test.put(1).await;
    let providers = test.providers();
    let _the_only_slot = providers.permit(&"slow".parse().unwrap()).await;
    for n in 1..=3 {
        test.deliver(&customer_added(&format!("event-{n}"), 1, START)).await;
    }
    test.plan().await;
    let all =
        |channel, is_so: fn(&State) -> bool| (1..=3).all(|n| is_so(&test.by(channel, &format!("event-{n}")).state));
    test.dispatch_with(&providers, || {
        all(Channel::Sms, |state| matches!(state, State::Sent { .. }))
            && all(Channel::Email, |state| state.reason() == Some("rate_limited"))
    })
    .await;
}

#[tokio::test]
async fn a_backlog_behind_a_rate_limit_stands_in_line_and_is_looked_at_once_more() {
    const BACKLOG: u32 = 30;
    let out = tempfile::tempdir().unwrap();
    let slow = format!("[provider.slow]\ntype = \"file\"\ndir = {:?}\nrate_per_second = 1.0\n", out.path());
    let test = TestHouse::open_with_mail("slow", &slow);
    test.put(1).await;
    for n in 0..=BACKLOG {
        test.deliver(&customer_added(&format!("event-{n}"), 1, START)).await;
    }
    test.plan().await;
    let (ledger, providers) = (&test.house.ledger, test.providers());
    let dispatcher = test.dispatcher(&providers, &Tasks::new());
    let stop = CancellationToken::new();
    let mail = |n: u32| test.by(Channel::Email, &format!("event-{n}"));
    let look = async |n: u32| {
        let leased = ledger.lease(mail(n).id).unwrap().unwrap();
        dispatcher.handle(leased, &stop).await;
        mail(n).state
    };
    // Somebody waits for the token of this second.
    let slow = "slow".parse().unwrap();
    let mut first = Box::pin(providers.permit(&slow));
    assert!(poll!(first.as_mut()).is_pending());
    for n in 0..BACKLOG {
        let due_at = START.plus(Duration::from_secs(2 + u64::from(n)));
        assert_eq!(look(n).await, State::Waiting { reason: WaitReason::RateLimited, due_at }, "a place of its own");
    }
    drop(first);
    let State::Waiting { due_at, .. } = look(BACKLOG).await else { panic!("nobody is passed") };
    assert_eq!(due_at, START.plus(Duration::from_secs(2 + u64::from(BACKLOG))));
    test.house.clock.advance(Duration::from_secs(1));
    for n in 0..=BACKLOG {
        test.house.clock.advance(Duration::from_secs(1));
        let due: Vec<_> = ledger.lease_due(test.house.clock.now(), 64).unwrap();
        let due: Vec<_> = due.into_iter().filter(|leased| leased.notification.channels == [Channel::Email]).collect();
        assert_eq!(due.iter().map(|leased| leased.notification.id).collect::<Vec<_>>(), [mail(n).id], "one a second");
        for leased in due {
            dispatcher.handle(leased, &stop).await;
        }
        assert!(matches!(mail(n).state, State::Sent { .. }), "{n}: {:?}", mail(n).state);
    }
}

#[tokio::test]
async fn a_dead_letter_that_is_requeued_has_all_its_retries_again_and_keeps_what_was_made() {
    let test = TestHouse::open_bare("[channel.email]\nproviders = [\"mail\"]\nretry = [\"1s\", \"1s\"]\n");
    let dispatcher = test.dispatcher(&test.providers(), &Tasks::new());
    let refused = || Outcome::Transient { code: "451".into(), retry_after: None };
    let requeued = Notification { attempts: 4, attempts_before: 3, ..notification(1, WaitReason::DueLater) };
    let worn_out = Notification { attempts: 3, ..notification(2, WaitReason::DueLater) };
    test.add([requeued, worn_out]).await;
    for (n, expected) in [(1, "retry"), (2, "retries_exhausted")] {
        let leased = test.house.ledger.lease(id(n)).unwrap().unwrap();
        let provider = "mail".parse().unwrap();
        dispatcher.settle(&leased.notification, Channel::Email, &provider, refused()).await.unwrap();
        assert_eq!(test.state(n).reason(), Some(expected));
    }
}
