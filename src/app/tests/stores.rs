//! When a store is lost to the process.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_ledger_that_hangs_for_long_is_lost_and_one_that_goes_on_is_not() {
    let health = watch::Sender::new(Health::Well);
    let patience = Duration::from_secs(60);
    let soon = Duration::from_secs(59);
    let mut lost = std::pin::pin!(lost(health.subscribe(), patience));
    for _ in 0..3 {
        health.send_replace(Health::Stuck);
        assert!(tokio::time::timeout(soon, &mut lost).await.is_err(), "it may still go on");
        health.send_replace(Health::Well);
        assert!(tokio::time::timeout(patience * 10, &mut lost).await.is_err(), "it went on");
    }
    health.send_replace(Health::Stuck);
    assert_eq!(lost.await, "a commit has been stuck for 60s");
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_ledger_is_lost_at_once() {
    let health = watch::Sender::new(Health::Stuck);
    let mut lost = std::pin::pin!(lost(health.subscribe(), Duration::from_secs(60)));
    assert!(futures_util::poll!(lost.as_mut()).is_pending());
    health.send_replace(Health::Poisoned("cause".into()));
    assert_eq!(lost.await, "cause");
}
