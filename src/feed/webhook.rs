//! The webhook: outcomes as they happen, posted to one address in batches.
//!
//! Promises: at least once and in the order of the log, from a place that the ledger keeps: a stop, a crash or a receiver that is down
//! for days loses nothing that the ledger still has; one batch in memory; signed as Standard Webhooks ask for
//! (github.com/standard-webhooks/standard-webhooks); a receiver that is stuck slows nothing but this task.
//! Never: a person, not even by hash or inside a reference id; the receiver's answer in a log.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Time};
use crate::config::{WebhookFeed, WebhookFeedError};
use crate::failpoint::{self, Point};
use crate::ledger::{Changes, Ledger, LedgerError, OutcomePlace, OutcomeRecord, OutcomeWord};
use crate::provider::post::{NotTaken, Post};
use crate::telemetry::Metrics;

mod sign;

/// Outcomes in one post.
const BATCH: usize = 100;
/// Longest wait between two tries that the receiver did not ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Longest wait that the receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3_600);
/// Where the ledger keeps the place.
const STATE: &str = "feed.webhook";

/// What posts outcomes.
pub struct Webhook {
    ledger: Ledger,
    post: Post,
    keys: Vec<sign::Key>,
    events: Vec<OutcomeWord>,
    clock: Clock,
    metrics: Metrics,
}

/// One outcome as the receiver reads it.
#[derive(Serialize)]
struct Told<'o> {
    /// Its place in the log: later ones have higher numbers, a repeated one has the same.
    number: u64,
    notification: String,
    event_id: Option<String>,
    request_id: Option<String>,
    event_name: Option<String>,
    org: crate::id::OrgId,
    template: &'o crate::id::TemplateId,
    channel: Option<crate::id::Channel>,
    provider: Option<&'o crate::id::ProviderId>,
    outcome: OutcomeWord,
    reason: Option<&'o str>,
    code: Option<&'o str>,
    time: String,
}

impl Webhook {
    /// Makes ready; connects to nothing.
    ///
    /// # Errors
    /// What is wrong with the configuration and shows only now.
    pub fn build(
        config: &WebhookFeed,
        ledger: Ledger,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, WebhookFeedError> {
        let post = Self::post_to(config, clock.clone())?;
        let keys = config.secrets.iter().map(sign::Key::read).collect::<Option<_>>();
        let keys = keys.ok_or_else(|| WebhookFeedError("secret is not whsec_ and base64".into()))?;
        let events = config.events.iter().filter_map(|word| OutcomeWord::of(word)).collect();
        Ok(Self { ledger, post, keys, events, clock, metrics })
    }

    /// What would be wrong with it, without a ledger.
    ///
    /// # Errors
    /// As [`Webhook::build`].
    pub fn check(config: &WebhookFeed, clock: Clock) -> Result<(), WebhookFeedError> {
        Self::post_to(config, clock).map(drop)
    }

    fn post_to(config: &WebhookFeed, clock: Clock) -> Result<Post, WebhookFeedError> {
        Post::build(&config.url, config.ca_file.as_ref(), config.timeout, 1, clock)
            .map_err(|error| WebhookFeedError(error.to_string()))
    }

    /// Posts until `stop`.
    ///
    /// # Errors
    /// When the ledger fails; nothing is lost.
    pub async fn run(self, stop: CancellationToken) -> Result<(), LedgerError> {
        let mut logged = self.ledger.logged();
        let end = *logged.borrow_and_update();
        let mut place = self.begin(end).await?;
        let (mut noted, mut failures) = (place, 0_u32);
        loop {
            logged.borrow_and_update();
            let page = self.ledger.outcomes_after(place, BATCH)?;
            let Some(last) = page.last().map(|(last, _)| *last) else {
                self.show(place, None);
                if noted != place {
                    self.note(place).await?;
                    noted = place;
                }
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    changed = logged.changed() => if changed.is_err() { return Ok(()) },
                }
                continue;
            };
            tell_gap(place, page[0].0);
            self.show(place, page[0].1.as_ref().map(|outcome| outcome.at));
            let wanted: Vec<_> = page.iter().filter_map(|(place, outcome)| Some((*place, outcome.as_ref()?))).collect();
            let wanted: Vec<_> =
                wanted.into_iter().filter(|(_, outcome)| self.events.contains(&outcome.outcome)).collect();
            if wanted.is_empty() {
                place = last;
                tokio::task::yield_now().await;
                continue;
            }
            failpoint::at(Point::WebhookBeforePost);
            let posted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                posted = self.post(&wanted) => posted?,
            };
            match posted {
                Ok(()) => {
                    failpoint::at(Point::WebhookAfterPost);
                    if failures > 0 {
                        tracing::info!(failures, "the webhook is taken again");
                    }
                    (place, failures) = (last, 0);
                    self.note(place).await?;
                    noted = place;
                }
                Err(NotTaken { code, retry_after }) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(failures, reply.code = %code, "the webhook was not taken; it is tried again");
                    let wait = wait(failures, retry_after, fastrand::f64());
                    if self.rest(wait, place, &mut logged, &stop).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The place to go on from. The first time it is the end: what happened before anybody asked is not news.
    async fn begin(&self, end: OutcomePlace) -> Result<OutcomePlace, LedgerError> {
        let kept = self.ledger.state(STATE)?.and_then(|state| serde_json::from_value(state).ok());
        match kept {
            Some(place) => Ok(place),
            None => {
                self.note(end).await?;
                Ok(end)
            }
        }
    }

    async fn note(&self, place: OutcomePlace) -> Result<(), LedgerError> {
        let mut changes = Changes::new();
        changes.set_state(STATE, json!(place));
        self.ledger.commit(changes).await
    }

    async fn post(&self, outcomes: &[(OutcomePlace, &OutcomeRecord)]) -> Result<Result<(), NotTaken>, LedgerError> {
        let told = outcomes.iter().map(|(place, outcome)| self.told(*place, outcome)).collect::<Result<Vec<_>, _>>()?;
        let (first, last) = (told.first().map_or(0, |told| told.number), told.last().map_or(0, |told| told.number));
        let now = self.clock.now();
        let body = json!({ "type": "sealpost.outcomes", "timestamp": now.to_string(), "data": { "outcomes": told } });
        let body = body.to_string();
        // The same batch has the same id, however often it is tried.
        let id = format!("outcomes-{first}-{last}");
        let stamp = now.as_millis().div_euclid(1_000);
        let signature = sign::signature(&self.keys, &id, stamp, &body);
        let headers = [("webhook-id", id), ("webhook-timestamp", stamp.to_string()), ("webhook-signature", signature)];
        Ok(self.post.send(&headers, body.into_bytes()).await)
    }

    fn told<'o>(&self, place: OutcomePlace, outcome: &'o OutcomeRecord) -> Result<Told<'o>, LedgerError> {
        let event = self.ledger.event(outcome.event)?.map(|record| record.event);
        let (event_id, request_id, event_name) =
            event.map_or((None, None, None), |e| (e.event_id, e.request_id, Some(e.name)));
        Ok(Told {
            number: place.number,
            notification: outcome.notification.to_string(),
            event_id,
            request_id,
            event_name,
            org: outcome.org,
            template: &outcome.template,
            channel: outcome.channel,
            provider: outcome.provider.as_ref(),
            outcome: outcome.outcome,
            reason: outcome.reason.as_deref(),
            code: outcome.code.as_deref(),
            time: outcome.at.to_string(),
        })
    }

    /// Waits for the next try; true when it is time to stop.
    async fn rest(
        &self,
        wait: Duration,
        place: OutcomePlace,
        logged: &mut watch::Receiver<OutcomePlace>,
        stop: &CancellationToken,
    ) -> bool {
        let mut over = std::pin::pin!(self.clock.sleep(wait));
        loop {
            tokio::select! {
                () = stop.cancelled() => return true,
                () = &mut over => return false,
                changed = logged.changed() => {
                    if changed.is_err() {
                        return true;
                    }
                    logged.borrow_and_update();
                    self.show_backlog(place);
                }
            }
        }
    }

    fn show(&self, place: OutcomePlace, oldest: Option<Time>) {
        let lag = oldest.map_or(0, |oldest| self.clock.now().since(oldest).as_secs());
        self.metrics.webhook_lag_seconds.set(i64::try_from(lag).unwrap_or(i64::MAX));
        self.show_backlog(place);
    }

    fn show_backlog(&self, place: OutcomePlace) {
        let end = *self.ledger.logged().borrow();
        let backlog = end.number.saturating_sub(place.number);
        self.metrics.webhook_backlog.set(i64::try_from(backlog).unwrap_or(i64::MAX));
    }
}

/// Numbers have no gaps: one that is there was removed by retention before the receiver took it.
fn tell_gap(place: OutcomePlace, next: OutcomePlace) {
    let lost = next.number.saturating_sub(place.number).saturating_sub(1);
    if place.number > 0 && lost > 0 {
        tracing::error!(
            count = lost,
            "outcomes were older than storage.keep_events before the webhook was taken, and are gone"
        );
    }
}

/// One second, doubled with each failure, up to five minutes; more if the receiver asks for it. Spread by a quarter.
fn wait(failures: u32, asked: Option<Duration>, random: f64) -> Duration {
    let own = Duration::from_secs(1 << failures.saturating_sub(1).min(9)).min(LONGEST_WAIT);
    own.max(asked.unwrap_or_default().min(LONGEST_ASKED)).mul_f64(1.0 + random / 4.0)
}

#[cfg(test)]
mod tests;
