//! Intake: webhooks in, durable, acknowledged. It decodes nothing.
//!
//! | the sender did | answer |
//! |---|---|
//! | posted with the right credentials, whatever the body holds | `200 {"ok":true}`, once it is durable |
//! | wrong or missing credentials or signature, an address that is not allowed, unknown source, wrong path secret | `401`, after a short wait in one line of all strangers; nothing tells which |
//! | a body over `intake.max_body_bytes` (declared or in fact) | `413`, alarmed |
//! | a body that takes longer than `intake.body_timeout`, breaks off or is badly chunked | `408`, connection closed |
//! | anything while a store fails, the disk is low, the backlog or the bytes in flight are at their bound, more wait for the journal than it takes in good time, or we drain | `429` with `Retry-After` |
//! | another method on the route | `405` |
//! | another path | `404` |
//! | a head that cannot be read | `400`, `414` or `431`, from hyper (`serve`) |
//! | a head that takes too long, HTTP/2, silence while others need the place | the connection is closed (`serve`) |
//!
//! Promises: a 2xx is sent only after the delivery is durable against power loss; an authenticated request is never answered
//! 400 (Capillary takes 400 as final loss, capillary/reference.md 1.6), nor 5xx (untested there); 429 is the only back-pressure; a
//! body counts against the bytes in flight as it comes, whatever it announced.
//! Never: the vault, a template, a provider; a body, a header value or a secret in a log.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::config;
use crate::failpoint::{self, Point};
use crate::id::{DeliverySeq, SourceId};
use crate::ledger::{Delivery, Health, Ledger, LedgerError};
use crate::serve::{ClientAddress, Limits, Visitor};
use crate::telemetry::{Metrics, SourceOutcome};

mod alarm;
mod credentials;
mod pressure;
mod signature;

use alarm::Alarm;
use credentials::Door;
use pressure::Pressure;
use signature::{Claim, Unsigned};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use signature::fuzz;

/// Where deliveries become durable.
pub trait Journal: Send + Sync + 'static {
    /// Appends; durable when it returns.
    fn append(&self, delivery: Delivery) -> impl Future<Output = Result<DeliverySeq, LedgerError>> + Send;
    /// Durable but not yet planned.
    fn backlog(&self) -> u64;
    /// False while the store is stuck or poisoned.
    fn is_well(&self) -> bool;
}

impl Journal for Ledger {
    async fn append(&self, delivery: Delivery) -> Result<DeliverySeq, LedgerError> {
        Self::append(self, delivery).await
    }
    fn backlog(&self) -> u64 {
        self.journal_head().borrow().0.saturating_sub(self.cursor().0)
    }
    fn is_well(&self) -> bool {
        *self.health().borrow() == Health::Well
    }
}

/// The intake. Cheap to clone.
pub struct Intake<J = Ledger>(Arc<Inner<J>>);

impl<J> Clone for Intake<J> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<J> {
    journal: J,
    doors: BTreeMap<SourceId, Door>,
    max_body: usize,
    max_inflight: usize,
    max_backlog: u64,
    retry_after: String,
    inflight: AtomicUsize,
    disk_low: AtomicBool,
    draining: AtomicBool,
    stranger_alarm: Alarm,
    size_alarm: Alarm,
    // Strangers are answered so many at once; the others stand in line, each with a connection whose place goes to who needs it.
    strangers: Semaphore,
    pressure: Pressure,
    clock: Clock,
    metrics: Metrics,
}

/// Memory taken for a body before it comes, bytes: as much as nearly all of them need.
const MOST_AHEAD: usize = 8 << 10;
/// How long a wrong credential waits for its answer: slows a guesser, costs a mistaken operator nothing.
const STRANGER_WAIT: Duration = Duration::from_millis(200);
/// Strangers whose wait runs at the same time: with [`STRANGER_WAIT`], 80 answers a second to all of them together.
const STRANGERS_AT_ONCE: usize = 16;

impl From<&config::Intake> for Limits {
    fn from(config: &config::Intake) -> Self {
        Self {
            header_timeout: config.header_timeout,
            body_timeout: config.body_timeout,
            max_connections: config.max_connections,
            connection_max_age: config.connection_max_age,
        }
    }
}

impl<J: Journal> Intake<J> {
    /// An intake for the configured sources.
    pub fn new(
        config: &config::Intake,
        sources: &BTreeMap<SourceId, config::Source>,
        journal: J,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Inner {
            journal,
            doors: sources.iter().map(|(id, source)| (id.clone(), Door::new(source))).collect(),
            max_body: config.max_body_bytes,
            max_inflight: config.max_inflight_bytes,
            max_backlog: config.max_journal_backlog,
            retry_after: config.retry_after.as_secs().max(1).to_string(),
            inflight: AtomicUsize::new(0),
            disk_low: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            stranger_alarm: Alarm::default(),
            size_alarm: Alarm::default(),
            strangers: Semaphore::new(STRANGERS_AT_ONCE),
            pressure: Pressure::default(),
            clock,
            metrics,
        }))
    }

    /// The routes of the public listener.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1/events/{source}", post(take::<J>))
            .route("/v1/events/{source}/{secret}", post(take_with_secret::<J>))
            .with_state(self.clone())
    }

    /// Refuses everything from now on, retriably.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
        // Whoever drains does not wait for a line of strangers.
        self.0.strangers.close();
    }

    /// Set while free disk space is below its floor.
    pub fn set_disk_low(&self, low: bool) {
        if self.0.disk_low.swap(low, Ordering::SeqCst) != low {
            tracing::error!(
                low,
                "free disk space crossed its floor (storage.min_free_bytes); the intake answers 429 while it is low"
            );
        }
    }

    /// Why events are not taken now, if they are not.
    pub fn refusal(&self) -> Option<&'static str> {
        let inner = &self.0;
        if inner.draining.load(Ordering::SeqCst) {
            Some("draining")
        } else if inner.disk_low.load(Ordering::SeqCst) {
            Some("disk_low")
        } else if !inner.journal.is_well() {
            Some("store_failed")
        } else if inner.journal.backlog() > inner.max_backlog {
            Some("backlog")
        } else {
            None
        }
    }

    async fn receive(&self, source: &str, secret: Option<&str>, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let from = head.extensions.get::<ClientAddress>().map(|client| client.0);
        let visitor = head.extensions.get::<Visitor>().cloned();
        let known = source.parse::<SourceId>().ok().and_then(|id| self.0.doors.get_key_value(&id));
        let shown = known.filter(|(_, door)| door.lets_in(from) & door.opens(&head.headers, secret));
        let Some((source, door)) = shown else {
            // Not to be kept for as long as it stands in line.
            drop(head);
            return self.refuse_stranger(visitor.as_ref()).await;
        };
        let outcome = match door.claim(&head.headers, self.0.clock.now()) {
            Ok(None) => {
                visitor.iter().for_each(Visitor::is_known);
                self.keep(source, &head.headers, body).await
            }
            Ok(Some(claim)) => self.keep_signed(source, door, &claim, &head.headers, body, visitor.as_ref()).await,
            Err(why) => Err(Refused::Unsigned(why)),
        };
        drop(head);
        let word = outcome.as_ref().map_or_else(Refused::word, |_| "accepted");
        self.count(source.as_str(), word);
        match outcome {
            Ok(_) => {
                failpoint::at(Point::IntakeBeforeAnswer);
                acknowledgement()
            }
            Err(refused) => self.refuse(source, &refused, visitor.as_ref()).await,
        }
    }

    /// As [`Self::keep`], for a sender that is known only when the body is: until then the connection is a stranger's.
    async fn keep_signed(
        &self,
        source: &SourceId,
        door: &Door,
        claim: &Claim,
        headers: &HeaderMap,
        body: Body,
        visitor: Option<&Visitor>,
    ) -> Result<DeliverySeq, Refused> {
        let stranger = visitor.map(Visitor::is_stranger);
        let (body, budget) = self.read(headers, body).await?;
        door.verify(claim, &body).map_err(Refused::Unsigned)?;
        drop(stranger);
        visitor.into_iter().for_each(Visitor::is_known);
        self.append(source, body, budget).await
    }

    async fn keep(&self, source: &SourceId, headers: &HeaderMap, body: Body) -> Result<DeliverySeq, Refused> {
        let (body, budget) = self.read(headers, body).await?;
        self.append(source, body, budget).await
    }

    /// The whole body, with a share of the budget for the bytes that really came: what is only announced, or comes drop by drop,
    /// takes nothing from others.
    async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<(Bytes, Budget<'_, J>), Refused> {
        if let Some(why) = self.refusal() {
            return Err(Refused::Busy(why));
        }
        if self.0.pressure.is_full() {
            // Sooner said than after a body was read for it.
            return Err(Refused::Busy("overload"));
        }
        let declared = declared_length(headers).unwrap_or(0);
        if declared > self.0.max_body {
            return Err(Refused::TooLarge);
        }
        let mut budget = Budget { intake: self, bytes: 0 };
        let mut whole = Vec::with_capacity(declared.min(MOST_AHEAD));
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
            if whole.len() + bytes.len() > self.0.max_body {
                return Err(Refused::TooLarge);
            }
            budget.grow(bytes.len())?;
            whole.extend_from_slice(&bytes);
        }
        Ok((whole.into(), budget))
    }

    async fn append(&self, source: &SourceId, body: Bytes, budget: Budget<'_, J>) -> Result<DeliverySeq, Refused> {
        let delivery = Delivery { source: source.clone(), received_at: self.0.clock.now(), body };
        let wait = self.0.pressure.enter().ok_or(Refused::Busy("overload"))?;
        let kept = self.0.journal.append(delivery).await;
        wait.over();
        drop(budget);
        kept.map_err(|error| {
            tracing::error!(source = %source, %error, "delivery could not be kept; the sender is asked to try again");
            Refused::Busy("journal_failed")
        })
    }

    async fn refuse(&self, source: &SourceId, refused: &Refused, visitor: Option<&Visitor>) -> Response {
        match refused {
            Refused::TooLarge => {
                if let Some(count) = self.0.size_alarm.note(self.0.clock.now()) {
                    tracing::error!(source = %source, count, limit = self.0.max_body,
                        "bodies over intake.max_body_bytes refused: these events are lost unless the bound is raised");
                }
                // The rest of the body is not read, so the connection cannot go on.
                (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")]).into_response()
            }
            Refused::Broken => (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")]).into_response(),
            Refused::Unsigned(_) => self.refuse_stranger(visitor).await,
            Refused::Busy(_) => {
                let headers = [(header::RETRY_AFTER, self.0.retry_after.as_str()), (header::CONNECTION, "close")];
                (StatusCode::TOO_MANY_REQUESTS, headers).into_response()
            }
        }
    }

    /// The same answer for every reason, after a wait in one line of all strangers; a valid sender behind the same address never waits.
    async fn refuse_stranger(&self, visitor: Option<&Visitor>) -> Response {
        self.count("unknown", "unauthorized");
        if let Some(count) = self.0.stranger_alarm.note(self.0.clock.now()) {
            tracing::warn!(count, "webhooks with wrong credentials, or for an unknown source, refused");
        }
        let _stranger = visitor.map(Visitor::is_stranger);
        // An error is a drain: then nobody stands in line.
        let _turn = self.0.strangers.acquire().await;
        tokio::time::sleep(STRANGER_WAIT).await;
        (StatusCode::UNAUTHORIZED, [(header::CONNECTION, "close")]).into_response()
    }

    fn count(&self, source: &str, outcome: &'static str) {
        self.0.metrics.deliveries.get_or_create(&SourceOutcome { source: source.into(), outcome }).inc();
    }
}

/// Why an authenticated request was not kept.
enum Refused {
    TooLarge,
    /// The body broke off or its framing is wrong: there is nothing whole to keep.
    Broken,
    Busy(&'static str),
    /// The signature says that it is nobody we know.
    Unsigned(Unsigned),
}

impl Refused {
    fn word(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Broken => "broken_body",
            Self::Busy(why) => why,
            Self::Unsigned(why) => why.word(),
        }
    }
}

/// A share of the bytes in flight; given back when dropped.
struct Budget<'i, J: Journal> {
    intake: &'i Intake<J>,
    bytes: usize,
}

impl<J: Journal> Budget<'_, J> {
    /// Takes more; what was taken stays taken until the end.
    fn grow(&mut self, bytes: usize) -> Result<(), Refused> {
        let before = self.intake.0.inflight.fetch_add(bytes, Ordering::SeqCst);
        let others = before - self.bytes;
        self.bytes += bytes;
        if before.saturating_add(bytes) > self.intake.0.max_inflight && others > 0 {
            return Err(Refused::Busy("inflight"));
        }
        Ok(())
    }
}

impl<J: Journal> Drop for Budget<'_, J> {
    fn drop(&mut self) {
        self.intake.0.inflight.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

// A path that is not UTF-8 is a stranger's: the framework would answer it 400.
async fn take<J: Journal>(
    State(intake): State<Intake<J>>,
    source: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    match source {
        Ok(Path(source)) => intake.receive(&source, None, request).await,
        Err(_) => intake.refuse_stranger(request.extensions().get()).await,
    }
}

async fn take_with_secret<J: Journal>(
    State(intake): State<Intake<J>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    match path {
        Ok(Path((source, secret))) => intake.receive(&source, Some(&secret), request).await,
        Err(_) => intake.refuse_stranger(request.extensions().get()).await,
    }
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Tiny: Capillary copies it into its own log.
fn acknowledgement() -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], r#"{"ok":true}"#).into_response()
}

#[cfg(test)]
mod tests;
