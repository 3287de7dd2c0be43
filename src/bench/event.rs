//! The events a bench posts: as large as Capillary's, about made-up customers, each one new.
//!
//! Promises: no two events of a bench share an id, so none is taken for a repetition.
//! Never: a field that the shipped templates do not find in real events.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::clock::Clock;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One mail.
    Mail,
    /// One text message.
    Text,
    /// Nothing: no rule asks for it.
    Ignored,
}

/// A source of events.
pub(super) struct Events {
    /// The texts between the holes.
    pieces: Vec<String>,
    name: &'static str,
    contacts: u64,
    next: AtomicU64,
}

/// The first customer's id at Capillary.
pub(super) const FIRST_CUSTOMER: u64 = 500_000_000;

impl Events {
    /// Events of a kind about `contacts` customers in turn.
    pub(super) fn new(kind: Kind, contacts: u32) -> Self {
        let name = match kind {
            Kind::Mail => "pointsIssued",
            Kind::Text => "pointsRedeemed",
            Kind::Ignored => "tierDowngraded",
        };
        let text = include_str!("event.json")
            .replace("@name", name)
            .replace("@at", &Clock::system().now().as_millis().to_string());
        let pieces = text.split("@id").flat_map(|part| [part.to_owned()]).collect();
        Self { pieces, name, contacts: u64::from(contacts.max(1)), next: AtomicU64::new(0) }
    }

    /// The next event's body.
    pub(super) fn next(&self) -> Bytes {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (id, customer) = (format!("bench-{}-{number}", self.name), FIRST_CUSTOMER + number % self.contacts);
        let mut body = String::with_capacity(2_200);
        for (place, piece) in self.pieces.iter().enumerate() {
            if place > 0 {
                body.push_str(&id);
            }
            body.push_str(piece);
        }
        Bytes::from(body.replace("@customer", &customer.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn events_are_whole_and_no_two_are_the_same() {
        let events = Events::new(Kind::Mail, 3);
        let mut ids = BTreeSet::new();
        for number in 0..10 {
            let body = events.next();
            assert!((1_700..2_200).contains(&body.len()), "{} bytes", body.len());
            let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(event["data"]["customerIdentifiers"]["customerId"], FIRST_CUSTOMER + number % 3);
            ids.insert(event["eventId"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids.len(), 10);
    }
}
