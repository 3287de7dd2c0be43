//! Idle sessions of one server, the last used first.
//!
//! Promises: at most as many as the provider has slots; none older than the idle timeout is given out; a session that is
//! in use is not in the pool at all, so a cancelled send can only lose it.
//! Never: a session that saw an error: `Session::deliver` gives back only what is whole and in step.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::session::Session;
use crate::clock::{Clock, Time};

/// The idle sessions.
pub(super) struct Pool {
    idle: Mutex<Vec<Parked>>,
    capacity: usize,
    idle_timeout: Duration,
    clock: Clock,
}

struct Parked {
    session: Session,
    since: Time,
}

impl Pool {
    pub(super) fn new(capacity: usize, idle_timeout: Duration, clock: Clock) -> Self {
        Self { idle: Mutex::new(Vec::new()), capacity, idle_timeout, clock }
    }

    /// The session that was used last, if one is fresh enough. It is the caller's now.
    pub(super) fn take(&self) -> Option<Session> {
        self.fresh().pop().map(|parked| parked.session)
    }

    /// Parks a session for the next mail.
    pub(super) fn put(&self, session: Session) {
        let mut idle = self.fresh();
        if idle.len() < self.capacity {
            idle.push(Parked { session, since: self.clock.now() });
        }
    }

    /// All sessions, for closing.
    pub(super) fn drain(&self) -> Vec<Session> {
        self.fresh().drain(..).map(|parked| parked.session).collect()
    }

    /// The list without those that idled too long.
    fn fresh(&self) -> std::sync::MutexGuard<'_, Vec<Parked>> {
        let now = self.clock.now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|parked| now.since(parked.since) < self.idle_timeout && now >= parked.since);
        idle
    }
}
