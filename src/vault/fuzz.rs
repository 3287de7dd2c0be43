//! What the vault's stored records are held to, and bodies of contacts: the target `vault_records`.
//!
//! Promises: as for the ledger's. Each reads as a value that is written as it was read, or is refused; a refusal has nothing of it.
//! Never: a store on a disk; a person who is not made up.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::json::{ContactJson, contact_json};
use super::{VaultError, record};
use crate::choices::Choices;
use crate::clock::Time;
use crate::id::KeyedHash;

type Again = fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError>;

const KINDS: [(&str, Again); 4] = [
    ("contact", |plain| record::write_contact(&record::read_contact(plain)?)),
    ("person", |plain| record::write_person(&record::read_person(plain)?)),
    ("link", |plain| record::read_link(plain).map(record::write_link)),
    ("time", |plain| record::read_time(plain).map(record::write_time)),
];

const CANARY: &str = "qanarya";

/// One record of any kind, or a body of a contact.
pub(crate) fn vault_records(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    if choices.one_in(4) {
        return body(&mut choices);
    }
    let (kind, again) = choices.pick(&KINDS);
    if choices.one_in(4) {
        return stays(again, choices.rest());
    }
    let mut value = match kind {
        "contact" => json!({
            "first_name": choices.text(&["Asha", CANARY]), "last_name": "Rao", "email": "asha@example.com", "mobile": "+919876501234",
            "locale": "en-IN", "time_zone": "Asia/Kolkata", "attributes": {"tier": "gold", choices.text(&["a"]): choices.text(&["b"])},
            "updated_at": choices.number(), "keep_until": choices.number(),
        }),
        "person" => json!({
            "namespace": "default",
            "aliases": [
                {"k": "customer_id", "h": KeyedHash([1; 16]), "t": choices.number(), "r": "381003288"},
                {"k": "mobile", "h": KeyedHash([2; 16]), "t": 1, "o": true},
            ],
            "marks": [{"channel": "email", "address": KeyedHash([3; 16]), "at": choices.number()}],
        }),
        _ => Value::Null,
    };
    let written = |value: &Value, tail: &[u8]| match value {
        Value::Null => [&[1], tail].concat(),
        value => [&[1], value.to_string().as_bytes()].concat(),
    };
    let tail = if kind == "link" { vec![7; 24] } else { choices.number().to_be_bytes().to_vec() };
    let whole = written(&value, &tail);
    let read = again(&whole).unwrap_or_else(|fault| panic!("{kind}, as it is written: {fault}"));
    assert!(again(&read).is_ok_and(|second| second == read), "{kind}: another record when it is read again");
    for version in [0, 2, 255] {
        let newer = [&[version], &whole[1..]].concat();
        assert!(matches!(again(&newer), Err(VaultError::Version(found)) if found == version));
    }
    let cut = choices.below(whole.len());
    assert!(again(&whole[..cut]).is_err(), "{kind}: a part of a record reads as one");
    if value.is_null() {
        assert!(again(&[&whole[..], &[0]].concat()).is_err(), "{kind}: more than a record reads as one");
    }
    choices.bend(&mut value);
    stays(again, &written(&value, choices.rest()));
}

fn stays(again: Again, plain: &[u8]) {
    match again(plain) {
        Ok(once) => {
            let twice = again(&once).unwrap_or_else(|fault| panic!("what was read cannot be read again: {fault}"));
            assert!(once == twice, "a record changes when it is written again");
        }
        Err(fault) => assert!(!format!("{fault} {fault:?}").contains(CANARY), "a fault has a value of the record"),
    }
}

/// A contact as the admin door takes it.
fn body(choices: &mut Choices<'_>) {
    let now = Time::from_millis(1_800_000_000_000);
    let text = if choices.one_in(4) {
        choices.rest().to_vec()
    } else {
        let mut body = json!({
            "external_id": "GT0042", "customer_id": choices.number(), "card": ["1001", 1002], "first_name": CANARY, "mobile": "+919876501234",
            "attributes": {"tier": "gold", "visits": 3, "vip": true}, "updated_at": "2026-01-31T08:00:00Z", "locale": "en-IN",
        });
        choices.bend(&mut body);
        body.to_string().into_bytes()
    };
    let (contact, aliases) = match ContactJson::parse(&text).and_then(|body| body.into_parts(now)) {
        Ok(parts) => parts,
        Err(fault) => {
            assert!(!format!("{fault} {fault:?}").contains(CANARY), "a fault has a value of the body");
            return;
        }
    };
    assert!(contact.updated_at <= now.plus(std::time::Duration::from_secs(24 * 3600)), "a time that wins for ever");
    let shown = contact_json(&contact).to_string();
    let again = ContactJson::parse(shown.as_bytes())
        .and_then(|body| body.into_parts(now))
        .unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(contact_json(&again.0).to_string(), shown, "another contact when it is given again");
    assert!(aliases.iter().all(|alias| alias.kind.is_unique()));
}
