//! What the house no longer keeps.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

async fn sweep(test: &TestHouse) {
    while upkeep::sweep(&test.house).await.unwrap() {}
}

fn in_quarantine(test: &TestHouse) -> Vec<u64> {
    test.house.ledger.quarantined(None, 2_000).unwrap().iter().map(|q| q.seq.0).collect()
}

#[tokio::test]
async fn what_is_in_quarantine_goes_after_its_own_time_also_when_the_events_are_gone() {
    let test = TestHouse::open("");
    for _ in 0..700 {
        test.deliver(&json!("not an event")).await;
    }
    test.house.clock.advance(DAY);
    test.deliver(&json!("a day younger")).await;
    test.deliver(&customer_added("told", 1, START)).await;
    test.plan().await;
    test.house.clock.advance(DAY * 88);
    sweep(&test).await;
    assert_eq!(in_quarantine(&test).len(), 701, "ninety days are not over");
    test.house.clock.advance(DAY + Duration::from_millis(1));
    sweep(&test).await;
    assert_eq!(in_quarantine(&test), [701]);
    let test = test.reopen();
    test.house.clock.advance(DAY * 91 + Duration::from_millis(1));
    sweep(&test).await;
    assert_eq!(in_quarantine(&test), [0_u64; 0]);
}

#[test]
fn how_long_quarantine_is_kept_can_be_set() {
    let test = TestHouse::open("");
    assert_eq!(test.house.config.storage.keep_quarantine, DAY * 90);
    let set = "[storage]\nkeep_quarantine = \"7d\"\n";
    let faults = |text| Config::from_text(Path::new("test.toml"), text, &BTreeMap::new()).err().map(|e| e.to_string());
    assert_eq!(faults(set), faults(""), "the key is known");
}
