//! Who stays when every place of a listener is taken.
//!
//! Promises: at most so many connections as there are places, beside [`LEAVING`] that were told to go; whoever comes while all are taken
//! gets the place of the connection that has been idle longest, strangers before those who have shown who they are; with nobody idle
//! the one at the door waits. Idle is whoever has no whole request under way: silent, in the middle of a head or a handshake, answered.
//! Never: a place taken from a request under way, unless its handler says that it is a stranger's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Connections that may be on their way out while others have their places already: whoever accepts must not wait for each, or the
/// kernel's queue runs over and a new client waits for seconds.
const LEAVING: usize = 128;

/// What a listener counts. Clones count together; the default's are seen by nobody.
#[derive(Clone, Default)]
pub struct Crowd {
    /// Open connections.
    pub open: Gauge,
    /// Connections whose place went to somebody else.
    pub given_up: Counter,
}

/// The places of one listener. Cheap to clone.
#[derive(Clone)]
pub(super) struct Places(Arc<Room>);

struct Room {
    most: usize,
    crowd: Crowd,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Also by those who were told to go and have not gone yet.
    taken: usize,
    idle_so_far: u64,
    /// Strangers first, then by how long: the first one goes first.
    idle: BTreeMap<(bool, u64), CancellationToken>,
}

/// One connection's place; free again when dropped.
pub(super) struct Seat {
    places: Places,
    proven: AtomicBool,
    leave: CancellationToken,
}

/// While this is held, its connection's place may go to somebody else.
pub struct Idle {
    places: Places,
    key: (bool, u64),
}

/// What a handler may say of whoever sent a request; an extension of every request.
#[derive(Clone)]
pub struct Visitor(pub(super) Arc<Seat>);

impl Places {
    pub(super) fn new(most: usize, crowd: Crowd) -> Self {
        Self(Arc::new(Room { most, crowd, state: Mutex::default(), changed: Notify::new() }))
    }

    /// A place for the one at the door: a free one, that of the longest idle, or, if nobody is, the next that is either.
    pub(super) async fn enter(&self) -> Seat {
        loop {
            {
                let mut state = self.state();
                let most = self.0.most;
                let longest = match state.taken {
                    taken if taken < most || taken >= most + LEAVING => None,
                    _ => state.idle.pop_first(),
                };
                if state.taken < most || longest.is_some() {
                    state.taken += 1;
                    self.0.crowd.open.inc();
                    if let Some((_, longest)) = longest {
                        self.0.crowd.given_up.inc();
                        longest.cancel();
                    }
                    return Seat {
                        places: self.clone(),
                        proven: AtomicBool::new(false),
                        leave: CancellationToken::new(),
                    };
                }
            }
            // A change between the look and this is not missed: the note is kept for whoever asks next.
            self.0.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// From now until it is dropped, this place may go to somebody else.
    pub(super) fn idle(&self) -> Idle {
        let mut state = self.places.state();
        state.idle_so_far += 1;
        let key = (self.proven.load(Ordering::Relaxed), state.idle_so_far);
        state.idle.insert(key, self.leave.clone());
        drop(state);
        self.places.0.changed.notify_one();
        Idle { places: self.places.clone(), key }
    }

    /// Returns when the place is wanted for somebody else.
    pub(super) async fn given_up(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.taken -= 1;
        drop(state);
        self.places.0.crowd.open.dec();
        self.places.0.changed.notify_one();
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.places.state().idle.remove(&self.key);
    }
}

impl Visitor {
    /// They have shown who they are: when places are short, their connection goes after all strangers'.
    pub fn is_known(&self) {
        self.0.proven.store(true, Ordering::Relaxed);
    }

    /// While the answer is held, their request is a stranger's, whose place may go to somebody else.
    pub fn is_stranger(&self) -> Idle {
        self.0.idle()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn enters(places: &Places) -> Option<Seat> {
        tokio::time::timeout(Duration::from_secs(1), places.enter()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_goes_first_and_strangers_before_the_known() {
        let crowd = Crowd::default();
        let places = Places::new(3, crowd.clone());
        let seats = [enters(&places).await.unwrap(), enters(&places).await.unwrap(), enters(&places).await.unwrap()];
        let [known, second, third] = seats.map(Arc::new);
        Visitor(known.clone()).is_known();
        let (_known, _second, _third) = (known.idle(), second.idle(), third.idle());
        let given_up = || [&known, &second, &third].map(|seat| seat.leave.is_cancelled());
        let mut busy = Vec::new();
        for expected in [[false, true, false], [false, true, true], [true, true, true]] {
            busy.push(enters(&places).await.expect("the place of one who is idle"));
            assert_eq!(given_up(), expected);
        }
        assert_eq!((crowd.open.get(), crowd.given_up.get()), (6, 3), "three of them are on their way out");
        assert!(enters(&places).await.is_none(), "nobody is idle");
        drop((_known, _second, _third, known, second, third));
        assert!(enters(&places).await.is_none(), "their places are taken already");
        busy.pop();
        assert!(enters(&places).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_go_is_waited_for_in_the_end() {
        let places = Places::new(LEAVING * 2, Crowd::default());
        let seats: Vec<_> = std::iter::repeat_with(|| enters(&places)).take(LEAVING * 2).collect();
        let seats = futures_util::future::join_all(seats).await;
        let idle: Vec<_> = seats.iter().map(|seat| seat.as_ref().unwrap().idle()).collect();
        let more: Vec<_> = std::iter::repeat_with(|| enters(&places)).take(LEAVING + 1).collect();
        let more = futures_util::future::join_all(more).await;
        assert_eq!(more.iter().filter(|seat| seat.is_some()).count(), LEAVING);
        drop((idle, seats));
        assert!(enters(&places).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_keeps_its_place_until_it_is_a_strangers() {
        let places = Places::new(1, Crowd::default());
        let seat = Arc::new(enters(&places).await.unwrap());
        drop(seat.idle());
        assert!(enters(&places).await.is_none());
        assert!(!seat.leave.is_cancelled());
        let _stranger = Visitor(seat.clone()).is_stranger();
        assert!(enters(&places).await.is_some());
        seat.given_up().await;
    }

    #[tokio::test]
    async fn places_are_counted_back_to_none() {
        let crowd = Crowd::default();
        let places = Places::new(2, crowd.clone());
        for _ in 0..10 {
            let _seats = [places.enter().await, places.enter().await];
            assert_eq!(crowd.open.get(), 2);
        }
        assert_eq!(crowd.open.get(), 0);
        assert!(places.state().idle.is_empty());
    }
}
