//! A peer: what somebody would build instead of a relay, under the same load and with the same catcher.
//!
//! Promises: the peer gets the events, customers and page that the relay gets, and is measured the same way, all its processes
//! together; the run fails unless each of its mails arrives.
//! Never: a peer that is left running.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::http::Method;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::call::{exchange, request};

use super::child::{Child, cpu_of, memory_of};
use super::event::{Events, Kind};
use super::figures::EndToEnd;
use super::load::{self, Pace};
use super::setup::{Site, free_port};
use super::{Plan, wait_for};

/// How long a peer may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a peer made of the load.
#[derive(Serialize)]
pub(super) struct PeerReport {
    pub(super) command: String,
    pub(super) mails: EndToEnd,
    pub(super) peak_bytes: u64,
}

/// A running peer and whatever it started.
struct Peer {
    process: tokio::process::Child,
    group: i32,
    at: SocketAddr,
}

/// Starts `command` (words apart by spaces), sends it as many events as the relay gets mails, and stops it.
pub(super) async fn measure(command: &str, plan: Plan, site: &Site, sink: &mut Child) -> anyhow::Result<PeerReport> {
    let peer = Peer::start(command, plan, site, sink).await?;
    let events = Events::new(Kind::Mail, plan.contacts);
    let caught_before = sink.caught(Kind::Mail).await?;
    let (before, sink_before) = (peer.spent()?, sink.spent()?);
    let started = std::time::Instant::now();
    let pace = Pace::Counted { clients: plan.clients, requests: plan.messages };
    let posted = load::drive(peer.at, &events, pace).await.with_context(|| format!("peer {command}"))?;
    wait_for(Kind::Mail, caught_before + plan.messages, sink).await?;
    let took = started.elapsed();
    let after = peer.spent()?;
    let sink_spent = sink.spent()? - sink_before;
    Ok(PeerReport {
        command: command.to_owned(),
        mails: EndToEnd::new(plan.messages, took, &posted, after.0.saturating_sub(before.0), sink_spent),
        peak_bytes: after.1,
    })
}

impl Peer {
    async fn start(command: &str, plan: Plan, site: &Site, sink: &Child) -> anyhow::Result<Self> {
        let mut words = command.split_whitespace();
        let program = words.next().context("a peer is a command")?;
        let at = free_port()?;
        let mut process = Command::new(program);
        process
            .args(words)
            .env("PORT", at.port().to_string())
            .env("SMTP_PORT", sink.address("smtp")?.port().to_string())
            .env("CUSTOMERS", site.customers_as_lines(plan.contacts)?)
            .env("PAGE", site.page())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            // Of its own, so that what it starts can be measured and ended with it.
            .process_group(0);
        let process = process.spawn().with_context(|| format!("peer {command} does not start"))?;
        let group = process.id().and_then(|id| i32::try_from(id).ok()).context("a peer that has started has an id")?;
        let mut peer = Self { process, group, at };
        let started = std::time::Instant::now();
        while started.elapsed() < PATIENCE {
            ensure!(peer.process.try_wait()?.is_none(), "peer {command} ended before it was ready");
            if peer.is_ready().await.unwrap_or(false) {
                return Ok(peer);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("peer {command} is not ready after {PATIENCE:?}")
    }

    async fn is_ready(&self) -> anyhow::Result<bool> {
        let stream = TcpStream::connect(self.at).await?;
        Ok(exchange(stream, request(Method::GET, "/", &[], Vec::new())?).await?.0.is_success())
    }

    /// Processor time and the most memory of all its processes.
    fn spent(&self) -> anyhow::Result<(Duration, u64)> {
        let mut spent = (Duration::ZERO, 0);
        for entry in std::fs::read_dir("/proc").context("/proc")? {
            let path = entry?.path();
            let read = |name: &str| std::fs::read_to_string(Path::new(&path).join(name)).unwrap_or_default();
            let stat = read("stat");
            if group_of(&stat) == Some(self.group) {
                spent.0 += cpu_of(&stat).unwrap_or_default();
                spent.1 += memory_of(&read("status"), "VmHWM:").unwrap_or_default();
            }
        }
        Ok(spent)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.group) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Field 5 of `/proc/PID/stat` (proc(5)); the name in field 2 may hold anything.
fn group_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_group_is_read_whatever_the_process_is_called() {
        assert_eq!(group_of("42 (a ) (b) S 1 40 42 0 -1"), Some(40));
        assert_eq!(group_of("42 (cut"), None);
    }
}
