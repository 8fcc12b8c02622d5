//! Word → count in memory: an open-addressing table whose keys lie inside the slots.
//!
//! A word costs one cache miss, not two: up to 23 bytes stand in the slot itself beside the count, 32 bytes
//! together, two slots a cache line. Longer words stand in an arena. A slot with count 0 is free.

use bytemuck::{Pod, Zeroable};

use crate::counting::keys::{Key, Word, hash_of, hash_short, is_long, long_key, long_word, same, to_usize, word};
use crate::counting::pages::{Pages, fetch};

/// Grow past 5/8 full: linear probing stays short, and doubling is rare.
const FULL: (usize, usize) = (5, 8);

/// A word and its count. Aligned so that none lies across two cache lines.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(32))]
pub struct Slot {
    /// The word.
    pub key: Key,
    /// How often it was seen.
    pub count: u64,
}

impl Slot {
    /// No word.
    pub const NONE: Self = Self { key: [0; 3], count: 0 };
}

/// Words that are added together. Slots are far apart and seldom in a cache: read one by one, each word would wait
/// for its own, so [`Slots::add_all`] asks for each [`AHEAD`] words before it is its turn.
pub const BATCH: usize = 128;
/// Words between asking for a slot and needing it: as many as a processor fetches side by side.
const AHEAD: usize = 24;

/// Distinct words, each with how often it was added.
pub struct Slots {
    table: Pages<Slot>,
    used: usize,
    long: Vec<u8>,
}

impl Slots {
    /// A table of `slots` slots at first, a power of two.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { table: Pages::zeroed(slots), used: 0, long: Vec::new() }
    }

    /// How many distinct words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether no word was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Bytes of memory that the words take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.table.len() * size_of::<Slot>() + self.long.capacity()
    }

    /// Bytes of memory that the words will take soon: twice as many where the table is nearly full.
    #[must_use]
    pub fn memory_soon(&self) -> usize {
        if self.used * FULL.1 * 10 > self.table.len() * FULL.0 * 9 { self.memory() * 2 } else { self.memory() }
    }

    /// Add short words, at most [`BATCH`] of them, each with its count; `false` if a count passes 2^64 - 1.
    #[inline]
    pub fn add_all(&mut self, words: &[Slot]) -> bool {
        self.grow_for(words.len());
        // Few words are not worth it: most of the table may stay as it is.
        if self.used == 0 && words.len() == BATCH {
            self.table.populate();
        }
        let mask = self.table.len() - 1;
        let mut hashes = [0; BATCH];
        for (hash, word) in hashes.iter_mut().zip(words) {
            *hash = hash_short(&word.key);
        }
        for hash in hashes.iter().take(AHEAD) {
            fetch(&self.table[place(*hash, mask)]);
        }
        let mut fits = true;
        for (at, (word, hash)) in words.iter().zip(hashes).enumerate() {
            if let Some(soon) = hashes.get(at + AHEAD) {
                fetch(&self.table[place(*soon, mask)]);
            }
            fits &= self.add_short(&word.key, hash, word.count);
        }
        fits
    }

    /// There is room for it.
    #[inline]
    fn add_short(&mut self, key: &Key, hash: u64, count: u64) -> bool {
        let table = &mut *self.table;
        let mask = table.len() - 1;
        let mut at = place(hash, mask);
        loop {
            let slot = &mut table[at];
            if slot.count > 0 && same(&slot.key, key) {
                let (sum, over) = slot.count.overflowing_add(count);
                slot.count = sum;
                return !over;
            }
            if slot.count == 0 {
                *slot = Slot { key: *key, count };
                self.used += 1;
                return true;
            }
            at = (at + 1) & mask;
        }
    }

    /// Ask for the slot of a word of this hash.
    #[inline]
    pub fn fetch(&self, hash: u64) {
        fetch(&self.table[place(hash, self.table.len() - 1)]);
    }

    /// Add a word of more than 23 bytes, with its [`hash_long`](crate::counting::keys::hash_long); `false` if its count
    /// passes 2^64 - 1.
    #[cold]
    pub fn add_long(&mut self, word: &[u8], hash: u64, count: u64) -> bool {
        self.grow_for(1);
        let mask = self.table.len() - 1;
        let mut at = place(hash, mask);
        loop {
            let slot = self.table[at];
            if slot.count == 0 {
                self.table[at] = Slot { key: long_key(hash, self.long.len(), word.len()), count };
                self.long.extend_from_slice(word);
                self.used += 1;
                return true;
            }
            if slot.key[0] == hash && is_long(&slot.key) && long_word(&slot.key, &self.long) == word {
                let (sum, over) = slot.count.overflowing_add(count);
                self.table[at].count = sum;
                return !over;
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn grow_for(&mut self, more: usize) {
        while (self.used + more) * FULL.1 > self.table.len() * FULL.0 {
            self.grow();
        }
    }

    /// Double the table where it lies. Words are taken out and put where they belong now, those behind a free slot first
    /// and then in order: of the slots up to its old one, or as far behind the old end, one is free for each then, and
    /// what it passes stays.
    #[cold]
    fn grow(&mut self) {
        let old = self.table.len();
        self.table.double();
        self.table.populate();
        let (table, mask) = (&mut *self.table, old * 2 - 1);
        let free = table[..old].iter().position(|slot| slot.count == 0).unwrap_or(0);
        for from in (free..old).chain(0..free) {
            let slot = std::mem::replace(&mut table[from], Slot::NONE);
            if slot.count > 0 {
                let mut at = place(hash_of(&slot.key), mask);
                while table[at].count > 0 {
                    at = (at + 1) & mask;
                }
                table[at] = slot;
            }
        }
    }

    /// Each word with its hash and count, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Word<'_>, u64)> {
        let full = self.table.iter().filter(|slot| slot.count > 0);
        full.map(|slot| (hash_of(&slot.key), word(&slot.key, &self.long), slot.count))
    }
}

#[inline]
fn place(hash: u64, mask: usize) -> usize {
    to_usize(hash) & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counting::keys::{hash_long, short_key};
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn check(words: &[&[u8]]) {
        let mut slots = Slots::new(4);
        let mut expected: HashMap<&[u8], u64> = HashMap::new();
        // Each again when the table has grown.
        for word in words.iter().chain(words) {
            let added = match word.len() {
                ..5 => {
                    slots.add_all(&[Slot { key: short_key(&[word, &[0; 32][..]].concat(), 0, word.len()), count: 2 }])
                }
                _ => slots.add_long(word, hash_long(word), 2),
            };
            assert!(added);
            *expected.entry(word).or_default() += 2;
        }
        let found: Vec<_> = slots.iter().map(|(_, word, count)| (word.bytes().to_vec(), count)).collect();
        assert_eq!((slots.len(), found.len()), (expected.len(), expected.len()));
        assert!(found.iter().all(|(word, count)| expected[word.as_slice()] == *count));
    }

    proptest! {
        #[test]
        fn counts_as_a_hash_map_does_while_it_grows(words in prop::collection::vec("[a-f]{1,4}|[ab]{24,26}", 1..600)) {
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            check(&words);
            // Small tables, whose ends many words are at.
            words.chunks(9).for_each(check);
        }
    }
}
