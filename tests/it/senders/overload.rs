//! Far more than can be sustained: senders who never wait for their answers, beside some who send as they should.
//!
//! Promises: every answer is 200 or 429; what was acknowledged is journalled once and found, and nothing else is; memory stays bounded.
//! `just siege` does the same for as long as is asked and prints what the ones who send as they should saw of it.
//! Never: a load that stops when the relay is slow: what it does not take in time waits in the kernel's buffers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::speak::{POST, agree, is_known, peace, request};
use crate::process::Installation;
use crate::support::{PATIENCE, Setup, breath, points_issued};

/// Connections of those who never wait, and requests that each sends ahead.
const ATTACKERS: (usize, usize) = (200, 8);
/// Connections of those who send as they should, one request after the other.
const HONEST: usize = 4;
/// What the relay may take in memory, bytes: docs/performance.md.
const MEMORY: u64 = 512 << 20;

/// What came of the requests of some senders.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<String>,
    put_off: u64,
    /// Of each acknowledgement, microseconds.
    took: Vec<u64>,
}

impl Sent {
    fn add(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.took.extend(other.took);
        self.put_off += other.put_off;
    }

    /// Microseconds that such a share of the acknowledgements stayed within.
    fn quantile(&self, percent: usize) -> u64 {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
    }
}

/// An answer's status, when it is 200 or 429; `None` at the end of the connection.
async fn answer(read: &mut BufReader<OwnedReadHalf>) -> Option<u16> {
    let (mut line, mut length) = (String::new(), 0);
    if !matches!(read.read_line(&mut line).await, Ok(1..)) {
        return None;
    }
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.filter(|status| [200, 429].contains(status)).unwrap_or_else(|| panic!("answered {line}"));
    loop {
        line.clear();
        if !matches!(read.read_line(&mut line).await, Ok(1..)) {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length is a number");
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await.ok()?;
    Some(status)
}

/// Requests of one sender, which differ in their event's id and are as long as each other.
struct Requests {
    name: String,
    text: String,
    next: u64,
}

const PLACE: &str = "NUMBER-OF-EVENT";

impl Requests {
    fn of(name: String) -> Self {
        let body = points_issued(PLACE, 1, 10.0).to_string();
        let text = request(POST, &format!("Content-Length: {}\r\n", body.len()), &body);
        Self { name, text, next: 0 }
    }

    /// The next one's id and text.
    fn next(&mut self) -> (String, String) {
        let (name, width) = (&self.name, PLACE.len() - self.name.len());
        let id = format!("{name}{:0width$}", self.next);
        self.next += 1;
        let text = self.text.replace(PLACE, &id);
        (id, text)
    }
}

/// Sends on and on, `ahead` requests before the first answer, on a new connection whenever one is closed.
async fn send(intake: SocketAddr, name: String, ahead: usize, left: Arc<AtomicU64>, stop: CancellationToken) -> Sent {
    let (mut sent, mut requests) = (Sent::default(), Requests::of(name));
    while !stop.is_cancelled() {
        let Ok(stream) = TcpStream::connect(intake).await else { continue };
        stream.set_nodelay(true).expect("a connection takes an option");
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        loop {
            let mut batch = Vec::new();
            let mut text = String::new();
            while batch.len() < ahead
                && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
            {
                let (id, request) = requests.next();
                batch.push(id);
                text.push_str(&request);
            }
            if batch.is_empty() || stop.is_cancelled() {
                return sent;
            }
            let began = Instant::now();
            let answers = async {
                let mut refused = false;
                for id in batch {
                    match answer(&mut read).await {
                        Some(200) => {
                            sent.acknowledged.push(id);
                            sent.took.push(u64::try_from(began.elapsed().as_micros()).expect("a test ends"));
                        }
                        Some(_) => {
                            sent.put_off += 1;
                            refused = true;
                        }
                        None => refused = true,
                    }
                    if refused {
                        break;
                    }
                }
                refused
            };
            // One that is closed behind a 429 need not take the rest.
            let (_, refused) = tokio::join!(write.write_all(text.as_bytes()), answers);
            if refused {
                break;
            }
        }
    }
    sent
}

/// Those who send as they should, until they are stopped or have sent so many: on a thread of their own, so that what they see is the
/// relay and not the attackers' own crowd.
fn honest(intake: SocketAddr, name: &'static str, events: u64, stop: CancellationToken) -> JoinHandle<Sent> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let left = Arc::new(AtomicU64::new(events));
        runtime.block_on(async {
            let senders = (0..HONEST).map(|n| send(intake, format!("{name}{n}-"), 1, left.clone(), stop.clone()));
            let mut all = Sent::default();
            futures_util::future::join_all(senders).await.into_iter().for_each(|sent| all.add(sent));
            all
        })
    })
}

/// What a siege showed.
struct Siege {
    idle: Sent,
    beside: Sent,
    attack: Sent,
    lasted: Duration,
    memory: u64,
}

/// A relay besieged until so many were sent, or for so long.
async fn besiege(relay: &Installation, events: u64, lasts: Duration) -> Siege {
    let (forever, stop) = (CancellationToken::new(), CancellationToken::new());
    let idle = honest(relay.intake, "idle", 400, forever).await.expect("they end");
    let began = Instant::now();
    let left = Arc::new(AtomicU64::new(events));
    let mut attackers = JoinSet::new();
    for number in 0..ATTACKERS.0 {
        attackers.spawn(send(relay.intake, format!("a{number}-"), ATTACKERS.1, left.clone(), stop.clone()));
    }
    let mut memory = 0;
    let ends = async {
        while left.load(Ordering::SeqCst) > 0 && began.elapsed() < lasts {
            memory = memory.max(relay.resident());
            breath().await;
        }
        stop.cancel();
    };
    let beside = honest(relay.intake, "beside", u64::MAX, stop.clone());
    ends.await;
    let beside = beside.await.expect("they end");
    let mut attack = Sent::default();
    let ended = tokio::time::timeout(PATIENCE, attackers.join_all()).await.expect("the last answers come");
    ended.into_iter().for_each(|sent| attack.add(sent));
    Siege { idle, beside, attack, lasted: began.elapsed(), memory }
}

impl Siege {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn tell(&self) -> String {
        let row = |name: &str, sent: &Sent| {
            let (n, took) = (sent.acknowledged.len(), |percent| sent.quantile(percent) as f64 / 1_000.0);
            format!("{name}: {n} × 200, {} × 429, p50 {:.1} ms, p99 {:.1} ms\n", sent.put_off, took(50), took(99))
        };
        let ratio = self.beside.quantile(99) as f64 / self.idle.quantile(99).max(1) as f64;
        let seconds = self.lasted.as_secs_f64();
        let taken = (self.attack.acknowledged.len() + self.beside.acknowledged.len()) as f64 / seconds;
        format!(
            "{}{}{}{seconds:.1} s, {taken:.0} acknowledged a second, p99 beside the attack {ratio:.1} times the idle one, memory at most {} MiB",
            row("idle", &self.idle),
            row("beside the attack", &self.beside),
            row("attack", &self.attack),
            self.memory >> 20,
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_far_too_much_what_is_acknowledged_is_kept_and_the_rest_is_put_off() {
    let setup = Setup { intake_with: "max_journal_backlog = 50", allow: vec!["welcome"], ..Setup::default() };
    let mut relay = Installation::new(setup).await;
    relay.start().await;
    let siege = besiege(&relay, 8_000, PATIENCE).await;
    say(&siege.tell());
    assert!(siege.memory < MEMORY, "{} bytes of memory", siege.memory);
    assert!(siege.attack.put_off > 0, "it was far too much");
    check(relay, &siege).await;
}

/// `just siege`: as long as `SEALPOST_SIEGE_SECONDS` says, with the bounds that ship.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: `just siege`"]
async fn a_siege() {
    let seconds = crate::crash::from_environment("SEALPOST_SIEGE_SECONDS").unwrap_or(60);
    let mut relay = Installation::new(Setup { allow: vec!["welcome"], ..Setup::default() }).await;
    relay.start().await;
    let siege = besiege(&relay, u64::MAX, Duration::from_secs(seconds)).await;
    say(&siege.tell());
    assert!(siege.memory < MEMORY, "{} bytes of memory", siege.memory);
    check(relay, &siege).await;
}

/// Everything that was acknowledged is there once, and nothing else.
async fn check(relay: Installation, siege: &Siege) {
    let all = [&siege.idle, &siege.beside, &siege.attack];
    agree(&relay, all.iter().map(|sent| sent.acknowledged.len() as u64).sum()).await;
    assert_eq!(relay.metric("sealpost_events_total", "duplicate").await, 0, "every event was sent once");
    for sent in all {
        // The counters speak for all of them; some are looked for by their ids.
        for id in sent.acknowledged.iter().step_by((sent.acknowledged.len() / 50).max(1)) {
            assert!(is_known(&relay, id).await, "{id} was acknowledged and is lost");
        }
    }
    peace(relay, &[]).await;
}

#[expect(clippy::print_stdout, reason = "figures, for whoever looks")]
fn say(text: &str) {
    println!("{text}");
}
