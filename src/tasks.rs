//! The one place that spawns tasks.
//!
//! Promises: every task has a name, so that a drain can say what it waits for; a task that panics or fails takes the process
//! down cleanly instead of leaving a house without a worker; a panic's text never reaches a log, only its place.
//! Never: a detached task.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a drain says what it waits for.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// Spawns, counts and drains. Cheap to clone.
#[derive(Clone)]
pub struct Tasks(Arc<Inner>);

struct Inner {
    tracker: TaskTracker,
    stop: CancellationToken,
    running: Mutex<BTreeMap<&'static str, usize>>,
    failed: watch::Sender<Option<&'static str>>,
}

/// Counts a task while it lives, however it ends.
struct Counted(Tasks, &'static str);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut running = self.0.running_now();
        if let Some(count) = running.get_mut(self.1) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.1);
            }
        }
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            running: Mutex::default(),
            failed: watch::Sender::new(None),
        }))
    }

    /// Cancelled when the house stops; workers watch it.
    pub fn stop_token(&self) -> CancellationToken {
        self.0.stop.clone()
    }

    /// Runs a task until it ends. A panic in it fails the house.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        *self.running_now().entry(name).or_default() += 1;
        let counted = Counted(self.clone(), name);
        let this = self.clone();
        self.0.tracker.spawn(async move {
            let _counted = counted;
            // The stores are consistent at every await point, so unwinding out of a task breaks no invariant of theirs.
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "task panicked");
                this.fail(name);
            }
        });
    }

    /// Runs a task whose error fails the house.
    pub fn spawn_fallible<E: std::fmt::Display>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let this = self.clone();
        self.spawn(name, async move {
            if let Err(error) = task.await {
                tracing::error!(task = name, %error, "task failed");
                this.fail(name);
            }
        });
    }

    /// Says that a task cannot go on. The first one to say so is remembered.
    pub fn fail(&self, name: &'static str) {
        self.0.failed.send_if_modified(|failed| failed.is_none() && failed.replace(name).is_none());
    }

    /// Returns the name of the first task that failed; waits until one has.
    pub async fn failed(&self) -> String {
        let mut failed = self.0.failed.subscribe();
        loop {
            // Copied out, so that no lock is held while waiting.
            let name = *failed.borrow_and_update();
            if let Some(name) = name {
                return name.to_owned();
            }
            if failed.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What runs now, by name.
    pub fn running(&self) -> Vec<(&'static str, usize)> {
        self.running_now().iter().map(|(name, count)| (*name, *count)).collect()
    }

    /// Stops the workers and waits until every task has ended; every few seconds it logs what it still waits for.
    ///
    /// # Errors
    /// What still runs when `patience` ends.
    pub async fn drain(&self, patience: Duration) -> Result<(), Vec<(&'static str, usize)>> {
        self.drain_telling(patience, |running| {
            let running = running.iter().map(|(name, n)| format!("{n} × {name}")).collect::<Vec<_>>().join(", ");
            tracing::info!(running, "draining: waiting for what is still running");
        })
        .await
    }

    async fn drain_telling(
        &self,
        patience: Duration,
        mut tell: impl FnMut(&[(&'static str, usize)]),
    ) -> Result<(), Vec<(&'static str, usize)>> {
        self.0.stop.cancel();
        self.0.tracker.close();
        let ended = async {
            let mut ended = std::pin::pin!(self.0.tracker.wait());
            while tokio::time::timeout(TELL_EVERY, &mut ended).await.is_err() {
                tell(&self.running());
            }
        };
        tokio::time::timeout(patience, ended).await.map_err(|_| self.running())
    }

    fn running_now(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step that panicked. What it said stays with it: it may quote a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Runs one step of the work on one item, so that a panic in it costs that item and not the process. Whoever calls
/// this drops what the step left half done.
///
/// # Errors
/// When it panicked.
pub fn contained<T>(step: &'static str, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let work = || {
        let made = work();
        #[cfg(test)]
        stumble::at(step);
        made
    };
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| panicked(step))
}

/// As [`contained`], for a step that waits.
///
/// # Errors
/// When it panicked.
pub async fn contained_async<T>(step: &'static str, work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| panicked(step))
}

fn panicked(step: &'static str) -> Panicked {
    tracing::error!(step, "a step of the work on one item panicked; that item is set aside");
    Panicked
}

/// Reports a panic by its place only: its text may quote a value.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
        tracing::error!(place, "panic");
    }));
}

/// Makes a step panic, once for each time it is armed on this thread.
#[cfg(test)]
pub(crate) mod stumble {
    use std::cell::RefCell;

    thread_local!(static ARMED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

    /// What the panic says.
    pub(crate) const TEXT: &str = "canary-in-a-panic";

    /// The next time this thread comes to `step`, it panics.
    pub(crate) fn arm(step: &'static str) {
        ARMED.with_borrow_mut(|armed| armed.push(step));
    }

    pub(crate) fn at(step: &'static str) {
        let found = ARMED.with_borrow_mut(|armed| {
            let found = armed.iter().position(|other| *other == step);
            found.map(|i| armed.remove(i))
        });
        assert!(found.is_none(), "{TEXT}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_names_what_it_waits_for() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending());
        tasks.spawn("stubborn", std::future::pending());
        let stop = tasks.stop_token();
        tasks.spawn("polite", async move { stop.cancelled().await });
        assert_eq!(tasks.drain(Duration::from_millis(20)).await, Err(vec![("stubborn", 2)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_says_every_few_seconds_what_it_still_waits_for() {
        let tasks = Tasks::new();
        tasks.spawn("stubborn", std::future::pending());
        tasks.spawn("slow", tokio::time::sleep(Duration::from_secs(4)));
        let mut told = Vec::new();
        let ended = tasks.drain_telling(Duration::from_secs(10), |running| told.push(running.to_vec())).await;
        assert_eq!(ended, Err(vec![("stubborn", 1)]));
        assert_eq!(told, [vec![("slow", 1), ("stubborn", 1)], vec![("stubborn", 1)], vec![("stubborn", 1)]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_ends_soon_says_nothing() {
        let tasks = Tasks::new();
        tasks.spawn("quick", tokio::time::sleep(Duration::from_secs(2)));
        assert_eq!(tasks.drain_telling(Duration::from_secs(10), |_| panic!("nothing to tell")).await, Ok(()));
    }

    #[tokio::test]
    async fn a_drain_ends_when_every_task_has() {
        let tasks = Tasks::new();
        let stop = tasks.stop_token();
        tasks.spawn("polite", async move { stop.cancelled().await });
        assert_eq!(tasks.drain(Duration::from_secs(10)).await, Ok(()));
        assert!(tasks.running().is_empty());
    }

    #[tokio::test]
    async fn a_panic_fails_the_house_under_its_tasks_name() {
        let tasks = Tasks::new();
        tasks.spawn("clumsy", async { panic!("never shown") });
        tasks.spawn_fallible("second", async { Err("later") });
        assert!(["clumsy", "second"].contains(&tasks.failed().await.as_str()));
        assert_eq!(tasks.drain(Duration::from_secs(10)).await, Ok(()));
    }
}
