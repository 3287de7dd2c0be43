//! The installation a bench makes for its relay: a directory with configuration, templates, keys and made-up customers.
//!
//! Promises: the real file format through the real loader, the shipped templates, customers through the vault's own door;
//! everything is removed when the bench ends.
//! Never: a setting that an operator could not make.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};

use crate::call::{exchange, request};
use crate::config::Config;
use crate::template;

use super::child::{Child, this_binary};
use super::event::FIRST_CUSTOMER;

/// The header value that the bench's source asks for.
pub(super) const KEY: &str = "bench-key-not-a-secret";
/// Customers of one request to the vault's door.
const BATCH: u64 = 1_000;
/// How long the relay may take to be ready, or to plan what it acknowledged.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many messages of a template may go in an hour.
#[derive(Clone, Copy)]
pub(super) struct Brake(pub(super) u64);

impl Brake {
    /// It still counts every message; it only never trips.
    pub(super) const WIDE: Self = Self(100_000_000);
}

/// The installation.
pub(super) struct Site {
    /// Where the relay takes events.
    pub(super) intake: SocketAddr,
    /// Its configuration file.
    pub(super) config: PathBuf,
    /// What that file says.
    pub(super) loaded: Config,
    /// Where its log goes.
    pub(super) log: PathBuf,
    admin: SocketAddr,
    // Removed with everything in it when the bench ends.
    dir: TempDir,
}

impl Site {
    /// Makes everything but the keys, with the catchers as ways out.
    pub(super) fn lay(sink: &Child, brake: Brake) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("sealpost-bench-").tempdir().context("temporary directory")?;
        let (intake, admin) = (free_port()?, free_port()?);
        let at = |name: &str| dir.path().join(name);
        write_templates(&at("templates"), brake)?;
        let text = include_str!("setup.toml")
            .replace("@intake", &intake.to_string())
            .replace("@admin", &admin.to_string())
            .replace("@dir", &dir.path().display().to_string())
            .replace("@smtp", &sink.address("smtp")?.port().to_string())
            .replace("@sms", &sink.address("sms")?.to_string());
        let config = at("sealpost.toml");
        std::fs::write(&config, text).context("the bench's configuration")?;
        let loaded = Config::load(Some(&config), &std::collections::BTreeMap::new())?.config;
        Ok(Self { intake, config, loaded, log: at("log"), admin, dir })
    }

    /// Waits until the relay takes events; how long that took.
    pub(super) async fn wait_until_ready(&self, relay: &Child) -> anyhow::Result<Duration> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            ensure!(relay.runs(), "the relay ended: {}", self.hint());
            if self.is_ready().await.unwrap_or(false) {
                return Ok(started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        bail!("the relay is not ready: {}", self.hint());
    }

    async fn is_ready(&self) -> anyhow::Result<bool> {
        let stream = TcpStream::connect(self.admin).await?;
        Ok(exchange(stream, request(Method::GET, "/readyz", &[], Vec::new())?).await?.0.is_success())
    }

    /// The mail of the bench, before it is rendered.
    pub(super) fn page(&self) -> PathBuf {
        self.dir.path().join("templates/points-mailed/email.html.hbs")
    }

    /// A file of the same customers as the vault gets, a line each.
    pub(super) fn customers_as_lines(&self, contacts: u32) -> anyhow::Result<PathBuf> {
        let path = self.dir.path().join("customers.jsonl");
        let mut lines = BufWriter::new(File::create(&path).context("customers of the bench")?);
        for number in 0..u64::from(contacts) {
            writeln!(lines, "{}", customer(number)).context("customers of the bench")?;
        }
        lines.flush().context("customers of the bench")?;
        Ok(path)
    }

    /// Puts made-up customers into the vault.
    pub(super) async fn load_customers(&self, contacts: u32) -> anyhow::Result<()> {
        let mut first = 0;
        while first < u64::from(contacts) {
            let end = (first + BATCH).min(u64::from(contacts));
            let rows: Vec<Value> = (first..end).map(customer).collect();
            let answer = self.ask("/v1/vault/import", &json!({ "rows": rows })).await?;
            ensure!(answer["faults"].as_array().is_some_and(Vec::is_empty), "customers were refused: {answer}");
            first = end;
        }
        Ok(())
    }

    /// Waits until everything acknowledged so far is planned, so that the next phase begins with an idle relay.
    pub(super) async fn wait_until_planned(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let stream = TcpStream::connect(self.admin).await?;
            let (_, body) = exchange(stream, request(Method::GET, "/metrics", &[], Vec::new())?).await?;
            let text = String::from_utf8_lossy(&body);
            let backlog = text.lines().find_map(|line| line.strip_prefix("sealpost_journal_backlog "));
            if backlog.context("the relay does not tell its backlog")?.trim() == "0" {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the relay is still planning after {PATIENCE:?}")
    }

    /// What `sealpost status` tells.
    pub(super) async fn status(&self) -> anyhow::Result<Value> {
        let stream = UnixStream::connect(&self.loaded.admin.socket).await.context("local socket")?;
        let (status, answer) = exchange(stream, request(Method::GET, "/v1/status", &[], Vec::new())?).await?;
        ensure!(status.is_success(), "status answered {status}");
        Ok(serde_json::from_slice(&answer)?)
    }

    /// What an operator would type.
    pub(super) async fn command(&self, words: &[&str]) -> anyhow::Result<()> {
        let done = this_binary()?.args(words).arg("--config").arg(&self.config).output().await?;
        ensure!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    async fn ask(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let stream = UnixStream::connect(&self.loaded.admin.socket).await.context("local socket")?;
        let (status, answer) = exchange(stream, request(Method::POST, path, &[], body.to_string())?).await?;
        ensure!(status.is_success(), "{path} answered {status}");
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Bytes that the ledger's files take on the disk.
    pub(super) fn bytes_of_ledger(&self) -> anyhow::Result<u64> {
        bytes_below(&self.loaded.storage.dir.join("ledger"))
    }

    /// Bytes that the vault's files take on the disk.
    pub(super) fn bytes_of_vault(&self) -> anyhow::Result<u64> {
        bytes_below(&self.loaded.storage.dir.join("vault"))
    }

    /// The error, with the place to which the relay's log was saved: everything else that was made is removed.
    pub(super) fn with_its_log(&self, error: anyhow::Error) -> anyhow::Error {
        let Ok(log) = std::fs::read(&self.log) else {
            // There is no log before there is a relay.
            return error;
        };
        let keep = || {
            let mut file = tempfile::Builder::new().prefix("sealpost-bench-failed-").suffix(".log").tempfile()?;
            file.write_all(&log)?;
            anyhow::Ok(file.into_temp_path().keep()?)
        };
        error.context(match keep() {
            Ok(kept) => format!("the bench failed; the relay's log is kept in {}", kept.display()),
            Err(fault) => format!("the bench failed, and the relay's log could not be kept: {fault}"),
        })
    }

    /// The end of the relay's log: its lines name nobody.
    pub(super) fn hint(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        if lines.is_empty() { "its log is empty".into() } else { format!("its last words:\n{}", lines.join("\n")) }
    }
}

/// The shipped `points-issued` once as a mail alone and once as a text alone. Its mail is six times as large as mails usually
/// are, so the mail has a page of its own; rule, texts, subject and every helper stay those of the shipped one.
fn write_templates(dir: &Path, brake: Brake) -> anyhow::Result<()> {
    let brake = format!("brake_per_hour = {}", brake.0);
    let (_, toml) = template::shipped()
        .find(|(path, _)| *path == "points-issued/template.toml")
        .context("points-issued is shipped")?;
    for (name, event, channel) in
        [("points-mailed", "pointsIssued", "email"), ("points-texted", "pointsRedeemed", "sms")]
    {
        let (on, send) = (format!(r#"on = ["{event}"]"#), format!(r#"send = ["{channel}"]"#));
        let changes = [
            (r#"on = ["pointsIssued"]"#, on.as_str()),
            (r#"send = ["email", "sms"]"#, send.as_str()),
            ("brake_per_hour = 20000", brake.as_str()),
        ];
        let toml = changes.iter().try_fold(toml.to_owned(), |text, (shipped, ours)| {
            ensure!(text.contains(shipped), "the shipped template has changed: adapt the bench");
            Ok(text.replace(shipped, ours))
        })?;
        write(&dir.join(name).join("template.toml"), &toml)?;
        write(&dir.join(name).join("email.html.hbs"), include_str!("mail/email.html.hbs"))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let parent = path.parent().context("a file lies in a folder")?;
    std::fs::create_dir_all(parent).context("templates of the bench")?;
    std::fs::write(path, text).context("templates of the bench")
}

fn customer(number: u64) -> Value {
    json!({
        "customer_id": (FIRST_CUSTOMER + number).to_string(),
        "external_id": format!("MG{number:07}"),
        "first_name": (["Asha", "Bela", "Chen", "Lucía", "Tomasz"])[usize::try_from(number % 5).unwrap_or(0)],
        "last_name": "Example",
        "email": format!("customer{number}@example.com"),
        "mobile": format!("+9199{number:08}"),
        "locale": "en-IN",
        "updated_at": "2026-01-01T00:00:00Z",
    })
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn bytes_below(dir: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        // A file may be compacted away between two looks.
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        bytes += if meta.is_dir() { bytes_below(&path)? } else { meta.blocks() * 512 };
    }
    Ok(bytes)
}
