//! The demo's own client: posts events over TCP as Capillary does, asks the relay over its local socket.
//!
//! Promises: real HTTP over real sockets.
//! Never: a look into the relay past its own doors.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use axum::http::Method;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

use crate::call::{exchange, request};

/// Posts a body to the intake; the status.
pub(super) async fn post_event(intake: SocketAddr, body: Vec<u8>) -> anyhow::Result<u16> {
    let key = [("X-Sealpost-Key", "demo-key-not-a-secret")];
    let stream = TcpStream::connect(intake).await.context("intake")?;
    Ok(exchange(stream, request(Method::POST, "/v1/events/capillary", &key, body)?).await?.0.as_u16())
}

/// Posts JSON to the admin API.
pub(super) async fn ask(socket: &Path, path: &str, body: &Value) -> anyhow::Result<Value> {
    over_socket(socket, Method::POST, path, body.to_string().into_bytes()).await
}

/// GETs from the admin API.
pub(super) async fn get(socket: &Path, path: &str) -> anyhow::Result<Value> {
    over_socket(socket, Method::GET, path, Vec::new()).await
}

async fn over_socket(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
    let stream = UnixStream::connect(socket).await.context("local socket")?;
    let (status, answer) = exchange(stream, request(method, path, &[], body)?).await?;
    ensure!(status.is_success(), "{path} answered {status}: {}", String::from_utf8_lossy(&answer));
    Ok(serde_json::from_slice(&answer)?)
}
