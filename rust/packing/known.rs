//! The words that a thread encoded not long ago, each with its ids: of a fixed size, so that no text is too long for it.
//!
//! A word of up to 23 bytes (see [`crate::counting::keys`]) and up to 19 ids of two bytes, or 9 of four, is one cache
//! line, and two such lines share a place. A new word takes the second, which makes way; seen again there, the two
//! change places: so a word that comes once does not drive out one that comes often.

use std::hint::black_box;

use bytemuck::{Pod, cast_slice, cast_slice_mut};

use crate::counting::keys::{Key, same, to_usize};
use crate::counting::pages::Pages;

// How many ids a line holds is written where the last of them would be.
const _: () = assert!(cfg!(target_endian = "little"), "kovocab is for little-endian processors");

/// Numbers of 64 bits in a line: three are the word, five hold its ids and, last of all, how many they are.
const LINE: usize = 8;
const WORD: usize = 3;
const REST: usize = LINE - WORD;

/// A token id as it is written to a file.
pub trait Id: Pod + Send + Sync + Default {
    /// The id, which is at most [`Id::MOST`].
    fn of(id: u32) -> Self;
    /// The highest id that can be written.
    const MOST: u32;
    /// Ids that a line can hold: the last takes the number of them.
    const ROOM: usize = REST * 8 / size_of::<Self>() - 1;
    /// The id as a number.
    fn number(self) -> u32;
}

impl Id for u16 {
    const MOST: u32 = Self::MAX as u32;

    #[allow(clippy::cast_possible_truncation)]
    #[inline]
    fn of(id: u32) -> Self {
        id as Self
    }

    #[inline]
    fn number(self) -> u32 {
        self.into()
    }
}

impl Id for u32 {
    const MOST: u32 = Self::MAX;

    #[inline]
    fn of(id: u32) -> Self {
        id
    }

    #[inline]
    fn number(self) -> u32 {
        self
    }
}

/// Words with their ids.
pub struct Known {
    places: Pages<Place>,
}

/// Two lines.
type Place = [u64; 2 * LINE];

impl Known {
    /// What takes at most so many bytes, of which the system gives only those that are used.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { places: Pages::zeroed(1 << (bytes / size_of::<Place>()).max(1).ilog2()) }
    }

    /// The words, to be looked up.
    #[inline]
    pub fn lines(&mut self) -> Lines<'_> {
        Lines { places: &mut self.places }
    }
}

/// [`Known`], at hand: where it is in memory need not be asked for each word.
pub struct Lines<'a> {
    places: &'a mut [Place],
}

impl Lines<'_> {
    /// There is a power of two of them.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        to_usize(hash) & (self.places.len() - 1)
    }

    /// Fetch the places of words into the processor's cache, all side by side.
    #[inline]
    pub fn fetch(&self, hashes: impl Iterator<Item = u64>) {
        black_box(hashes.fold(0, |read, hash| {
            let place = &self.places[self.place(hash)];
            read ^ place[0] ^ place[LINE]
        }));
    }

    /// Write the ids of a word to the start of `to`, which has room for [`Id::ROOM`] and one more: how many they are,
    /// if the word is known.
    #[inline]
    pub fn get<T: Id>(&mut self, key: &Key, hash: u64, to: &mut [T]) -> Option<usize> {
        let at = self.place(hash);
        let (kept, tried) = self.places[at].split_at_mut(LINE);
        if !is(kept, key) {
            if !is(tried, key) {
                return None;
            }
            kept.swap_with_slice(tried);
        }
        let rest: &[u64; REST] = kept[WORD..].first_chunk()?;
        to[..=T::ROOM].copy_from_slice(cast_slice::<u64, T>(rest));
        Some((rest[REST - 1] >> 48) as usize)
    }

    /// Note the ids of a word that is not known, if there is room for them.
    pub fn put<T: Id>(&mut self, key: &Key, hash: u64, ids: &[T]) {
        if ids.len() <= T::ROOM {
            let at = self.place(hash);
            let (word, rest) = self.places[at][LINE..].split_at_mut(WORD);
            word.copy_from_slice(key);
            rest.fill(0);
            cast_slice_mut::<u64, T>(rest)[..ids.len()].copy_from_slice(ids);
            rest[REST - 1] |= (ids.len() as u64) << 48;
        }
    }
}

#[inline]
fn is(line: &[u64], key: &Key) -> bool {
    line.first_chunk().is_some_and(|found| same(found, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counting::keys::{hash_short, short_key};
    use proptest::prelude::*;

    fn held<T: Id + PartialEq + std::fmt::Debug>(words: &[(u16, Vec<u16>)]) {
        let mut known = Known::new(0x1000); // 32 places: most words make way
        let mut known = known.lines();
        let mut found = 0;
        for (word, ids) in words {
            let word = word.to_string();
            let key = short_key(word.as_bytes(), 0, word.len());
            let ids: Vec<T> = ids.iter().map(|&id| T::of(id.into())).collect();
            let mut to = vec![T::default(); T::ROOM + 1];
            if let Some(number) = known.get(&key, hash_short(&key), &mut to) {
                // The ids are those that the word had when it was put there.
                assert_eq!(to[..number].first().map(|id| id.number()), Some(word.parse().unwrap()));
                found += 1;
                continue;
            }
            let ids = [&[T::of(word.parse().unwrap())], ids.as_slice()].concat();
            known.put(&key, hash_short(&key), &ids);
            let room = ids.len() <= T::ROOM;
            assert_eq!(known.get(&key, hash_short(&key), &mut to), room.then_some(ids.len()));
            assert!(!room || to[..ids.len()] == ids[..]);
        }
        assert!(words.len() < 3_000 || found > 0);
    }

    proptest! {
        #[test]
        fn a_word_has_the_ids_that_were_put_there(
            words in prop::collection::vec((0u16..300, prop::collection::vec(any::<u16>(), 0..24)), 1..4_000),
        ) {
            held::<u16>(&words);
            held::<u32>(&words);
        }
    }
}
