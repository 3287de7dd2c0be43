//! A token bucket: at most so many sends a second, across all slots of a provider.
//!
//! Promises: it starts empty, so a restart cannot add a burst to the one before; who waits first goes first; a waiter
//! that is cancelled takes nothing.
//! Never: a burst of more than one second's worth.

use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::{Clock, Time};

/// The bucket of one provider.
pub(super) struct Limit {
    per_second: f64,
    // Held across the wait: the lock's own queue is the order of service.
    bucket: Mutex<Bucket>,
    clock: Clock,
}

struct Bucket {
    tokens: f64,
    filled: Time,
}

impl Limit {
    /// `per_second` must be finite and above zero.
    pub(super) fn new(per_second: f64, clock: Clock) -> Self {
        let bucket = Bucket { tokens: 0.0, filled: clock.now() };
        Self { per_second, bucket: Mutex::new(bucket), clock }
    }

    /// How long so many sends take, at the least.
    pub(super) fn time_for(&self, sends: usize) -> Duration {
        Duration::try_from_secs_f64(sends as f64 / self.per_second).unwrap_or(Duration::MAX)
    }

    /// True if half of what it may save up was left unused: nobody has come for it.
    pub(super) fn is_idle(&self) -> bool {
        // Who holds the lock waits for more.
        let Ok(mut bucket) = self.bucket.try_lock() else { return false };
        bucket.fill(self.clock.now(), self.per_second);
        bucket.tokens >= (self.per_second / 2.0).max(1.0)
    }

    /// Returns when one more send is allowed.
    pub(super) async fn wait(&self) {
        let mut bucket = self.bucket.lock().await;
        loop {
            let now = self.clock.now();
            bucket.fill(now, self.per_second);
            if bucket.tokens >= 1.0 {
                bucket.tokens -= 1.0;
                return;
            }
            let missing = (1.0 - bucket.tokens) / self.per_second * 1000.0;
            // One millisecond is the clock's grain: rounding down would spin. An hour bounds an absurd rate.
            let millis = missing.ceil().clamp(1.0, 3_600_000.0) as u64;
            self.clock.sleep(Duration::from_millis(millis)).await;
        }
    }
}

impl Bucket {
    fn fill(&mut self, now: Time, per_second: f64) {
        // A clock that was set back gives nothing, but must not stop the bucket until it has caught up.
        let gained = now.since(self.filled).as_secs_f64() * per_second;
        self.tokens = (self.tokens + gained).min(per_second.max(1.0));
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn ready(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    /// How many sends the limit allows right now.
    fn burst(limit: &Limit) -> usize {
        (0..1000).take_while(|_| ready(pin!(limit.wait()))).count()
    }

    #[test]
    fn a_bucket_starts_empty_and_holds_at_most_one_second() {
        let clock = Clock::manual(Time::from_millis(0));
        let limit = Limit::new(10.0, clock.clone());
        assert_eq!(burst(&limit), 0);
        for (advance, expected) in [(100, 1), (99, 0), (1, 1), (450, 4), (50, 1), (60_000, 10), (0, 0)] {
            clock.advance(Duration::from_millis(advance));
            assert_eq!(burst(&limit), expected, "after {advance} ms");
        }
    }

    #[test]
    fn a_rate_below_one_a_second_still_lets_one_through() {
        let clock = Clock::manual(Time::from_millis(0));
        let limit = Limit::new(0.1, clock.clone());
        clock.advance(Duration::from_millis(9_999));
        assert_eq!(burst(&limit), 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(burst(&limit), 1);
    }

    #[test]
    fn a_cancelled_waiter_takes_no_token() {
        let clock = Clock::manual(Time::from_millis(0));
        let limit = Limit::new(1.0, clock.clone());
        {
            let mut waiting = pin!(limit.wait());
            assert!(!ready(waiting.as_mut()));
        }
        clock.advance(Duration::from_secs(1));
        assert_eq!(burst(&limit), 1);
    }

    #[tokio::test]
    async fn a_waiter_is_woken_when_its_token_is_there() {
        let clock = Clock::manual(Time::from_millis(0));
        let limit = Limit::new(2.0, clock.clone());
        tokio::join!(limit.wait(), async { clock.advance(Duration::from_millis(500)) });
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_a_waiter_until_it_has_caught_up() {
        let clock = Clock::manual(Time::from_millis(10_000_000));
        let limit = Limit::new(2.0, clock.clone());
        let mut waiting = pin!(limit.wait());
        assert!(!ready(waiting.as_mut()));
        clock.set(Time::from_millis(6_400_000));
        // What it had waited for may be lost, and no more.
        let looks = (0..2).map(|_| {
            clock.advance(Duration::from_millis(500));
            ready(waiting.as_mut())
        });
        assert_eq!(looks.collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_bucket() {
        let mut bucket = Bucket { tokens: 0.0, filled: Time::from_millis(10_000_000) };
        bucket.fill(Time::from_millis(0), 1.0);
        bucket.fill(Time::from_millis(1_000), 1.0);
        assert!(bucket.tokens >= 1.0);
    }
}
