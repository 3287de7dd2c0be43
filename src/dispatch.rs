//! The dispatcher: policy, join, render, attempt, send, record.
//!
//! Promises: an attempt is recorded and synced before the provider is called; every outcome is recorded before the lease
//! ends; a process that dies in between leaves an ambiguous notification, never a silent second send and never a silent loss.
//! Never: a retry in memory, a message that outlives its attempt, a person in a log.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Time};
use crate::config::{ChannelConfig, Config};
use crate::control::{Control, Waker};
use crate::failpoint::{self, Point};
use crate::id::{Channel, OrgId};
use crate::ledger::{Changes, Happening, Leased, Ledger, LedgerError, Notification, State, TimelineEntry};
use crate::lookup::Lookup;
use crate::policy::WaitReason;
use crate::provider::Providers;
use crate::tasks::Tasks;
use crate::telemetry::{MessageOutcome, Metrics, Reason};
use crate::template::TemplateSet;
use crate::vault::{Resolution, Vault, VaultError};

mod attempt;
mod join;
mod recover;
mod verdict;

/// Most notifications taken from the queue at once.
const LEASE_BATCH: usize = 64;

/// What the dispatcher works with. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    /// The queue.
    pub ledger: Ledger,
    /// Who people are.
    pub vault: Vault,
    /// What messages look like.
    pub templates: Arc<TemplateSet>,
    /// The ways out.
    pub providers: Arc<Providers>,
    /// Modes, pauses, brake.
    pub control: Control,
    /// Who is asked for people that the vault does not know.
    pub lookup: Lookup,
    /// Orgs, channels, domains.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// Where tasks are spawned.
    pub tasks: Tasks,
}

/// How far one look at a notification came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing more to do for it now.
    Done,
    /// A pause that covers this channel holds it, and may have ended in the meantime.
    Paused(Channel),
    /// The brake holds it, and may have been released in the meantime.
    Braked,
    /// It waits for a contact that may have come in the meantime.
    WaitsForContact,
}

/// Dispatching cannot go on; the process should be restarted, nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The ledger failed.
    #[error("dispatcher stopped: {0}")]
    Ledger(#[from] LedgerError),
    /// The vault failed.
    #[error("dispatcher stopped: {0}")]
    Vault(#[from] VaultError),
}

impl DispatchError {
    /// True if one record of the vault is at fault.
    fn is_unreadable(&self) -> bool {
        matches!(self, Self::Vault(error) if error.is_unreadable())
    }
}

impl Dispatcher {
    /// Sends what is due until `stop`; sends under way are tasks of their own, which a drain waits for.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn run(self, stop: CancellationToken) -> Result<(), DispatchError> {
        self.recover_open_attempts().await?;
        let hands = Arc::new(Semaphore::new(self.config.relay.dispatch_concurrency));
        let mut due_changed = self.ledger.due_changed();
        loop {
            due_changed.borrow_and_update();
            let now = self.clock.now();
            let free = hands.available_permits().min(LEASE_BATCH);
            let leased = if free == 0 { Vec::new() } else { self.ledger.lease_due(now, free)? };
            let idle = leased.is_empty();
            for leased in leased {
                let hand = hands.clone().try_acquire_owned().expect("only this loop takes hands, and it counted them");
                let this = self.clone();
                let stop = stop.clone();
                self.tasks.spawn("send", async move {
                    this.handle(leased, &stop).await;
                    drop(hand);
                });
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            if !idle {
                continue;
            }
            let due = self.ledger.next_due().unwrap_or(Time::MAX);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = due_changed.changed() => if changed.is_err() { return Ok(()) },
                () = self.clock.sleep_until(due), if free > 0 => {}
                _ = hands.acquire(), if free == 0 => {}
            }
        }
    }

    /// Everything that can fail here is the store; the lease ends and the notification is offered again after a restart.
    async fn handle(&self, leased: Leased, stop: &CancellationToken) {
        failpoint::at(Point::Leased);
        let id = leased.notification.id;
        let done = self.carry_out(&leased, stop).await;
        let notification = leased.notification.clone();
        // The lease ends before the second look: what is leased cannot be woken.
        drop(leased);
        let looked = match done {
            Ok(Step::WaitsForContact) => match self.look_again(&notification).await {
                // It is told when the notification is looked at next.
                Err(error) if error.is_unreadable() => Ok(()),
                looked => looked,
            },
            Ok(held @ (Step::Paused(_) | Step::Braked)) => self.free_if_no_longer_held(&notification, held).await,
            Ok(Step::Done) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            tracing::error!(notification.id = %id, %error, "notification could not be carried out");
            self.tasks.fail("send");
        }
    }

    /// Whoever put the contact between our look and our commit found nobody waiting, so we look once more; and ask for whom we still miss.
    async fn look_again(&self, n: &Notification) -> Result<(), DispatchError> {
        let Some(org) = self.config.orgs.get(&n.org) else { return Ok(()) };
        let subject = &n.subject;
        if !matches!(self.vault.resolve(&org.namespace, &subject.aliases, n.event_at)?, Resolution::Known(_)) {
            self.lookup.ask(&org.namespace, subject);
            return Ok(());
        }
        let waker = Waker::new(self.ledger.clone(), self.clock.clone());
        for alias in &subject.aliases {
            waker.wake(alias.hash).await?;
        }
        Ok(())
    }

    /// Whoever ended the pause or the brake between our look and our commit found nothing held, so we look once more: at
    /// that which holds it, and at nothing else, or a release of the one would be lost to the other.
    async fn free_if_no_longer_held(&self, n: &Notification, held: Step) -> Result<(), DispatchError> {
        let template = &n.rule.template;
        let still_held = match held {
            Step::Paused(channel) => self.control.is_paused(n.org, template, channel),
            Step::Braked => self.control.brake_is_tripped(template),
            Step::Done | Step::WaitsForContact => return Ok(()),
        };
        if !still_held {
            self.control.release_one(n.id).await?;
        }
        Ok(())
    }

    /// Records a new state of a leased notification, with its lines for the timeline.
    async fn record(&self, old: &Notification, new: Notification, lines: Vec<Happening>) -> Result<(), DispatchError> {
        let at = self.clock.now();
        let mut changes = Changes::new();
        for what in lines {
            changes.add_timeline(old.event, TimelineEntry { at, notification: Some(old.id), what });
        }
        changes.update_notification(old, new);
        Ok(self.ledger.commit(changes).await?)
    }

    async fn wait(&self, old: &Notification, reason: WaitReason, due_at: Time) -> Result<(), DispatchError> {
        // Whatever the reason, a notification is looked at again when it expires.
        let due_at = due_at.min(old.expires_at.max(self.clock.now()));
        let mut new = old.clone();
        let unchanged = matches!(old.state, State::Waiting { reason: before, .. } if before == reason);
        new.state = State::Waiting { reason, due_at };
        // A wait that goes on is one line, not one for each look.
        let lines = if unchanged { vec![] } else { vec![Happening::Waiting { reason, until: due_at }] };
        self.record(old, new, lines).await
    }

    async fn finish(&self, old: &Notification, state: State) -> Result<(), DispatchError> {
        let (line, outcome) = match &state {
            State::Suppressed { reason, .. } => (Happening::Suppressed { reason: *reason }, "suppressed"),
            State::Expired { .. } => (Happening::Expired, "expired"),
            State::DeadLetter { reason, .. } => (Happening::DeadLetter { dead: reason.clone() }, "dead_letter"),
            State::Cancelled { .. } => (Happening::Cancelled { by: "relay".into() }, "cancelled"),
            State::Waiting { .. } | State::Attempting { .. } | State::Sent { .. } => {
                unreachable!("finish is given final states that are not Sent")
            }
        };
        self.count(old, old.channels.first().copied(), outcome);
        let mut new = old.clone();
        new.state = state;
        self.record(old, new, vec![line]).await
    }

    /// One record that cannot be read is one person's fault: told, and nobody else waits for it.
    fn count_unreadable(&self, n: &Notification, error: &impl std::fmt::Display) {
        self.metrics.corrupt_records.get_or_create(&Reason { reason: "vault" }).inc();
        tracing::error!(notification.id = %n.id, %error, "what the vault has of this person cannot be read; is its epoch missing from keys.file?");
    }

    fn count(&self, of: &Notification, channel: Option<Channel>, outcome: &'static str) {
        let label = MessageOutcome {
            channel: channel.map_or("none", Channel::as_str),
            template: of.rule.template.to_string(),
            outcome,
        };
        self.metrics.messages.get_or_create(&label).inc();
    }

    fn channel_config(&self, org: OrgId, channel: Channel) -> Option<&ChannelConfig> {
        self.config.channel(org, channel)
    }
}

#[cfg(test)]
mod tests;
