//! Disks that fail while the relay runs: full, read-only, broken, slow, hanging, removed.
//!
//! Promises: a sender is answered 200 only for what is there after the trouble, else 429 or, once the process has ended,
//! nothing; the process goes on by itself or ends with code 1, and a restart on a disk that is well needs nobody.
//! Never: a sleep; the shim counts what it did, and that is waited for.

use std::collections::BTreeSet;

use serde_json::json;
use tokio::task::JoinSet;

use crate::process::Installation;
use crate::support::{self, KEY, PATIENCE, Setup, breath, customer_added, person};

use super::shim::{Orders, Shim};

const EROFS: i32 = 30;
const EIO: i32 = 5;

/// Every way to fail for good, below a store.
fn failures(scope: &str) -> [(&'static str, Orders<'_>); 4] {
    let whole = Orders { scope, ..Orders::default() };
    [
        ("full", Orders { full: true, ..whole }),
        ("read-only", Orders { write_errno: EROFS, make_errno: EROFS, sync_errno: EROFS, ..whole }),
        ("failing writes", Orders { write_errno: EIO, ..whole }),
        ("failing syncs", Orders { sync_errno: EIO, ..whole }),
    ]
}

async fn relay() -> (Installation, Shim) {
    let mut relay = Installation::new(Setup { allow: vec!["welcome"], ..Setup::default() }).await;
    let shim = Shim::below(&mut relay, false);
    (relay, shim)
}

/// Delivers one registration; the status, or none if nobody answered.
async fn deliver(relay: &Installation, n: u32) -> Option<u16> {
    let body = customer_added(&format!("event-{n}"), n).to_string();
    // A connection that the end of the process cut has no status.
    support::deliver(relay.intake, KEY, body.as_bytes())
        .await
        .ok()
        .map(|(status, _)| status)
        .filter(|status| *status > 0)
}

async fn put(relay: &Installation, n: u32) -> bool {
    let body = Some(json!({ "contact": person(n) }));
    matches!(support::ask(&relay.socket(), "POST", "/v1/vault/put", body).await, Ok((200, _)))
}

/// Whatever was acknowledged is told, and no record is half there.
async fn is_whole(relay: &Installation, events: &BTreeSet<u32>, people: &BTreeSet<u32>, of: &str) {
    for n in people {
        let who = json!({ "customer": format!("external_id:EXT{n:04}") });
        let (status, text) = relay.ask("POST", "/v1/vault/get", Some(who)).await;
        assert!(status == 200 && text.contains(&format!("Givenname{n}")), "{of}: person {n} is gone: {text}");
    }
    for n in events {
        let found = relay.settled(&format!("event-{n}")).await;
        let all = found["notifications"].as_array().expect("a timeline lists notifications");
        assert_eq!(all.len(), 2, "{of}: {found:#}");
    }
    let (_, metrics) = relay.ask("GET", "/metrics", None).await;
    let half = metrics.lines().find(|line| line.starts_with("sealpost_corrupt_records_total"));
    assert_eq!(half, None, "{of}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_429_and_an_end_and_a_restart_that_misses_nothing() {
    let (mut relay, shim) = relay().await;
    let (mut events, mut people, mut next) = (BTreeSet::new(), BTreeSet::new(), 0);
    for store in ["data/ledger", "data/vault"] {
        for (name, orders) in failures(store) {
            let of = format!("{store} {name}");
            relay.start().await;
            for n in next..next + 3 {
                assert!(put(&relay, n).await, "{of}: {n}");
                people.insert(n);
                assert_eq!(deliver(&relay, n).await, Some(200), "{of}: {n}");
                events.insert(n);
            }
            shim.order(orders);
            // Until nobody answers any more: the ledger fails a sender, the vault a person or the planner.
            for n in next + 3.. {
                if put(&relay, n).await {
                    people.insert(n);
                }
                match deliver(&relay, n).await {
                    Some(200) => _ = events.insert(n),
                    Some(429) => {}
                    None => {
                        next = n + 1;
                        break;
                    }
                    Some(other) => panic!("{of}: a sender was answered {other}"),
                }
            }
            assert_eq!(relay.ended().await.code(), Some(1), "{of}");
            assert!(shim.hits() > 0, "{of}: the disk never failed");
            let log = std::fs::read_to_string(relay.log()).expect("a log can be read");
            let last = log.lines().last().unwrap_or_default();
            assert!(last.contains("look at the disk below storage.dir"), "{of}: {last}");

            shim.order(Orders::default());
            relay.start().await;
            is_whole(&relay, &events, &people, &of).await;
            relay.kill();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_the_relay_does_not_start_and_says_why() {
    let (mut relay, shim) = relay().await;
    relay.start().await;
    assert!(put(&relay, 1).await);
    assert_eq!(deliver(&relay, 1).await, Some(200));
    relay.settled("event-1").await;
    relay.kill();
    for store in ["data/ledger", "data/vault"] {
        shim.order(Orders { full: true, scope: store, ..Orders::default() });
        relay.launch(&[]);
        // fjall may open without writing: then it is the first sender that meets the full disk.
        let (intake, body) = (relay.intake, customer_added("event-2", 2).to_string());
        let senders = async {
            loop {
                let answer = support::deliver(intake, KEY, body.as_bytes()).await;
                assert!(!matches!(answer, Ok((200, _))), "{store}: there is no room");
                breath().await;
            }
        };
        let ended = tokio::select! { ended = relay.ended() => ended, never = senders => never };
        assert_eq!(ended.code(), Some(1), "{store}");
        let log = std::fs::read_to_string(relay.log()).expect("a log can be read");
        let last = log.lines().last().unwrap_or_default();
        let named = last.contains(store.trim_start_matches("data/"));
        assert!(last.contains("free space and start again") && named, "{store}: {last}");
        shim.order(Orders::default());
        relay.start().await;
        is_whole(&relay, &[1].into(), &[1].into(), store).await;
        relay.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_is_shared_by_those_who_wait_for_it() {
    let (mut relay, shim) = relay().await;
    relay.start().await;
    let shared = std::sync::Arc::new(relay);
    shim.order(Orders { sync_millis: 100, ..Orders::default() });
    let mut senders = JoinSet::new();
    for n in 0..64 {
        let relay = shared.clone();
        senders.spawn(async move { deliver(&relay, n).await });
    }
    let answers = senders.join_all().await;
    let syncs = shim.hits();
    assert!(answers.iter().all(|answer| *answer == Some(200)), "{answers:?}");
    assert!((1..64).contains(&syncs), "64 senders waited for {syncs} syncs: nobody shared");
    assert_eq!(shared.ask("GET", "/readyz", None).await.0, 200);
    shim.order(Orders::default());
    is_whole(&shared, &(0..64).collect(), &BTreeSet::new(), "slow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_is_429_until_it_goes_on() {
    let (mut relay, shim) = relay().await;
    relay.start().await;
    assert_eq!(deliver(&relay, 1).await, Some(200));
    relay.settled("event-1").await;
    shim.order(Orders { sync_hangs: true, scope: "data/ledger", ..Orders::default() });
    assert_eq!(deliver(&relay, 2).await, Some(429), "the one that met it waits as long as a commit may take");
    assert_eq!(deliver(&relay, 3).await, Some(429), "those behind it do not wait");
    let (status, why) = relay.ask("GET", "/readyz", None).await;
    assert_eq!((status, why.trim()), (503, "store_failed"));
    let said = relay.must(&["status"]);
    assert!(said.contains("refusing: store_failed") && said.contains("remedy:"), "{said}");

    shim.order(Orders::default());
    relay.ready().await;
    assert_eq!(deliver(&relay, 4).await, Some(200));
    is_whole(&relay, &[1, 4].into(), &BTreeSet::new(), "hanging").await;
    assert_eq!(relay.terminate().await.code(), Some(0), "the same process went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_removed_is_no_place_to_keep_anything() {
    for gone in ["data", "data/ledger", "data/vault"] {
        let (mut relay, _shim) = relay().await;
        relay.start().await;
        assert_eq!(deliver(&relay, 1).await, Some(200));
        relay.settled("event-1").await;
        std::fs::remove_dir_all(relay.dir.path().join(gone)).expect("it can be removed");
        let looks = async {
            for n in 2.. {
                match deliver(&relay, n).await {
                    None => return,
                    Some(429) => breath().await,
                    // The journal is whole: an event is kept, and its planning finds the vault gone.
                    Some(200) if gone == "data/vault" => {}
                    Some(other) => panic!("{gone}: {other} after it was removed"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, looks).await.expect("the relay ends");
        assert_eq!(relay.ended().await.code(), Some(1), "{gone}");
        let log = std::fs::read_to_string(relay.log()).expect("a log can be read");
        assert!(log.contains("removed or replaced"), "{gone}: {log}");
        relay.start().await;
        assert_eq!(deliver(&relay, 9_000).await, Some(200), "{gone}");
    }
}
