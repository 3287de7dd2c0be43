//! When to try again.
//!
//! Promises: a wait is the schedule's, jittered by a fifth either way, and never shorter than what the provider asked for.
//! Never: a clock or chance of its own.

use std::time::Duration;

/// How far a wait may stray from the schedule, as a share of it.
const JITTER: f64 = 0.2;

/// How long to wait after a failed attempt; `None` when the schedule is exhausted.
///
/// `attempts` is how many have been made, from 1. `retry_after` is what the provider asked for, if it did: the wait is never
/// shorter, and up to a fifth longer, so that all who were turned away do not come back in the same moment.
/// `random` is a number from 0 up to 1.
pub fn next_wait(schedule: &[Duration], attempts: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let scheduled = schedule.get(index)?;
    let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
    let jittered = times(*scheduled, 1.0 - JITTER + 2.0 * JITTER * random);
    let asked = retry_after.map_or(Duration::ZERO, |asked| asked.saturating_add(times(asked, JITTER * random)));
    Some(jittered.max(asked))
}

/// `Duration::mul_f64` panics where this stops at the longest duration.
fn times(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCHEDULE: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(300), Duration::from_secs(1_800)];

    #[test]
    fn waits_follow_the_schedule_until_it_is_exhausted() {
        let secs = |attempts, retry_after: Option<u64>, random| {
            next_wait(&SCHEDULE, attempts, retry_after.map(Duration::from_secs), random)
                .map(|wait| wait.as_secs_f64().round() as u64)
        };
        for (attempts, retry_after, random, expected) in [
            (1, None, 0.5, Some(60)),
            (1, None, 0.0, Some(48)),
            (1, None, 1.0, Some(72)),
            (2, None, 0.5, Some(300)),
            (3, None, 0.5, Some(1_800)),
            (4, None, 0.5, None),
            (u32::MAX, None, 0.5, None),
            (0, None, 0.5, Some(60)),
            (1, Some(10), 0.5, Some(60)),
            (1, Some(600), 0.0, Some(600)),
            (1, Some(600), 1.0, Some(720)),
            (4, Some(600), 0.5, None),
            (1, None, f64::NAN, Some(60)),
        ] {
            assert_eq!(secs(attempts, retry_after, random), expected, "{attempts} {retry_after:?} {random}");
        }
        assert_eq!(next_wait(&[], 1, Some(Duration::from_secs(1)), 0.5), None);
    }

    proptest! {
        #[test]
        fn a_wait_keeps_its_bounds(seconds in 0_u64..1_000_000, asked in prop::option::of(0_u64..1_000_000), random in 0.0_f64..1.0) {
            let schedule = [Duration::from_secs(seconds)];
            let wait = next_wait(&schedule, 1, asked.map(Duration::from_secs), random).unwrap().as_secs_f64();
            let (least, most) = (seconds as f64 * 0.8, seconds as f64 * 1.2);
            let asked = asked.unwrap_or(0) as f64;
            prop_assert!(wait >= asked && wait >= least - 1e-6);
            prop_assert!(wait <= most.max(asked * 1.2) + 1e-6);
        }

        #[test]
        fn no_input_panics(seconds: u64, nanos in 0_u32..1_000_000_000, asked: u64, attempts: u32, random: f64) {
            let _ = next_wait(&[Duration::new(seconds, nanos)], attempts, Some(Duration::from_secs(asked)), random);
            let _ = next_wait(&[Duration::MAX], 1, Some(Duration::MAX), random);
        }
    }
}
