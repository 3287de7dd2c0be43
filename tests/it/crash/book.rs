//! The harness's own book: what was delivered, what was acknowledged, and what must come of it.
//!
//! Promises: written only from what a sender saw; an event's number alone says who it is about and what they must be told.
//! Never: a look at the relay.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::support::customer_added;

/// Who an event is about. Each person has one event, so that a message is known by whom it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Has a mailbox and a phone.
    Usual,
    /// The mail server knows no such mailbox.
    NoMailbox,
    /// Has no phone.
    NoMobile,
    /// Is not in the vault until the last crash is over.
    Stranger,
    /// Nobody: the body cannot be decoded.
    Garbage,
}

impl Kind {
    pub fn of(n: u32) -> Self {
        match n % 10 {
            3 => Self::NoMailbox,
            5 => Self::NoMobile,
            7 => Self::Stranger,
            9 => Self::Garbage,
            _ => Self::Usual,
        }
    }
}

pub fn event_id(n: u32) -> String {
    format!("crash-{n}")
}

pub fn mailbox(n: u32) -> String {
    format!("person{n}@example.com")
}

pub fn mobile(n: u32) -> String {
    format!("+9199000{n:05}")
}

pub fn body(n: u32) -> String {
    match Kind::of(n) {
        Kind::Garbage => format!("{{\"event\": {n}, "),
        _ => customer_added(&event_id(n), n).to_string(),
    }
}

/// Everybody who is a stranger, or everybody who is not. Known by one identifier only: events teach the other one.
pub fn people(count: u32, strangers: bool) -> String {
    let mut csv = String::from("customer_id,first_name,last_name,email,mobile\n");
    for n in (0..count).filter(|n| Kind::of(*n) != Kind::Garbage && (Kind::of(*n) == Kind::Stranger) == strangers) {
        let mobile = if Kind::of(n) == Kind::NoMobile { String::new() } else { mobile(n) };
        csv.push_str(&format!("{},Givenname{n},Familyname{n},{},{mobile}\n", 900_000 + n, mailbox(n)));
    }
    csv
}

/// How often an event was delivered.
#[derive(Clone, Copy, Default)]
pub struct Entry {
    /// Answered 200.
    pub acknowledged: u32,
    /// The connection broke, and nobody knows.
    pub unsure: u32,
}

#[derive(Default)]
pub struct Book {
    next: AtomicU32,
    entries: Mutex<BTreeMap<u32, Entry>>,
    /// To be delivered again until they are acknowledged, as Capillary does.
    owed: Mutex<Vec<u32>>,
}

impl Book {
    /// What a sender delivers next: what is owed, else now and then what was acknowledged long ago, else something new.
    pub fn choose(&self, chance: &mut fastrand::Rng) -> u32 {
        if let Some(n) = self.owed.lock().expect("nobody panics").pop() {
            return n;
        }
        let newest = self.next.load(Ordering::SeqCst);
        if newest > 0 && chance.u8(..3) == 0 { chance.u32(..newest) } else { self.fresh() }
    }

    pub fn fresh(&self) -> u32 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    pub fn acknowledge(&self, n: u32) {
        self.lock().entry(n).or_default().acknowledged += 1;
    }

    /// It may have been received.
    pub fn doubt(&self, n: u32) {
        self.lock().entry(n).or_default().unsure += 1;
        self.owe(n);
    }

    /// It was not delivered.
    pub fn owe(&self, n: u32) {
        self.owed.lock().expect("nobody panics").push(n);
    }

    /// What must still be delivered.
    pub fn owed(&self) -> Vec<u32> {
        std::mem::take(&mut *self.owed.lock().expect("nobody panics"))
    }

    pub fn entries(&self) -> BTreeMap<u32, Entry> {
        self.lock().clone()
    }

    /// Deliveries that were answered 200.
    pub fn acknowledgements(&self) -> u64 {
        self.lock().values().map(|entry| u64::from(entry.acknowledged)).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Entry>> {
        self.entries.lock().expect("nobody panics")
    }
}
