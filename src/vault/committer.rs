//! The one thread that makes writes durable.
//!
//! Promises: everybody who waits when a round begins is answered by that round; a round that fails poisons the
//! vault, because what the kernel dropped after a failed sync cannot be known; no waiter is ever left behind.
//! Never: two rounds at once (sled's concurrent flushes deadlock), a success that was not synced.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};

use super::VaultError;

pub(super) struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Batches applied, and how many of them the last good round covered.
    written: AtomicU64,
    synced: AtomicU64,
    poison: Poison,
}

/// Whether something failed after which nobody knows what is on the disk. Clones share it; it never ends.
#[derive(Clone, Default)]
pub(super) struct Poison(Arc<watch::Sender<bool>>);

impl Poison {
    pub(super) fn is_there(&self) -> bool {
        *self.0.borrow()
    }

    pub(super) fn set(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is there.
    pub(super) async fn came(&self) {
        let mut watch = self.0.subscribe();
        // The sender lives in `self`.
        _ = watch.wait_for(|there| *there).await;
    }
}

#[derive(Default)]
struct Queue {
    waiters: Vec<oneshot::Sender<()>>,
    stop: bool,
}

impl Committer {
    /// Starts the thread; `sync` makes everything written so far durable.
    pub(super) fn start(poison: Poison, sync: impl FnMut() -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { poison, ..Shared::default() });
        let ending = Ending(Arc::clone(&shared));
        let thread = thread::Builder::new().name("vault-commit".into()).spawn(move || ending.0.run(sync))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Refuses work on a poisoned or closed vault.
    pub(super) fn check(&self) -> Result<(), VaultError> {
        match () {
            () if self.shared.poison.is_there() => Err(VaultError::Poisoned),
            () if self.shared.queue().stop => Err(VaultError::Closed),
            () => Ok(()),
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        !self.shared.poison.is_there()
    }

    /// Notes that a batch was applied: a sync is owed.
    pub(super) fn wrote(&self) {
        self.shared.written.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) async fn sync(&self) -> Result<(), VaultError> {
        match self.join_round()? {
            Some(round) => round.await.map_err(|_| VaultError::Poisoned),
            None => Ok(()),
        }
    }

    /// Like [`Committer::sync`], on a thread that may wait; safe inside an async runtime too, which it then holds up.
    pub(super) fn sync_blocking(&self) -> Result<(), VaultError> {
        match self.join_round()? {
            Some(round) => thread::scope(|scope| scope.spawn(|| round.blocking_recv()).join())
                .map_or(Err(VaultError::Poisoned), |answer| answer.map_err(|_| VaultError::Poisoned)),
            None => Ok(()),
        }
    }

    /// `None` if nothing was written since the last good round.
    fn join_round(&self) -> Result<Option<oneshot::Receiver<()>>, VaultError> {
        let shared = &self.shared;
        if !self.is_healthy() {
            return Err(VaultError::Poisoned);
        }
        if shared.synced.load(Ordering::SeqCst) >= shared.written.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let (answer, round) = oneshot::channel();
        let mut queue = shared.queue();
        if queue.stop {
            return Err(VaultError::Closed);
        }
        queue.waiters.push(answer);
        shared.wake.notify_one();
        Ok(Some(round))
    }

    /// Stops the thread after a last round. Later calls only report how it went.
    pub(super) fn stop(&self) -> Result<(), VaultError> {
        self.shared.queue().stop = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = thread.map_or(Ok(()), JoinHandle::join);
        if ended.is_err() || !self.is_healthy() { Err(VaultError::Poisoned) } else { Ok(()) }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // Whoever cares for the outcome called `stop` before.
        let _ = self.stop();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut sync: impl FnMut() -> io::Result<()>) {
        loop {
            let (waiters, stop) = {
                let idle = |queue: &mut Queue| queue.waiters.is_empty() && !queue.stop;
                let mut queue = self.wake.wait_while(self.queue(), idle).unwrap_or_else(PoisonError::into_inner);
                (std::mem::take(&mut queue.waiters), queue.stop)
            };
            // Dropped before the waiters are: none may hear of a failure while the vault still calls itself healthy.
            let _poison = PoisonOnPanic(&self.poison);
            let written = self.written.load(Ordering::SeqCst);
            if written > self.synced.load(Ordering::SeqCst) {
                if let Err(error) = sync() {
                    tracing::error!(error = %error, "vault could not be synced; it refuses writes until it is reopened");
                    return self.poison.set();
                }
                self.synced.store(written, Ordering::SeqCst);
            }
            for waiter in waiters {
                // A waiter that gave up needs no answer.
                let _ = waiter.send(());
            }
            if stop {
                return;
            }
        }
    }
}

struct PoisonOnPanic<'a>(&'a Poison);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.set();
        }
    }
}

/// However the thread ends, nobody may wait for it any longer.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.stop = true;
        queue.waiters.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn everybody_who_waits_when_a_round_begins_is_answered_by_it() {
        let (begin, begun) = mpsc::channel::<()>();
        let rounds = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&rounds);
        let committer = Committer::start(Poison::default(), move || {
            counted.fetch_add(1, Ordering::SeqCst);
            begun.recv().map_err(io::Error::other)
        })
        .unwrap();
        committer.wrote();
        let first = committer.join_round().unwrap().unwrap();
        while rounds.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        committer.wrote();
        let others: Vec<_> = (0..20).map(|_| committer.join_round().unwrap().unwrap()).collect();
        begin.send(()).unwrap();
        first.blocking_recv().unwrap();
        begin.send(()).unwrap();
        others.into_iter().for_each(|other| other.blocking_recv().unwrap());
        assert_eq!(rounds.load(Ordering::SeqCst), 2);
        assert!(committer.join_round().unwrap().is_none(), "nothing written, yet a round was asked for");
    }

    #[test]
    fn a_failed_sync_poisons_and_leaves_nobody_waiting() {
        let committer = Committer::start(Poison::default(), || Err(io::Error::other("disk gone"))).unwrap();
        assert!(committer.check().is_ok());
        committer.wrote();
        assert!(matches!(committer.sync_blocking(), Err(VaultError::Poisoned)));
        assert!(matches!(committer.sync_blocking(), Err(VaultError::Poisoned)));
        assert!(matches!(committer.check(), Err(VaultError::Poisoned)) && !committer.is_healthy());
        assert!(matches!(committer.stop(), Err(VaultError::Poisoned)));
    }

    #[test]
    fn a_panic_in_a_sync_poisons_and_leaves_nobody_waiting() {
        let committer = Committer::start(Poison::default(), || panic!("bug")).unwrap();
        committer.wrote();
        assert!(matches!(committer.sync_blocking(), Err(VaultError::Poisoned)));
        assert!(!committer.is_healthy());
    }

    #[test]
    fn stopping_syncs_what_is_owed_and_then_refuses() {
        let rounds = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&rounds);
        let committer = Committer::start(Poison::default(), move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
        committer.wrote();
        assert!(committer.stop().is_ok() && committer.stop().is_ok());
        assert_eq!(rounds.load(Ordering::SeqCst), 1);
        assert!(matches!(committer.check(), Err(VaultError::Closed)));
        assert!(committer.sync_blocking().is_ok(), "nothing is owed");
    }
}
