//! After the last kill: what is owed is delivered, some more is counted exactly, and then everything must agree.
//!
//! Promises: nothing is compared before the relay rests; each figure that the relay shows is held against the book.
//! Never: a wait for time instead of rest.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::task::JoinSet;

use super::ROUND;
use super::agree::{Sum, list};
use super::book::{self, Entry, Kind};
use super::campaign::Campaign;
use super::senders::{SENDERS, deliver};
use super::told::Told;
use crate::process::Installation;
use crate::support::{PATIENCE, breath, until_none};

impl Campaign {
    /// Delivers what is owed, and some more to be counted exactly; then nothing may be left that does not agree.
    pub async fn in_peace(&mut self, kills: usize) -> Result<Sum> {
        let owed = self.book.owed();
        self.deliver_all(owed).await?;
        quiet(&self.relay, true).await;
        let (before, mails, texts) =
            (counters(&self.relay).await, self.relay.smtp.accepted(), self.relay.sms.received());
        let again: Vec<u32> = self.chance.choose_multiple(self.book.entries().into_keys(), 40);
        let fresh: Vec<u32> = std::iter::repeat_with(|| self.book.fresh()).take(ROUND).collect();
        self.deliver_all(again.iter().chain(&fresh).copied().collect()).await?;
        self.import("strangers.csv", true, kills)?;
        quiet(&self.relay, false).await;
        let counted = counters(&self.relay).await;
        let difference = |name: &str| counted.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
        let of = |all: &[u32], wanted: fn(Kind) -> bool| all.iter().filter(|n| wanted(Kind::of(**n))).count() as u64;
        let garbage = |kind| kind == Kind::Garbage;
        let counters = [
            ("sealpost_deliveries_total accepted", (again.len() + fresh.len()) as u64),
            ("sealpost_events_total planned", of(&fresh, |kind| kind != Kind::Garbage)),
            ("sealpost_events_total duplicate", of(&again, |kind| kind != Kind::Garbage)),
            ("sealpost_quarantined_total", of(&again, garbage) + of(&fresh, garbage)),
            ("sealpost_messages_total email sent", self.relay.smtp.accepted() - mails),
            ("sealpost_messages_total sms sent", self.relay.sms.received() - texts),
            ("sealpost_messages_total email dead_letter", of(&fresh, |kind| kind == Kind::NoMailbox)),
        ];
        for (name, expected) in counters {
            ensure!(difference(name) == expected, "{name} counts {}, not {expected}: {counted:#?}", difference(name));
        }
        self.agree().await
    }

    async fn deliver_all(&self, numbers: Vec<u32>) -> Result<()> {
        let mut tasks = JoinSet::new();
        for chunk in numbers.chunks(numbers.len().div_ceil(SENDERS).max(1)) {
            let (door, book, chunk) = (self.door.clone(), self.book.clone(), chunk.to_vec());
            tasks.spawn(async move {
                for n in chunk {
                    assert!(deliver(&door, &book, n).await, "{n} was not acknowledged, and nobody was killed");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done?;
        }
        Ok(())
    }

    async fn agree(&self) -> Result<Sum> {
        quiet_webhook(&self.relay).await;
        let told = Told::read(&self.relay, &self.receiver)?;
        let entries = self.book.entries();
        let mut sum = Sum::default();
        let real = entries.iter().filter(|(n, _)| Kind::of(**n) != Kind::Garbage);
        let looked_up = stream::iter(real)
            .map(|(n, entry)| async move { (n, entry, self.relay.settled(&book::event_id(*n)).await) });
        // Several at once: what is waited for is the way there and back.
        let mut looked_up = std::pin::pin!(looked_up.buffered(8));
        while let Some((n, entry, found)) = looked_up.next().await {
            ensure!(entry.acknowledged > 0, "{n} was never acknowledged: the harness is wrong");
            sum.event(*n, *entry, &found, &told).with_context(|| format!("event {n}: {found:#}"))?;
        }
        let everybody = told.mails.keys().chain(told.texts.keys());
        ensure!(everybody.into_iter().all(|n| entries.contains_key(n)), "a message to somebody without an event");
        let garbage: Vec<Entry> =
            entries.iter().filter(|(n, _)| Kind::of(**n) == Kind::Garbage).map(|(_, e)| *e).collect();
        sum.status(&self.get("/v1/status").await?, &garbage)?;
        sum.report(&self.report().await?)?;
        let mut dead = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("/v1/notifications?state=dead_letter&limit=1000{after}")).await?;
            dead.extend(list(&page["notifications"])?.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        ensure!(sum.dead == dead.into_iter().collect(), "the list of dead letters is not that of the timelines");
        Ok(sum)
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let (status, text) = self.relay.ask("GET", path, None).await;
        ensure!(status == 200, "{path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// The figures of every day that it may be in the org's zone.
    async fn report(&self) -> Result<Vec<Value>> {
        let now = sealpost::clock::Clock::system().now();
        let mut rows = Vec::new();
        for hours in [-24_i64, 0, 24] {
            let moment = jiff::Timestamp::from_millisecond(now.as_millis() + hours * 3_600_000)?;
            let day = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
            let report = self.get(&format!("/v1/reports/outcomes?day={day}")).await?;
            rows.extend(list(&report["rows"])?.iter().cloned());
        }
        Ok(rows)
    }
}

/// The counters of a process, summed over the labels that this harness does not tell apart.
pub async fn counters(relay: &Installation) -> BTreeMap<String, u64> {
    let (_, metrics) = relay.ask("GET", "/metrics", None).await;
    let mut all = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let label = |wanted: &str| {
            let at = labels.find(&format!("{wanted}=\""))? + wanted.len() + 2;
            labels[at..].split('"').next()
        };
        let of = match name {
            "sealpost_events_total" => [label("reason"), None],
            _ => [label("channel"), label("outcome")],
        };
        let name = std::iter::once(name).chain(of.into_iter().flatten()).collect::<Vec<_>>().join(" ");
        *all.entry(name).or_default() += value.parse::<u64>().unwrap_or(0);
    }
    all
}

/// Waits until everything is planned and nothing waits but for a person, or for a contact where that is said: for as long as it gets on.
pub async fn quiet(relay: &Installation, contacts_may_miss: bool) {
    // It counts everything that there is: to be asked all the time, it would be what the relay is busy with.
    until_none(20, async || unrest(relay, contacts_may_miss).await).await;
}

/// How much is not at rest, and what.
async fn unrest(relay: &Installation, contacts_may_miss: bool) -> Option<(u64, String)> {
    let (_, text) = relay.ask("GET", "/v1/status", None).await;
    let status: Value = serde_json::from_str(&text).expect("the daemon answers in JSON");
    let may_wait = |reason: &str| reason == "ambiguous_hold" || (contacts_may_miss && reason == "contact_unknown");
    let waiting = status["waiting"].as_object().expect("counts by reason");
    let number = |value: &Value| value.as_u64().expect("a count");
    let unplanned = number(&status["journal_head"]) - number(&status["planned"]);
    let waiting = waiting.iter().filter(|(reason, _)| !may_wait(reason)).map(|(_, count)| number(count)).sum::<u64>();
    if unplanned + waiting > 0 {
        // What is planned may wait then, once for each channel.
        return Some((2 * unplanned + waiting + 1, text));
    }
    // It walks over all there are: not to be asked in vain.
    let (_, attempting) = relay.ask("GET", "/v1/notifications?state=attempting&limit=3", None).await;
    (!attempting.contains("\"notifications\":[]")).then_some((1, attempting))
}

/// Waits until the webhook has told everything.
async fn quiet_webhook(relay: &Installation) {
    let looks = async {
        loop {
            let (_, metrics) = relay.ask("GET", "/metrics", None).await;
            if metrics.lines().any(|line| line == "sealpost_webhook_backlog 0") {
                return;
            }
            breath().await;
        }
    };
    tokio::time::timeout(PATIENCE, looks).await.expect("the webhook tells everything");
}
