//! A circuit breaker: stops sending to a provider that fails, and tries again with one message at a time.
//!
//! Promises: opens after so many consecutive failures, or at once when the fault is ours; each failed trial doubles the
//! wait, up to ten times the first; one trial at a time; a trial that is never reported does not block the next.
//! Never: opens because of a recipient; believes a result that was asked for before the last change of state.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;

use super::Readiness;
use crate::clock::{Clock, Time};

/// The wait doubles up to this many times its first length.
const MAX_FACTOR: u32 = 10;

/// What a result says about the provider (not about the message).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered as it should, be it with a refusal of this recipient.
    Good,
    /// It says nothing: the provider was not asked, or deferred this recipient alone.
    Unknown,
    /// It failed.
    Bad,
    /// It will refuse every message until a person changes something.
    Refusing,
}

/// The breaker of one provider.
pub(super) struct Breaker {
    threshold: u32,
    base: Duration,
    clock: Clock,
    open_gauge: Gauge,
    state: Mutex<State>,
}

struct State {
    // Grows with each change; a result that carries an older one is from before the change.
    generation: u64,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { since: Time, wait: Duration },
    // A trial is out. Another is let through at `since + base`, should its result never come.
    HalfOpen { since: Time, wait: Duration },
}

impl Breaker {
    /// Opens after `threshold` consecutive failures (at least 1), for `base` at first.
    pub(super) fn new(threshold: u32, base: Duration, clock: Clock, open_gauge: Gauge) -> Self {
        open_gauge.set(0);
        let state = State { generation: 0, phase: Phase::Closed { failures: 0 } };
        Self { threshold: threshold.max(1), base, clock, open_gauge, state: Mutex::new(state) }
    }

    /// Whether a message may go now. When an open breaker's wait is over, one caller is told `Ready`: the trial.
    pub(super) fn readiness(&self) -> Readiness {
        let now = self.clock.now();
        let mut state = self.lock();
        let (since, pause, wait) = match state.phase {
            Phase::Closed { .. } => return Readiness::Ready,
            Phase::Open { since, wait } => (since, wait, wait),
            Phase::HalfOpen { since, wait } => (since, self.base, wait),
        };
        // `now < since`: the clock was set back, and the end of the wait would be too far away.
        if now >= since.plus(pause) || now < since {
            state.enter(Phase::HalfOpen { since: now, wait });
            Readiness::Ready
        } else {
            Readiness::OpenUntil(since.plus(pause))
        }
    }

    /// As [`Breaker::readiness`], and lets nobody through: asked by those who have no message at hand yet.
    pub(super) fn glance(&self) -> Readiness {
        let now = self.clock.now();
        let (since, pause) = match self.lock().phase {
            Phase::Closed { .. } => return Readiness::Ready,
            Phase::Open { since, wait } => (since, wait),
            Phase::HalfOpen { since, .. } => (since, self.base),
        };
        if now >= since.plus(pause) || now < since { Readiness::Ready } else { Readiness::OpenUntil(since.plus(pause)) }
    }

    /// To be kept with the message and given back to [`Breaker::record`].
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Learns from a result.
    pub(super) fn record(&self, generation: u64, health: Health) {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        match (state.phase, health) {
            (Phase::Closed { .. }, Health::Good) => state.phase = Phase::Closed { failures: 0 },
            (Phase::Closed { failures }, Health::Bad) if failures + 1 < self.threshold => {
                state.phase = Phase::Closed { failures: failures + 1 };
            }
            (Phase::Closed { .. }, Health::Bad | Health::Refusing) => {
                state.enter(Phase::Open { since: now, wait: self.base });
                self.open_gauge.set(1);
            }
            (Phase::HalfOpen { .. }, Health::Good) => {
                state.enter(Phase::Closed { failures: 0 });
                self.open_gauge.set(0);
            }
            (Phase::HalfOpen { wait, .. }, Health::Bad | Health::Refusing) => {
                let wait = wait.saturating_mul(2).min(self.base.saturating_mul(MAX_FACTOR));
                state.enter(Phase::Open { since: now, wait });
            }
            // The trial told nothing: the next caller may try at once, with the wait as it was.
            (Phase::HalfOpen { wait, .. }, Health::Unknown) => {
                state.enter(Phase::HalfOpen { since: Time::from_millis(i64::MIN), wait });
            }
            // A message that was let through before the breaker opened, and asked for its generation after.
            (Phase::Open { .. }, _) | (Phase::Closed { .. }, Health::Unknown) => {}
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // No code that can panic runs under the lock, and each state is valid by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.generation += 1;
        self.phase = phase;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(30);

    fn breaker() -> (Breaker, Clock, Gauge) {
        let clock = Clock::manual(Time::from_millis(1_000));
        let gauge = Gauge::default();
        (Breaker::new(3, BASE, clock.clone(), gauge.clone()), clock, gauge)
    }

    fn report(breaker: &Breaker, health: Health) {
        breaker.record(breaker.generation(), health);
    }

    fn is_ready(breaker: &Breaker) -> bool {
        breaker.readiness() == Readiness::Ready
    }

    #[test]
    fn only_consecutive_failures_open_it() {
        let (breaker, clock, gauge) = breaker();
        for health in [Health::Bad, Health::Bad, Health::Good, Health::Bad, Health::Unknown, Health::Bad] {
            report(&breaker, health);
            assert!(is_ready(&breaker));
        }
        report(&breaker, Health::Bad);
        assert_eq!(breaker.readiness(), Readiness::OpenUntil(clock.now().plus(BASE)));
        assert_eq!(gauge.get(), 1);
    }

    #[test]
    fn a_fault_of_ours_opens_it_at_once() {
        let (breaker, _, _) = breaker();
        report(&breaker, Health::Refusing);
        assert!(!is_ready(&breaker));
    }

    #[test]
    fn after_the_wait_exactly_one_trial_goes_through_and_success_closes_it() {
        let (breaker, clock, gauge) = breaker();
        report(&breaker, Health::Refusing);
        clock.advance(BASE);
        assert!(is_ready(&breaker));
        assert_eq!(breaker.readiness(), Readiness::OpenUntil(clock.now().plus(BASE)));
        report(&breaker, Health::Good);
        assert!(is_ready(&breaker) && is_ready(&breaker));
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn each_failed_trial_doubles_the_wait_up_to_ten_times() {
        let (breaker, clock, _) = breaker();
        report(&breaker, Health::Refusing);
        for factor in [1, 2, 4, 8, 10, 10] {
            clock.advance(BASE * factor - Duration::from_millis(1));
            assert!(!is_ready(&breaker), "factor {factor}");
            clock.advance(Duration::from_millis(1));
            assert!(is_ready(&breaker), "factor {factor}");
            report(&breaker, Health::Bad);
        }
    }

    #[test]
    fn a_trial_that_is_never_reported_does_not_block_the_next() {
        let (breaker, clock, _) = breaker();
        report(&breaker, Health::Refusing);
        clock.advance(BASE);
        assert!(is_ready(&breaker) && !is_ready(&breaker));
        clock.advance(BASE);
        assert!(is_ready(&breaker));
    }

    #[test]
    fn a_trial_that_tells_nothing_lets_the_next_one_through_without_closing() {
        let (breaker, clock, gauge) = breaker();
        report(&breaker, Health::Refusing);
        clock.advance(BASE);
        assert!(is_ready(&breaker));
        report(&breaker, Health::Unknown);
        assert!(is_ready(&breaker) && !is_ready(&breaker));
        assert_eq!(gauge.get(), 1);
    }

    #[test]
    fn a_late_result_from_before_the_change_is_not_believed() {
        let (breaker, clock, _) = breaker();
        let old = breaker.generation();
        report(&breaker, Health::Refusing);
        breaker.record(old, Health::Good);
        assert!(!is_ready(&breaker));
        clock.advance(BASE);
        assert!(is_ready(&breaker));
        breaker.record(old, Health::Good);
        assert!(!is_ready(&breaker), "still waits for its trial");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open() {
        let (breaker, clock, _) = breaker();
        clock.advance(Duration::from_secs(1_000_000));
        report(&breaker, Health::Refusing);
        {
            let mut state = breaker.lock();
            state.phase = Phase::Open { since: clock.now().plus(BASE * 1000), wait: BASE };
        }
        assert!(is_ready(&breaker));
    }
}
