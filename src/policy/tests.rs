//! Every decision of [`super::decide`], as tables.

use super::*;

/// Facts under which a notification goes.
fn fine() -> Facts {
    Facts {
        now: Time::from_millis(1_000),
        mode: Mode::Live,
        in_pilot: false,
        org_configured: true,
        paused: false,
        brake_tripped: false,
        category: Category::Transactional,
        channel: Channel::Email,
        event_at: Time::from_millis(900),
        live_from: Time::from_millis(500),
        expires_at: Time::from_millis(2_000),
    }
}

type Change = fn(&mut Facts);

/// What alone keeps a notification back, in the order in which `decide` asks.
const REASONS: [(&str, Change, Decision); 8] = [
    ("expired", |facts| facts.expires_at = facts.now, Decision::Expire),
    ("no org", |facts| facts.org_configured = false, Decision::Suppress(SuppressReason::OrgNotConfigured)),
    ("too early", |facts| facts.live_from = Time::from_millis(901), Decision::Suppress(SuppressReason::BeforeLiveFrom)),
    ("paused", |facts| facts.paused = true, Decision::Wait(WaitReason::Paused)),
    ("promotional", |facts| facts.category = Category::Promotional, Decision::Suppress(SuppressReason::PolicyMissing)),
    ("shadow", |facts| facts.mode = Mode::Shadow, Decision::Suppress(SuppressReason::Shadow)),
    ("pilot", |facts| facts.mode = facts.mode.stricter(Mode::Pilot), Decision::Suppress(SuppressReason::NotInPilot)),
    ("brake", |facts| facts.brake_tripped = true, Decision::Wait(WaitReason::Brake)),
];

#[test]
fn the_first_reason_in_the_order_of_the_contract_decides() {
    for set in 0..1_u32 << REASONS.len() {
        let mut facts = fine();
        let held: Vec<_> =
            REASONS.iter().enumerate().filter(|(n, _)| set & 1 << n != 0).map(|(_, reason)| reason).collect();
        held.iter().for_each(|(_, change, _)| change(&mut facts));
        let expected = held.first().map_or(Decision::Go, |(_, _, decision)| *decision);
        let names: Vec<&str> = held.iter().map(|(name, ..)| *name).collect();
        assert_eq!(decide(&facts), expected, "{names:?}");
    }
}

#[test]
fn a_fresh_installation_sends_nothing() {
    let facts = Facts { mode: modes::Modes::default().relay(Mode::Shadow), in_pilot: true, ..fine() };
    assert_eq!(decide(&facts), Decision::Suppress(SuppressReason::Shadow));
}

#[test]
fn a_pilot_writes_to_its_list_only() {
    let pilot = |in_pilot| decide(&Facts { mode: Mode::Pilot, in_pilot, ..fine() });
    assert_eq!(pilot(true), Decision::Go);
    assert_eq!(pilot(false), Decision::Suppress(SuppressReason::NotInPilot));
}

#[test]
fn borders_in_time_are_exact() {
    let at = Time::from_millis;
    for (now, event_at, expected) in [
        (1_999, 500, Decision::Go),
        (2_000, 500, Decision::Expire),
        (1_000, 499, Decision::Suppress(SuppressReason::BeforeLiveFrom)),
    ] {
        let facts = Facts { now: at(now), event_at: at(event_at), ..fine() };
        assert_eq!(decide(&facts), expected, "now {now}, event at {event_at}");
    }
}

#[test]
fn every_word_is_its_stored_form_and_reads_back() {
    fn check<T: Copy + PartialEq + std::fmt::Debug + Serialize>(
        all: &[T],
        word: fn(T) -> &'static str,
        find: fn(&str) -> Option<T>,
    ) {
        for value in all {
            assert_eq!(serde_json::to_value(value).unwrap(), word(*value));
            assert_eq!(find(word(*value)), Some(*value));
        }
        assert_eq!(find("nonsense"), None);
    }
    check(Mode::ALL, Mode::as_str, Mode::from_word);
    check(WaitReason::ALL, WaitReason::as_str, WaitReason::from_word);
    check(SuppressReason::ALL, SuppressReason::as_str, SuppressReason::from_word);
}
