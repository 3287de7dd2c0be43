//! Load by hand: half of what the machine sustains, for as long as is asked, over restarts and reloads (`just soak-load`).
//!
//! Promises: every event is told exactly once to exactly one person; counters of every life agree with the book; memory stays flat and
//! the disk grows with what is kept and nothing else. What was seen is printed, also where nothing is wrong.
//! Never: an open count: senders stand still before anything is compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sealpost::sink::Keep;
use sealpost::sink::sms::{SmsAct, SmsScript};
use sealpost::sink::smtp::{Act, Phase, SmtpScript};
use serde_json::Value;
use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::book::{mailbox, mobile};
use super::peace::{counters, quiet};
use super::senders::SENDERS;
use super::{TEMPLATE, from_environment, say, templates};
use crate::doors::{self, Door, Shows};
use crate::process::Installation;
use crate::support::{Setup, breath, customer_added};

/// Seconds, if nobody says.
const HOUR: u64 = 3_600;
/// Processes, one after the other.
const LIVES: u32 = 6;
const PEOPLE: u32 = 2_000;
/// What an event may take on the disk, with its two messages, timeline and searches; and the stores before the first.
const DISK: (u64, u64) = (20 << 10, 512 << 20);
/// What the relay may take in memory.
const MEMORY: u64 = 512 << 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes an hour: `just soak-load`"]
async fn soak_load() {
    let lasts = Duration::from_secs(from_environment("SEALPOST_SOAK_SECONDS").unwrap_or(HOUR));
    soak(lasts, from_environment("SEALPOST_SOAK_RATE")).await.unwrap_or_else(|error| panic!("{error:?}"));
}

/// What reached whom, by person.
struct Reached([Vec<AtomicU32>; 2]);

impl Reached {
    fn of(&self, channel: usize) -> u64 {
        self.0[channel].iter().map(|count| u64::from(count.load(Ordering::SeqCst))).sum()
    }

    fn note(&self, channel: usize, person: Option<usize>) {
        let person = person.and_then(|n| self.0[channel].get(n)).expect("a message to a person of this test");
        person.fetch_add(1, Ordering::SeqCst);
    }
}

/// What the senders know.
struct Load {
    door: Door,
    /// Held by whoever delivers; whoever writes it finds nobody under way.
    standing: RwLock<()>,
    /// When the next one is due; none: at once.
    pace: Mutex<Option<Interval>>,
    next: AtomicU32,
    acknowledged: AtomicU64,
    unsure: AtomicU64,
}

impl Load {
    /// Delivers until told to stop; each event until it is acknowledged, and every tenth once more later.
    async fn send(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(pace) = &mut *self.pace.lock().await {
                pace.tick().await;
            }
            let _under_way = self.standing.read().await;
            let newest = self.next.fetch_add(1, Ordering::SeqCst);
            self.deliver(newest).await;
            if newest.is_multiple_of(10) {
                self.deliver(newest / 2).await;
            }
        }
    }

    async fn deliver(&self, n: u32) {
        let body = customer_added(&format!("load-{n}"), n % PEOPLE).to_string();
        loop {
            match self.door.deliver(Shows::Key, body.as_bytes()).await {
                Ok((200, _)) => {
                    self.acknowledged.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Ok((429, _)) => {}
                Ok((status, answer)) => panic!("{n} was answered {status}: {answer}"),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(_) => _ = self.unsure.fetch_add(1, Ordering::SeqCst),
            }
            // As it is asked to, only sooner.
            for _ in 0..20 {
                breath().await;
            }
        }
    }
}

async fn soak(lasts: Duration, rate: Option<u64>) -> Result<()> {
    let counts = || (0..PEOPLE).map(|_| AtomicU32::new(0)).collect();
    let reached = Arc::new(Reached([counts(), counts()]));
    let (mails, texts) = (reached.clone(), reached.clone());
    let smtp = SmtpScript::new().keep(Keep::Count).behave(move |moment| {
        if moment.phase == Phase::Dot {
            let to = moment.recipients[0].strip_prefix("person").and_then(|rest| rest.split('@').next()?.parse().ok());
            mails.note(0, to);
        }
        Act::Usual
    });
    let sms = SmsScript::new().keep(Keep::Count).behave(move |request, _| {
        let body: Value = serde_json::from_slice(&request.body).expect("the declared body is JSON");
        let to = body["to"].as_str().and_then(|to| to.strip_prefix("+9199000")?.parse().ok());
        texts.note(1, to);
        SmsAct::answer(200, "{}")
    });
    let elsewhere = tempfile::tempdir()?;
    let (templates, allow) = (Some(templates(elsewhere.path())), vec![TEMPLATE]);
    let toml = doors::toml(elsewhere.path());
    let mut relay = Installation::new(Setup { templates, allow, smtp, sms, toml, ..Setup::default() }).await;
    std::fs::write(relay.dir.path().join("people.csv"), people())?;
    tokio::task::block_in_place(|| relay.must(&["vault", "import", "people.csv"]));

    let load = Arc::new(Load {
        door: Door::new(relay.intake),
        standing: RwLock::default(),
        pace: Mutex::default(),
        next: AtomicU32::new(0),
        acknowledged: AtomicU64::new(0),
        unsure: AtomicU64::new(0),
    });
    relay.start().await;
    let (stop, mut senders) = (CancellationToken::new(), JoinSet::new());
    for _ in 0..SENDERS {
        let (load, stop) = (load.clone(), stop.clone());
        senders.spawn(async move { load.send(stop).await });
    }
    let rate = match rate {
        Some(rate) => rate,
        None => sustained(&relay, &load, lasts / 20).await / 2,
    };
    let mut pace = interval(Duration::from_secs(1) / u32::try_from(rate.max(1))?);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    *load.pace.lock().await = Some(pace);
    say(&format!("{rate} events a second for {lasts:?}; life, seconds, events, memory (MiB), disk (MiB)"));

    let began = Instant::now();
    let mut before = (0, 0, 0);
    for number in 1..=LIVES {
        let life = Life { number, began, until: began + lasts * number / LIVES };
        let memory = life.watch(&relay, &load).await?;
        before = life.compare(&relay, &load, &reached, before, memory).await?;
        if number < LIVES {
            // Under load: senders go on, and are told to come again.
            let ended = relay.terminate().await;
            ensure!(ended.code() == Some(0), "SIGTERM does not end the daemon in order: {ended}");
            before = (load.acknowledged.load(Ordering::SeqCst), reached.of(0), reached.of(1));
            let started = Instant::now();
            relay.start().await;
            say(&format!("reopened within {:?}", started.elapsed()));
        }
    }
    stop.cancel();
    while let Some(ended) = senders.join_next().await {
        ended?;
    }
    quiet(&relay, false).await;
    let events = load.next.load(Ordering::SeqCst);
    for person in 0..PEOPLE {
        let expected = events / PEOPLE + u32::from(person < events % PEOPLE);
        for counts in &reached.0 {
            let told = counts[person as usize].load(Ordering::SeqCst);
            ensure!(told == expected, "person {person} was told {told} of {expected} events");
        }
    }
    let ended = relay.terminate().await;
    ensure!(ended.code() == Some(0), "SIGTERM does not end the daemon in order: {ended}");
    say(&format!("{events} events, each told once by mail and once by text"));
    Ok(())
}

fn people() -> String {
    let mut csv = String::from("customer_id,external_id,first_name,last_name,email,mobile\n");
    for n in 0..PEOPLE {
        let (mail, mobile) = (mailbox(n), mobile(n));
        csv.push_str(&format!("{},EXT{n:04},Givenname{n},Familyname{n},{mail},{mobile}\n", 900_000 + n));
    }
    csv
}

/// Events a second that come out at the other end, when senders never wait.
async fn sustained(relay: &Installation, load: &Load, lasts: Duration) -> u64 {
    let began = Instant::now();
    while began.elapsed() < lasts {
        breath().await;
    }
    let standing = load.standing.write().await;
    quiet(relay, false).await;
    drop(standing);
    let rate = u64::from(load.next.load(Ordering::SeqCst)) * 1_000 / began.elapsed().as_millis().max(1) as u64;
    say(&format!("sustained {rate} events a second"));
    rate
}

/// One process of many.
struct Life {
    number: u32,
    began: Instant,
    until: Instant,
}

impl Life {
    /// Lets the load run, with a reload now and then; what memory was like.
    async fn watch(&self, relay: &Installation, load: &Load) -> Result<Vec<u64>> {
        let lasts = self.until.saturating_duration_since(Instant::now());
        let (look, mut next, mut memory) = (lasts / 12, Instant::now(), Vec::new());
        while Instant::now() < self.until {
            if Instant::now() >= next {
                next += look;
                relay.tell_to_reload();
                let (resident, disk) = (relay.resident(), disk(relay).await?);
                memory.push(resident);
                say(&format!(
                    "{:2} {:6} {:8} {:6} {:6}",
                    self.number,
                    self.began.elapsed().as_secs(),
                    load.next.load(Ordering::SeqCst),
                    resident >> 20,
                    disk >> 20
                ));
            }
            breath().await;
        }
        Ok(memory)
    }

    /// Holds the life against the book, at rest. `before`: acknowledged, mails and texts when it began.
    async fn compare(
        &self,
        relay: &Installation,
        load: &Load,
        reached: &Reached,
        before: (u64, u64, u64),
        memory: Vec<u64>,
    ) -> Result<(u64, u64, u64)> {
        let _standing = load.standing.write().await;
        quiet(relay, false).await;
        let now = (load.acknowledged.load(Ordering::SeqCst), reached.of(0), reached.of(1));
        let unsure = load.unsure.swap(0, Ordering::SeqCst);
        let counted = counters(relay).await;
        let count = |name: &str| counted.get(name).copied().unwrap_or_default();
        let accepted = count("sealpost_deliveries_total accepted");
        let least = now.0 - before.0;
        ensure!(
            (least..=least + unsure).contains(&accepted),
            "{accepted} accepted, {least} acknowledged: {counted:#?}"
        );
        for (name, expected) in [("email", now.1 - before.1), ("sms", now.2 - before.2)] {
            let sent = count(&format!("sealpost_messages_total {name} sent"));
            ensure!(sent == expected, "{sent} counted as sent by {name}, {expected} caught");
        }
        let (limit, disk) = (u64::from(load.next.load(Ordering::SeqCst)) * DISK.0 + DISK.1, disk(relay).await?);
        ensure!(disk <= limit, "{disk} bytes on disk, at most {limit} were expected");
        let most = memory.iter().copied().max().context("a look at its memory")?;
        ensure!(most <= MEMORY, "{most} bytes of memory");
        let third = |part: usize| {
            let mut some = memory[memory.len() * part / 3..memory.len() * (part + 1) / 3].to_vec();
            some.sort_unstable();
            some.get(some.len() / 2).copied().unwrap_or_default()
        };
        // A fifth and 16 MiB: caches fill, and an allocator is no ruler.
        let (middle, last) = (third(1), third(2));
        ensure!(last <= middle + middle / 5 + (16 << 20), "memory grows: {memory:?}");
        Ok(now)
    }
}

/// Bytes of both stores.
async fn disk(relay: &Installation) -> Result<u64> {
    let (_, text) = relay.ask("GET", "/v1/status", None).await;
    let status: Value = serde_json::from_str(&text)?;
    let vault = status["vault"]["bytes_on_disk"].as_u64().unwrap_or(0);
    Ok(status["ledger_bytes"].as_u64().context("bytes")? + vault)
}
