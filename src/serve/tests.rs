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
        .route("/much", get(async || vec![0; 64 << 20]))
        .route("/read", post(async |body: String| body))
        .route("/refuse", post(async || (StatusCode::PAYLOAD_TOO_LARGE, "too much\n")));
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
async fn a_client_that_is_still_writing_hears_the_answer() {
    let (address, ..) = start(limits()).await;
    let body = vec![b'x'; 6 << 20];
    let head = format!("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut stream = say(address, &head).await;
    // More than the kernel holds for a reader who does not read: without lingering this breaks in the middle.
    stream.write_all(&body).await.expect("the server reads on");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("no reset");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("too much\n"), "{answer}");
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_answered_by_the_http_layer() {
    let (address, ..) = start(limits()).await;
    let with_headers = |count: usize| {
        let headers: String = (1..count).map(|n| format!("X-{n}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: h\r\n{headers}\r\n")
    };
    let long = |bytes: usize| format!("GET / HTTP/1.1\r\nHost: h\r\nX-Long: {}\r\n\r\n", "y".repeat(bytes));
    let cases = [
        (with_headers(MAX_HEADERS), "200"),
        (with_headers(MAX_HEADERS + 1), "431"),
        (long(MAX_HEAD / 2), "200"),
        (long(MAX_HEAD * 2), "431"),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n".into(), "400"),
        ("NOT HTTP\r\n\r\n".into(), "400"),
    ];
    for (request, status) in cases {
        let stream = say(address, &request).await;
        let mut answer = [0; 12];
        let mut stream = stream;
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{:.40}", request);
    }
}

#[tokio::test]
async fn an_old_connection_is_told_with_an_answer_and_never_hung_up_on() {
    let (address, ..) = start(Limits { connection_max_age: Duration::ZERO, ..limits() }).await;
    let mut old = say(address, "").await;
    let ask = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for _ in 0..5 {
        assert!(rest(say(address, ask).await).await.contains("connection: close"), "the first answer is the last");
    }
    old.write_all(ask.repeat(2).as_bytes()).await.unwrap();
    let answer = rest(old).await;
    assert!(answer.contains("connection: close") && answer.ends_with("here\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
}

#[tokio::test]
async fn who_takes_no_answer_is_left_in_the_end() {
    let short = Duration::from_millis(20);
    let limits = Limits { connection_max_age: short, header_timeout: short, body_timeout: short, ..limits() };
    let (address, tasks, _stop) = start(limits).await;
    let mut deaf = say(address, "GET /much HTTP/1.1\r\nHost: h\r\n\r\n").await;
    // The answer has begun, and is more than what lies between the two can hold.
    deaf.read_exact(&mut [0; 12]).await.unwrap();
    let connections = || tasks.running().iter().filter(|(name, _)| *name == "connection").count();
    let left = async {
        while connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, left).await.expect("it is left");
}

#[tokio::test]
async fn a_request_takes_the_place_of_whoever_is_idle_and_never_that_of_another_request() {
    let (address, ..) = start(Limits { max_connections: 2, ..limits() }).await;
    let ask = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let slow = "POST /read HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let idle = [say(address, "").await, say(address, "GET / HTT").await];
    for _ in 0..5 {
        assert!(rest(say(address, ask).await).await.ends_with("here\n"));
    }
    let mut under_way = [say(address, slow).await, say(address, slow).await];
    for stream in &mut under_way {
        // Asked for its body: the request has begun.
        let mut asked = [0; 12];
        stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100");
    }
    for stream in idle {
        assert_eq!(rest(stream).await, "", "its place was wanted");
    }
    let mut waiting = tokio_util::task::AbortOnDropHandle::new(
        #[expect(clippy::disallowed_methods, reason = "a test has no house to spawn through")]
        tokio::spawn(rest(say(address, ask).await)),
    );
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut waiting).await.is_err(), "nobody is idle");
    drop(under_way);
    assert!(waiting.await.unwrap().ends_with("here\n"));
}

#[test]
fn files_that_may_be_open_bound_the_connections() {
    let most = |files| limits().within(files).max_connections;
    let wanted = |connections, files| Limits { max_connections: connections, ..limits() }.within(files).max_connections;
    assert_eq!((most(0), most(u64::MAX)), (8, 8), "few are always let in, and no more than are asked for");
    assert_eq!((wanted(1_024, 65_536), wanted(1_024, 1_024), wanted(1_024, 0)), (1_024, 256, 16));
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

#[tokio::test]
async fn what_was_begun_is_done_when_the_client_goes_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let stage = tokio::sync::watch::Sender::new("idle");
    let handler = {
        let stage = stage.clone();
        async move || {
            stage.send_replace("begun");
            let _ = stage.subscribe().wait_for(|now| *now == "go on").await;
            stage.send_replace("done");
        }
    };
    let router = to_the_end(Router::new().route("/write", post(handler)), &tasks);
    serve(Listener::Tcp(listener), router, limits(), &tasks, stop);
    let client = say(address, "POST /write HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").await;
    let mut seen = stage.subscribe();
    seen.wait_for(|now| *now == "begun").await.unwrap();
    drop(client);
    // The connection's task ends; the request's does not.
    while tasks.running().iter().any(|(name, _)| *name == "connection") {
        tokio::task::yield_now().await;
    }
    stage.send_replace("go on");
    tokio::time::timeout(PATIENCE, seen.wait_for(|now| *now == "done")).await.expect("it is done").unwrap();
}
