//! Tests of the daily file, over a real ledger and a clock that the test moves.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::app::House;
use crate::app::tests::{ORG, TestHouse, notification};
use crate::id::Channel;
use crate::ledger::{Happening, Notification, SentAs, State, TimelineEntry};
use crate::policy::WaitReason;

const HOUR: Duration = Duration::from_secs(3_600);

struct Office {
    test: TestHouse,
    files: tempfile::TempDir,
    daily: Daily,
}

impl Office {
    /// It is 14:49 on 27 October 2026 in Kolkata.
    fn open(keep: &str) -> Self {
        Self::open_with(keep, "")
    }

    fn open_with(keep: &str, more: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let toml =
            format!("[feed]\ndir = {:?}\nkeep = \"{keep}\"\n{more}", files.path().join("out").display().to_string());
        let test = TestHouse::open(&toml);
        let House { ledger, config, clock, .. } = test.house.clone();
        let people: People = Arc::new(|days| {
            let row = serde_json::json!({"day": days.date.to_string(), "org": ORG, "external_id": "GT0042"});
            Box::pin(async { Ok(vec![row]) })
        });
        let daily = Daily { ledger, config, clock, people };
        Self { test, files, daily }
    }

    /// Another process over the same stores and files, whose clock is set.
    async fn reopen(self, now: Time) -> Self {
        let Self { test, files, daily: Daily { people, .. } } = self;
        let test = test.reopen();
        let House { ledger, config, clock, .. } = test.house.clone();
        clock.set(now);
        Self { test, files, daily: Daily { ledger, config, clock, people } }
    }

    /// Sends a text message at a time, as the dispatcher records it.
    async fn sent(&self, n: u32, at: Time, segments: u32) {
        let waiting = State::Waiting { reason: WaitReason::DueLater, due_at: at };
        let planned = Notification { state: waiting, ..notification(n, WaitReason::DueLater) };
        let id = planned.id;
        self.test.add([planned]).await;
        let ledger = &self.test.house.ledger;
        let leased = ledger.lease(id).unwrap().unwrap();
        let (channel, provider) = (Channel::Sms, "text".parse::<crate::id::ProviderId>().unwrap());
        let new = Notification {
            channels: vec![channel],
            sent_as: Some(SentAs { provider: provider.clone(), sender: "MRGOLD".into(), segments: Some(segments) }),
            state: State::Sent { channel, provider: provider.clone(), at, provider_ref: None },
            ..leased.notification.clone()
        };
        let mut changes = Changes::new();
        let what = Happening::Sent { channel, provider, code: "201".into() };
        changes.add_timeline(new.event, TimelineEntry { at, notification: Some(id), what });
        changes.update_notification(&leased.notification, new);
        ledger.commit(changes).await.unwrap();
    }

    async fn look(&self) {
        self.daily.catch_up(self.daily.config.feed.daily.as_ref().unwrap()).await.unwrap();
    }

    fn files(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.files.path().join("out")) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.files.path().join("out").join(name)).unwrap()
    }
}

/// Midnight in Kolkata before the 27th.
fn midnight() -> Time {
    Time::from("2026-10-26T18:30:00Z".parse::<jiff::Timestamp>().unwrap())
}

#[tokio::test]
async fn yesterday_is_written_once_from_the_orgs_midnight_to_its_next() {
    let office = Office::open("90d");
    let minute = Duration::from_secs(60);
    office.sent(1, midnight().minus(24 * HOUR + minute), 9).await;
    office.sent(2, midnight().minus(24 * HOUR), 1).await;
    office.sent(3, midnight().minus(minute), 2).await;
    office.sent(4, midnight(), 9).await;
    office.look().await;
    let name = format!("outcomes-{ORG}-2026-10-26.csv");
    assert_eq!(office.files(), [name.as_str()]);
    insta::assert_snapshot!(office.read(&name), @r"
    day,org,template,channel,sender,provider,outcome,reason,messages,segments
    2026-10-26,41007,welcome,sms,MRGOLD,text,sent,,2,3
    ");
    let path = office.files.path().join("out").join(&name);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7137, 0, "nobody outside the group reads it");
    // Fetched and removed: it does not come back.
    std::fs::remove_file(path).unwrap();
    office.look().await;
    assert!(office.files().is_empty());
}

#[tokio::test]
async fn a_stop_over_several_nights_is_made_up_for() {
    let office = Office::open("90d");
    office.look().await;
    office.daily.clock.advance(24 * HOUR * 3);
    // Another process: what it knows is in the ledger.
    let again = office.daily.clone();
    again.catch_up(again.config.feed.daily.as_ref().unwrap()).await.unwrap();
    let days = ["2026-10-26", "2026-10-27", "2026-10-28", "2026-10-29"];
    assert_eq!(office.files(), days.map(|day| format!("outcomes-{ORG}-{day}.csv")));
    assert!(office.read(&format!("outcomes-{ORG}-2026-10-28.csv")).starts_with("day,org,"), "no message is a file too");
}

#[tokio::test]
async fn the_day_is_written_at_its_hour_and_not_before() {
    let office = Office::open("90d");
    office.look().await;
    // From 14:49 on the 27th to 01:49 on the 28th, and to 02:49.
    office.daily.clock.advance(11 * HOUR);
    office.look().await;
    assert_eq!(office.files().len(), 1);
    office.daily.clock.advance(HOUR);
    office.look().await;
    assert_eq!(office.files().len(), 2);
}

#[tokio::test]
async fn old_files_of_ours_are_removed_and_no_other() {
    let office = Office::open("2d");
    let dir = office.files.path().join("out");
    std::fs::create_dir(&dir).unwrap();
    let old = ["outcomes-41007-2026-10-23.csv", "unreachable-41007-2026-10-23.jsonl"];
    let others = ["outcomes-41007-2026-10-24.csv", "outcomes-2026-10-01.csv", "outcomes-41007-2026-10-01.txt", "notes"];
    old.iter().chain(&others).for_each(|name| std::fs::write(dir.join(name), "x").unwrap());
    office.look().await;
    let mut kept: Vec<String> = others.iter().map(|name| (*name).to_owned()).collect();
    kept.push(format!("outcomes-{ORG}-2026-10-26.csv"));
    kept.sort();
    assert_eq!(office.files(), kept);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_tried_again() {
    let office = Office::open("90d");
    let dir = office.files.path().join("out");
    std::fs::write(&dir, "a file in the folder's place").unwrap();
    let daily = office.daily.config.feed.daily.as_ref().unwrap();
    let said = office.daily.catch_up(daily).await.unwrap_err().to_string();
    assert!(said.contains("cannot be written"), "{said}");
    std::fs::remove_file(&dir).unwrap();
    office.look().await;
    assert_eq!(office.files().len(), 1);
}

#[tokio::test]
async fn people_are_listed_only_where_it_is_asked_for_and_for_the_owner_only() {
    let office = Office::open_with("90d", "unreachable = true\n");
    office.look().await;
    let name = format!("unreachable-{ORG}-2026-10-26.csv");
    assert_eq!(office.files(), [format!("outcomes-{ORG}-2026-10-26.csv"), name.clone()]);
    assert!(office.read(&name).contains("2026-10-26,41007,GT0042,"), "{}", office.read(&name));
    let mode = std::fs::metadata(office.files.path().join("out").join(name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

/// The clock is a month ahead for a while, and then as it should be.
#[tokio::test]
async fn days_that_a_clock_ahead_wrote_are_written_again_when_they_are_over_with_all_that_went() {
    let office = Office::open("90d");
    office.look().await;
    let today = office.daily.clock.now();
    office.sent(1, today, 1).await;
    office.daily.clock.advance(24 * HOUR * 30);
    office.sent(2, office.daily.clock.now(), 4).await;
    office.look().await;
    assert_eq!(office.files().len(), 31, "it is believed while it is ahead");

    office.daily.clock.set(today.plus(HOUR));
    office.sent(3, office.daily.clock.now(), 2).await;
    // Another process looks: where the clock was set back is in the ledger.
    let office = office.reopen(today.plus(HOUR)).await;
    office.look().await;
    office.sent(4, today.plus(2 * HOUR), 3).await;
    office.daily.clock.advance(24 * HOUR);
    office.sent(5, office.daily.clock.now(), 9).await;
    office.look().await;
    insta::assert_snapshot!(office.read(&format!("outcomes-{ORG}-2026-10-27.csv")), @r"
    day,org,template,channel,sender,provider,outcome,reason,messages,segments
    2026-10-27,41007,welcome,sms,MRGOLD,text,sent,,3,6
    ");
}

#[tokio::test]
async fn an_hour_that_comes_twice_writes_nothing_twice() {
    let office = Office::open("90d");
    // At 02:10 on the 28th yesterday is written, and fetched.
    office.daily.clock.set(midnight().plus(26 * HOUR + HOUR / 6));
    office.look().await;
    let name = format!("outcomes-{ORG}-2026-10-27.csv");
    std::fs::remove_file(office.files.path().join("out").join(&name)).unwrap();
    office.daily.clock.set(midnight().plus(25 * HOUR + HOUR / 6));
    office.look().await;
    office.daily.clock.advance(HOUR);
    office.look().await;
    assert!(!office.files().contains(&name));
}
