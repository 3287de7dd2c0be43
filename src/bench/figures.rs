//! What a bench found: for machines as JSON, for people as a table.
//!
//! Promises: every figure has its unit in its name; ratios stand beside absolute figures, which drift from machine to machine.
//! Never: a figure that was not measured in this run.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::Plan;
use super::load::Driven;
use super::peer::PeerReport;

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
    /// At four fifths of the rate of `acknowledged`.
    pub(super) pressed: Latency,
    pub(super) mails: EndToEnd,
    pub(super) texts: EndToEnd,
    pub(super) peers: Vec<PeerReport>,
    pub(super) ratios: Ratios,
    pub(super) memory: Memory,
    pub(super) ready_after_ms: u64,
    pub(super) ledger_bytes_per_event: u64,
    pub(super) vault_bytes_per_customer: u64,
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
    /// Processor time of what was measured, all stages.
    cpu_micros_each: f64,
    sink_cpu_micros_each: f64,
    /// Of the posts, while messages went out.
    acknowledgement_p99_ms: f64,
}

impl EndToEnd {
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^52")]
    pub(super) fn new(messages: u64, took: Duration, posted: &Driven, measured: Duration, sink: Duration) -> Self {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / messages as f64;
        Self {
            messages,
            per_second: messages as f64 / took.as_secs_f64(),
            cpu_micros_each: each(measured),
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
    /// Just started, with an empty vault.
    pub(super) empty_bytes: u64,
    /// At most while the customers were loaded.
    pub(super) loading_bytes: u64,
    /// Started again, with the customers in the vault and nothing to do.
    pub(super) idle_bytes: u64,
    /// At most from then on.
    pub(super) peak_bytes: u64,
}

/// Bytes, for people.
#[expect(clippy::cast_precision_loss, reason = "a count of bytes is far below 2^52")]
pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, version, optimised } = self;
        let build = if *optimised { "" } else { "   NOT OPTIMISED: build with --release" };
        write!(f, "{cores} cores, shared by load, relay and catchers; sealpost {version}{build}")
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { per_second, p50_ms, p99_ms, p999_ms, .. } = self;
        write!(f, "{per_second:>8.0}/s   p50 {p50_ms:.2} ms   p99 {p99_ms:.2} ms   p99.9 {p999_ms:.2} ms")
    }
}

impl Report {
    /// For people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(out, "{name:<44} {value}");
        };
        let each = |e: &EndToEnd| format!("{:>8.0}/s   {:.0} µs of its CPU each", e.per_second, e.cpu_micros_each);
        row("machine", self.machine.to_string());
        row("noise of this run", format!("{:.1} %", self.noise * 100.0));
        row("bare server, no journal", self.bare_server.to_string());
        row("acknowledged, synced to disk", self.acknowledged.to_string());
        row(&format!("acknowledged at {}/s", self.plan.steady_per_second), self.steady.to_string());
        row("acknowledged at 80 % of the most", self.pressed.to_string());
        row("bare SMTP client", format!("{:>8.0}/s", self.bare_smtp_per_second));
        row("mails, end to end", each(&self.mails));
        row("text messages, end to end", each(&self.texts));
        for peer in &self.peers {
            let ratio = self.mails.per_second / peer.mails.per_second;
            row(&format!("peer: {}", peer.command), format!("{}   {}", each(&peer.mails), mib(peer.peak_bytes)));
            row("mails / mails of that peer", format!("{ratio:>8.2}"));
        }
        row("acknowledged / bare server", format!("{:>8.2}", self.ratios.acknowledged_to_bare_server));
        row("mails / bare SMTP client", format!("{:>8.2}", self.ratios.mails_to_bare_smtp));
        let Memory { empty_bytes, loading_bytes, idle_bytes, peak_bytes } = self.memory;
        row("memory, empty / while loading customers", format!("{} / {}", mib(empty_bytes), mib(loading_bytes)));
        row("memory, started again / at most", format!("{} / {}", mib(idle_bytes), mib(peak_bytes)));
        row("ledger on disk", format!("{} bytes an event", self.ledger_bytes_per_event));
        row("vault on disk", format!("{} bytes a customer", self.vault_bytes_per_customer));
        row("start to ready, with the customers", format!("{} ms", self.ready_after_ms));
        out
    }
}
