//! Whom a rule writes to: the people of an event, each once.
//!
//! Promises: somebody named several times (two coupons in one event) is one recipient with several items; the order is the
//! event's own.
//! Never: a person told apart by anything but keyed hashes.

use std::collections::HashMap;

use super::Recipients;
use crate::event::{Alias, Event, Person, Role, Subject};

/// Somebody a rule writes to.
pub(super) struct Recipient<'e> {
    pub(super) key: Key,
    pub(super) subject: &'e Subject,
    pub(super) role: Role,
    /// Places of the list elements that name them.
    pub(super) items: Vec<&'e str>,
}

/// Tells people of one event apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// By their strongest alias.
    Alias(Alias),
    /// By their position, where the event gives no identifier at all.
    Nameless(usize),
}

/// The people that `wanted` means.
pub(super) fn of<'e>(wanted: &Recipients, event: &'e Event) -> Vec<Recipient<'e>> {
    let mut found: Vec<Recipient<'e>> = Vec::new();
    let mut known: HashMap<Key, usize> = HashMap::new();
    for (position, person) in event.people.iter().enumerate().filter(|(_, person)| is_meant(wanted, person)) {
        let key = person.subject.aliases.first().map_or(Key::Nameless(position), |alias| Key::Alias(*alias));
        let item = is_element(&person.place).then_some(person.place.as_str());
        match known.get(&key).and_then(|index| found.get_mut(*index)) {
            Some(before) => {
                before.items.extend(item);
                // One copy may name more identifiers than another; the vault can use each of them.
                if person.subject.aliases.len() > before.subject.aliases.len() {
                    before.subject = &person.subject;
                }
            }
            None => {
                known.insert(key, found.len());
                found.push(Recipient {
                    key,
                    subject: &person.subject,
                    role: person.role,
                    items: item.into_iter().collect(),
                });
            }
        }
    }
    found
}

fn is_meant(wanted: &Recipients, person: &Person) -> bool {
    match wanted {
        Recipients::Default => person.is_default,
        Recipients::Role(role) => person.role == *role,
        Recipients::Each(path) => {
            person.place.rsplit_once('.').is_some_and(|(list, _)| list == path) && is_element(&person.place)
        }
    }
}

/// True for a place that is a position in a list: `data.coupons.3`.
fn is_element(place: &str) -> bool {
    place.rsplit_once('.').is_some_and(|(_, last)| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}
