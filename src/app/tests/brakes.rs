//! What the brake has counted outlives the process.

use super::*;

#[tokio::test]
async fn what_the_brake_counted_is_saved_by_the_upkeep_and_outlives_a_crash() {
    let test = TestHouse::open("");
    let template: TemplateId = "welcome".parse().unwrap();
    for _ in 0..2 {
        assert!(test.house.control.brake_admits(&template, 2, START).await.unwrap());
    }
    let House { config, ledger, clock, metrics, .. } = &test.house;
    let intake = Intake::new(&config.intake, &config.sources, ledger.clone(), clock.clone(), metrics.clone());
    let (tasks, before) = (Tasks::new(), ledger.state("brake").unwrap());
    upkeep::spawn(&test.house, &intake, &tasks, &tasks.stop_token());
    until(|| ledger.state("brake").unwrap() != before).await;
    // The clock reaches the next look: what was counted meanwhile is saved as well.
    assert!(test.house.control.brake_admits(&template, 3, START).await.unwrap());
    let before = ledger.state("brake").unwrap();
    let next_look = || {
        // Again and again: it may not be asleep yet.
        clock.advance(Duration::from_secs(5));
        ledger.state("brake").unwrap() != before
    };
    until(next_look).await;
    tasks.drain(Duration::from_secs(10)).await.unwrap();
    drop(intake);
    let test = test.reopen();
    assert!(!test.house.control.brake_admits(&template, 3, START).await.unwrap(), "a restart grants no new hour");
}
