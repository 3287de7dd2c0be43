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

    /// Stops the workers and waits until every task has ended.
    ///
    /// # Errors
    /// What still runs when `patience` ends.
    pub async fn drain(&self, patience: Duration) -> Result<(), Vec<(&'static str, usize)>> {
        self.0.stop.cancel();
        self.0.tracker.close();
        match tokio::time::timeout(patience, self.0.tracker.wait()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.running()),
        }
    }

    fn running_now(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports a panic by its place only: its text may quote a value.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
        tracing::error!(place, "panic");
    }));
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
