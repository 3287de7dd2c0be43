//! Holds the relay's own word, event by event and in sum, against the book and against what was caught.
//!
//! Promises: every event of the book; every line of its timeline accounted for; sums that must come out even.
//! Never: a difference that is waved through because a crash might explain it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::book::{Entry, Kind};
use super::told::{Outcome, Told};

/// What all events came to.
#[derive(Default)]
pub struct Sum {
    /// Deliveries that ended in an event's timeline.
    pub deliveries: u64,
    pub dead: BTreeSet<String>,
    /// Texts that may have gone, and wait for a person.
    pub held: u64,
    /// Attempts without an answer.
    pub ambiguous: u64,
    /// Messages that reached somebody more than once.
    pub twice: u64,
    pub outcomes: BTreeMap<Outcome, u64>,
}

impl Sum {
    /// Takes in what is known of an event.
    pub fn event(&mut self, n: u32, entry: Entry, found: &Value, told: &Told) -> Result<()> {
        let lines = list(&found["timeline"])?;
        let words: Vec<&str> = lines.iter().filter_map(|line| line["what"].as_str()).collect();
        let count = |word: &str| words.iter().filter(|what| **what == word).count();
        ensure!(count("received") == 1, "received {} times", count("received"));
        ensure!(count("planned") == 2, "planned {} times", count("planned"));
        let copies = lines.iter().filter_map(|line| line["copies"].as_u64()).sum::<u64>();
        let deliveries = u32::try_from(1 + copies)?;
        let (least, most) = (entry.acknowledged, entry.acknowledged + entry.unsure);
        ensure!((least..=most).contains(&deliveries), "{deliveries} deliveries, not {least} to {most}");
        self.deliveries += u64::from(deliveries);

        let notifications = list(&found["notifications"])?;
        let channels: BTreeSet<_> = notifications.iter().filter_map(|one| one["channels"][0].as_str()).collect();
        ensure!(channels == BTreeSet::from(["email", "sms"]) && notifications.len() == 2, "not one mail and one text");
        for notification in notifications {
            let id = notification["id"].as_str().context("an id")?;
            let own: Vec<&Value> = lines.iter().filter(|line| line["notification"] == id).collect();
            self.notification(n, notification, &own, told).with_context(|| format!("notification {id}"))?;
        }
        Ok(())
    }

    fn notification(&mut self, n: u32, one: &Value, lines: &[&Value], told: &Told) -> Result<()> {
        let id = one["id"].as_str().context("an id")?;
        let channel = one["channels"][0].as_str().context("a channel")?;
        let is_mail = channel == "email";
        let count = |word: &str| lines.iter().filter(|line| line["what"] == word).count();
        let (sent, ambiguous, attempts) = (count("sent"), count("ambiguous"), count("attempt"));
        let ended = sent + ambiguous + count("permanent") + count("transient") + count("misconfigured");
        ensure!(attempts == ended, "{attempts} attempts have {ended} outcomes");

        let copies = if is_mail { told.mails.get(&n) } else { told.texts.get(&n) };
        let copies = copies.map_or(&[][..], Vec::as_slice);
        ensure!(copies.iter().all(|copy| copy == id), "copies have other ids: {copies:?}");
        ensure!((sent..=sent + ambiguous).contains(&copies.len()), "{} copies are not on its timeline", copies.len());
        self.twice += u64::from(copies.len() > 1);
        self.ambiguous += ambiguous as u64;

        let state = one["state"].as_str().context("a state")?;
        // Of a dead letter, a word and what belongs to it.
        let reason = one["reason"].as_str().or(one["reason"]["reason"].as_str());
        let as_it_must = match (Kind::of(n), is_mail) {
            (Kind::Garbage, _) => false,
            (Kind::NoMailbox, true) => {
                // The address was known to be bad before the crash kept the outcome from being recorded.
                let after = state == "suppressed" && reason == Some("address_suppressed") && ambiguous > 0;
                copies.is_empty() && (after || (state == "dead_letter" && reason == Some("refused")))
            }
            (Kind::NoMobile, false) => {
                attempts == 0 && copies.is_empty() && state == "dead_letter" && reason == Some("no_address")
            }
            (_, true) => state == "sent" && sent == 1,
            // A text that may have gone is never tried again by itself.
            (_, false) if ambiguous > 0 => {
                self.held += 1;
                state == "waiting" && reason == Some("ambiguous_hold") && attempts == 1
            }
            (_, false) => state == "sent" && sent == 1 && attempts == 1,
        };
        ensure!(as_it_must, "{:?} must not be left so", Kind::of(n));
        if state == "dead_letter" {
            self.dead.insert(id.to_owned());
        }

        let is_outcome = |word: &&str| ["sent", "ambiguous", "dead_letter", "suppressed"].contains(word);
        let mut own: Vec<&str> = lines.iter().filter_map(|line| line["what"].as_str()).filter(is_outcome).collect();
        let outcomes = told.outcomes.get(id).map_or(&[][..], Vec::as_slice);
        let mut said: Vec<&str> = outcomes.iter().map(|outcome| outcome.word.as_str()).collect();
        own.sort_unstable();
        said.sort_unstable();
        ensure!(own == said, "the webhook told {said:?}, the timeline {own:?}");
        ensure!(outcomes.iter().all(|outcome| outcome.channel == channel), "told of another channel");
        for outcome in outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += 1;
        }
        Ok(())
    }

    /// The relay on one screen.
    pub fn status(&self, status: &Value, garbage: &[Entry]) -> Result<()> {
        let quarantined = status["quarantined"].as_u64().context("a count")?;
        let least: u32 = garbage.iter().map(|entry| entry.acknowledged).sum();
        let most: u32 = garbage.iter().map(|entry| entry.acknowledged + entry.unsure).sum();
        ensure!(
            (u64::from(least)..=u64::from(most)).contains(&quarantined),
            "{quarantined} in quarantine, not {least} to {most}"
        );
        let head = status["journal_head"].as_u64().context("a place")?;
        let places = self.deliveries + quarantined;
        ensure!(head == places, "{head} deliveries were kept, and {places} came to something");
        let dead = status["dead_letters"].as_u64().context("a count")?;
        ensure!(dead == self.dead.len() as u64, "status counts {dead} dead letters, timelines {}", self.dead.len());
        for (reason, count) in status["waiting"].as_object().context("counts by reason")? {
            let expected = if reason == "ambiguous_hold" { self.held } else { 0 };
            ensure!(*count == expected, "status counts {count} waiting for {reason}, timelines {expected}");
        }
        Ok(())
    }

    /// The rows of the days that the test may have touched.
    pub fn report(&self, rows: &[Value]) -> Result<()> {
        let mut reported: BTreeMap<Outcome, u64> = BTreeMap::new();
        for row in rows.iter().filter(|row| row["outcome"] != "waiting") {
            let text = |name: &str| row[name].as_str().map(ToOwned::to_owned);
            let outcome = Outcome {
                channel: text("channel").context("a channel")?,
                word: text("outcome").context("an outcome")?,
                reason: text("reason"),
            };
            *reported.entry(outcome).or_default() += row["messages"].as_u64().context("a figure")?;
        }
        ensure!(reported == self.outcomes, "reported {reported:#?}, told {:#?}", self.outcomes);
        Ok(())
    }
}

pub fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().context("a list")
}
