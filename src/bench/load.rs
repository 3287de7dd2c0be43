//! The load: connections that post events and note how long each answer took.
//!
//! Promises: an answer other than 200 ends the run with its status (a 429 not that of a sender who insists); in a steady phase a request that had to wait for a free
//! connection is timed from when it was due, not from when it was sent, so that a slow relay cannot hide behind a slow sender.
//! Never: a sample that is left out.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::call::request;
use crate::tasks::Tasks;

use super::event::Events;
use super::setup::KEY;

/// Connections of a steady phase.
const STEADY_CLIENTS: usize = 64;

/// How long an insistent sender keeps what was refused for now.
const AGAIN: Duration = Duration::from_secs(1);

/// How requests follow each other.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// Each client sends its next request when it has its answer.
    Flat {
        /// How many.
        clients: usize,
        /// For how long.
        lasts: Duration,
    },
    /// The same, up to a number of requests.
    Counted {
        /// How many.
        clients: usize,
        /// Altogether.
        requests: u64,
    },
    /// The same by a sender that posts again what it is told to keep for now (429), as Capillary does.
    Insistent {
        /// How many.
        clients: usize,
        /// Altogether.
        requests: u64,
    },
    /// So many a second, whatever the answers do.
    Steady {
        /// Requests.
        per_second: u32,
        /// For how long.
        lasts: Duration,
    },
}

/// What came of it.
pub(super) struct Driven {
    /// Requests, each answered 200.
    pub(super) answered: u64,
    /// From the first request to the last answer.
    pub(super) took: Duration,
    /// Microseconds of each answer, sorted.
    pub(super) micros: Vec<u32>,
}

impl Driven {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    pub(super) fn per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    /// The microseconds that a share of the answers stayed within, by the nearest rank.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank lies between 0 and the number of samples"
    )]
    pub(super) fn quantile(&self, share: f64) -> u32 {
        let rank = (share * self.micros.len() as f64).ceil() as usize;
        self.micros.get(rank.clamp(1, self.micros.len().max(1)) - 1).copied().unwrap_or(0)
    }
}

/// Posts events to `target`.
pub(super) async fn drive(target: SocketAddr, events: &Events, pace: Pace) -> anyhow::Result<Driven> {
    let (Pace::Flat { clients, .. } | Pace::Counted { clients, .. } | Pace::Insistent { clients, .. }) = pace else {
        return drive_with(target, events, pace, STEADY_CLIENTS).await;
    };
    drive_with(target, events, pace, clients).await
}

async fn drive_with(target: SocketAddr, events: &Events, pace: Pace, clients: usize) -> anyhow::Result<Driven> {
    let tasks = Tasks::new();
    let senders = try_join_all((0..clients).map(|_| connect(target, &tasks))).await?;
    let started = Instant::now();
    let turns = Turns { pace, started, next: AtomicU64::new(0) };
    let again = async || connect(target, &tasks).await;
    let samples = try_join_all(senders.into_iter().map(|sender| client(sender, &again, events, &turns))).await?;
    let took = started.elapsed();
    let mut micros = samples.concat();
    micros.sort_unstable();
    Ok(Driven { answered: micros.len() as u64, took, micros })
}

async fn connect(target: SocketAddr, tasks: &Tasks) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target).await.with_context(|| format!("nothing listens on {target}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // What breaks the connection also fails the request under way.
    tasks.spawn("connection", async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Whose turn it is, shared by all clients.
struct Turns {
    pace: Pace,
    started: Instant,
    next: AtomicU64,
}

impl Turns {
    /// Waits for the next turn; when its request was due. `None`: there are no more.
    async fn take(&self) -> Option<Instant> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        match self.pace {
            Pace::Flat { lasts, .. } => (self.started.elapsed() < lasts).then(Instant::now),
            Pace::Counted { requests, .. } | Pace::Insistent { requests, .. } => (number < requests).then(Instant::now),
            Pace::Steady { per_second, lasts } => {
                let due =
                    Duration::from_secs(1).mul_f64(f64::from(u32::try_from(number).ok()?) / f64::from(per_second));
                if due >= lasts {
                    return None;
                }
                let due = self.started + due;
                if due <= Instant::now() {
                    return Some(due);
                }
                tokio::time::sleep_until(due.into()).await;
                // The timer wakes up to two milliseconds late, which is no fault of the relay's.
                Some(Instant::now())
            }
        }
    }
}

async fn client(
    mut sender: SendRequest<Full<Bytes>>,
    again: &impl AsyncFn() -> anyhow::Result<SendRequest<Full<Bytes>>>,
    events: &Events,
    turns: &Turns,
) -> anyhow::Result<Vec<u32>> {
    let mut micros = Vec::new();
    while let Some(due) = turns.take().await {
        let body = events.next();
        let mut status = post(&mut sender, again, body.clone()).await?;
        while status == StatusCode::TOO_MANY_REQUESTS && matches!(turns.pace, Pace::Insistent { .. }) {
            tokio::time::sleep(AGAIN).await;
            status = post(&mut sender, again, body.clone()).await?;
        }
        ensure!(status.is_success(), "the intake answered {status}");
        micros.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(micros)
}

async fn post(
    sender: &mut SendRequest<Full<Bytes>>,
    again: &impl AsyncFn() -> anyhow::Result<SendRequest<Full<Bytes>>>,
    body: Bytes,
) -> anyhow::Result<StatusCode> {
    let request = request(Method::POST, "/v1/events/bench", &[("X-Sealpost-Key", KEY)], body)?;
    if sender.ready().await.is_err() {
        // The last answer was this connection's last, and said so: it was a 429, or the connection was old.
        *sender = again().await?;
        sender.ready().await?;
    }
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_by_the_nearest_rank() {
        let driven = |micros: Vec<u32>| Driven { answered: micros.len() as u64, took: Duration::from_secs(2), micros };
        let hundred = driven((1..=100).collect());
        for (share, expected) in [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.0, 1)] {
            assert_eq!(hundred.quantile(share), expected, "{share}");
        }
        assert!((hundred.per_second() - 50.0).abs() < f64::EPSILON);
        assert_eq!(driven(vec![]).quantile(0.5), 0);
        assert_eq!(driven(vec![7]).quantile(0.99), 7);
    }
}
