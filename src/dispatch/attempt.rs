//! One attempt: recorded and synced, then sent, then its outcome recorded.
//!
//! Promises: the order of the three; the same Message-ID on every attempt; retries wait in the queue.
//! Never: a second call of the provider for one attempt record.

use crate::clock::Time;
use crate::config::AmbiguousPolicy;
use crate::failpoint::{self, Point};
use crate::id::{Channel, ProviderId};
use crate::ledger::{DeadReason, Happening, Hold, Notification, SentAs, State};
use crate::message::Body;
use crate::policy::WaitReason;
use crate::policy::retry::next_wait;
use crate::provider::{Outcome, Permit};
use crate::template::segments;

use super::verdict::Ready;
use super::{DispatchError, Dispatcher};

/// What a report or an invoice asks of an attempt later, when the message is long gone.
fn sent_as(ready: &Ready) -> SentAs {
    let (sender, segments) = match &ready.message.body {
        Body::Email(mail) => (mail.from.address.clone(), None),
        Body::Sms(sms) => (sms.sender.clone(), Some(segments::billed(&sms.text))),
    };
    SentAs { provider: ready.provider.clone(), sender, segments }
}

impl Dispatcher {
    /// Records the attempt, makes it, records what came of it.
    pub(super) async fn attempt(&self, old: &Notification, ready: Ready, permit: Permit) -> Result<(), DispatchError> {
        let since = self.clock.now();
        if since >= old.expires_at {
            // The wait for the provider's permit took longer than the message is worth.
            return self.finish(old, State::Expired { at: since }).await;
        }
        let mut open = old.clone();
        open.attempts += 1;
        // The first attempt fixes the channel: what may have gone by one way must not go by another.
        open.channels = vec![ready.channel];
        open.sent_as = Some(sent_as(&ready));
        open.state = State::Attempting { channel: ready.channel, provider: ready.provider.clone(), since };
        let line = Happening::Attempt {
            number: open.attempts,
            channel: ready.channel,
            provider: ready.provider.clone(),
            template_version: ready.template_version.clone(),
        };
        failpoint::at(Point::AttemptBeforeCommit);
        self.record(old, open.clone(), vec![line]).await?;
        failpoint::at(Point::AttemptAfterCommit);
        let again = old.freed_by.as_ref() == Some(&ready.provider);
        let permit = if again { permit.of_one_refused_before() } else { permit };
        let outcome = self.providers.send(permit, &ready.message).await;
        // The person leaves memory before the outcome is written.
        drop(ready.message);
        if let Outcome::Permanent { bad_address: true, .. } = &outcome {
            match self.vault.suppress_address(ready.contact, ready.channel, self.clock.now()) {
                Ok(()) => self.vault.sync().await?,
                // The outcome is recorded all the same, or it would be ambiguous.
                Err(error) if error.is_unreadable() => self.count_unreadable(old, &error),
                Err(error) => return Err(error.into()),
            }
            failpoint::at(Point::AddressSuppressed);
        }
        self.settle(&open, ready.channel, &ready.provider, outcome).await
    }

    /// Records an outcome and what follows from it.
    pub(super) async fn settle(
        &self,
        open: &Notification,
        channel: Channel,
        provider: &ProviderId,
        outcome: Outcome,
    ) -> Result<(), DispatchError> {
        let at = self.clock.now();
        let mut new = open.clone();
        let (state, line, word) = match outcome {
            Outcome::Sent { code, provider_ref } => {
                let state = State::Sent { channel, provider: provider.clone(), at, provider_ref };
                (state, Happening::Sent { channel, provider: provider.clone(), code }, "sent")
            }
            Outcome::Transient { code, retry_after } => {
                let state = self.retry(open, channel, at, &code, retry_after);
                (state, Happening::Transient { code }, "transient")
            }
            Outcome::Permanent { code, bad_address } => {
                let reason = DeadReason::Refused { code: code.clone() };
                (State::DeadLetter { reason, at }, Happening::Permanent { code, bad_address }, "permanent")
            }
            Outcome::Misconfigured { code } => {
                tracing::error!(provider.id = %provider, reply.code = %code,
                    "provider refuses us, not the recipient; correct its configuration or account, then restart or `sealpost resume relay`");
                // Not an attempt on the person's account: our mistake must not use up their retries.
                new.attempts -= 1;
                new.refused_by = Some(provider.clone());
                let state = State::Waiting { reason: WaitReason::Misconfigured, due_at: open.expires_at };
                (state, Happening::Misconfigured { code }, "misconfigured")
            }
            Outcome::Ambiguous { code } => {
                let policy = self.channel_config(open.org, channel).map_or(AmbiguousPolicy::Hold, |c| c.ambiguous);
                let state = match policy {
                    AmbiguousPolicy::Retry => self.retry(open, channel, at, &code, None),
                    AmbiguousPolicy::Hold => {
                        State::Waiting { reason: WaitReason::AmbiguousHold, due_at: open.expires_at }
                    }
                };
                (state, Happening::Ambiguous { code }, "ambiguous")
            }
        };
        self.count(open, Some(channel), word);
        let mut lines = vec![line];
        match &state {
            State::Waiting { reason, due_at } => lines.push(Happening::Waiting { reason: *reason, until: *due_at }),
            State::DeadLetter { reason, .. } => {
                self.count(open, Some(channel), "dead_letter");
                lines.push(Happening::DeadLetter { dead: reason.clone() });
            }
            _ => {}
        }
        new.state = state;
        failpoint::at(Point::OutcomeBeforeCommit);
        self.record(open, new, lines).await?;
        failpoint::at(Point::OutcomeAfterCommit);
        if word == "sent" {
            // After the record: what is sent must be known as sent, whatever happens next.
            self.mended(provider).await?;
        }
        if word == "misconfigured" {
            // Only what is recorded can be found by a send that succeeds meanwhile.
            self.control.note_misconfigured(provider);
        }
        Ok(())
    }

    fn retry(
        &self,
        open: &Notification,
        channel: Channel,
        at: Time,
        code: &str,
        retry_after: Option<std::time::Duration>,
    ) -> State {
        let schedule = self.channel_config(open.org, channel).map_or(&[][..], |c| &c.retry);
        let attempts = open.attempts.saturating_sub(open.attempts_before);
        match next_wait(schedule, attempts, retry_after, fastrand::f64()) {
            Some(wait) => {
                let due_at = at.plus(wait).min(open.expires_at.max(at));
                State::Waiting { reason: WaitReason::Retry, due_at }
            }
            None => State::DeadLetter { reason: DeadReason::RetriesExhausted { code: code.to_owned() }, at },
        }
    }

    /// A provider that takes messages again frees what waited until it was mended, and nothing else.
    async fn mended(&self, provider: &ProviderId) -> Result<(), DispatchError> {
        if self.control.take_misconfigured(provider) {
            let hold = Hold::Misconfigured(Some(provider.clone()));
            self.control.release(&hold, "relay").await?;
            if !self.ledger.held(&hold, 1)?.is_empty() {
                // Somebody had it in hand: the next send that succeeds frees it.
                self.control.note_misconfigured(provider);
            }
        }
        Ok(())
    }
}
