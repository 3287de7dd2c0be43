//! Sets of aliases that were lately found to teach nothing: every event repeats the names of its person.
//!
//! Promises: constant memory; a set counts as known only while no alias has moved since it was looked up.
//! Never: a lock, a read of the store.

use std::sync::atomic::{AtomicU64, Ordering};

use super::link::Name;

/// 512 KiB of prints.
const SLOTS: usize = 1 << 16;

pub(super) struct KnownSets {
    slots: Vec<AtomicU64>,
    generation: AtomicU64,
}

impl KnownSets {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), generation: AtomicU64::new(1) }
    }

    /// Take it before looking the set up: it holds the generation.
    pub(super) fn print(&self, names: &[Name]) -> u64 {
        // The hashes are HMACs: mixing them by multiplication is enough, nobody can aim at a collision.
        let generation = self.generation.load(Ordering::SeqCst);
        names.iter().fold(generation.wrapping_mul(0x9e37_79b9_7f4a_7c15), |print, name| {
            let (high, low) = u128_halves(name.alias.hash.0);
            (print.rotate_left(23) ^ high).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ low
        }) | 1
    }

    pub(super) fn contains(&self, print: u64) -> bool {
        self.slot(print).load(Ordering::SeqCst) == print
    }

    pub(super) fn insert(&self, print: u64) {
        self.slot(print).store(print, Ordering::SeqCst);
    }

    /// Some alias leads elsewhere now. Call it after the change is visible.
    pub(super) fn forget(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn slot(&self, print: u64) -> &AtomicU64 {
        // The low bit is always set, and the top bits are the best mixed.
        &self.slots[(print >> 48) as usize % SLOTS]
    }
}

fn u128_halves(bytes: [u8; 16]) -> (u64, u64) {
    let value = u128::from_be_bytes(bytes);
    ((value >> 64) as u64, value as u64)
}
