//! The flood: far more events at once than a template's brake lets through, as after a wrong campaign or a replay of history.
//!
//! Promises: the run fails unless exactly as many mails go out as the brake allows, the rest is held, and one command cancels all of it.
//! Never: a figure of a flood that something else held back.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::child::Child;
use super::event::{Events, Kind};
use super::figures::{Latency, Machine, mib};
use super::load::{self, Pace};
use super::part::Part;
use super::setup::Site;
use super::{STALLED, setup};

/// How large a flood.
#[derive(Clone, Copy, Debug)]
pub struct FloodPlan {
    /// Events.
    pub events: u64,
    /// Mails that the brake lets through.
    pub brake: u64,
    /// Customers in the vault.
    pub contacts: u32,
    /// Connections that post events at once.
    pub clients: usize,
}

/// What came of it.
#[derive(Serialize)]
pub struct FloodReport {
    machine: Machine,
    events: u64,
    sent: u64,
    held: u64,
    acknowledged: Latency,
    /// From the first post until everything else is held.
    held_after_seconds: f64,
    /// How long the one command took that cancels what is held.
    cancelled_in_seconds: f64,
    peak_bytes: u64,
    ledger_bytes_per_event: u64,
}

/// Floods a relay.
///
/// # Errors
/// When a process cannot be started, an answer is not 200, or the brake does not hold exactly the rest.
pub async fn run(plan: FloodPlan, mut tell: impl FnMut(&str)) -> anyhow::Result<FloodReport> {
    ensure!(plan.events > plan.brake, "a flood has more events than the brake lets through");
    tell(&format!("starting a relay with {} customers and a brake of {} an hour", plan.contacts, plan.brake));
    let mut sink = Child::part(Part::Sink).await?;
    let site = Site::lay(&sink, setup::Brake(plan.brake))?;
    let report = measure(plan, &mut sink, &site, tell).await;
    report.map_err(|error| site.with_its_log(error))
}

async fn measure(
    plan: FloodPlan,
    sink: &mut Child,
    site: &Site,
    mut tell: impl FnMut(&str),
) -> anyhow::Result<FloodReport> {
    let relay = Child::relay(site).await?;
    site.wait_until_ready(&relay).await?;
    site.load_customers(plan.contacts).await?;

    tell(&format!("{} events at once", plan.events));
    let events = Events::new(Kind::Mail, plan.contacts);
    let started = Instant::now();
    let pace = Pace::Insistent { clients: plan.clients, requests: plan.events };
    let posted = load::drive(site.intake, &events, pace).await?;
    tell("acknowledged; waiting until the rest is held");
    let rest = plan.events - plan.brake;
    wait_until_held(site, rest).await?;
    let held_after = started.elapsed();
    let sent = sink.caught(Kind::Mail).await?;
    ensure!(sent == plan.brake, "the brake lets {} through, and {sent} went out", plan.brake);

    tell("one command cancels what is held");
    let cancelling = Instant::now();
    site.command(&["notifications", "cancel", "--template", "points-mailed", "--reason", "brake"]).await?;
    let cancelled_in = cancelling.elapsed();
    let left = held(&site.status().await?);
    ensure!(left == 0, "{left} are still held after the command that cancels them");
    let sent = sink.caught(Kind::Mail).await?;
    ensure!(sent == plan.brake, "{sent} mails went out, {} of them after they were cancelled", sent - plan.brake);

    let peak_bytes = relay.spent()?.peak;
    let ledger_bytes_per_event = site.bytes_of_ledger()? / plan.events;
    relay.stop().await.context("the relay did not drain")?;
    Ok(FloodReport {
        machine: Machine::here(),
        events: plan.events,
        sent,
        held: rest,
        acknowledged: Latency::of(&posted),
        held_after_seconds: held_after.as_secs_f64(),
        cancelled_in_seconds: cancelled_in.as_secs_f64(),
        peak_bytes,
        ledger_bytes_per_event,
    })
}

fn held(status: &Value) -> u64 {
    status["waiting"]["brake"].as_u64().unwrap_or(0)
}

/// Looks until so many are held; gives up when nothing moves any more.
async fn wait_until_held(site: &Site, wanted: u64) -> anyhow::Result<()> {
    let mut last = (Value::Null, Instant::now());
    loop {
        let status = site.status().await?;
        if held(&status) >= wanted {
            return Ok(());
        }
        let now = json!([status["planned"], status["waiting"]]);
        if now != last.0 {
            last = (now, Instant::now());
        }
        ensure!(last.1.elapsed() < STALLED, "nothing moves any more: {}; {}", last.0, site.hint());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl FloodReport {
    /// For people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(out, "{name:<44} {value}");
        };
        row("machine", self.machine.to_string());
        row("events, all acknowledged", format!("{}   {}", self.events, self.acknowledged));
        row("sent, as many as the brake allows", self.sent.to_string());
        row("held", format!("{}   after {:.1} s", self.held, self.held_after_seconds));
        row("cancelled by one command", format!("{}   in {:.1} s", self.held, self.cancelled_in_seconds));
        row("memory at most", mib(self.peak_bytes));
        row("ledger on disk", format!("{} bytes an event", self.ledger_bytes_per_event));
        out
    }
}
