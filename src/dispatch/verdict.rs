//! One notification, from its lease to its attempt: policy, then join, then render.
//!
//! Promises: the cheap and strict questions come first; a person is looked up only when policy says go (or shadow, which
//! does everything but send).
//! Never: a send without an attempt record.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Time;
use crate::id::{Channel, OrgId, ProviderId};
use crate::ledger::{DeadReason, Leased, Notification, State};
use crate::message::Message;
use crate::policy::{self, Decision, Facts, Mode, SuppressReason, WaitReason};
use crate::provider::{InLine, Readiness};
use crate::tasks::{Panicked, contained_async};
use crate::template::TemplateInfo;
use crate::vault::{ContactId, Resolution};

use super::{DispatchError, Dispatcher, Step};

/// How long a hand waits for a busy provider.
const PERMIT_PATIENCE: Duration = Duration::from_secs(1);
/// How long a message stands back after that at least.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// A message that may be sent now.
pub(super) struct Ready {
    /// Through which channel.
    pub(super) channel: Channel,
    /// Through which provider.
    pub(super) provider: ProviderId,
    /// Whom to, for a bounce.
    pub(super) contact: ContactId,
    /// Which version of the template it was rendered from.
    pub(super) template_version: String,
    /// How many of this template may go in an hour.
    pub(super) brake_limit: u64,
    /// The message itself.
    pub(super) message: Message,
}

impl Dispatcher {
    /// Carries a leased notification one step further and records where it stands.
    pub(super) async fn carry_out(&self, leased: &Leased, stop: &CancellationToken) -> Result<Step, DispatchError> {
        let notification = &leased.notification;
        let ready = match contained_async("prepare", self.prepare(notification)).await {
            Ok(Ok(Ok(ready))) => ready,
            Ok(Ok(Err(step))) => return Ok(step),
            Ok(Err(error)) if error.is_unreadable() => {
                self.count_unreadable(notification, &error);
                return self.dead(notification, DeadReason::ContactUnreadable).await.map(|()| Step::Done);
            }
            Ok(Err(error)) => return Err(error),
            // It would stumble again after a restart, and every time.
            Err(Panicked) => return self.dead(notification, DeadReason::Stumbled).await.map(|()| Step::Done),
        };
        // No attempt is recorded yet: giving up here only ends the lease.
        let permit = tokio::select! {
            () = stop.cancelled() => return Ok(Step::Done),
            permit = tokio::time::timeout(PERMIT_PATIENCE, self.providers.permit(&ready.provider)) => permit,
        };
        let now = self.clock.now();
        let Ok(permit) = permit else {
            self.stand_back(notification, &ready.provider, BUSY_WAIT, now).await?;
            return Ok(Step::Done);
        };
        // What people set while it waited counts, and the channel is known only now.
        if self.control.is_paused(notification.org, &notification.rule.template, ready.channel) {
            self.wait(notification, WaitReason::Paused, notification.expires_at).await?;
            return Ok(Step::Paused(ready.channel));
        }
        // Counted last, when nothing but the attempt is left to do.
        if !self.brake_admits(notification, ready.brake_limit, now).await? {
            self.wait(notification, WaitReason::Brake, notification.expires_at).await?;
            return Ok(Step::Braked);
        }
        self.attempt(notification, ready, permit).await?;
        Ok(Step::Done)
    }

    /// Decides, joins and renders. The inner error: it does not go now, and why is recorded.
    async fn prepare(&self, n: &Notification) -> Result<Result<Ready, Step>, DispatchError> {
        let now = self.clock.now();
        let Some(template) = self.templates.get(&n.rule.template) else {
            self.dead(n, DeadReason::TemplateUnavailable).await?;
            return Ok(Err(Step::Done));
        };
        let facts = self.facts(n, now)?;
        let decision = policy::decide(&facts);
        match decision {
            Decision::Go | Decision::Suppress(SuppressReason::Shadow) => {}
            Decision::Expire => {
                self.finish(n, State::Expired { at: now }).await?;
                return Ok(Err(Step::Done));
            }
            Decision::Suppress(reason) => {
                self.finish(n, State::Suppressed { reason, at: now }).await?;
                return Ok(Err(Step::Done));
            }
            Decision::Wait(reason) => {
                self.wait(n, reason, n.expires_at).await?;
                return Ok(Err(match reason {
                    WaitReason::Paused => Step::Paused(facts.channel),
                    WaitReason::Brake => Step::Braked,
                    _ => Step::Done,
                }));
            }
        }
        let goes = decision == Decision::Go;
        let joined = match self.join(n, now).await? {
            Ok(joined) => joined,
            Err(step) => return Ok(Err(step)),
        };
        // Only who can be written to stands in line: the places of others would stay empty.
        if goes && self.waits_for_provider(n, joined.channel, now).await? {
            return Ok(Err(Step::Done));
        }
        let message = match self.compose(n, template, &joined, now)? {
            Ok(message) => message,
            Err(reason) => {
                self.dead(n, reason).await?;
                return Ok(Err(Step::Done));
            }
        };
        #[cfg(test)]
        crate::tasks::stumble::at("render");
        if !goes {
            self.finish(n, State::Suppressed { reason: SuppressReason::Shadow, at: now }).await?;
            return Ok(Err(Step::Done));
        }
        let Some(provider) = self.provider_for(n, joined.channel, now).await? else { return Ok(Err(Step::Done)) };
        Ok(Ok(Ready {
            channel: joined.channel,
            provider,
            contact: joined.contact_id,
            template_version: template.version.clone(),
            brake_limit: self.brake_limit(n, template),
            message,
        }))
    }

    fn facts(&self, n: &Notification, now: Time) -> Result<Facts, DispatchError> {
        let allow = self.config.templates.allow.get(&n.rule.template);
        // `first_of` may still change channel, but a pause of its first choice holds it.
        let channel = n.channels.first().copied().unwrap_or(Channel::Email);
        let live_from = allow.and_then(|a| a.live_from).map_or(n.live_from, |own| own.max(n.live_from));
        let mode = self.control.mode(&n.rule);
        Ok(Facts {
            now,
            mode,
            in_pilot: mode == Mode::Pilot && self.in_pilot(n)?,
            org_configured: self.config.orgs.contains_key(&n.org),
            paused: self.control.is_paused(n.org, &n.rule.template, channel),
            brake_tripped: !n.brake_released && n.attempts == 0 && self.control.brake_is_tripped(&n.rule.template),
            category: n.category,
            channel,
            event_at: n.event_at,
            live_from,
            expires_at: n.expires_at,
        })
    }

    /// The list names people by what the brand knows them by, an event by what Capillary does: often the vault alone knows both.
    fn in_pilot(&self, n: &Notification) -> Result<bool, DispatchError> {
        if self.control.in_pilot(&n.subject) {
            return Ok(true);
        }
        let Some(org) = self.config.orgs.get(&n.org) else { return Ok(false) };
        let Resolution::Known(person) = self.vault.resolve(&org.namespace, &n.subject.aliases, n.event_at)? else {
            return Ok(false);
        };
        for alias in self.control.pilot() {
            match self.vault.resolve(&org.namespace, &[*alias], Time::MAX) {
                Ok(listed) if listed == Resolution::Known(person) => return Ok(true),
                Ok(_) => {}
                // That is not this one's fault.
                Err(error) if error.is_unreadable() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    async fn brake_admits(&self, n: &Notification, limit: u64, now: Time) -> Result<bool, DispatchError> {
        // A retry is the same message, and a released one was looked at by a person.
        if n.attempts > 0 || n.brake_released {
            return Ok(true);
        }
        Ok(self.control.brake_admits(&n.rule.template, limit, now).await?)
    }

    /// What the template asks for, or less if the platform says so.
    fn brake_limit(&self, n: &Notification, template: &TemplateInfo) -> u64 {
        let allowed = self.config.templates.allow.get(&n.rule.template).and_then(|a| a.brake_per_hour);
        let wanted = template.brake_per_hour.unwrap_or(self.config.relay.brake_per_hour);
        allowed.map_or(wanted, |cap| wanted.min(cap))
    }

    /// The first provider of the channel that takes this message now: asked last, as it may take a breaker's one trial.
    async fn provider_for(
        &self,
        n: &Notification,
        channel: Channel,
        now: Time,
    ) -> Result<Option<ProviderId>, DispatchError> {
        let mut closed = None;
        for id in self.providers_of(n.org, channel) {
            match self.providers.readiness(id) {
                Readiness::Ready | Readiness::Busy => return Ok(Some(id.clone())),
                Readiness::OpenUntil(at) => closed = sooner(closed, at),
            }
        }
        match closed {
            Some(at) => self.wait_for_provider(n, at, now).await?,
            // Somebody has to change the configuration first.
            None => self.wait(n, WaitReason::Misconfigured, n.expires_at).await?,
        }
        Ok(None)
    }

    /// True, and it waits, if no provider of this channel would take a message now: nothing need be rendered for that. What
    /// else there is to say about a provider is said in [`Self::provider_for`].
    async fn waits_for_provider(&self, n: &Notification, channel: Channel, now: Time) -> Result<bool, DispatchError> {
        let line = InLine {
            standing: self.ledger.waiting_for_reason(WaitReason::RateLimited),
            has_stood: n.state.reason() == Some(WaitReason::RateLimited.as_str()),
        };
        let (mut busy, mut closed) = (None, None);
        for id in self.providers_of(n.org, channel) {
            match self.providers.glance(id, PERMIT_PATIENCE, line) {
                Readiness::Ready => return Ok(false),
                Readiness::Busy => busy = busy.or(Some(id)),
                Readiness::OpenUntil(at) => closed = sooner(closed, at),
            }
        }
        match (busy, closed) {
            (Some(id), _) => self.stand_back(n, id, PERMIT_PATIENCE, now).await?,
            (None, Some(at)) => self.wait_for_provider(n, at, now).await?,
            (None, None) => return Ok(false),
        }
        Ok(true)
    }

    async fn wait_for_provider(&self, n: &Notification, open_until: Time, now: Time) -> Result<(), DispatchError> {
        // Spread, so that a provider that comes back is not met by everybody at once.
        let at = open_until.max(now).plus(jitter(open_until.since(now)));
        self.wait(n, WaitReason::ProviderDown, at).await
    }

    /// A hand must not be held by a busy provider while another channel's messages could go. Behind a rate limit everybody has
    /// a time of their own, or a backlog would be looked at, and written, again and again; else nobody knows when.
    async fn stand_back(
        &self,
        n: &Notification,
        id: &ProviderId,
        least: Duration,
        now: Time,
    ) -> Result<(), DispatchError> {
        let standing = self.ledger.waiting_for_reason(WaitReason::RateLimited);
        let hands = u64::try_from(self.config.relay.dispatch_concurrency).unwrap_or(u64::MAX);
        let place = self.providers.stand_in_line(id, least, standing, hands);
        self.wait(n, WaitReason::RateLimited, place.unwrap_or_else(|| now.plus(BUSY_WAIT + jitter(BUSY_WAIT)))).await
    }

    fn providers_of(&self, org: OrgId, channel: Channel) -> &[ProviderId] {
        self.channel_config(org, channel).map_or(&[][..], |c| &c.providers)
    }

    pub(super) async fn dead(&self, n: &Notification, reason: DeadReason) -> Result<(), DispatchError> {
        tracing::warn!(notification.id = %n.id, template.id = %n.rule.template, reason = reason.as_str(), "dead letter");
        self.finish(n, State::DeadLetter { reason, at: self.clock.now() }).await
    }
}

/// Of two that would not take a message, the one that is worth asking again first.
fn sooner(one: Option<Time>, other: Time) -> Option<Time> {
    Some(one.map_or(other, |one| one.min(other)))
}

/// Up to a quarter of `wait`, and at least a second's worth of spread.
fn jitter(wait: Duration) -> Duration {
    let most = (wait / 4).max(Duration::from_secs(1));
    most.mul_f64(fastrand::f64())
}
