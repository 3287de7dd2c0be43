//! Tests of run-time controls over a real ledger.

use crate::app::tests::{ORG, START, TestHouse, id, notification};
use crate::id::Channel;
use crate::ledger::{Hold, Notification};
use crate::policy::pause::Scope;
use crate::policy::{Mode, WaitReason, modes::Target};

use super::*;

fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

#[tokio::test]
async fn ending_one_of_two_pauses_over_the_same_backlog_frees_nothing_and_walks_it_once() {
    let test = TestHouse::open("");
    let control = &test.house.control;
    test.add((0..600).map(|n| notification(n, WaitReason::Paused))).await;
    control.pause(Scope::Relay, "asha", None).await.unwrap();
    control.pause(scope("channel:email"), "ben", None).await.unwrap();
    assert_eq!(control.resume(&Scope::Relay, "asha").await.unwrap(), 0);
    assert_eq!(test.house.ledger.held(&Hold::Paused, 1_000).unwrap().len(), 600);
    assert_eq!(control.resume(&scope("channel:email"), "ben").await.unwrap(), 600);
    assert_eq!(test.house.ledger.waiting_counts()["due_later"], 600);
}

#[tokio::test]
async fn a_resume_frees_only_what_no_other_pause_covers_wherever_it_stands_in_the_backlog() {
    let test = TestHouse::open("");
    let control = &test.house.control;
    let channel = |n: u32| if n.is_multiple_of(3) { Channel::Sms } else { Channel::Email };
    let held = (0..900).map(|n| Notification { channels: vec![channel(n)], ..notification(n, WaitReason::Paused) });
    test.add(held).await;
    control.pause(Scope::Relay, "asha", None).await.unwrap();
    control.pause(scope("channel:sms"), "ben", None).await.unwrap();
    assert_eq!(control.resume(&Scope::Relay, "asha").await.unwrap(), 600);
    for id in test.house.ledger.held(&Hold::Paused, 1_000).unwrap() {
        let n = test.house.ledger.notification(id).unwrap().unwrap();
        assert_eq!(n.channels, [Channel::Sms]);
    }
}

#[tokio::test]
async fn what_is_held_again_while_a_release_walks_is_not_met_twice() {
    let test = TestHouse::open("");
    let (control, ledger) = (&test.house.control, &test.house.ledger);
    test.add((0..600).map(|n| notification(n, WaitReason::Brake))).await;
    let hold = Hold::Brake("welcome".parse().unwrap());
    let again = async {
        // Somebody who puts back whatever is freed, as a dispatcher under a tripped brake does.
        let mut put_back = 0;
        while put_back < 600 {
            for leased in ledger.lease_due(START, 64).unwrap() {
                let mut changes = Changes::new();
                let state = notification(0, WaitReason::Brake).state;
                changes
                    .update_notification(&leased.notification, Notification { state, ..leased.notification.clone() });
                ledger.commit(changes).await.unwrap();
                put_back += 1;
            }
            tokio::task::yield_now().await;
        }
    };
    let (released, ()) = tokio::join!(control.release(&hold, "asha"), again);
    assert_eq!(released.unwrap(), 600, "each once");
}

#[tokio::test]
async fn what_a_brake_released_does_not_count_again() {
    let test = TestHouse::open("");
    test.add([notification(1, WaitReason::Brake), notification(2, WaitReason::Brake)]).await;
    let control = &test.house.control;
    control.release_one(id(1)).await.unwrap();
    assert_eq!(control.release_brake(&"welcome".parse().unwrap(), "asha").await.unwrap(), 1);
    for n in [1, 2] {
        let n = test.house.ledger.notification(id(n)).unwrap().unwrap();
        assert!(n.brake_released && n.state.reason() == Some("due_later"));
    }
}

#[tokio::test]
async fn changes_made_at_the_same_moment_are_all_kept_also_across_a_restart() {
    let test = TestHouse::open("");
    let control = &test.house.control;
    let pauses = (1..=20).map(|n| control.pause(Scope::Org(OrgId(n)), "asha", None));
    let modes = ["welcome", "points-issued", "tier-upgraded", "coupon-issued"]
        .map(|name| control.set_mode(Target::Template(name.parse().unwrap()), Some(Mode::Shadow), "ben"));
    let (paused, set) = tokio::join!(futures_util::future::join_all(pauses), futures_util::future::join_all(modes));
    assert!(paused.iter().chain(&set).all(Result::is_ok));
    let (paused, set) = (control.pauses(), control.modes());
    assert_eq!(paused.iter().count(), 20);
    for name in ["welcome", "points-issued", "tier-upgraded", "coupon-issued"] {
        let rule = RuleId { template: name.parse().unwrap(), index: 0 };
        assert_eq!(set.effective(Mode::Live, Mode::Live, &rule), Mode::Shadow, "{name}");
    }
    let test = test.reopen();
    assert_eq!((test.house.control.pauses(), test.house.control.modes()), (paused, set));
    assert!(!test.house.control.is_paused(ORG, &"welcome".parse().unwrap(), Channel::Email));
}

#[tokio::test]
async fn a_mended_provider_frees_only_what_waited_for_it_and_a_restart_frees_all() {
    let refused = |n, by: Option<&str>| Notification {
        refused_by: by.map(|id| id.parse().unwrap()),
        ..notification(n, WaitReason::Misconfigured)
    };
    let test = TestHouse::open("");
    // `gone` is no longer configured; the last is as stored before records said who refused.
    test.add([refused(1, Some("mail")), refused(2, Some("text")), refused(3, Some("gone")), refused(4, None)]).await;
    let test = test.reopen();
    let (control, ledger) = (&test.house.control, &test.house.ledger);
    let reasons = || [1, 2, 3, 4].map(|n| test.state(n).reason().unwrap());
    let mail = Hold::Misconfigured(Some("mail".parse().unwrap()));
    assert_eq!(ledger.held(&mail, 10).unwrap(), [id(1)]);
    assert_eq!(control.release(&mail, "relay").await.unwrap(), 1);
    assert_eq!(reasons(), ["due_later", "misconfigured", "misconfigured", "misconfigured"]);
    assert_eq!(control.release(&Hold::Misconfigured(None), "restart").await.unwrap(), 3);
    assert_eq!(reasons(), ["due_later"; 4]);
    let freed = ledger.notification(id(2)).unwrap().unwrap();
    assert_eq!(freed.refused_by, None);
}

#[tokio::test]
async fn who_was_noted_as_misconfigured_is_taken_back_alone() {
    let test = TestHouse::open("");
    let control = &test.house.control;
    let (mail, text) = ("mail".parse().unwrap(), "text".parse().unwrap());
    control.note_misconfigured(&mail);
    assert!(!control.take_misconfigured(&text));
    assert!(control.take_misconfigured(&mail) && !control.take_misconfigured(&mail));
}
