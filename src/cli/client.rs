//! How a command reaches the relay: through the local socket of the running daemon, or, without a daemon, by opening
//! the stores itself and asking the very same desk in this process.
//!
//! Promises: one API for both; a command never opens a store that a daemon holds.
//! Never: TCP or a token; who may use the socket is decided by the file system.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
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

impl Client {
    /// Asks the daemon if one answers on the configured socket, else opens the house.
    pub(crate) async fn connect(config: Arc<Config>) -> anyhow::Result<Self> {
        let path = config.admin.socket.clone();
        if UnixStream::connect(&path).await.is_ok() {
            return Ok(Self::Daemon(path));
        }
        let house = House::open(config, Clock::system(), Metrics::new())
            .context("no daemon answers on its local socket, and the stores cannot be opened here")?;
        let router = admin::router(&house.desk(), Door::Socket);
        Ok(Self::Own { house, router })
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
                let stream =
                    UnixStream::connect(socket).await.with_context(|| format!("daemon left {}", socket.display()))?;
                exchange(stream, request(method, path, &[], bytes)?).await?
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
