//! Names that were found to lead nowhere, and whether that still holds: an import looks ahead while others write.
//!
//! Promises: constant memory; a name counts as absent only if no batch has written it since it was looked up; two names in one slot
//! cost a second look, never a wrong answer.
//! Never: a lock, a read of the store.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::KeyedHash;

/// 512 KiB.
const SLOTS: usize = 1 << 16;

/// How many batches had been written at a look.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Since(u64);

/// Which batch was the last to write a name.
pub(super) struct LastWritten {
    slots: Vec<AtomicU64>,
    batches: AtomicU64,
}

impl LastWritten {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), batches: AtomicU64::new(0) }
    }

    /// Take it before looking.
    pub(super) fn now(&self) -> Since {
        Since(self.batches.load(Ordering::SeqCst))
    }

    /// True if the name is as it was found.
    pub(super) fn is_untouched(&self, name: KeyedHash, since: Since) -> bool {
        self.slot(name).load(Ordering::SeqCst) <= since.0
    }

    /// The batch that is being made writes this name. Call it before the batch can be read, as the one writer there is.
    pub(super) fn touch(&self, name: KeyedHash) {
        self.slot(name).store(self.batches.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    }

    /// The batch can be read, or never will be.
    pub(super) fn applied(&self) {
        self.batches.fetch_add(1, Ordering::SeqCst);
    }

    fn slot(&self, name: KeyedHash) -> &AtomicU64 {
        &self.slots[usize::from(u16::from_be_bytes([name.0[0], name.0[1]]))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_holds_until_a_batch_writes_the_name_whether_it_was_seen_half_way_or_not() {
        let (name, other) = (KeyedHash([7; 16]), KeyedHash([8; 16]));
        let written = LastWritten::new();
        let before = written.now();
        assert!(written.is_untouched(name, before));
        written.touch(name);
        assert!(!written.is_untouched(name, before), "it may be readable at any moment");
        let amid = written.now();
        assert!(!written.is_untouched(name, amid), "the look may have come before the batch was readable");
        written.applied();
        assert!(!written.is_untouched(name, before) && !written.is_untouched(name, amid));
        assert!(written.is_untouched(name, written.now()), "whoever looks now sees the batch");
        assert!(written.is_untouched(other, before), "nobody wrote that one");
    }
}
