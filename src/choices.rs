//! Bytes as a row of decisions: how a fuzzer that knows only bytes makes bodies, templates and files.
//!
//! Promises: the same bytes, the same decisions; bytes that have run out decide for the first of the choices, so that every case ends; a
//! changed byte changes one decision and, most often, leaves those after it as they were (so a mutation stays near what it came from).
//! Never: more decisions than bytes but for those firsts; a panic.

use serde_json::Value;

use crate::id::{KeyedHash, KeyedHasher};

/// A keyed hash good enough to tell things apart: different parts, different hash. Guards nothing.
pub(crate) struct WeakHasher;

impl KeyedHasher for WeakHasher {
    fn keyed_hash(&self, domain: &str, parts: &[&[u8]]) -> KeyedHash {
        let mut state = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
        let mut eat = |bytes: &[u8]| {
            for byte in bytes.len().to_be_bytes().iter().chain(bytes) {
                state = (state ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
            }
        };
        eat(domain.as_bytes());
        parts.iter().for_each(|part| eat(part));
        KeyedHash(state.to_be_bytes())
    }
}

/// Decisions that are left.
pub(crate) struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    /// All of them.
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// True when every further decision is for the first.
    pub(crate) fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// One of `0..count`; 0 where there is nothing to choose.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        match count {
            0 | 1 => 0,
            2..=256 => usize::from(self.byte()) % count,
            _ => self.word() as usize % count,
        }
    }

    /// True once in `count` times.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| (word << 8) | u64::from(self.byte()))
    }

    /// A number as people and machines break things with: small, at a border, or any.
    pub(crate) fn number(&mut self) -> i64 {
        const BORDERS: [i64; 12] = [
            i64::MIN,
            i64::MAX,
            i64::MIN + 1,
            i64::MAX - 1,
            (1 << 53) + 1,
            -(1 << 53) - 1,
            1 << 31,
            -1,
            10_000_000_000,
            919_812_345_678,
            1_798_920_664_080,
            253_402_300_800_000,
        ];
        match self.below(4) {
            0 => i64::from(self.byte()),
            1 => self.pick(&BORDERS),
            2 => i64::from(self.byte()) - 128,
            _ => self.word() as i64,
        }
    }

    /// Up to `most` bytes, as they are.
    pub(crate) fn some(&mut self, most: usize) -> &'b [u8] {
        let length = self.below(most + 1).min(self.bytes.len());
        let (some, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        some
    }

    /// A short text: a word from `words`, characters that mean something somewhere, or bytes made into characters.
    pub(crate) fn text(&mut self, words: &[&str]) -> String {
        const ODD: [&str; 24] = [
            " ",
            "\t",
            "\n",
            "\r",
            "\r\n",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{2028}",
            "\u{feff}",
            "\u{202e}",
            "\"",
            "'",
            "\\",
            "<",
            ">",
            "&",
            ",",
            ";",
            "{{",
            "}}",
            "é",
            "\u{1f600}",
        ];
        let mut text = String::new();
        for _ in 0..=self.below(4) {
            match self.below(4) {
                0 if !words.is_empty() => text.push_str(self.pick(words)),
                1 => text.push_str(self.pick(&ODD)),
                _ => text.push_str(&String::from_utf8_lossy(self.some(12))),
            }
        }
        text
    }

    /// Changes a place or two of a JSON value: what another release, or a broken disk under a key that fits, might have left there.
    pub(crate) fn bend(&mut self, value: &mut Value) {
        for _ in 0..=self.below(3) {
            self.bend_within(value);
        }
    }

    fn bend_within(&mut self, value: &mut Value) {
        let members = match value {
            Value::Object(map) => map.len(),
            Value::Array(items) => items.len(),
            _ => 0,
        };
        if members == 0 || self.one_in(4) {
            return self.bend_here(value);
        }
        let nth = self.below(members);
        match value {
            Value::Object(map) => map.values_mut().nth(nth).into_iter().for_each(|member| self.bend_within(member)),
            Value::Array(items) => self.bend_within(&mut items[nth]),
            _ => {}
        }
    }

    fn bend_here(&mut self, value: &mut Value) {
        match (self.below(8), &mut *value) {
            (0, Value::Object(map)) => {
                drop(map.insert(self.text(&["later", "v", "state", "reason"]), self.number().into()))
            }
            (1, Value::Object(map)) => {
                let nth = self.below(map.len());
                let key = map.keys().nth(nth).cloned().unwrap_or_default();
                map.remove(&key);
            }
            (0, Value::Array(items)) => items.push(Value::Null),
            (1, Value::Array(items)) => drop(items.pop()),
            (2, other) => *other = Value::Null,
            (3, other) => *other = self.number().into(),
            (4, other) => *other = f64::from_bits(self.word()).into(),
            (5, other) => *other = Value::Array(vec![other.take()]),
            (6, other) => *other = self.one_in(2).into(),
            (_, other) => *other = self.text(&["sent", "waiting", "email", "sms", "paused", "0", "a/1"]).into(),
        }
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_decide_the_same_and_none_decide_for_the_first() {
        let all = |bytes: &[u8]| {
            let mut of = Choices::new(bytes);
            (of.below(3), of.one_in(2), of.pick(&["a", "b"]), of.number(), of.text(&["w"]), of.some(300).to_vec())
        };
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(all(&bytes), all(&bytes));
        assert_eq!(all(&[]), (0, false, "a", 0, "w".to_owned(), Vec::new()));
        assert!(Choices::new(&[]).is_over());
    }
}
