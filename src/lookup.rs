//! Look-ups: whoever is not in the vault is asked for at the brand's own directory.
//!
//! Promises: asks with identifiers only, and with those of people whom a message waits for; many in one request; what is found
//! is in the vault, durably, before anybody is woken; a directory that is slow or down holds up nothing but the messages that need it.
//! Never: a row stored that was not asked for; a person in a log; an answer kept anywhere but sealed in the vault.
//!
//! Nothing here has to survive a restart. Who is not found waits in the queue, comes up again by itself, and is asked for again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Time};
use crate::config::{Config, LookupConfig};
use crate::control::Waker;
use crate::event::Subject;
use crate::id::Namespace;
use crate::ledger::Ledger;
use crate::provider::directory::Directory;
use crate::tasks::Tasks;
use crate::telemetry::{Metrics, Reason};
use crate::vault::Vault;

mod asked;
mod request;

use asked::Asked;
use request::{Asking, LookupFailed};

/// People who wait to be asked for; beyond it they come again later, from the queue.
const QUEUE: usize = 4_096;

/// Where whoever misses somebody says so. Cheap to clone; by default nobody is asked.
#[derive(Clone, Default)]
pub struct Lookup(Arc<BTreeMap<Namespace, Line>>);

struct Line {
    again_after: Duration,
    missed: mpsc::Sender<Subject>,
    metrics: Metrics,
}

/// What a look-up works with.
pub struct Stores {
    /// Who waits.
    pub ledger: Ledger,
    /// Where people are put.
    pub vault: Vault,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
}

/// Asks one directory; runs as a task.
pub struct Asker {
    missed: mpsc::Receiver<Subject>,
    hands: Arc<Semaphore>,
    batch: usize,
    asking: Arc<Asking>,
}

/// A directory that cannot be asked. Says what to do.
#[derive(Debug, thiserror::Error)]
#[error("lookup.{namespace}: {what}")]
pub struct LookupError {
    /// Whose people it should know.
    pub namespace: Namespace,
    /// What is wrong.
    pub what: String,
}

impl Lookup {
    /// A line to every configured directory, and who asks at the other end of each; connects to nothing.
    ///
    /// # Errors
    /// What is wrong with the configuration and shows only now.
    pub fn build(config: &Config, stores: &Stores) -> Result<(Self, Vec<Asker>), LookupError> {
        let (mut lines, mut askers) = (BTreeMap::new(), Vec::new());
        for (namespace, of) in &config.lookups {
            let (sender, missed) = mpsc::channel(QUEUE);
            let metrics = stores.metrics.clone();
            lines.insert(namespace.clone(), Line { again_after: of.again_after, missed: sender, metrics });
            let directory = directory(namespace, of, stores.clock.clone(), &stores.metrics)?;
            askers.push(Asker {
                missed,
                hands: Arc::new(Semaphore::new(of.max_concurrency)),
                batch: of.batch,
                asking: Arc::new(Asking {
                    namespace: namespace.clone(),
                    directory,
                    // Half of it: whoever waits comes again after the whole.
                    asked: Asked::new(of.again_after / 2),
                    keep: of.keep,
                    waker: Waker::new(stores.ledger.clone(), stores.clock.clone()),
                    vault: stores.vault.clone(),
                    clock: stores.clock.clone(),
                    metrics: stores.metrics.clone(),
                }),
            });
        }
        Ok((Self(Arc::new(lines)), askers))
    }

    /// What would be wrong with the directories, without a store.
    ///
    /// # Errors
    /// As [`Lookup::build`].
    pub fn check(config: &Config) -> Result<(), LookupError> {
        for (namespace, of) in &config.lookups {
            directory(namespace, of, Clock::system(), &Metrics::new())?;
        }
        Ok(())
    }

    /// When a notification that waits since `since` for somebody in this namespace is to be looked at again; `None`: only when they
    /// are known. Ever more rarely, the longer it has waited.
    pub fn next_look(&self, namespace: &Namespace, since: Time, now: Time) -> Option<Time> {
        let line = self.0.get(namespace)?;
        Some(now.plus(line.again_after.max(now.since(since) / 2)))
    }

    /// Asks for somebody, soon. Never waits: what is too much now comes again later, from the queue.
    pub fn ask(&self, namespace: &Namespace, subject: &Subject) {
        let Some(line) = self.0.get(namespace) else { return };
        if line.missed.try_send(subject.clone()).is_err() {
            line.metrics.lookups.get_or_create(&Reason { reason: "put_off" }).inc();
        }
    }
}

impl Asker {
    /// Asks until `stop`; requests under way are tasks of their own.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub async fn run(mut self, tasks: Tasks, stop: CancellationToken) -> Result<(), LookupFailed> {
        loop {
            // A hand first: while all are full, those who are missed gather, and are asked for together.
            let hand = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                hand = self.hands.clone().acquire_owned() => hand.expect("nobody closes the hands"),
            };
            let mut missed = Vec::new();
            let taken = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                taken = self.missed.recv_many(&mut missed, self.batch) => taken,
            };
            if taken == 0 {
                return Ok(());
            }
            let people = self.asking.people(&missed)?;
            if people.is_empty() {
                continue;
            }
            let (asking, fail, stop) = (self.asking.clone(), tasks.clone(), stop.clone());
            tasks.spawn("lookup", async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    done = asking.carry_out(people) => if let Err(error) = done {
                        tracing::error!(%error, "people were looked up and could not be stored");
                        fail.fail("lookup");
                    }
                }
                drop(hand);
            });
        }
    }
}

fn directory(
    namespace: &Namespace,
    config: &LookupConfig,
    clock: Clock,
    metrics: &Metrics,
) -> Result<Directory, LookupError> {
    let failed =
        |error: crate::provider::post::PostError| LookupError { namespace: namespace.clone(), what: error.to_string() };
    Directory::build(&format!("lookup.{namespace}"), config, clock, metrics).map_err(failed)
}

#[cfg(test)]
mod tests;
