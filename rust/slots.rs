//! Word → count in memory: an open-addressing table whose keys lie inside the slots.
//!
//! A word costs one cache miss, not two: up to 23 bytes (seven Korean syllables and a space) stand in the slot
//! itself beside the count, 32 bytes together, two slots a cache line. Longer words stand in an arena and the
//! slot holds their hash, place and length. The last byte of the key tells the two apart: 1 to 23 is the length
//! of a short word, 255 marks a long one. A slot with count 0 is free.

use std::hint::black_box;

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::pages::Pages;

const SHORT: usize = 23;
const LONG: u64 = 0xFF << 56;
/// Grow past 5/8 full: linear probing stays short, and doubling is rare.
const FULL: (usize, usize) = (5, 8);

type Key = [u64; 3];

/// Aligned so that none lies across two cache lines.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(32))]
struct Slot {
    key: Key,
    count: u64,
}

/// Words that wait to be added. Slots are far apart and seldom in a cache: read one by one, each word would wait
/// for its own. The first loop of [`Slots::flush`] reads the slots of a whole batch, which do not depend on one
/// another, so the processor fetches them side by side; the second finds them near.
const BATCH: usize = 32;

/// Distinct words, each with how often it was added.
pub struct Slots {
    table: Pages<Slot>,
    used: usize,
    long: Vec<u8>,
    waiting: Vec<(Key, u64)>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { table: Pages::zeroed(1 << 12), used: 0, long: Vec::new(), waiting: Vec::with_capacity(BATCH) }
    }
}

impl Slots {
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

    /// The hash of the word `text[start..end]`: all of a pass but the memory.
    #[must_use]
    #[inline]
    pub fn hash(text: &[u8], start: usize, end: usize) -> u64 {
        if end - start <= SHORT { hash_short(&short_key(text, start, end)) } else { hash_long(&text[start..end]) }
    }

    /// Add 1 to the word `text[start..end]`, which is not empty, some time before [`Slots::flush`] returns.
    ///
    /// # Errors
    /// If a word's count passes 2^64 - 1.
    #[inline]
    pub fn push(&mut self, text: &[u8], start: usize, end: usize) -> Result<()> {
        if end - start > SHORT {
            return self.add_long(&text[start..end], 1);
        }
        let key = short_key(text, start, end);
        self.waiting.push((key, hash_short(&key)));
        if self.waiting.len() == BATCH { self.flush() } else { Ok(()) }
    }

    /// Add what was pushed.
    ///
    /// # Errors
    /// If a word's count passes 2^64 - 1.
    pub fn flush(&mut self) -> Result<()> {
        let table = &*self.table;
        let mask = table.len() - 1;
        let read = self.waiting.iter().fold(0, |read, (_, hash)| read ^ table[place(*hash, mask)].count);
        black_box(read);
        let mut waiting = std::mem::take(&mut self.waiting);
        let outcome = waiting.iter().try_for_each(|(key, hash)| self.add_key(*key, *hash, 1));
        waiting.clear();
        self.waiting = waiting;
        outcome
    }

    /// Add `count` to the word `text[start..end]`, which is not empty. Amortised O(length).
    ///
    /// # Errors
    /// If the word's count passes 2^64 - 1.
    #[inline]
    pub fn add(&mut self, text: &[u8], start: usize, end: usize, count: u64) -> Result<()> {
        if end - start <= SHORT {
            let key = short_key(text, start, end);
            let hash = hash_short(&key);
            self.add_key(key, hash, count)
        } else {
            self.add_long(&text[start..end], count)
        }
    }

    #[inline]
    fn add_key(&mut self, key: Key, hash: u64, count: u64) -> Result<()> {
        let table = &mut *self.table;
        let mask = table.len() - 1;
        let mut at = place(hash, mask);
        loop {
            let slot = &mut table[at];
            if slot.key == key && slot.count > 0 {
                slot.count = slot.count.checked_add(count).ok_or(Error::Overflow)?;
                return Ok(());
            }
            if slot.count == 0 {
                *slot = Slot { key, count };
                self.used += 1;
                self.grow_if_full();
                return Ok(());
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn add_long(&mut self, word: &[u8], count: u64) -> Result<()> {
        let hash = hash_long(word);
        let mask = self.table.len() - 1;
        let mut at = place(hash, mask);
        loop {
            let slot = self.table[at];
            if slot.count == 0 {
                let key = [hash, self.long.len() as u64, word.len() as u64 | LONG];
                self.long.extend_from_slice(word);
                self.table[at] = Slot { key, count };
                self.used += 1;
                self.grow_if_full();
                return Ok(());
            }
            if slot.key[0] == hash && is_long(&slot.key) && self.long_word(&slot.key) == word {
                let sum = slot.count.checked_add(count).ok_or(Error::Overflow)?;
                self.table[at].count = sum;
                return Ok(());
            }
            at = (at + 1) & mask;
        }
    }

    fn grow_if_full(&mut self) {
        if self.used * FULL.1 < self.table.len() * FULL.0 {
            return;
        }
        let mut larger: Pages<Slot> = Pages::zeroed(self.table.len() * 2);
        let mask = larger.len() - 1;
        let slots = &mut *larger;
        for slot in self.table.iter().filter(|slot| slot.count > 0) {
            let mut at = place(hash_of(&slot.key), mask);
            while slots[at].count > 0 {
                at = (at + 1) & mask;
            }
            slots[at] = *slot;
        }
        self.table = larger;
    }

    fn long_word(&self, key: &Key) -> &[u8] {
        let (from, length) = (to_usize(key[1]), to_usize(key[2] & !LONG));
        &self.long[from..from + length]
    }

    /// Each word whose hash falls in share `part` of `parts`, with its count, in no order.
    ///
    /// `parts` divides by the high half of the hash, `place` by the low one, so that a table filled from one
    /// share is still spread evenly.
    pub fn share(&self, part: usize, parts: usize) -> impl Iterator<Item = (Word<'_>, u64)> {
        self.table
            .iter()
            .filter(move |slot| slot.count > 0 && to_usize(hash_of(&slot.key) >> 33) % parts == part)
            .map(|slot| (self.word(&slot.key), slot.count))
    }

    fn word(&self, key: &Key) -> Word<'_> {
        if is_long(key) {
            return Word::Long(self.long_word(key));
        }
        let mut bytes = [0; 24];
        for (to, from) in bytes.chunks_exact_mut(8).zip(key) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        Word::Short(bytes)
    }
}

impl AsRef<str> for Word<'_> {
    /// The word as text; nothing where it was not added at character boundaries.
    fn as_ref(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

/// A word read back from a table: short words are unpacked from their slot.
#[derive(Clone, Copy)]
pub enum Word<'a> {
    /// 23 bytes, zero-padded, and the length.
    Short([u8; 24]),
    /// A place in the arena.
    Long(&'a [u8]),
}

impl Word<'_> {
    /// The word itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => &bytes[..bytes[SHORT] as usize],
            Self::Long(bytes) => bytes,
        }
    }
}

#[inline]
fn short_key(text: &[u8], start: usize, end: usize) -> Key {
    let length = end - start;
    let mut key = if let Some(window) = text.get(start..start + 24) {
        let mut key = [load(window, 0), load(window, 8), load(window, 16)];
        // Keep `length` bytes: whole words of eight, a part of one, none of the rest.
        for (index, word) in key.iter_mut().enumerate() {
            let keep = length.saturating_sub(index * 8).min(8);
            *word &= if keep == 0 { 0 } else { u64::MAX >> (64 - 8 * keep) };
        }
        key
    } else {
        let mut window = [0; 24];
        window[..length].copy_from_slice(&text[start..end]);
        [load(&window, 0), load(&window, 8), load(&window, 16)]
    };
    key[2] |= (length as u64) << 56;
    key
}

#[inline]
fn load(window: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&window[at..at + 8]);
    u64::from_le_bytes(bytes)
}

fn is_long(key: &Key) -> bool {
    key[2] & LONG == LONG
}

fn hash_of(key: &Key) -> u64 {
    if is_long(key) { key[0] } else { hash_short(key) }
}

#[inline]
fn hash_short(key: &Key) -> u64 {
    mix(mix(key[0] ^ 0x9E37_79B9_7F4A_7C15, key[1] ^ 0xD1B5_4A32_D192_ED03), key[2] ^ 0x8CB9_2BA7_2F3D_8DD7)
}

fn hash_long(word: &[u8]) -> u64 {
    let mut hash = word.len() as u64;
    for eight in word.chunks(8) {
        let mut window = [0; 8];
        window[..eight.len()].copy_from_slice(eight);
        hash = mix(hash ^ 0x9E37_79B9_7F4A_7C15, u64::from_le_bytes(window) ^ 0xD1B5_4A32_D192_ED03);
    }
    hash
}

/// The two halves of a 128-bit product, folded: every input bit reaches every output bit.
#[allow(clippy::cast_possible_truncation)]
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn place(hash: u64, mask: usize) -> usize {
    to_usize(hash) & mask
}

/// Targets are 64-bit; `python.rs` does not build elsewhere (a table of more than 2^32 bytes would not fit).
#[allow(clippy::cast_possible_truncation)]
#[inline]
fn to_usize(value: u64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn counts_as_a_hash_map_does(words in prop::collection::vec("[a-c가\0]{1,40}", 1..300), parts in 1usize..4) {
            let text = words.concat();
            let mut slots = Slots::default();
            let mut expected: HashMap<Vec<u8>, u64> = HashMap::new();
            let mut at = 0;
            for word in &words {
                slots.add(text.as_bytes(), at, at + word.len(), 3).unwrap();
                slots.push(text.as_bytes(), at, at + word.len()).unwrap();
                *expected.entry(word.as_bytes().to_vec()).or_default() += 4;
                at += word.len();
            }
            slots.flush().unwrap();
            let mut found = HashMap::new();
            for part in 0..parts {
                for (word, count) in slots.share(part, parts) {
                    prop_assert!(found.insert(word.bytes().to_vec(), count).is_none());
                }
            }
            prop_assert_eq!(slots.len(), expected.len());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn grows_and_refuses_overflow() {
        let mut slots = Slots::default();
        for number in 0..100_000 {
            let word = format!("{number}");
            slots.add(word.as_bytes(), 0, word.len(), 1).unwrap();
        }
        assert_eq!(slots.len(), 100_000);
        assert!(slots.add(b"7", 0, 1, u64::MAX).is_err());
        assert!(!slots.is_empty());
    }
}
