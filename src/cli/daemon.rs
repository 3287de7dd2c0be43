//! `run`, `demo`, `bench`, `keys`, `probe`.
//!
//! Promises: the first signal drains, the second exits at once; no core dump can hold a person.
//! Never: a listener before everything is checked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use axum::http::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{App, House, refresh_certificate};
use crate::bench;
use crate::call::{exchange, request};
use crate::clock::Clock;
use crate::config::Config;
use crate::demo::{self, Demo, PageDoor};
use crate::seal::Keyring;
use crate::serve::Certificate;
use crate::telemetry::{Metrics, logs};

use super::args::Bench;
use super::print;
use super::said::Said;

/// `run`
pub(super) async fn run(config: Arc<Config>) -> anyhow::Result<()> {
    logs::init_logs(&config.log.filter, config.log.json)?;
    allow_open_files();
    let stop = on_signal()?;
    let house = House::open(config, Clock::system(), Metrics::new())?;
    let app = App::build(house).await?;
    on_hangup(app.certificate())?;
    tracing::info!(intake = %app.intake_address(), admin = %app.admin_address(), "listening");
    app.run(stop).await.context("stopped")
}

/// `demo`
pub(super) async fn demo(once: bool, port: Option<u16>) -> anyhow::Result<()> {
    logs::init_logs("error", false)?;
    let door = if once { None } else { Some(PageDoor::open(port).await?) };
    let demo = Demo::start().await?;
    print::out("A relay, a mail catcher and an SMS gateway run in this process, on loopback only.");
    let report = demo::play(&demo, print::out).await?;
    print::out(&format!(
        "{} mails and {} text messages were caught; {} steps ended as they should, {} did not",
        demo.smtp.accepted(),
        demo.sms.messages().len(),
        report.right,
        report.wrong
    ));
    if let Some(door) = door {
        let page = demo.serve_page(door)?;
        print::out(&format!("Read them at http://{page}/ (Ctrl-C ends the demo)"));
        on_signal()?.cancelled().await;
    }
    demo.stop().await;
    if report.wrong > 0 {
        bail!("{} steps of the demo did not end as they should", report.wrong);
    }
    Ok(())
}

/// `bench`
pub(super) async fn bench(given: &Bench) -> anyhow::Result<Said> {
    let stop = on_signal()?;
    tokio::select! {
        // Its relay and its catchers end with what is dropped here, and so do their files.
        () = stop.cancelled() => bail!("interrupted"),
        said = measure(given) => said,
    }
}

async fn measure(given: &Bench) -> anyhow::Result<Said> {
    if let Some(events) = given.flood {
        let Bench { brake, contacts, clients, .. } = *given;
        let report = bench::flood(bench::FloodPlan { events, brake, contacts, clients }, print::err).await?;
        return Ok(Said::new(serde_json::to_value(&report)?, |_| report.table().trim_end().to_owned()));
    }
    let plan = bench::Plan {
        contacts: given.contacts,
        messages: given.messages,
        clients: given.clients,
        phase: Duration::from_secs(given.seconds),
        rate: given.rate,
    };
    let report = bench::run(plan, &given.peer, print::err).await?;
    Ok(Said::new(serde_json::to_value(&report)?, |_| report.table().trim_end().to_owned()))
}

/// `bench-part`
pub(super) async fn bench_part(word: &str) -> anyhow::Result<()> {
    bench::play_part(bench::Part::of(word).with_context(|| format!("no part of the bench is called {word}"))?).await
}

/// `keys init`
pub(super) fn init_keys(file: &Path) -> anyhow::Result<Said> {
    Keyring::generate().create(file)?;
    let file = file.display().to_string();
    Ok(Said::new(json!({ "file": file }), |_| {
        format!(
            "{file} made (mode 0600). Keep a copy away from the data: without it nothing can be read, with it everything can."
        )
    }))
}

/// `keys status`
pub(super) fn key_status(file: &Path) -> anyhow::Result<Said> {
    let ring = Keyring::load(file)?;
    let epochs = ring.epochs().into_iter().map(|epoch| {
        let made = ring.epoch_created(epoch).map(|time| time.to_string());
        json!({ "epoch": epoch, "made": made, "current": epoch == ring.current_epoch() })
    });
    Ok(Said::new(json!({ "epochs": epochs.collect::<Vec<_>>() }), |status| {
        let line = |epoch: &Value| {
            let current = if epoch["current"] == true { "  current" } else { "" };
            format!("epoch {}  made {}{current}", epoch["epoch"], epoch["made"].as_str().unwrap_or("unknown"))
        };
        print::rows(&status["epochs"]).iter().map(line).collect::<Vec<_>>().join("\n")
    }))
}

/// `probe`
pub(super) async fn probe(address: &str) -> anyhow::Result<Said> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("nothing listens on {address}"))?;
    let (status, body) = exchange(stream, request(Method::GET, "/readyz", &[], Vec::new())?).await?;
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    let ready = status.is_success();
    let json = json!({ "ready": ready, "says": text });
    let failed = (!ready).then(|| anyhow!("not ready: {text}"));
    Ok(Said { json, text: if ready { text } else { String::new() }, failed })
}

/// Files that can change while the relay runs are read again.
fn on_hangup(certificate: Option<Certificate>) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    #[expect(clippy::disallowed_methods, reason = "it outlives the house, whose drain must not wait for it")]
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match &certificate {
                Some(certificate) => refresh_certificate(certificate),
                None => {
                    tracing::warn!("SIGHUP: there is no certificate to read again; restart to change the configuration")
                }
            }
        }
    });
    Ok(())
}

/// The first signal stops; the second ends the process without waiting.
fn on_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "it outlives the house, whose drain must not wait for it")]
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                token.cancel();
            } else {
                print::err("second signal: exiting at once; sends under way will be ambiguous");
                #[expect(clippy::disallowed_methods, reason = "asked for twice: nothing more is waited for")]
                std::process::exit(1);
            }
        }
    });
    Ok(stop)
}

/// Connections and stores share the files that a process may have open: as many as it may ask for, whatever is usual. A shell's or a
/// unit's usual 1,024 are fewer than a store that cannot open one should ever meet.
fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// People are in this process's memory: it must not be dumped to a disk.
pub(super) fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be limited");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps cannot be forbidden");
    }
}
