//! Which identifiers of a file were seen before, and where.
//!
//! Promises: memory is bounded whatever the file holds; what is past the bound is not looked for, and says so.
//! Never: an identifier: it is hashed under a key that dies with the import.

use std::hash::{BuildHasher, RandomState};

/// Places for identifiers, 12 bytes each: at first, and at most.
const SLOTS: (usize, usize) = (1 << 10, 1 << 22);
/// Beyond this a table without gaps would be searched for ever longer.
const MOST: usize = SLOTS.1 / 8 * 7;

/// What was seen.
pub(super) struct Repeats {
    hasher: RandomState,
    /// 0 is an empty place.
    prints: Vec<u64>,
    lines: Vec<u32>,
    held: usize,
}

impl Repeats {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), prints: vec![0; SLOTS.0], lines: vec![0; SLOTS.0], held: 0 }
    }

    /// True once repeats are no longer looked for.
    pub(super) fn is_full(&self) -> bool {
        self.held >= MOST
    }

    /// The line on which this identifier stood last, if it did; notes that it stands on `line` now.
    pub(super) fn note(&mut self, kind: &str, value: &str, line: u64) -> Option<u64> {
        let print = self.hasher.hash_one((kind, value)).max(1);
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        if self.held >= self.prints.len() / 8 * 7 && self.prints.len() < SLOTS.1 {
            self.grow();
        }
        let at = place(&self.prints, print);
        let before = (self.prints[at] == print).then(|| u64::from(self.lines[at]));
        if before.is_none() {
            if self.is_full() {
                return None;
            }
            self.held += 1;
            self.prints[at] = print;
        }
        self.lines[at] = line;
        before
    }

    fn grow(&mut self) {
        let slots = self.prints.len() * 2;
        let prints = std::mem::replace(&mut self.prints, vec![0; slots]);
        let lines = std::mem::replace(&mut self.lines, vec![0; slots]);
        for (print, line) in prints.into_iter().zip(lines).filter(|(print, _)| *print != 0) {
            let at = place(&self.prints, print);
            (self.prints[at], self.lines[at]) = (print, line);
        }
    }
}

/// Where a print stands, or the empty place where it would. There is one: the table is never full.
fn place(prints: &[u64], print: u64) -> usize {
    let mask = prints.len() - 1;
    let mut at = (print >> 20) as usize & mask;
    while prints[at] != 0 && prints[at] != print {
        at = (at + 1) & mask;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_known_again_by_kind_and_value() {
        let mut repeats = Repeats::new();
        assert_eq!(repeats.note("card", "1", 2), None);
        assert_eq!(repeats.note("external_id", "1", 3), None);
        assert_eq!(repeats.note("card", "1", 7), Some(2));
        assert_eq!(repeats.note("card", "1", 9), Some(7));
    }

    #[test]
    fn what_is_past_the_bound_is_not_looked_for_and_nothing_hangs() {
        let mut repeats = Repeats::new();
        for n in 0..MOST as u64 + 10 {
            assert_eq!(repeats.note("card", &n.to_string(), n), None);
        }
        assert!(repeats.is_full());
        assert_eq!(repeats.note("card", "7", 1), Some(7), "what was seen before the bound is still known");
        assert_eq!(repeats.note("card", &(MOST + 5).to_string(), 1), None);
    }
}
