//! Time, injected.
//!
//! Promises: all wall-clock reads of the program go through a [`Clock`]; tests drive a manual one. [`Clock::sleep`] lasts as long as it says
//! when the clock is set meanwhile; [`Clock::sleep_until`] ends when the clock says so.
//! Never: `SystemTime::now` or `jiff::Timestamp::now` anywhere else (clippy.toml forbids them).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Milliseconds since 1970-01-01T00:00:00Z: the resolution of Capillary's events.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// Later than everything.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This time and `duration` more; stops at [`Time::MAX`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time and `duration` less.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` until this; zero if this is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// For zones and formats; `None` outside the years that `jiff` knows.
    pub fn to_jiff(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::from_millisecond(self.0).ok()
    }
}

impl From<jiff::Timestamp> for Time {
    fn from(stamp: jiff::Timestamp) -> Self {
        Self(stamp.as_millisecond())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_jiff() {
            Some(stamp) => write!(f, "{stamp:.3}"),
            None => write!(f, "{}ms", self.0),
        }
    }
}
impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the time comes from. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now: AtomicI64,
    /// What has gone by, however the clock was set.
    passed: AtomicI64,
    moved: Notify,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Time) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            now: AtomicI64::new(start.0),
            passed: AtomicI64::new(0),
            moved: Notify::new(),
        })))
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::System => jiff::Timestamp::now().into(),
            Source::Manual(manual) => Time(manual.now.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock and wakes its sleepers; does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            manual.now.fetch_add(by, Ordering::SeqCst);
            manual.passed.fetch_add(by, Ordering::SeqCst);
            manual.moved.notify_waiters();
        }
    }

    /// Sets a manual clock, backwards too, without time going by; does nothing to the machine's.
    pub fn set(&self, to: Time) {
        if let Source::Manual(manual) = &self.0 {
            manual.now.store(to.0, Ordering::SeqCst);
            manual.moved.notify_waiters();
        }
    }

    /// Returns after `wait`, wherever the clock is set meanwhile: for waits that have a length and no date.
    pub async fn sleep(&self, wait: Duration) {
        match &self.0 {
            Source::System => tokio::time::sleep(wait).await,
            Source::Manual(manual) => {
                let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let end = manual.passed.load(Ordering::SeqCst).saturating_add(millis);
                manual.wait(|| manual.passed.load(Ordering::SeqCst) >= end).await;
            }
        }
    }

    /// Returns once [`Clock::now`] has reached `until`.
    pub async fn sleep_until(&self, until: Time) {
        loop {
            match &self.0 {
                Source::System => {
                    let wait = until.since(self.now());
                    if wait.is_zero() {
                        return;
                    }
                    // In short naps: the wall clock may be stepped while we sleep.
                    tokio::time::sleep(wait.min(Duration::from_secs(30))).await;
                }
                Source::Manual(manual) => return manual.wait(|| self.now() >= until).await,
            }
        }
    }
}

impl Manual {
    async fn wait(&self, is_over: impl Fn() -> bool) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if is_over() {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_wait_with_a_length_lasts_as_long_wherever_the_clock_is_set() {
        let start = Time::from_millis(1_793_092_797_616);
        for set in [start.minus(HOUR), start.plus(HOUR * 24 * 30)] {
            let clock = Clock::manual(start);
            let mut wait = std::pin::pin!(clock.sleep(HOUR));
            assert!(poll!(wait.as_mut()).is_pending());
            clock.set(set);
            assert!(poll!(wait.as_mut()).is_pending(), "no time went by");
            clock.advance(HOUR - Duration::from_millis(1));
            assert!(poll!(wait.as_mut()).is_pending());
            clock.advance(Duration::from_millis(1));
            assert!(poll!(wait.as_mut()).is_ready());
        }
    }

    #[tokio::test]
    async fn a_wait_for_a_date_ends_when_the_clock_says_so() {
        let start = Time::from_millis(1_793_092_797_616);
        let clock = Clock::manual(start);
        let mut wait = std::pin::pin!(clock.sleep_until(start.plus(HOUR)));
        assert!(poll!(wait.as_mut()).is_pending());
        clock.set(start.minus(HOUR));
        clock.advance(HOUR);
        assert!(poll!(wait.as_mut()).is_pending());
        clock.set(start.plus(HOUR * 24 * 30));
        assert!(poll!(wait.as_mut()).is_ready());
    }
}
