//! What a bench found: for machines as JSON, for people as a table.
//!
//! Promises: every figure has its unit in its name; ratios stand beside absolute figures, which drift from machine to machine.
//! Never: a figure that was not measured in this run.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::Plan;
use super::load::Driven;

/// One run.
#[derive(Serialize)]
pub struct Report {
    pub(super) machine: Machine,
    pub(super) plan: PlanTold,
    /// How far two runs of the bare server, one before and one after, lay apart: a share of their mean.
    pub(super) noise: f64,
    pub(super) bare_server: Latency,
    pub(super) bare_smtp_per_second: f64,
    pub(super) acknowledged: Latency,
    pub(super) steady: Latency,
    pub(super) mails: EndToEnd,
    pub(super) texts: EndToEnd,
    pub(super) ratios: Ratios,
    pub(super) memory: Memory,
    pub(super) ready_after_ms: u64,
    pub(super) ledger_bytes_per_event: u64,
}

/// Where it ran.
#[derive(Serialize)]
pub(super) struct Machine {
    cores: usize,
    version: &'static str,
    optimised: bool,
}

impl Machine {
    pub(super) fn here() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
        }
    }
}

/// What was asked for.
#[derive(Serialize)]
pub(super) struct PlanTold {
    contacts: u32,
    messages: u64,
    clients: usize,
    phase_seconds: f64,
    steady_per_second: u32,
}

impl From<Plan> for PlanTold {
    fn from(plan: Plan) -> Self {
        Self {
            contacts: plan.contacts,
            messages: plan.messages,
            clients: plan.clients,
            phase_seconds: plan.phase.as_secs_f64(),
            steady_per_second: plan.rate,
        }
    }
}

/// Answers of a phase.
#[derive(Serialize)]
pub(super) struct Latency {
    answers: u64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

impl Latency {
    pub(super) fn of(driven: &Driven) -> Self {
        let ms = |share| f64::from(driven.quantile(share)) / 1_000.0;
        Self {
            answers: driven.answered,
            per_second: driven.per_second(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
        }
    }
}

/// Messages from the first post to the last arrival.
#[derive(Serialize)]
pub(super) struct EndToEnd {
    messages: u64,
    pub(super) per_second: f64,
    /// The relay's processor time, all stages.
    relay_cpu_micros_each: f64,
    sink_cpu_micros_each: f64,
    /// Of the posts, while messages went out.
    acknowledgement_p99_ms: f64,
}

impl EndToEnd {
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
    pub(super) fn new(messages: u64, took: Duration, posted: &Driven, relay: Duration, sink: Duration) -> Self {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / messages as f64;
        Self {
            messages,
            per_second: messages as f64 / took.as_secs_f64(),
            relay_cpu_micros_each: each(relay),
            sink_cpu_micros_each: each(sink),
            acknowledgement_p99_ms: f64::from(posted.quantile(0.99)) / 1_000.0,
        }
    }
}

/// What to hold the relay against.
#[derive(Serialize)]
pub(super) struct Ratios {
    /// 1.0: a synced, sealed journal would cost nothing.
    pub(super) acknowledged_to_bare_server: f64,
    /// 1.0: everything but the sending would cost nothing.
    pub(super) mails_to_bare_smtp: f64,
}

/// The relay's resident memory.
#[derive(Serialize)]
pub(super) struct Memory {
    /// With the customers loaded and nothing to do.
    pub(super) idle_bytes: u64,
    /// At most.
    pub(super) peak_bytes: u64,
}

impl Report {
    /// For people.
    #[expect(clippy::cast_precision_loss, reason = "a count of bytes is far below 2^52")]
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(out, "{name:<44} {value}");
        };
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let latency = |l: &Latency| {
            let Latency { per_second, p50_ms, p99_ms, p999_ms, .. } = l;
            format!("{per_second:>8.0}/s   p50 {p50_ms:.2} ms   p99 {p99_ms:.2} ms   p99.9 {p999_ms:.2} ms")
        };
        let each = |e: &EndToEnd| {
            format!("{:>8.0}/s   {:.0} µs of the relay's CPU each", e.per_second, e.relay_cpu_micros_each)
        };
        let Machine { cores, version, optimised } = &self.machine;
        let build = if *optimised { "" } else { "   NOT OPTIMISED: build with --release" };
        row("machine", format!("{cores} cores, shared by load, relay and catchers; sealpost {version}{build}"));
        row("noise of this run", format!("{:.1} %", self.noise * 100.0));
        row("bare server, no journal", latency(&self.bare_server));
        row("acknowledged, synced to disk", latency(&self.acknowledged));
        row(&format!("acknowledged at {}/s", self.plan.steady_per_second), latency(&self.steady));
        row("bare SMTP client", format!("{:>8.0}/s", self.bare_smtp_per_second));
        row("mails, end to end", each(&self.mails));
        row("text messages, end to end", each(&self.texts));
        row("acknowledged / bare server", format!("{:>8.2}", self.ratios.acknowledged_to_bare_server));
        row("mails / bare SMTP client", format!("{:>8.2}", self.ratios.mails_to_bare_smtp));
        row("memory with the customers loaded", mib(self.memory.idle_bytes));
        row("memory at most", mib(self.memory.peak_bytes));
        row("ledger on disk", format!("{} bytes an event", self.ledger_bytes_per_event));
        row("start to ready", format!("{} ms", self.ready_after_ms));
        out
    }
}
