//! Every row of the status table, over real sockets.

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Time;
use crate::config::InboundPii;
use crate::serve::{self, Listener};
use crate::tasks::Tasks;

const PATIENCE: Duration = Duration::from_secs(20);

/// A journal that a test can slow, fail and look into.
#[derive(Clone)]
struct Fake(Arc<FakeInner>);

struct FakeInner {
    kept: Mutex<Vec<Delivery>>,
    fails: AtomicBool,
    well: AtomicBool,
    backlog: AtomicUsize,
    open: watch::Sender<bool>,
}

impl Journal for Fake {
    async fn append(&self, delivery: Delivery) -> Result<DeliverySeq, LedgerError> {
        let mut open = self.0.open.subscribe();
        open.wait_for(|open| *open).await.map_err(|_| LedgerError::Closed)?;
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(LedgerError::Poisoned { cause: "test".into() });
        }
        let mut kept = self.0.kept.lock().unwrap();
        kept.push(delivery);
        Ok(DeliverySeq(kept.len() as u64))
    }
    fn backlog(&self) -> u64 {
        self.0.backlog.load(Ordering::SeqCst) as u64
    }
    fn is_well(&self) -> bool {
        self.0.well.load(Ordering::SeqCst)
    }
}

struct Bench {
    journal: Fake,
    intake: Intake<Fake>,
    address: SocketAddr,
    tasks: Tasks,
    stop: CancellationToken,
}

fn limits() -> config::Intake {
    config::Intake {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        max_body_bytes: 1_000,
        max_inflight_bytes: 2_000,
        max_connections: 32,
        header_timeout: PATIENCE,
        body_timeout: PATIENCE,
        connection_max_age: PATIENCE,
        retry_after: Duration::from_secs(7),
        max_journal_backlog: 10,
    }
}

async fn start(limits: config::Intake) -> Bench {
    let journal = Fake(Arc::new(FakeInner {
        kept: Mutex::default(),
        fails: AtomicBool::new(false),
        well: AtomicBool::new(true),
        backlog: AtomicUsize::new(0),
        open: watch::Sender::new(true),
    }));
    let signed = || config::Hmac {
        secrets: vec![b"key".to_vec().into()],
        algorithm: config::HmacAlgorithm::Sha256,
        header: "X-Sign".into(),
        prefix: "sha256=".into(),
        encoding: config::Encoding::Hex,
        several: false,
        timestamp: Some(("X-Time".into(), Duration::from_secs(10))),
        id_header: None,
        signs: vec![config::SignedPiece::Timestamp, config::SignedPiece::Body],
    };
    let source = |path: Option<&str>| config::Source {
        headers: vec![("X-Key".into(), vec!["right".into(), "next".into()])],
        path_secret: path.map(Into::into),
        hmac: None,
        allow_from: vec![],
        open: false,
        inbound_pii: InboundPii::Strip,
        orgs: vec![],
    };
    let from = |network: &str| config::Source { allow_from: vec![network.parse().unwrap()], ..source(None) };
    let sources = [
        ("cap", source(None)),
        ("hidden", source(Some("s3cret"))),
        ("near", from("127.0.0.0/8")),
        ("far", from("10.0.0.0/8")),
        ("signed", config::Source { headers: vec![], hmac: Some(signed()), ..source(None) }),
    ];
    let sources = sources.into_iter().map(|(name, source)| (name.parse().unwrap(), source)).collect();
    let clock = Clock::manual(Time::from_millis(1_000));
    let intake = Intake::new(&limits, &sources, journal.clone(), clock, Metrics::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    serve::serve(Listener::Tcp(listener), intake.router(), Limits::from(&limits), &tasks, stop.clone());
    Bench { journal, intake, address, tasks, stop }
}

impl Bench {
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// The whole answer to a request that asks to close.
    async fn answer(&self, text: &str) -> String {
        rest(self.send(text).await).await
    }

    async fn post(&self, path: &str, key: &str, body: &str) -> String {
        self.answer(&request(path, key, body)).await
    }

    fn kept(&self) -> Vec<Vec<u8>> {
        self.journal.0.kept.lock().unwrap().iter().map(|d| d.body.to_vec()).collect()
    }
}

fn request(path: &str, key: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nX-Key: {key}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the intake closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[tokio::test]
async fn the_right_credentials_are_answered_200_whatever_the_body_holds() {
    let bench = start(limits()).await;
    let bodies = [r#"{"eventName":"x"}"#, "not json", "", "\u{0}\u{1}", "[]", "null"];
    for body in bodies {
        let answer = bench.post("/v1/events/cap", "right", body).await;
        assert_eq!(status(&answer), "200", "{body:?}: {answer}");
        assert!(answer.ends_with(r#"{"ok":true}"#), "{answer}");
    }
    assert_eq!(bench.kept(), bodies.map(|b| b.as_bytes().to_vec()));
    assert_eq!(status(&bench.post("/v1/events/cap", "next", "rotated").await), "200");
}

#[tokio::test]
async fn strangers_are_answered_401_and_nothing_tells_why() {
    let bench = start(limits()).await;
    let mut answers = Vec::new();
    for (path, key) in [
        ("/v1/events/cap", "wrong"),
        ("/v1/events/cap/extra", "right"),
        ("/v1/events/nobody", "right"),
        ("/v1/events/Not%20An%20Id", "right"),
        ("/v1/events/hidden", "right"),
        ("/v1/events/hidden/guess", "right"),
        ("/v1/events/hidden/%ff", "right"),
        ("/v1/events/%ff", "right"),
    ] {
        let answer = bench.post(path, key, "{}").await;
        assert_eq!(status(&answer), "401", "{path}");
        answers.push(answer.lines().filter(|l| !l.starts_with("date")).collect::<Vec<_>>().join("\n"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "all strangers look alike: {answers:#?}");
    assert!(bench.kept().is_empty());
    assert_eq!(status(&bench.post("/v1/events/hidden/s3cret", "right", "{}").await), "200");
}

/// The head and body of a request that is signed at second 1 with the key.
fn signed_request(key: &str, time: &str, body: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, format!("{time}{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "POST /v1/events/signed HTTP/1.1\r\nHost: h\r\nX-Time: {time}\r\nX-Sign: sha256={hex}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_signed_delivery_is_kept_and_any_other_is_a_strangers() {
    let bench = start(limits()).await;
    let right = signed_request("key", "1", "signed");
    for (what, request, expect) in [
        ("signed", right.clone(), "200"),
        ("another key", signed_request("other", "1", "x"), "401"),
        ("another body", right.replace("\r\n\r\nsigned", "\r\n\r\nforged"), "401"),
        ("another time", right.replace("X-Time: 1", "X-Time: 2"), "401"),
        ("too late", signed_request("key", "12", "x"), "401"),
        ("no signature", request("/v1/events/signed", "right", "x"), "401"),
        ("too long", signed_request("key", "1", &"x".repeat(1_001)), "413"),
    ] {
        assert_eq!(status(&bench.answer(&request).await), expect, "{what}");
    }
    assert_eq!(bench.kept(), [b"signed"]);
    let stranger = bench.answer(&signed_request("other", "1", "x")).await;
    assert!(!stranger.contains("sign"), "nothing tells why: {stranger}");
    assert_eq!(bench.intake.0.inflight.load(Ordering::SeqCst), 0, "the budget is given back");
}

#[tokio::test]
async fn a_body_that_is_only_announced_takes_nothing_from_the_budget() {
    let bench = start(limits()).await;
    let signed = signed_request("key", "1", &"x".repeat(1_000));
    let known = request("/v1/events/cap", "right", &"x".repeat(1_000));
    let chunked =
        known.replace("Content-Length: 1000", "Transfer-Encoding: chunked").replace("\r\n\r\n", "\r\n\r\n3e8\r\n");
    let mut announced = Vec::new();
    for whole in [signed, known, chunked] {
        let begin = whole.split_inclusive('x').next().unwrap();
        for _ in 0..8 {
            announced.push(bench.send(begin).await);
        }
    }
    while bench.intake.0.inflight.load(Ordering::SeqCst) < 24 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&bench.post("/v1/events/cap", "right", &"x".repeat(1_000)).await), "200");
}

#[tokio::test]
async fn a_source_may_say_where_its_sender_stands() {
    let bench = start(limits()).await;
    assert_eq!(status(&bench.post("/v1/events/near", "right", "{}").await), "200");
    assert_eq!(status(&bench.post("/v1/events/near", "wrong", "{}").await), "401");
    assert_eq!(status(&bench.post("/v1/events/far", "right", "{}").await), "401");
}

#[tokio::test]
async fn other_paths_are_404_and_other_methods_405() {
    let bench = start(limits()).await;
    assert_eq!(status(&bench.post("/", "right", "{}").await), "404");
    let get = "GET /v1/events/cap HTTP/1.1\r\nHost: h\r\nX-Key: right\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&bench.answer(get).await), "405");
}

#[tokio::test]
async fn a_body_over_the_bound_is_413_declared_or_in_fact() {
    let bench = start(limits()).await;
    let declared = "POST /v1/events/cap HTTP/1.1\r\nHost: h\r\nX-Key: right\r\nContent-Length: 1001\r\n\r\n";
    assert_eq!(status(&bench.answer(declared).await), "413");
    let chunk = format!("5dc\r\n{}\r\n0\r\n\r\n", "x".repeat(1_500));
    let chunked =
        format!("POST /v1/events/cap HTTP/1.1\r\nHost: h\r\nX-Key: right\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    assert_eq!(status(&bench.answer(&chunked).await), "413");
    assert!(bench.kept().is_empty());
    assert_eq!(status(&bench.post("/v1/events/cap", "right", &"x".repeat(1_000)).await), "200");
}

#[tokio::test]
async fn a_stalled_body_is_408() {
    let bench = start(config::Intake { body_timeout: Duration::from_millis(50), ..limits() }).await;
    let stalled = "POST /v1/events/cap HTTP/1.1\r\nHost: h\r\nX-Key: right\r\nContent-Length: 10\r\n\r\nabc";
    assert_eq!(status(&bench.answer(stalled).await), "408");
    assert!(bench.kept().is_empty());
}

#[tokio::test]
async fn broken_framing_of_an_authenticated_request_is_never_400() {
    let bench = start(limits()).await;
    let broken = "POST /v1/events/cap HTTP/1.1\r\nHost: h\r\nX-Key: right\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let answer = bench.answer(broken).await;
    assert_ne!(status(&answer), "400", "{answer}");
    assert!(bench.kept().is_empty());
}

#[tokio::test]
async fn every_reason_to_wait_is_429_with_retry_after() {
    let bench = start(limits()).await;
    let busy = async |why: &str| {
        let answer = bench.post("/v1/events/cap", "right", "{}").await;
        assert_eq!(status(&answer), "429", "{why}");
        assert!(answer.to_ascii_lowercase().contains("retry-after: 7"), "{why}: {answer}");
    };
    bench.intake.set_disk_low(true);
    busy("disk").await;
    bench.intake.set_disk_low(false);
    bench.journal.0.well.store(false, Ordering::SeqCst);
    busy("store").await;
    bench.journal.0.well.store(true, Ordering::SeqCst);
    bench.journal.0.backlog.store(11, Ordering::SeqCst);
    busy("backlog").await;
    bench.journal.0.backlog.store(0, Ordering::SeqCst);
    bench.journal.0.fails.store(true, Ordering::SeqCst);
    busy("append").await;
    bench.journal.0.fails.store(false, Ordering::SeqCst);
    assert_eq!(status(&bench.post("/v1/events/cap", "right", "{}").await), "200");
    bench.intake.drain();
    busy("drain").await;
    assert_eq!(bench.kept().len(), 1, "what was refused was not kept");
}

#[tokio::test]
async fn no_answer_comes_before_the_write_is_durable() {
    let bench = start(limits()).await;
    bench.journal.0.open.send_replace(false);
    let mut waiting = bench.send(&request("/v1/events/cap", "right", "{}")).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(50), waiting.read(&mut byte)).await;
    assert!(early.is_err(), "nothing is said while the journal writes");
    bench.journal.0.open.send_replace(true);
    assert!(rest(waiting).await.contains("200"));
}

#[tokio::test]
async fn bodies_in_flight_share_a_budget() {
    let bench = start(limits()).await;
    bench.journal.0.open.send_replace(false);
    let large = "x".repeat(900);
    let first = bench.send(&request("/v1/events/cap", "right", &large)).await;
    let second = bench.send(&request("/v1/events/cap", "right", &large)).await;
    while bench.intake.0.inflight.load(Ordering::SeqCst) < 1_800 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&bench.post("/v1/events/cap", "right", &large).await), "429");
    bench.journal.0.open.send_replace(true);
    assert!(rest(first).await.contains("200") && rest(second).await.contains("200"));
    assert_eq!(bench.intake.0.inflight.load(Ordering::SeqCst), 0, "the budget is given back");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_stays_before_a_slow_journal_is_429_and_goes_with_its_reason() {
    let many = || config::Intake { max_inflight_bytes: 1 << 20, ..limits() };
    let Bench { journal, intake, .. } = start(many()).await;
    let post = || {
        let request = Request::post("/v1/events/cap").header("X-Key", "right").body(Body::from("{}")).unwrap();
        let router = intake.router();
        async move { tower::ServiceExt::oneshot(router, request).await.unwrap().status() }
    };
    // As many at once as a crowd of senders posts, and each time a sync that takes a second.
    let round = async |sync: Duration| {
        journal.0.open.send_replace(false);
        let opens = async {
            tokio::time::sleep(sync).await;
            journal.0.open.send_replace(true);
        };
        let (answers, ()) = tokio::join!(futures_util::future::join_all((0..200).map(|_| post())), opens);
        assert!(answers.iter().all(|status| [200, 429].contains(&status.as_u16())), "{answers:?}");
        answers.iter().filter(|status| **status == StatusCode::OK).count()
    };
    assert_eq!(post().await, StatusCode::OK);
    let slow = [round(Duration::from_secs(1)).await, round(Duration::from_secs(1)).await];
    assert_eq!(slow[0], 200, "a burst is taken");
    assert!(slow[1] < 200, "the next one is not, while the first took so long");
    for _ in 0..3 {
        round(Duration::from_millis(1)).await;
    }
    assert_eq!(round(Duration::from_millis(1)).await, 200, "a quick journal takes them all again");
}

#[tokio::test]
async fn a_guesser_with_many_connections_stands_in_one_line_and_the_right_key_in_none() {
    let bench = start(config::Intake { max_connections: 256, ..limits() }).await;
    let began = tokio::time::Instant::now();
    let guesses = futures_util::future::join_all((0..100).map(|_| bench.post("/v1/events/cap", "wrong", "{}")));
    let right = async {
        // All of them are there, and far from all are answered.
        while bench.intake.0.metrics.encode().lines().filter(|line| line.ends_with(" 100")).count() == 0 {
            tokio::task::yield_now().await;
        }
        let before = bench.intake.0.strangers.available_permits();
        (before, bench.post("/v1/events/cap", "right", "{}").await)
    };
    let (guesses, (places, right)) = tokio::join!(guesses, right);
    assert_eq!((places, status(&right)), (0, "200"), "the line is full, and a valid sender is served");
    assert!(guesses.iter().all(|answer| status(answer) == "401"));
    let turns = 100_usize.div_ceil(STRANGERS_AT_ONCE) as u32;
    assert!(began.elapsed() >= STRANGER_WAIT * turns, "one turn after the other");
}

#[tokio::test]
async fn a_stop_lets_a_request_under_way_finish() {
    let bench = start(limits()).await;
    bench.journal.0.open.send_replace(false);
    let waiting = bench.send(&request("/v1/events/cap", "right", "{}")).await;
    while bench.intake.0.inflight.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    bench.stop.cancel();
    bench.journal.0.open.send_replace(true);
    assert!(rest(waiting).await.contains("200"));
    assert_eq!(bench.tasks.drain(PATIENCE).await, Ok(()));
}
