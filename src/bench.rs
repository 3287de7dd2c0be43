//! The bench: load generator, relay and catchers as separate processes on loopback, measured from outside.
//!
//! Promises: the relay is this very binary, started with `run` on a configuration file of its own; nothing leaves the machine;
//! every figure comes with what it is to be held against (a bare server, a bare SMTP client) from the same run and with
//! the noise of that run; made-up people only; it stops by itself and leaves no process and no file behind, but for the log of a relay
//! whose run failed.
//! Never: a figure for work that was not done: an answer that was not 200, or a mail that did not arrive, fails the run.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};

mod child;
mod client;
mod event;
mod figures;
mod flood;
mod load;
mod part;
mod peer;
mod setup;

pub use figures::Report;
pub use flood::{FloodPlan, FloodReport, run as flood};
pub use part::{Part, play as play_part};

use child::{Child, Spent};
use event::{Events, Kind};
use figures::{EndToEnd, Latency, Memory, Ratios};
use load::Pace;
use setup::{Brake, Site};

/// How much is asked of the relay.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Customers in the vault.
    pub contacts: u32,
    /// Events that become a mail each, and as many again that become a text message.
    pub messages: u64,
    /// Connections that post events at once.
    pub clients: usize,
    /// How long each of the phases without messages lasts.
    pub phase: Duration,
    /// Requests a second of the phase that keeps its own time.
    pub rate: u32,
}

/// Longest time without a single new message before the bench gives up.
const STALLED: Duration = Duration::from_secs(30);

/// Runs everything, and peers as commands (`benches/peers`), telling each phase as it begins.
///
/// # Errors
/// When a process cannot be started, an answer is not 200, or messages do not arrive.
pub async fn run(plan: Plan, peers: &[String], mut tell: impl FnMut(&str)) -> anyhow::Result<Report> {
    tell("starting the catchers and a bare server");
    let mut sink = Child::part(Part::Sink).await?;
    let bare = Child::part(Part::Bare).await?;
    let bare_at = bare.address("intake")?;

    tell("bare server: the same accept loop, nothing behind it");
    let ignored = Events::new(Kind::Ignored, plan.contacts);
    let before = load::drive(bare_at, &ignored, Pace::Flat { clients: plan.clients, lasts: plan.phase }).await?;

    let site = Site::lay(&sink, Brake::WIDE)?;
    let report = measure(plan, peers, &site, &mut sink, (bare_at, &before), tell).await;
    report.map_err(|error| site.with_its_log(error))
}

/// Everything after the first look at the bare server, which is at this address.
async fn measure(
    plan: Plan,
    peers: &[String],
    site: &Site,
    sink: &mut Child,
    (bare_at, before): (SocketAddr, &load::Driven),
    mut tell: impl FnMut(&str),
) -> anyhow::Result<Report> {
    tell("bare SMTP client: the relay's own session, nothing in front of it");
    let bare_smtp = client::mails_per_second(site, sink, plan.messages).await?;

    tell(&format!("starting the relay and loading {} customers", plan.contacts));
    let relay = Child::relay(site).await?;
    site.wait_until_ready(&relay).await?;
    let empty = relay.spent()?;
    site.load_customers(plan.contacts).await?;
    let loading = relay.spent()?;
    let vault_bytes_per_customer = site.bytes_of_vault()? / u64::from(plan.contacts.max(1));
    relay.stop().await.context("the relay did not drain")?;
    // Customers are loaded once and written to for months: what follows is the memory of a relay that was started since.
    let relay = Child::relay_again(site)?;
    let ready_after = site.wait_until_ready(&relay).await?;
    let idle = relay.spent()?;
    let unmeasured = Events::new(Kind::Ignored, plan.contacts);

    tell(&format!("acknowledgements: {} clients, as fast as they are answered", plan.clients));
    let acknowledged =
        load::drive(site.intake, &unmeasured, Pace::Flat { clients: plan.clients, lasts: plan.phase }).await?;
    site.wait_until_planned().await?;
    tell(&format!("acknowledgements: {} a second", plan.rate));
    let steady =
        load::drive(site.intake, &unmeasured, Pace::Steady { per_second: plan.rate, lasts: plan.phase }).await?;
    site.wait_until_planned().await?;
    let pressing = four_fifths(&acknowledged);
    tell(&format!("acknowledgements: {pressing} a second"));
    let pressed =
        load::drive(site.intake, &unmeasured, Pace::Steady { per_second: pressing, lasts: plan.phase }).await?;
    site.wait_until_planned().await?;

    tell(&format!("end to end: {} events become mails", plan.messages));
    let mails = end_to_end(plan, Kind::Mail, site, &relay, sink).await?;
    tell(&format!("end to end: {} events become text messages", plan.messages));
    let texts = end_to_end(plan, Kind::Text, site, &relay, sink).await?;

    let peak = relay.spent()?;
    let events = acknowledged.answered + steady.answered + pressed.answered + 2 * plan.messages;
    let bytes_per_event = site.bytes_of_ledger()? / events.max(1);
    relay.stop().await.context("the relay did not drain")?;
    let mut measured = Vec::new();
    for command in peers {
        tell(&format!("peer: {command}"));
        measured.push(peer::measure(command, plan, site, sink).await?);
    }
    tell("bare server again: how much the machine itself wavers");
    let after = load::drive(bare_at, &unmeasured, Pace::Flat { clients: plan.clients, lasts: plan.phase }).await?;

    let bare_rate = f64::midpoint(before.per_second(), after.per_second());
    Ok(Report {
        machine: figures::Machine::here(),
        plan: figures::PlanTold::from(plan),
        noise: (before.per_second() - after.per_second()).abs() / bare_rate,
        bare_server: Latency::of(before),
        bare_smtp_per_second: bare_smtp,
        acknowledged: Latency::of(&acknowledged),
        steady: Latency::of(&steady),
        pressed: Latency::of(&pressed),
        ratios: Ratios {
            acknowledged_to_bare_server: acknowledged.per_second() / bare_rate,
            mails_to_bare_smtp: mails.per_second / bare_smtp,
        },
        mails,
        texts,
        peers: measured,
        memory: Memory {
            empty_bytes: empty.resident,
            loading_bytes: loading.peak,
            idle_bytes: idle.resident,
            peak_bytes: peak.peak,
        },
        ready_after_ms: u64::try_from(ready_after.as_millis()).unwrap_or(u64::MAX),
        ledger_bytes_per_event: bytes_per_event,
        vault_bytes_per_customer,
    })
}

/// A rate that leaves a fifth of what was possible.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of requests fits, and is not negative"
)]
fn four_fifths(most: &load::Driven) -> u32 {
    (most.per_second() * 0.8).max(1.0) as u32
}

/// Posts events that each become one message and waits for the last of them.
async fn end_to_end(plan: Plan, kind: Kind, site: &Site, relay: &Child, sink: &mut Child) -> anyhow::Result<EndToEnd> {
    let events = Events::new(kind, plan.contacts);
    let caught_before = sink.caught(kind).await?;
    let (relay_before, sink_before) = (relay.spent()?, sink.spent()?);
    let started = std::time::Instant::now();
    let posted =
        load::drive(site.intake, &events, Pace::Counted { clients: plan.clients, requests: plan.messages }).await?;
    wait_for(kind, caught_before + plan.messages, sink).await.with_context(|| site.hint())?;
    let took = started.elapsed();
    let (relay_spent, sink_spent) = (relay.spent()? - relay_before, sink.spent()? - sink_before);
    Ok(EndToEnd::new(plan.messages, took, &posted, relay_spent, sink_spent))
}

/// Waits until the catchers have caught so many; gives up when none comes any more.
async fn wait_for(kind: Kind, wanted: u64, sink: &mut Child) -> anyhow::Result<()> {
    let mut last = (0, std::time::Instant::now());
    loop {
        let caught = sink.caught(kind).await?;
        if caught >= wanted {
            return Ok(());
        }
        if caught > last.0 {
            last = (caught, std::time::Instant::now());
        }
        ensure!(last.1.elapsed() < STALLED, "{} messages are missing, and none came for {STALLED:?}", wanted - caught);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl std::ops::Sub for Spent {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }
}
