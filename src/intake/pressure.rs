//! How many deliveries may wait for the journal at once: as many as it makes durable in good time. Whoever comes beyond is put off.
//!
//! Promises: a burst is taken; a queue that stays is not: while deliveries take longer than [`GOOD_TIME`], and than [`TIMES`] what one
//! takes alone on this machine, fewer are let in, down to [`FEWEST`]; as soon as they are quick again, more.
//! Never: fewer than [`FEWEST`], whatever the disk does: a journal that syncs them together loses nothing by so many.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Nobody minds waiting so long.
const GOOD_TIME: Duration = Duration::from_millis(10);
/// How many times as long as alone a delivery may take among others.
const TIMES: u32 = 4;
/// Always let in.
const FEWEST: usize = 64;
/// Never more; what a quiet relay begins with.
const MOST: usize = 4096;

/// The gate before the journal.
pub(super) struct Pressure(Mutex<State>);

struct State {
    waiting: usize,
    allowed: usize,
    /// What a delivery takes that waits alone.
    alone: Option<Duration>,
    /// When fewer were last allowed: what was let in before says nothing about it.
    lowered: Option<Instant>,
}

/// One delivery's wait.
pub(super) struct Wait<'p> {
    pressure: &'p Pressure,
    since: Instant,
    is_alone: bool,
}

impl Default for Pressure {
    fn default() -> Self {
        Self(Mutex::new(State { waiting: 0, allowed: MOST, alone: None, lowered: None }))
    }
}

impl Pressure {
    /// Lets one in; `None`: too many wait already.
    pub(super) fn enter(&self) -> Option<Wait<'_>> {
        let mut state = self.state();
        if state.waiting >= state.allowed {
            return None;
        }
        state.waiting += 1;
        Some(Wait { pressure: self, since: Instant::now(), is_alone: state.waiting == 1 })
    }

    /// True while nobody is let in.
    pub(super) fn is_full(&self) -> bool {
        let state = self.state();
        state.waiting >= state.allowed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, since: Instant, is_alone: bool) {
        let (now, took) = (Instant::now(), since.elapsed());
        if is_alone {
            // Down at once, up slowly: alone on a machine that is busy otherwise is not how it is alone.
            let alone = self.alone.unwrap_or(took);
            self.alone = Some(if took < alone { (alone + took) / 2 } else { alone + (took - alone) / 64 });
        }
        let patience = GOOD_TIME.max(self.alone.unwrap_or_default() * TIMES);
        if took > patience {
            if self.lowered.is_none_or(|lowered| since >= lowered) {
                self.allowed = (self.allowed.min(self.waiting.max(FEWEST)) * 7 / 10).max(FEWEST);
                self.lowered = Some(now);
            }
        } else if took < patience / 2 {
            self.allowed = (self.allowed + 1).min(MOST);
        }
    }
}

impl Wait<'_> {
    /// It is over, and how long it took tells how it goes.
    pub(super) fn over(self) {
        let mut state = self.pressure.state();
        state.learn(self.since, self.is_alone);
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.pressure.state().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets in as many as it may, of `come`, and ends them all after `took`; how many there were.
    async fn round(pressure: &Pressure, come: usize, took: Duration) -> usize {
        let waits: Vec<_> = (0..come).filter_map(|_| pressure.enter()).collect();
        tokio::time::advance(took).await;
        let count = waits.len();
        waits.into_iter().for_each(Wait::over);
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_a_queue_that_stays_is_not_and_quick_ones_open_the_gate_again() {
        let pressure = Pressure::default();
        let (quick, slow) = (Duration::from_millis(2), Duration::from_millis(300));
        assert_eq!(round(&pressure, 1, quick).await, 1);
        assert_eq!(round(&pressure, 1_000, slow).await, 1_000, "a burst is taken");
        let mut before = 1_000;
        while before > FEWEST {
            let now = round(&pressure, 1_000, slow).await;
            assert!(now < before, "{now} of {before}");
            before = now;
        }
        assert_eq!(round(&pressure, 1_000, slow).await, FEWEST, "and never fewer");
        for _ in 0..6 {
            round(&pressure, 1_000, quick).await;
        }
        assert_eq!(round(&pressure, 1_000, quick).await, 1_000);
        assert_eq!(pressure.state().waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_slow_alone_is_no_overload() {
        let pressure = Pressure::default();
        // A disk that takes a tenth of a second for a sync.
        let slow = Duration::from_millis(100);
        for _ in 0..20 {
            round(&pressure, 1, slow).await;
            assert_eq!(round(&pressure, 500, slow * 2).await, 500);
        }
        // One that nobody waits for any longer tells nothing.
        drop(pressure.enter());
        assert_eq!(pressure.state().waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_stumble_is_one_step() {
        let pressure = Pressure::default();
        round(&pressure, 1, Duration::from_millis(1)).await;
        round(&pressure, 1_000, Duration::from_secs(1)).await;
        assert_eq!(pressure.state().allowed, 700, "however many stood in it");
    }
}
