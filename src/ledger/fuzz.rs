//! What the ledger's stored records are held to: the target `ledger_records`.
//!
//! Promises: every kind of record there is, as it is written, bent, cut, or any bytes at all: each reads as a value that is written as it was
//! read, or is refused; what was sealed and then changed does not open.
//! Never: a store on a disk.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::record::{self, Plain, Unreadable};
use super::{DeliverySeq, OutcomePlace, key};
use crate::choices::Choices;
use crate::id::{EventKey, KeyedHash, NotificationId};
use crate::seal::{Keyring, Sealer};

/// Reads a record and writes what was read.
type Again = fn(&[u8]) -> Result<Plain, Unreadable>;

const KINDS: [(&str, Again); 9] = [
    ("delivery", |plain| record::read_delivery(plain).map(|read| record::delivery(&read))),
    ("quarantined", |plain| record::read_quarantined(DeliverySeq(7), plain).map(|read| record::quarantined(&read))),
    ("event", |plain| {
        let (read, find) = record::read_event(plain)?;
        Ok(record::event(&read, &find, &record::read_first_lines(plain)?))
    }),
    ("notification", |plain| record::read_notification(plain).map(|read| record::notification(&read))),
    ("standing", |plain| record::read_standing(plain).map(|read| record::standing(&read))),
    ("timeline", |plain| record::read_timeline(plain).map(|read| record::timeline(&read))),
    ("outcome", |plain| record::read_outcome(plain).map(|read| record::outcome(&read))),
    ("place", |plain| record::read_value::<OutcomePlace>(plain).map(|read| record::value(&read))),
    ("number", |plain| record::read_value::<u64>(plain).map(|read| record::value(&read))),
];

/// One record of any kind.
pub(crate) fn ledger_records(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (kind, again) = choices.pick(&KINDS);
    if choices.one_in(4) {
        let rest = choices.rest();
        stays(again, rest);
        taken_apart(rest);
        return;
    }
    let (mut header, mut body) = sample(kind, &mut choices);
    let whole = framed(1, &header, &body);
    let read = again(&whole).unwrap_or_else(|fault| panic!("{kind}, as it is written: {fault}"));
    assert!(again(&read).is_ok_and(|second| second == read), "{kind}: another record when it is read again");
    for version in [0, 2, 255] {
        assert!(matches!(again(&framed(version, &header, &body)), Err(Unreadable::Version(found)) if found == version));
    }
    let cut = choices.below(whole.len());
    if cut < whole.len() - body.len() {
        assert!(again(&whole[..cut]).is_err(), "{kind}: a part of a record reads as one");
    } else {
        stays(again, &whole[..cut]);
    }
    sealed(&whole, &mut choices);
    if choices.one_in(2) && !body.is_empty() {
        let mut inner = serde_json::from_slice(&body).unwrap_or(Value::Null);
        choices.bend(&mut inner);
        body = inner.to_string().into_bytes();
    } else {
        choices.bend(&mut header);
    }
    stays(again, &framed(1, &header, &body));
    if let Ok(lines) = record::read_timeline(&framed(1, &header, &body)) {
        let count = lines.len();
        assert_eq!(super::timeline::in_order(lines).len(), count, "lines were lost");
    }
}

/// What can be read is written as it was read.
fn stays(again: Again, plain: &[u8]) {
    if let Ok(once) = again(plain) {
        let twice = again(&once).unwrap_or_else(|fault| panic!("what was read cannot be read again: {fault}"));
        assert!(once == twice, "a record changes when it is written again");
    }
}

/// What was changed after it was sealed, or is looked for elsewhere, does not open.
fn sealed(plain: &[u8], choices: &mut Choices<'_>) {
    static SEALER: OnceLock<Sealer> = OnceLock::new();
    let sealer = SEALER.get_or_init(|| Keyring::generate().sealer("ledger"));
    let name: [&[u8]; 2] = [b"events", b"key"];
    let mut sealed = sealer.seal(&name, plain);
    assert!(sealer.open(&name, &sealed).is_ok_and(|opened| *opened == plain));
    assert!(
        sealer.open(&[b"events", b"other"], &sealed).is_err() && sealer.open(&[b"eventskey"], &sealed).is_err(),
        "a moved record opens"
    );
    if choices.one_in(2) {
        let cut = choices.below(sealed.len());
        sealed.drain(cut..);
    } else {
        let at = choices.below(sealed.len());
        sealed[at] ^= 1 << choices.below(8);
    }
    assert!(sealer.open(&name, &sealed).is_err(), "a changed record opens");
}

fn taken_apart(bytes: &[u8]) {
    let _ = (
        key::read_seq(bytes),
        key::read_id(bytes),
        key::read_event(bytes),
        key::read_waits(bytes),
        key::read_notification(bytes),
    );
    if let Some((due, id, code)) = key::read_timed(bytes)
        && let Some(reason) = key::reason_of(code)
    {
        assert_eq!(key::timed(due, id, reason), bytes);
    }
    if let Some((at, event)) = key::read_received(bytes) {
        assert_eq!(key::received(at, event), bytes);
    }
    if let Some((at, event)) = key::read_late(bytes) {
        assert_eq!(key::late(at, event), bytes);
    }
    if let Some(place) = key::read_outcome(bytes) {
        assert_eq!(key::outcome(place), bytes);
    }
}

/// As `record` frames what it writes.
fn framed(version: u8, header: &Value, body: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    let length = u32::try_from(header.len()).expect("a few hundred bytes").to_be_bytes();
    [&[version][..], &length, header.as_bytes(), body].concat()
}

/// A record of a kind: its header and what stands behind it.
fn sample(kind: &str, choices: &mut Choices<'_>) -> (Value, Vec<u8>) {
    let (id, event) = (NotificationId([7; 16]), EventKey(KeyedHash([9; 16])));
    let header = match kind {
        "delivery" => json!({"source": "main", "received_at": choices.number()}),
        "quarantined" => {
            let refusals = [
                json!("not_an_object"),
                json!("stumbled"),
                json!({"not_json": {"line": 1, "column": 7}}),
                json!({"missing": {"field": "orgId"}}),
                json!({"wrong_type": {"field": "orgId", "expected": "a whole number"}}),
                json!({"too_deep": {"limit": 64}}),
            ];
            json!({"source": "main", "received_at": choices.number(), "refusal": refusals[choices.below(refusals.len())]})
        }
        "event" => {
            let lines: Vec<Value> = (0..choices.below(3)).map(|_| line(choices)).collect();
            let find = [(1, KeyedHash([1; 16])), (6, KeyedHash([2; 16]))];
            json!({"source": "main", "received_at": choices.number(), "find": find, "lines": lines})
        }
        "notification" => json!({
            "id": id, "event": event, "event_name": "pointsIssued", "org": choices.number(), "rule": {"template": "points", "index": 3},
            "template_version": "0123456789abcdef", "category": "transactional", "subject": subject(), "role": "customer",
            "channels": ["email", "sms"], "items": ["data.coupons.3"], "event_at": choices.number(), "planned_at": 1, "not_before": 2,
            "contact_deadline": 3, "expires_at": i64::MAX, "live_from": 0, "attempts": choices.byte(), "attempts_before": choices.byte(),
            "brake_released": choices.one_in(2), "refused_by": "smtp", "freed_by": null,
            "sent_as": {"provider": "sms", "sender": "ACMEIN", "segments": 3}, "state": state(choices),
        }),
        "standing" => json!({
            "channels": ["sms"], "attempts": choices.byte(), "attempts_before": choices.byte(), "brake_released": choices.one_in(2),
            "refused_by": null, "freed_by": "smtp", "sent_as": {"provider": "sms", "sender": "ACMEIN"}, "state": state(choices),
        }),
        "timeline" => {
            let lines: Vec<Value> = (0..=choices.below(3)).map(|_| line(choices)).collect();
            if lines.len() == 1 { lines[0].clone() } else { lines.into() }
        }
        "outcome" => json!({
            "at": choices.number(), "notification": id, "event": event, "org": choices.number(), "template": "points", "channel": "email",
            "outcome": choices.pick(&["sent", "ambiguous", "dead_letter", "waiting", "expired", "cancelled", "suppressed"]),
            "reason": "paused", "code": "550 5.1.1", "bad_address": choices.one_in(2), "provider": "smtp", "sender": "a@b.example", "segments": 2,
        }),
        "place" => json!({"time": choices.number(), "number": choices.word()}),
        _ => json!(choices.word()),
    };
    let body = match kind {
        "delivery" | "quarantined" => choices.some(64).to_vec(),
        "event" => json!({
            "v": 1, "key": event, "name": "pointsIssued", "event_id": "e-1", "org": choices.number(), "created_at": choices.number(), "shape": "flat",
            "data": {"amount": f64::from_bits(choices.word()), "points": choices.number(), "list": [null, true, choices.text(&["a"])]},
            "people": [{"role": "customer", "subject": subject(), "place": "data", "is_default": true}], "nobody": "group",
        })
        .to_string()
        .into_bytes(),
        _ => Vec::new(),
    };
    (header, body)
}

fn subject() -> Value {
    json!({"aliases": [{"kind": "customer_id", "hash": KeyedHash([3; 16])}], "customer_id": "381003288", "external_id": "GT0042"})
}

fn state(choices: &mut Choices<'_>) -> Value {
    let states = [
        json!({"state": "waiting", "reason": "ambiguous_hold", "due_at": choices.number()}),
        json!({"state": "attempting", "channel": "email", "provider": "smtp", "since": 5}),
        json!({"state": "sent", "channel": "sms", "provider": "sms", "at": 5, "provider_ref": "r-1"}),
        json!({"state": "suppressed", "reason": "not_in_pilot", "at": 5}),
        json!({"state": "expired", "at": 5}),
        json!({"state": "dead_letter", "reason": {"reason": "missing_value", "field": "event.data.x"}, "at": 5}),
        json!({"state": "dead_letter", "reason": {"reason": "no_address"}, "at": 5}),
        json!({"state": "cancelled", "at": 5}),
    ];
    states[choices.below(states.len())].clone()
}

fn line(choices: &mut Choices<'_>) -> Value {
    let lines = [
        json!({"what": "received", "source": "main"}),
        json!({"what": "duplicate", "source": "main", "copies": choices.word(), "last": 9}),
        json!({"what": "aliases_learned", "linked": 2}),
        json!({"what": "personal_values_stripped", "count": choices.word()}),
        json!({"what": "no_recipient", "why": "group"}),
        json!({"what": "no_rule_matched"}),
        json!({"what": "rule_faulted", "rule": {"template": "points", "index": 0}, "detail": "takes more than 200000 steps"}),
        json!({"what": "planned", "rule": {"template": "points", "index": 0}, "channels": ["email"], "due_at": choices.number()}),
        json!({"what": "waiting", "reason": "brake", "until": choices.number()}),
        json!({"what": "woken"}),
        json!({"what": "released", "by": "asha"}),
        json!({"what": "attempt", "number": 3, "channel": "sms", "provider": "sms", "template_version": "0123456789abcdef"}),
        json!({"what": "sent", "channel": "sms", "provider": "sms", "code": "200"}),
        json!({"what": "transient", "code": "450"}),
        json!({"what": "permanent", "code": "550 5.1.1", "bad_address": true}),
        json!({"what": "misconfigured", "code": "535"}),
        json!({"what": "ambiguous", "code": "after_final_dot_timeout"}),
        json!({"what": "suppressed", "reason": "erased"}),
        json!({"what": "expired"}),
        json!({"what": "dead_letter", "reason": "refused", "code": "550"}),
        json!({"what": "dead_letter", "reason": "stumbled"}),
        json!({"what": "cancelled", "by": "asha"}),
        json!({"what": "requeued", "by": "asha"}),
        json!({"what": "erased"}),
        json!({"what": "erasure_requested"}),
    ];
    let mut line = lines[choices.below(lines.len())].clone();
    line["at"] = choices.number().into();
    if choices.one_in(2) {
        line["notification"] = json!(NotificationId([7; 16]));
    }
    line
}
