//! The accept loop over real sockets.

use std::net::SocketAddr;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

async fn start(limits: Limits) -> (SocketAddr, Tasks, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new();
    let stop = CancellationToken::new();
    let router = Router::new()
        .route("/", get(async || "here\n"))
        .route("/read", post(async |body: String| body))
        .route("/slow", get(async || std::future::pending::<()>().await));
    serve(Listener::Tcp(listener), router, limits, &tasks, stop.clone());
    (address, tasks, stop)
}

fn limits() -> Limits {
    Limits { header_timeout: PATIENCE, body_timeout: PATIENCE, max_connections: 8, connection_max_age: PATIENCE }
}

async fn say(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_stalled_head_is_given_up() {
    let (address, ..) = start(Limits { header_timeout: Duration::from_millis(50), ..limits() }).await;
    let answer = rest(say(address, "GET / HTTP/1.1\r\nHost: h\r\nX-Slow").await).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn a_stalled_body_is_answered_408_and_closed() {
    let (address, ..) = start(Limits { body_timeout: Duration::from_millis(50), ..limits() }).await;
    let request = "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
    let answer = rest(say(address, request).await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn an_old_connection_is_closed_behind_its_request() {
    let (address, ..) = start(Limits { connection_max_age: Duration::from_millis(50), ..limits() }).await;
    let answer = rest(say(address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await).await;
    assert!(answer.ends_with("here\n"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_slot() {
    let (address, ..) = start(Limits { max_connections: 1, ..limits() }).await;
    let first = say(address, "").await;
    let second = say(address, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    let mut waiting = tokio_util::task::AbortOnDropHandle::new(
        #[expect(clippy::disallowed_methods, reason = "a test has no house to spawn through")]
        tokio::spawn(rest(second)),
    );
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut waiting).await.is_err(), "no slot is free");
    drop(first);
    assert!(waiting.await.unwrap().ends_with("here\n"));
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_ends_the_loop() {
    let (address, tasks, stop) = start(limits()).await;
    let mut stream = say(address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.unwrap();
    stop.cancel();
    assert!(rest(stream).await.ends_with("here\n"));
    assert_eq!(tasks.drain(PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn an_endless_head_is_refused() {
    let (address, ..) = start(limits()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD));
    let answer = rest(say(address, &long).await).await;
    assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
}
