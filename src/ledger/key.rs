//! The shapes of all keys, by keyspace.
//!
//! Promises: byte order is the order meant (time, then id); keys hold only sequence numbers, times, event keys,
//! notification ids and keyed hashes; taking a key apart never panics.
//! Never: a person, a payload value, a name that came from outside.

use crate::clock::Time;
use crate::id::{DeliverySeq, EventKey, KeyedHash, NotificationId};
use crate::policy::WaitReason;

use super::{FindBy, OutcomePlace};

/// A keyspace. The discriminant indexes the store's handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Space {
    Journal,
    Events,
    Notifications,
    Queue,
    Timeline,
    Index,
    Quarantine,
    Meta,
    Outcomes,
}

impl Space {
    pub(super) const ALL: [Self; 9] = [
        Self::Journal,
        Self::Events,
        Self::Notifications,
        Self::Queue,
        Self::Timeline,
        Self::Index,
        Self::Quarantine,
        Self::Meta,
        Self::Outcomes,
    ];

    /// Name on disk, in the associated data of every sealed value, and in metrics. Never renamed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Events => "events",
            Self::Notifications => "notifications",
            Self::Queue => "queue",
            Self::Timeline => "timeline",
            Self::Index => "index",
            Self::Quarantine => "quarantine",
            Self::Meta => "meta",
            Self::Outcomes => "outcomes",
        }
    }

    /// Every change rewrites a few keys of the small ones; their memtables need not be large. Smaller ones than these would
    /// save memory and cost latency: each flush syncs the journal, and compactions follow it.
    pub(super) fn memtable_bytes(self) -> u64 {
        const MIB: u64 = 1 << 20;
        match self {
            Self::Quarantine | Self::Meta | Self::Queue | Self::Outcomes => 4 * MIB,
            _ => 8 * MIB,
        }
    }
}

pub(super) type Key = Vec<u8>;

/// Meta key of the planner's cursor.
pub(super) const CURSOR: &[u8] = b"cursor";
/// Meta key of the format version; also proves that the key ring fits.
pub(super) const FORMAT: &[u8] = b"format";
/// Meta key of the last timeline number given out.
pub(super) const TIMELINE_NUMBER: &[u8] = b"timeline";
/// Meta key of the places at which the clock was set back.
pub(super) const SET_BACKS: &[u8] = b"set_backs";
/// Meta key of the place in time up to which retention has looked.
pub(super) const EXPIRED: &[u8] = b"expired";

/// Meta key of a value of run-time state.
pub(super) fn state(name: &str) -> Key {
    join(&[b"state/", name.as_bytes()])
}

const TIMED: u8 = 0;
const HELD: u8 = 1;
const ATTEMPTING: u8 = 2;

const STANDING: u8 = b's';

const WAITS: u8 = b'w';
const OF_EVENT: u8 = b'n';
const RECEIVED: u8 = b't';
const LATE: u8 = b'l';
const DEAD: u8 = b'd';

fn join(parts: &[&[u8]]) -> Key {
    parts.concat()
}

/// Eight bytes that sort as the time does, times before 1970 included.
fn ordered(time: Time) -> [u8; 8] {
    (time.as_millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}
fn from_ordered(bytes: [u8; 8]) -> Time {
    Time::from_millis((u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed())
}
/// Eight bytes that sort newest first.
fn reversed(time: Time) -> [u8; 8] {
    ordered(time).map(|byte| !byte)
}

/// Journal and quarantine.
pub(super) fn seq(seq: DeliverySeq) -> Key {
    seq.0.to_be_bytes().to_vec()
}
pub(super) fn read_seq(key: &[u8]) -> Option<DeliverySeq> {
    Some(DeliverySeq(u64::from_be_bytes(key.try_into().ok()?)))
}

/// Events.
pub(super) fn event(key: EventKey) -> Key {
    key.0.0.to_vec()
}
/// Notifications.
pub(super) fn notification(id: NotificationId) -> Key {
    id.0.to_vec()
}
/// The notification that a key is the plan of.
pub(super) fn read_notification(key: &[u8]) -> Option<NotificationId> {
    key.try_into().ok().map(NotificationId)
}
/// Notifications: how one stands, right behind its plan.
pub(super) fn standing(id: NotificationId) -> Key {
    join(&[&id.0, &[STANDING]])
}
/// The id that ends a key: in the held and open lanes of the queue, and the index.
pub(super) fn read_id(key: &[u8]) -> Option<NotificationId> {
    key.last_chunk().map(|id| NotificationId(*id))
}
/// The event that ends a key: in events and the index.
pub(super) fn read_event(key: &[u8]) -> Option<EventKey> {
    key.last_chunk().map(|hash| EventKey(KeyedHash(*hash)))
}

/// Timeline entry `number` of an event.
pub(super) fn timeline(event: EventKey, number: u64) -> Key {
    join(&[&event.0.0, &number.to_be_bytes()])
}

/// The one record of an event's timeline that counts its copies: a number that is never given out.
pub(super) fn copies(event: EventKey) -> Key {
    timeline(event, u64::MAX)
}

/// Queue, timed lane. The reason is at the end so that counting needs no value, and order is (due, id).
pub(super) fn timed(due: Time, id: NotificationId, reason: WaitReason) -> Key {
    join(&[&[TIMED], &ordered(due), &id.0, &[reason_code(reason)]])
}
/// First possible key of the timed lane at or after a place.
pub(super) fn timed_from(due: Time, id: NotificationId) -> Key {
    join(&[&[TIMED], &ordered(due), &id.0])
}
/// Borders of the timed lane.
pub(super) fn timed_lane() -> std::ops::Range<Key> {
    vec![TIMED]..vec![HELD]
}
pub(super) fn read_timed(key: &[u8]) -> Option<(Time, NotificationId, u8)> {
    let (lane, rest) = key.split_first()?;
    let (due, rest) = rest.split_first_chunk::<8>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    match (lane, rest) {
        (&TIMED, &[code]) => Some((from_ordered(*due), NotificationId(*id), code)),
        _ => None,
    }
}

/// Queue, held lane: by group, then by when it expires.
pub(super) fn held(group: KeyedHash, expires: Time, id: NotificationId) -> Key {
    join(&[&[HELD], &group.0, &ordered(expires), &id.0])
}
pub(super) fn held_group(group: KeyedHash) -> Key {
    join(&[&[HELD], &group.0])
}
/// All groups that share their first bytes with one.
pub(super) fn held_family(group: KeyedHash, shared: usize) -> Key {
    join(&[&[HELD], group.0.get(..shared).unwrap_or(&group.0)])
}
/// Queue, lane of open attempts.
pub(super) fn attempting(id: NotificationId) -> Key {
    join(&[&[ATTEMPTING], &id.0])
}
pub(super) fn attempting_lane() -> Key {
    vec![ATTEMPTING]
}

/// Index: search key to event, newest first.
pub(super) fn find(by: FindBy, hash: KeyedHash, at: Time, event: EventKey) -> Key {
    join(&[&[find_code(by)], &hash.0, &reversed(at), &event.0.0])
}
pub(super) fn find_prefix(by: FindBy, hash: KeyedHash) -> Key {
    join(&[&[find_code(by)], &hash.0])
}
/// Index: alias to the notifications that wait for its contact.
pub(super) fn waits(alias: KeyedHash, id: NotificationId) -> Key {
    join(&[&[WAITS], &alias.0, &id.0])
}
pub(super) fn waits_prefix(alias: KeyedHash) -> Key {
    join(&[&[WAITS], &alias.0])
}
pub(super) fn waits_lane() -> std::ops::Range<Key> {
    vec![WAITS]..vec![WAITS + 1]
}
pub(super) fn read_waits(key: &[u8]) -> Option<KeyedHash> {
    key.get(1..17)?.try_into().ok().map(KeyedHash)
}
/// Index: event to its notifications.
pub(super) fn of_event(event: EventKey, id: NotificationId) -> Key {
    join(&[&[OF_EVENT], &event.0.0, &id.0])
}
pub(super) fn of_event_prefix(event: EventKey) -> Key {
    join(&[&[OF_EVENT], &event.0.0])
}
/// Index: dead letters, so that they can be counted without opening one.
pub(super) fn dead(id: NotificationId) -> Key {
    join(&[&[DEAD], &id.0])
}
pub(super) fn dead_lane() -> std::ops::Range<Key> {
    vec![DEAD]..vec![DEAD + 1]
}
/// Index: events by when they were received, oldest first.
pub(super) fn received(at: Time, event: EventKey) -> Key {
    join(&[&[RECEIVED], &ordered(at), &event.0.0])
}
pub(super) fn received_from(at: Time) -> Key {
    join(&[&[RECEIVED], &ordered(at)])
}
pub(super) fn read_received(key: &[u8]) -> Option<(Time, EventKey)> {
    let (lane, rest) = key.split_first()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    (*lane == RECEIVED).then_some(())?;
    Some((from_ordered(*at), EventKey(KeyedHash(rest.try_into().ok()?))))
}
/// Index: events that retention has passed by because something of theirs still waited.
pub(super) fn late(received_at: Time, event: EventKey) -> Key {
    join(&[&[LATE], &ordered(received_at), &event.0.0])
}
pub(super) fn late_until(at: Time) -> Key {
    join(&[&[LATE], &ordered(at)])
}
pub(super) fn late_start() -> Key {
    vec![LATE]
}
pub(super) fn read_late(key: &[u8]) -> Option<(Time, EventKey)> {
    let (lane, rest) = key.split_first()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    (*lane == LATE).then_some(())?;
    Some((from_ordered(*at), EventKey(KeyedHash(rest.try_into().ok()?))))
}

/// The log of outcomes.
pub(super) fn outcome(place: OutcomePlace) -> Key {
    join(&[&ordered(Time::from_millis(place.time)), &place.number.to_be_bytes()])
}
/// First possible key of the log at or after a time.
pub(super) fn outcomes_from(at: Time) -> Key {
    ordered(at).to_vec()
}
pub(super) fn read_outcome(key: &[u8]) -> Option<OutcomePlace> {
    let (time, rest) = key.split_first_chunk::<8>()?;
    Some(OutcomePlace { time: from_ordered(*time).as_millis(), number: u64::from_be_bytes(rest.try_into().ok()?) })
}

/// First key after all keys that begin with `prefix`.
pub(super) fn after_prefix(prefix: &[u8]) -> Key {
    let mut key = prefix.to_vec();
    // Longer than any key's remainder and higher than any of them.
    key.extend_from_slice(&[0xff; 48]);
    key
}

/// Stored in index keys: add, never change.
pub(super) fn find_code(by: FindBy) -> u8 {
    match by {
        FindBy::EventId => 1,
        FindBy::RequestId => 2,
        FindBy::RefId => 3,
        FindBy::BillNumber => 4,
        FindBy::CouponCode => 5,
        FindBy::Subject => 6,
    }
}
pub(super) fn find_by(code: u8) -> Option<FindBy> {
    [FindBy::EventId, FindBy::RequestId, FindBy::RefId, FindBy::BillNumber, FindBy::CouponCode, FindBy::Subject]
        .into_iter()
        .find(|by| find_code(*by) == code)
}

/// Stored in queue keys: add, never change.
pub(super) fn reason_code(reason: WaitReason) -> u8 {
    match reason {
        WaitReason::DueLater => 1,
        WaitReason::ContactUnknown => 2,
        WaitReason::ProviderDown => 3,
        WaitReason::Retry => 4,
        WaitReason::Brake => 5,
        WaitReason::Paused => 6,
        WaitReason::AmbiguousHold => 7,
        WaitReason::Misconfigured => 8,
        WaitReason::RateLimited => 9,
    }
}
pub(super) fn reason_of(code: u8) -> Option<WaitReason> {
    WaitReason::ALL.iter().copied().find(|reason| reason_code(*reason) == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn timed_keys_sort_by_due_time_and_then_by_id(a: i64, b: i64, x: [u8; 16], y: [u8; 16], r in 0..8_usize, s in 0..8_usize) {
            let left = timed(Time::from_millis(a), NotificationId(x), WaitReason::ALL[r]);
            let right = timed(Time::from_millis(b), NotificationId(y), WaitReason::ALL[s]);
            prop_assume!((a, x) != (b, y));
            prop_assert_eq!(left.cmp(&right), (a, x).cmp(&(b, y)));
            prop_assert!(timed_lane().contains(&left));
            prop_assert!(timed_from(Time::from_millis(a), NotificationId(x)) <= left);
        }

        #[test]
        fn a_timed_key_can_be_taken_apart(due: i64, id: [u8; 16], r in 0..8_usize) {
            let reason = WaitReason::ALL[r];
            let (read_due, read_id, code) = read_timed(&timed(Time::from_millis(due), NotificationId(id), reason)).unwrap();
            prop_assert_eq!((read_due.as_millis(), read_id.0, reason_of(code)), (due, id, Some(reason)));
        }

        #[test]
        fn search_keys_sort_newest_first(a: i64, b: i64, hash: [u8; 16], x: [u8; 16], y: [u8; 16]) {
            prop_assume!(a != b);
            let key = |at, event| find(FindBy::BillNumber, KeyedHash(hash), Time::from_millis(at), EventKey(KeyedHash(event)));
            prop_assert_eq!(key(a, x).cmp(&key(b, y)), b.cmp(&a));
            prop_assert!(key(a, x).starts_with(&find_prefix(FindBy::BillNumber, KeyedHash(hash))));
            prop_assert_eq!(read_event(&key(a, x)), Some(EventKey(KeyedHash(x))));
        }

        #[test]
        fn received_keys_sort_oldest_first_and_can_be_taken_apart(a: i64, b: i64, x: [u8; 16], y: [u8; 16]) {
            let key = |at, event| received(Time::from_millis(at), EventKey(KeyedHash(event)));
            prop_assert_eq!(key(a, x).cmp(&key(b, y)), (a, x).cmp(&(b, y)));
            prop_assert_eq!(read_received(&key(a, x)), Some((Time::from_millis(a), EventKey(KeyedHash(x)))));
            let late = late(Time::from_millis(a), EventKey(KeyedHash(x)));
            prop_assert_eq!(read_late(&late), Some((Time::from_millis(a), EventKey(KeyedHash(x)))));
        }

        #[test]
        fn keys_of_the_log_sort_as_places_do_and_can_be_taken_apart(a: i64, b: i64, x: u64, y: u64) {
            let (left, right) = (OutcomePlace { time: a, number: x }, OutcomePlace { time: b, number: y });
            prop_assert_eq!(outcome(left).cmp(&outcome(right)), left.cmp(&right));
            prop_assert_eq!(read_outcome(&outcome(left)), Some(left));
            prop_assert!(outcomes_from(Time::from_millis(a)) <= outcome(left));
        }

        #[test]
        fn held_and_open_keys_stay_in_their_lanes(group: [u8; 16], due: i64, id: [u8; 16]) {
            let held_key = held(KeyedHash(group), Time::from_millis(due), NotificationId(id));
            prop_assert!(held_key.starts_with(&held_group(KeyedHash(group))));
            prop_assert!(held_key < after_prefix(&held_group(KeyedHash(group))));
            prop_assert!(!timed_lane().contains(&held_key));
            prop_assert!(attempting(NotificationId(id)).starts_with(&attempting_lane()));
            prop_assert!(held_key < attempting(NotificationId(id)));
            prop_assert_eq!(read_id(&held_key), Some(NotificationId(id)));
        }

        #[test]
        fn taking_any_bytes_apart_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (read_seq(&bytes), read_id(&bytes), read_event(&bytes), read_timed(&bytes));
            let _ = (read_waits(&bytes), read_received(&bytes), read_late(&bytes), read_outcome(&bytes), read_notification(&bytes));
        }
    }

    #[test]
    fn sequence_and_timeline_numbers_sort_as_numbers() {
        assert!(seq(DeliverySeq(255)) < seq(DeliverySeq(256)));
        let event = EventKey(KeyedHash([7; 16]));
        assert!(timeline(event, 1 << 8) > timeline(event, 255));
    }

    #[test]
    fn every_code_leads_back_to_its_word() {
        for reason in WaitReason::ALL {
            assert_eq!(reason_of(reason_code(*reason)), Some(*reason));
        }
        for code in 1..=6 {
            assert_eq!(find_by(code).map(find_code), Some(code));
        }
        assert_eq!((reason_of(0), find_by(0)), (None, None));
    }
}
