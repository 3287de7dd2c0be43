//! Providers: the ways out. A `Message` in, an `Outcome` out.
//!
//! Promises: only 250 (SMTP) or the declared success test (gateways) is `Sent`; a failure past the point of no return is
//! `Ambiguous`; a connection that saw an error, a timeout or a cancel is dropped; codes go into outcomes, reply texts nowhere.
//! Never: the ledger or the vault; lettre's own pool; a retry of its own (retries live in the queue).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::{Clock, Time};
use crate::config;
use crate::config::{Fault, Faults, ProviderKind};
use crate::id::ProviderId;
use crate::message::mime::MimeError;
use crate::message::{Body, Message};
use crate::telemetry::{ByProvider, Metrics};

mod breaker;
pub mod directory;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz {
    //! The targets of the ways out.

    pub(crate) use super::gateway::fuzz::gateway;
    pub(crate) use super::smtp::fuzz::smtp;
}
mod gateway;
mod http;
mod limit;
mod line;
pub mod post;
mod smtp;
mod tls;

use breaker::{Breaker, Health};

/// All configured providers.
pub struct Providers(BTreeMap<ProviderId, Provider>);

struct Provider {
    way: Way,
    slots: Arc<Semaphore>,
    limit: Option<limit::Limit>,
    line: line::Line,
    clock: Clock,
    breaker: Breaker,
    // How many wait for a permit.
    waiting: AtomicUsize,
    // True if it has taken a message since it last refused us.
    accepts: AtomicBool,
}

impl Provider {
    /// Whose fault is a refusal of us? A server may say `5.7.1` of one recipient for ever; if that stopped everybody each
    /// time, one message would choke the channel. One such verdict for each message that was taken: of many that were
    /// freed together, all refused again, the first is misjudged at most, and the second stops the channel.
    fn blame(&self, refused_before: bool, verdict: &mut Verdict) {
        match &verdict.outcome {
            Outcome::Sent { .. } => self.accepts.store(true, Ordering::Relaxed),
            Outcome::Misconfigured { code } if self.accepts.swap(false, Ordering::Relaxed) && refused_before => {
                *verdict = Verdict { health: Health::Unknown, ..Verdict::permanent(code.clone(), false) };
            }
            _ => {}
        }
    }

    /// True if those who wait already use up what the rate limit gives within `patience`; or if others stand in line for
    /// it, and it is not idle, unless the one who asks has stood there and it is their time.
    fn is_busy(&self, patience: Duration, line: InLine) -> bool {
        let Some((limit, now)) = self.limit.as_ref().map(|limit| (limit, self.clock.now())) else { return false };
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting > 0 && limit.time_for(waiting) >= patience {
            return true;
        }
        let reaches = || self.line.reaches(now.plus(patience), now, limit.time_for(1), line.standing);
        !line.has_stood && reaches() && !limit.is_idle()
    }
}

/// One who waits for a permit, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn join(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Each kind on the heap: they differ much in size.
enum Way {
    Smtp(Box<smtp::Smtp>),
    Gateway(Box<gateway::Gateway>),
    File(Box<file::FileProvider>),
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took responsibility.
    Sent {
        /// Reply or status code.
        code: String,
        /// The provider's own id.
        provider_ref: Option<String>,
    },
    /// Again later.
    Transient {
        /// Reply or status code, or a word such as `connect_timeout`.
        code: String,
        /// The provider asked for at least this wait.
        retry_after: Option<Duration>,
    },
    /// Never.
    Permanent {
        /// Reply or error code.
        code: String,
        /// True if the address itself is at fault: suppress it.
        bad_address: bool,
    },
    /// Ours, not theirs: credentials, sender, policy. Stop the channel, alarm, suppress nobody.
    Misconfigured {
        /// Reply or error code.
        code: String,
    },
    /// It may or may not have gone.
    Ambiguous {
        /// Where it broke: `after_final_dot_timeout`, …
        code: String,
    },
}

/// Whether a provider would take a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// Its circuit breaker is open until then.
    OpenUntil(Time),
    /// More wait for its rate limit than it lets through while one has patience.
    Busy,
}

/// What the queue knows of those who wait for rate limits.
#[derive(Clone, Copy, Default, Debug)]
pub struct InLine {
    /// How many stand in line, for whichever provider.
    pub standing: u64,
    /// True if the one who asks has stood there, and their time has come.
    pub has_stood: bool,
}

impl Providers {
    /// Builds all providers; connects to none. Faults: unreadable CA files, bad gateway templates, plaintext to a foreign host.
    pub fn build(
        configs: &BTreeMap<ProviderId, config::Provider>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut providers = BTreeMap::new();
        for (id, config) in configs {
            let mut report = Report { id, faults: &mut faults };
            let rate = config.rate_per_second;
            if rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
                report.fault("rate_per_second", "must be a number above 0", "leave it out for no limit");
            }
            if config.max_concurrency == 0 || config.max_concurrency > Semaphore::MAX_PERMITS {
                report.fault("max_concurrency", "must be at least 1", "set it to 8");
                continue;
            }
            let way = match &config.kind {
                ProviderKind::Smtp(smtp) => smtp::Smtp::build(smtp, config.max_concurrency, clock.clone(), &mut report)
                    .map(|w| Way::Smtp(Box::new(w))),
                ProviderKind::HttpSms(http) => {
                    gateway::Gateway::build(http, config.max_concurrency, clock.clone(), &mut report)
                        .map(|w| Way::Gateway(Box::new(w)))
                }
                ProviderKind::File { dir } => {
                    Some(Way::File(Box::new(file::FileProvider::new(dir.clone(), clock.clone()))))
                }
            };
            let Some(way) = way else { continue };
            let gauge = metrics.provider_open.get_or_create_owned(&ByProvider { provider: id.to_string() });
            let provider = Provider {
                way,
                slots: Arc::new(Semaphore::new(config.max_concurrency)),
                limit: rate.map(|rate| limit::Limit::new(rate, clock.clone())),
                line: line::Line::new(),
                clock: clock.clone(),
                waiting: AtomicUsize::new(0),
                accepts: AtomicBool::new(false),
                breaker: Breaker::new(config.breaker_failures, config.breaker_open, clock.clone(), gauge),
            };
            providers.insert(id.clone(), provider);
        }
        if faults.is_empty() { Ok(Self(providers)) } else { Err(Faults(faults)) }
    }

    /// Would it take a message now? Lets one trial through when a breaker's wait is over: ask only when a message is at hand.
    /// A provider that is not configured is `Ready`, and refuses in [`Providers::send`].
    pub fn readiness(&self, id: &ProviderId) -> Readiness {
        self.0.get(id).map_or(Readiness::Ready, |provider| provider.breaker.readiness())
    }

    /// Would it probably take a message now? Changes nothing, and takes no trial of a breaker: for those who have no message
    /// at hand yet and would make one in vain. `patience` is how long they would wait for a permit.
    pub fn glance(&self, id: &ProviderId, patience: Duration, line: InLine) -> Readiness {
        let Some(provider) = self.0.get(id) else { return Readiness::Ready };
        match provider.breaker.glance() {
            Readiness::Ready if provider.is_busy(patience, line) => Readiness::Busy,
            readiness => readiness,
        }
    }

    /// When somebody who cannot go now should come back, in `least` at the earliest: their own place in the line of a
    /// provider with a rate limit. `standing` are in it at the most, and `coming` may be about to stand too.
    pub fn stand_in_line(&self, id: &ProviderId, least: Duration, standing: u64, coming: u64) -> Option<Time> {
        let provider = self.0.get(id)?;
        let limit = provider.limit.as_ref()?;
        // Those who wait for a permit go first.
        let before = limit.time_for(provider.waiting.load(Ordering::Relaxed) + 1);
        Some(provider.line.stand(provider.clock.now().plus(least.max(before)), limit.time_for(1), standing, coming))
    }

    /// Waits for a free slot and the rate limit; hold the permit during [`Providers::send`]. Cancel-safe.
    pub async fn permit(&self, id: &ProviderId) -> Permit {
        let mut permit = Permit { provider: id.clone(), generation: 0, refused_before: false, _slot: None };
        if let Some(provider) = self.0.get(id) {
            let _waiting = Waiting::join(&provider.waiting);
            permit._slot = Arc::clone(&provider.slots).acquire_owned().await.ok();
            if let Some(limit) = &provider.limit {
                limit.wait().await;
            }
            permit.generation = provider.breaker.generation();
        }
        permit
    }

    /// One try. Bounded by the provider's own deadlines; feeds the breaker.
    ///
    /// When the future is dropped, the connection is too; whether the message went is then unknown.
    pub async fn send(&self, permit: Permit, message: &Message) -> Outcome {
        let Some(provider) = self.0.get(&permit.provider) else {
            return Outcome::Misconfigured { code: "provider_unknown".into() };
        };
        let mut verdict = match (&provider.way, &message.body) {
            (Way::Smtp(smtp), Body::Email(email)) => smtp.send(email).await,
            (Way::Gateway(gateway), Body::Sms(sms)) => gateway.send(&message.id, sms).await,
            (Way::File(file), _) => file.send(message).await,
            (Way::Smtp(_), Body::Sms(_)) | (Way::Gateway(_), Body::Email(_)) => Verdict {
                outcome: Outcome::Misconfigured { code: "provider_of_other_channel".into() },
                health: Health::Unknown,
            },
        };
        provider.blame(permit.refused_before, &mut verdict);
        provider.breaker.record(permit.generation, verdict.health);
        verdict.outcome
    }

    /// Closes idle connections.
    pub async fn close(&self) {
        for provider in self.0.values() {
            if let Way::Smtp(smtp) = &provider.way {
                smtp.close().await;
            }
        }
    }
}

/// A slot of one provider; free again when dropped.
pub struct Permit {
    /// Whose.
    pub provider: ProviderId,
    generation: u64,
    refused_before: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// For a message that this provider refused as [`Outcome::Misconfigured`] and that was freed when the provider took
    /// others: refused again while others go, it is at fault itself, and the provider is not.
    #[must_use]
    pub fn of_one_refused_before(self) -> Self {
        Self { refused_before: true, ..self }
    }
}

/// What an attempt came to, and what that says about the provider.
struct Verdict {
    outcome: Outcome,
    health: Health,
}

impl Verdict {
    fn sent(code: String, provider_ref: Option<String>) -> Self {
        Self { outcome: Outcome::Sent { code, provider_ref }, health: Health::Good }
    }

    fn transient(code: impl Into<String>) -> Self {
        Self { outcome: Outcome::Transient { code: code.into(), retry_after: None }, health: Health::Bad }
    }

    fn ambiguous(code: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ambiguous { code: code.into() }, health: Health::Bad }
    }

    fn misconfigured(code: impl Into<String>) -> Self {
        Self { outcome: Outcome::Misconfigured { code: code.into() }, health: Health::Refusing }
    }

    fn permanent(code: impl Into<String>, bad_address: bool) -> Self {
        Self { outcome: Outcome::Permanent { code: code.into(), bad_address }, health: Health::Good }
    }

    /// The provider was not even asked.
    fn unsendable(error: MimeError) -> Self {
        let ours = |code: &str| Outcome::Misconfigured { code: code.into() };
        let theirs = |code: &str, bad_address| Outcome::Permanent { code: code.into(), bad_address };
        let outcome = match error {
            MimeError::InvalidRecipient => theirs("invalid_address", true),
            MimeError::HeaderTooLong => theirs("header_too_long", false),
            MimeError::InvalidSender => ours("invalid_sender"),
            MimeError::InvalidReplyTo => ours("invalid_reply_to"),
            MimeError::InvalidMessageId => ours("invalid_message_id"),
            MimeError::InvalidHeader => ours("invalid_header"),
        };
        Self { outcome, health: Health::Unknown }
    }
}

/// Collects faults under the provider's name.
struct Report<'a> {
    id: &'a ProviderId,
    faults: &'a mut Vec<Fault>,
}

impl Report<'_> {
    fn fault(&mut self, key: &str, what: impl Into<String>, hint: &str) {
        self.faults.push(Fault {
            // The layers were merged before this; the key says where to look.
            file: PathBuf::from("configuration"),
            line: None,
            key: format!("provider.{}.{key}", self.id),
            what: what.into(),
            hint: Some(hint.into()),
        });
    }

    fn tls_fault(&mut self, error: &tls::TlsError) {
        self.fault("ca_file", error.to_string(), "name a PEM file of root certificates, or install ca-certificates");
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
