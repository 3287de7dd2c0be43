//! The demo: a whole relay on loopback, with catchers for its mail and SMS, made-up customers, and a story of real-shaped
//! events through the real intake.
//!
//! Promises: the same binary, configuration loader, stores and sockets as in production; nothing leaves the machine; `--once`
//! succeeds only if every step ended as the story says.
//! Never: a short cut past the intake or the vault's own door.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::app::{App, House};
use crate::clock::Clock;
use crate::config::Config;
use crate::seal::Keyring;
use crate::sink::sms::SmsSink;
use crate::sink::smtp::SmtpSink;
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

mod page;
mod play;
mod story;
mod wire;

pub use page::PageDoor;
pub use play::{Report, play};

/// The running demo.
pub struct Demo {
    /// Where the intake listens.
    pub intake: SocketAddr,
    /// The relay's local socket.
    pub socket: PathBuf,
    /// What the mail catcher caught.
    pub smtp: Arc<SmtpSink>,
    /// What the SMS catcher caught.
    pub sms: Arc<SmsSink>,
    stop: CancellationToken,
    tasks: Tasks,
    // Removed with everything in it when the demo ends.
    _dir: TempDir,
}

impl Demo {
    /// Starts the catchers and the relay in a temporary directory.
    ///
    /// # Errors
    /// When a port, a directory or a store cannot be had.
    pub async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("sealpost-demo-").tempdir().context("temporary directory")?;
        let smtp = SmtpSink::start(story::mail_script(), None).await.context("mail catcher")?;
        let sms = SmsSink::start(story::gateway_script()).await.context("SMS catcher")?;
        let config = Arc::new(configuration(&dir, &smtp, &sms)?);
        let house = House::open_with_keys(config.clone(), Keyring::generate(), Clock::system(), Metrics::new())?;
        let app = App::build(house).await?;
        let intake = app.intake_address();
        let (stop, tasks) = (CancellationToken::new(), Tasks::new());
        let running = stop.clone();
        tasks.spawn("relay", async move {
            if let Err(error) = app.run(running).await {
                tracing::error!(%error, "the demo's relay ended");
            }
        });
        Ok(Self {
            intake,
            socket: config.admin.socket.clone(),
            smtp: Arc::new(smtp),
            sms: Arc::new(sms),
            stop,
            tasks,
            _dir: dir,
        })
    }

    /// Serves the caught messages on a local page until `stop`; returns its address.
    ///
    /// # Errors
    /// When the door has no address.
    pub fn serve_page(&self, door: PageDoor) -> anyhow::Result<SocketAddr> {
        page::serve(self, door, &self.tasks, self.stop.clone())
    }

    /// Stops the relay in order.
    pub async fn stop(self) {
        self.stop.cancel();
        // The relay's own drain timeout is shorter.
        let _ = self.tasks.drain(std::time::Duration::from_secs(60)).await;
    }
}

fn configuration(dir: &TempDir, smtp: &SmtpSink, sms: &SmsSink) -> anyhow::Result<Config> {
    let file = dir.path().join("sealpost.toml");
    std::fs::write(&file, include_str!("demo/setup.toml")).context("demo configuration")?;
    // What only this run knows comes the way an operator would give it: by the environment.
    let storage = dir.path().join("data");
    let environment: BTreeMap<String, String> = [
        ("SEALPOST__STORAGE__DIR", storage.display().to_string()),
        ("SEALPOST__PROVIDER__CATCHER__PORT", smtp.address().port().to_string()),
        ("SEALPOST__PROVIDER__GATEWAY__URL", format!("{}/messages", sms.url())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    Ok(Config::load(Some(&file), &environment)?.config)
}
