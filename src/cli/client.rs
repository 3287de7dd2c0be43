//! How a command reaches the relay: through the local socket of the running daemon, or, without a daemon, by opening
//! the stores itself and asking the very same desk in this process.
//!
//! Promises: one API for both; a command never opens a store that a daemon holds.
//! Never: TCP or a token; who may use the socket is decided by the file system.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{anyhow, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::net::UnixStream;
use tower::ServiceExt;

use crate::admin::{self, Door};
use crate::app::House;
use crate::call::{exchange, request};
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry::Metrics;

/// A way to ask the relay.
pub(crate) enum Client {
    /// A daemon runs.
    Daemon(PathBuf),
    /// No daemon runs: the house is open in this process.
    Own {
        /// The open stores, to be closed.
        house: House,
        /// The desk.
        router: Router,
    },
}

/// A relay that cannot be asked now, and can soon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Leaving {
    /// The connection ended before the answer.
    #[error("the daemon stopped while it was asked; look whether it was done, and try again")]
    Asked,
}

impl Client {
    /// Asks the daemon if one answers on the configured socket, else opens the house. Stores that do not exist are made only
    /// for a command that has something to put into them.
    pub(crate) async fn connect(config: Arc<Config>, may_make: bool) -> anyhow::Result<Self> {
        let path = config.admin.socket.clone();
        if UnixStream::connect(&path).await.is_ok() {
            return Ok(Self::Daemon(path));
        }
        let dir = config.storage.dir.clone();
        if !may_make && !dir.join("ledger").exists() {
            bail!(
                "no daemon answers, and {} holds nothing yet: `sealpost run` or `sealpost vault import` makes the stores",
                dir.display()
            );
        }
        // A volume may be root's and what is in it the daemon's; what does not exist yet gets its owner when it is made.
        if let Ok(about) = std::fs::metadata(dir.join("ledger")).or_else(|_| std::fs::metadata(&dir)) {
            refuse_files_of_roots(&dir, about.uid(), rustix::process::geteuid().as_raw())?;
        }
        match House::open(config, Clock::system(), Metrics::new()) {
            Ok(house) => Ok(Self::of(house)),
            // The socket is removed after the stores are closed, and made after they are opened.
            Err(error) if error.is_of_the_moment() && path.exists() => Err(anyhow::Error::new(error)
                .context("the daemon is stopping or starting, and takes no commands; try again in a moment")),
            Err(error) if error.is_of_the_moment() => Err(anyhow::Error::new(error)
                .context("another command, or a daemon that is starting, has the stores; try again in a moment")),
            Err(error) => Err(anyhow::Error::new(error)
                .context("no daemon answers on its local socket, and the stores cannot be opened here")),
        }
    }

    /// The desk of a house in this process.
    pub(crate) fn of(house: House) -> Self {
        let router = admin::router(&house.desk(), Door::Socket);
        Self::Own { house, router }
    }

    /// Asks; an answer that is not a success becomes an error with the relay's own words.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let bytes = body.map_or_else(Vec::new, |b| serde_json::to_vec(b).unwrap_or_default());
        self.ask_bytes(method, path, bytes).await
    }

    /// [`Client::ask`] with a body that is written already.
    pub(crate) async fn ask_bytes(&self, method: Method, path: &str, bytes: Vec<u8>) -> anyhow::Result<Value> {
        let (status, answer) = match self {
            Self::Daemon(socket) => {
                let request = request(method, path, &[], bytes)?;
                let stream = UnixStream::connect(socket).await.map_err(|_| Leaving::Asked)?;
                exchange(stream, request).await.map_err(|error| anyhow::Error::new(error).context(Leaving::Asked))?
            }
            Self::Own { router, .. } => in_process(router.clone(), method, path, bytes).await?,
        };
        let value: Value = serde_json::from_slice(&answer)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer).into_owned()));
        if status.is_success() {
            return Ok(value);
        }
        match value.get("error").and_then(Value::as_str) {
            Some(error) => Err(anyhow!("{error}")),
            None => bail!("the relay answered {status}"),
        }
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// POST.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Closes the stores if this process opened them.
    pub(crate) fn close(self) {
        if let Self::Own { house, .. } = self {
            house.close();
        }
    }
}

async fn in_process(router: Router, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<(StatusCode, Bytes)> {
    let response = router.oneshot(request(method, path, &[], body)?.map(Body::new)).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// Stores that root has opened hold files of root's, which a daemon without rights could not open again.
fn refuse_files_of_roots(dir: &Path, owner: u32, own: u32) -> anyhow::Result<()> {
    if own == 0 && owner != 0 {
        bail!(
            "no daemon answers, and {} belongs to user {owner}: root would leave files there that the daemon cannot open; \
             start the daemon (in shadow nothing is sent), or run the command as that user",
            dir.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_leaves_the_stores_of_another_user_alone() {
        for (owner, own, refused) in [(998, 0, true), (0, 0, false), (998, 998, false), (0, 65_532, false)] {
            assert_eq!(refuse_files_of_roots(Path::new("/data"), owner, own).is_err(), refused, "{own} in {owner}'s");
        }
    }
}
