//! The processes of a bench, seen from outside.
//!
//! Promises: a process ends with the bench: a part whose standard input closes, and all when they are dropped, before their files are
//! (a relay outlives only a bench that is killed with -9); time and memory are what the kernel says, not what the process says of itself.
//! Never: a process that is not ours.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::event::Kind;
use super::part::Part;
use super::setup::Site;

/// How long a process may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One process.
pub(super) struct Child {
    process: tokio::process::Child,
    /// Of a part, not of the relay.
    line: Option<(ChildStdin, BufReader<ChildStdout>)>,
    hello: Value,
}

/// What a process has used so far.
#[derive(Clone, Copy)]
pub(super) struct Spent {
    /// Processor time, user and system, to a hundredth of a second.
    pub(super) cpu: Duration,
    /// Resident memory now, bytes.
    pub(super) resident: u64,
    /// The most it ever was, bytes.
    pub(super) peak: u64,
}

impl Drop for Child {
    fn drop(&mut self) {
        // Not only told to end: what still writes would leave files behind.
        let _ = self.process.start_kill();
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Child {
    /// Starts a part and waits for its first line.
    pub(super) async fn part(part: Part) -> anyhow::Result<Self> {
        let mut process = this_binary()?
            .args(["bench-part", part.as_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("the {} of the bench does not start", part.as_str()))?;
        let input = process.stdin.take().context("a piped input")?;
        let output = BufReader::new(process.stdout.take().context("a piped output")?);
        let mut child = Self { process, line: Some((input, output)), hello: Value::Null };
        child.hello = child.read().await?;
        Ok(child)
    }

    /// Makes the keys of an installation and starts its relay; it does not answer yet.
    pub(super) async fn relay(site: &Site) -> anyhow::Result<Self> {
        let init = this_binary()?.args(["keys", "init", "--config"]).arg(&site.config).output().await?;
        ensure!(init.status.success(), "keys: {}", String::from_utf8_lossy(&init.stderr));
        Self::relay_again(site)
    }

    /// Starts the relay of an installation that has run before.
    pub(super) fn relay_again(site: &Site) -> anyhow::Result<Self> {
        let log = std::fs::File::options().create(true).append(true).open(&site.log).context("the relay's log")?;
        let process = this_binary()?.args(["run", "--config"]).arg(&site.config).stderr(log).spawn()?;
        Ok(Self { process, line: None, hello: Value::Null })
    }

    /// An address that a part told in its first line.
    pub(super) fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let told = self.hello[name].as_str().with_context(|| format!("no address of {name} was told"))?;
        Ok(told.parse()?)
    }

    /// How many messages of a kind the catchers caught so far.
    pub(super) async fn caught(&mut self, kind: Kind) -> anyhow::Result<u64> {
        let (input, _) = self.line.as_mut().context("only the catchers count")?;
        input.write_all(b"\n").await?;
        let counts = self.read().await?;
        let name = match kind {
            Kind::Mail => "mails",
            Kind::Text => "texts",
            Kind::Ignored => bail!("events of this kind become no message"),
        };
        counts[name].as_u64().with_context(|| format!("no count of {name}"))
    }

    async fn read(&mut self) -> anyhow::Result<Value> {
        let (_, output) = self.line.as_mut().context("the relay has no line")?;
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, output.read_line(&mut line))
            .await
            .context("a part of the bench is silent")??;
        serde_json::from_str(&line).context("a part of the bench ended")
    }

    /// True while it runs.
    pub(super) fn runs(&self) -> bool {
        self.process.id().is_some()
    }

    /// What it has used, by the kernel's books.
    pub(super) fn spent(&self) -> anyhow::Result<Spent> {
        let id = self.process.id().context("the process has ended")?;
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}"));
        let (stat, status) = (read("stat")?, read("status")?);
        Ok(Spent {
            cpu: cpu_of(&stat).context("processor time")?,
            resident: memory_of(&status, "VmRSS:").context("memory")?,
            peak: memory_of(&status, "VmHWM:").context("memory")?,
        })
    }

    /// Asks it to drain and waits.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let id = id.ok_or_else(|| anyhow!("the process has ended by itself"))?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let status = tokio::time::timeout(PATIENCE * 2, self.process.wait()).await??;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

/// This very program, with nothing of this process's surroundings.
pub(super) fn this_binary() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("the path of this binary")?);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    // What a terminal tells the bench, the bench tells them.
    command.process_group(0);
    Ok(command)
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc(5)), in ticks of a hundredth of a second; the name in field 2 may hold anything.
pub(super) fn cpu_of(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

/// A line such as `VmRSS:   12345 kB` of `/proc/PID/status`, in bytes.
pub(super) fn memory_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(1024 * line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_books_are_read_whatever_the_process_is_called() {
        let stat = "42 (a ) (b) S 1 42 42 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_of("42 (cut"), None);
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory_of(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(memory_of(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(memory_of(status, "VmSwap:"), None);
    }
}
