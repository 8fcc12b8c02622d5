//! Words into token ids, and word counts into token counts: BPE, the same ids as `tokenizers` gives.
//!
//! The lowest rank merges first, the leftmost of equal ones before the others, until no pair has a rank. Short
//! words look for the lowest rank by a scan over an array that fits a cache line or two; long ones (a document
//! where nothing may be cut) keep a heap. Both give the same ids, which a test holds them to.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use crate::bpe::model::Bpe;
use crate::bpe::pairs::{NONE, Ranks};
use crate::bpe::tokenizer_json::Style;
use crate::error::{Error, Result};
use crate::text::bytes::code_of;
use crate::text::words::SPACE;
use crate::threads::at_once;

/// From this many symbols on the heap is faster than the scan, which is quadratic.
const LONG: usize = 1 << BITS;
/// The bits of a key that hold a place: 21 are left for the rank, see `Pairs::MOST`.
const BITS: u32 = 6;
/// Up to so many symbols are moved together where one goes.
const SHORT: usize = 8;
/// Keys that are compared at once.
const LANES: usize = 8;

/// Encodes words; shared between threads, each with its own [`Scratch`].
pub struct Encoder<'a> {
    pub(crate) bpe: &'a Bpe,
    special: FxHashMap<&'a [u8], u32>,
    /// Which bytes an added token begins with: most words need not be looked up.
    begins: [bool; 256],
}

/// Space that encoding works in, kept from word to word.
#[derive(Default)]
pub struct Scratch {
    pub(crate) ids: Vec<u32>,
    ranks: Vec<u32>,
    next: Vec<usize>,
    heap: BinaryHeap<Reverse<(u32, usize)>>,
}

impl Scratch {
    /// Merge `ids` until no pair has a rank; `merged` is the id that a rank makes.
    #[inline]
    pub(crate) fn merge(&mut self, pairs: &impl Ranks, merged: &[u32]) {
        if self.ids.len() <= SHORT {
            self.merge_few(pairs, merged);
        } else if self.ids.len() < LONG {
            self.merge_by_scan(pairs, merged);
        } else {
            self.merge_by_heap(pairs, merged);
        }
    }

    /// Symbols and the rank of each with the one after it, side by side in two small arrays.
    #[inline]
    fn merge_few(&mut self, pairs: &impl Ranks, merged: &[u32]) {
        let (mut ids, mut ranks, mut length) = ([NONE; SHORT + 1], [NONE; SHORT + 1], self.ids.len());
        ids[..length].copy_from_slice(&self.ids);
        for at in 0..length - 1 {
            ranks[at] = pairs.get(ids[at], ids[at + 1]);
        }
        while let Some((at, rank)) = (0..length - 1).map(|at| (at, ranks[at])).min_by_key(|(_, rank)| *rank)
            && rank != NONE
        {
            ids[at] = merged[rank as usize];
            length -= 1;
            for next in at + 1..length {
                (ids[next], ranks[next]) = (ids[next + 1], ranks[next + 1]);
            }
            ranks[at] = if at + 1 < length { pairs.get(ids[at], ids[at + 1]) } else { NONE };
            if let Some(before) = at.checked_sub(1) {
                ranks[before] = pairs.get(ids[before], ids[at]);
            }
        }
        self.ids.truncate(length);
        self.ids.copy_from_slice(&ids[..length]);
    }

    /// A key is the rank of a symbol with the one after it, and the symbol's place: the least of them is what merges
    /// next. Symbols stay where they are, and a bit says which are left.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // 6 bits and 21
    #[inline]
    fn merge_by_scan(&mut self, pairs: &impl Ranks, merged: &[u32]) {
        let length = self.ids.len();
        let Some(ids) = self.ids.get_mut(..length.min(LONG)) else { return };
        let mut keys = [[i32::MAX; LANES]; LONG / LANES];
        let mut left = u64::MAX >> (LONG - length);
        let key = |ids: &[u32], at: usize, next: usize| match pairs.get(ids[at], ids[next]) {
            NONE => i32::MAX,
            rank => (rank << BITS).cast_signed() | at as i32,
        };
        for at in 0..length - 1 {
            keys[at / LANES][at % LANES] = key(ids, at, at + 1);
        }
        loop {
            let mut least = [i32::MAX; LANES];
            for eight in &keys[..length.div_ceil(LANES)] {
                for (least, key) in least.iter_mut().zip(eight) {
                    *least = (*least).min(*key);
                }
            }
            let least = least.into_iter().fold(i32::MAX, i32::min);
            if least == i32::MAX {
                break;
            }
            let (at, rank) = (least as usize % LONG, least as usize >> BITS);
            let after = |at: usize, left: u64| at + 1 + (left >> at >> 1).trailing_zeros() as usize;
            let gone = after(at, left);
            ids[at] = merged[rank];
            left &= !(1 << gone);
            keys[gone / LANES][gone % LANES] = i32::MAX;
            let next = after(at, left);
            keys[at / LANES][at % LANES] = if next < length { key(ids, at, next) } else { i32::MAX };
            if let Some(before) = (left & ((1 << at) - 1)).checked_ilog2() {
                let before = before as usize;
                keys[before / LANES][before % LANES] = key(ids, before, at);
            }
        }
        let mut place = 0;
        while left != 0 {
            ids[place] = ids[left.trailing_zeros() as usize];
            left &= left - 1;
            place += 1;
        }
        self.ids.truncate(place);
    }

    /// `ranks[i]` is the rank of symbol `i` with the one after it, so a heap entry that no longer agrees is stale.
    fn merge_by_heap(&mut self, pairs: &impl Ranks, merged: &[u32]) {
        let Self { ids, ranks, next, heap } = self;
        let length = ids.len();
        let mut before: Vec<usize> = (0..length).map(|at| at.wrapping_sub(1)).collect();
        next.clear();
        next.extend(1..=length);
        ranks.clear();
        ranks.extend(ids.windows(2).map(|pair| pairs.get(pair[0], pair[1])));
        ranks.push(NONE);
        heap.clear();
        heap.extend(ranks.iter().enumerate().filter(|(_, r)| **r != NONE).map(|(at, r)| Reverse((*r, at))));
        while let Some(Reverse((rank, at))) = heap.pop() {
            if ranks[at] != rank {
                continue;
            }
            let gone = next[at];
            ids[at] = merged[rank as usize];
            ids[gone] = NONE;
            ranks[gone] = NONE;
            next[at] = next[gone];
            if next[at] < length {
                before[next[at]] = at;
            }
            for left in [before[at], at] {
                if left < length {
                    let right = next[left];
                    ranks[left] = if right < length { pairs.get(ids[left], ids[right]) } else { NONE };
                    if ranks[left] != NONE {
                        heap.push(Reverse((ranks[left], left)));
                    }
                }
            }
        }
        ids.retain(|&id| id != NONE);
    }
}

impl<'a> Encoder<'a> {
    /// An encoder by `bpe`.
    #[must_use]
    pub fn new(bpe: &'a Bpe) -> Self {
        let special: FxHashMap<&[u8], u32> =
            bpe.added.iter().map(|token| (token.content.as_bytes(), token.id)).collect();
        let mut begins = [false; 256];
        for first in special.keys().filter_map(|content| content.first()) {
            begins[usize::from(*first)] = true;
        }
        Self { bpe, special, begins }
    }

    /// One more than the highest id.
    pub(crate) fn size(&self) -> usize {
        self.bpe.size
    }

    /// Call `found` with the ids of one word, some at a time, in order. The word is UTF-8, normalised, or a special
    /// token, written as it is inside the engine.
    #[cfg(test)]
    pub(crate) fn encode(&self, word: &[u8], scratch: &mut Scratch, mut found: impl FnMut(&[u32])) {
        match self.added(word) {
            Some(id) => found(&[id]),
            None => self.encode_text(word, scratch, found),
        }
    }

    /// Call `found` with the ids of one word, some at a time, in order: UTF-8, normalised, written as it is inside the
    /// engine, and no added token, even where it is spelled as one.
    #[inline]
    pub fn encode_text(&self, word: &[u8], scratch: &mut Scratch, mut found: impl FnMut(&[u32])) {
        match self.whole(word) {
            Some(id) => found(&[id]),
            None => self.encode_fragment(word, scratch, found),
        }
    }

    /// [`Encoder::encode_text`] of a fragment of a word: it is merged, even where it is spelled as a word that is not.
    #[inline]
    pub(crate) fn encode_fragment(&self, fragment: &[u8], scratch: &mut Scratch, found: impl FnMut(&[u32])) {
        if let Style::ByteLevel { .. } = self.bpe.style {
            self.encode_bytes(fragment, scratch, found);
        } else {
            self.encode_characters(fragment, scratch, found);
        }
    }

    /// The id of a word that is an added token.
    #[inline]
    pub(crate) fn added(&self, word: &[u8]) -> Option<u32> {
        let may_be = word.first().is_some_and(|first| self.begins[usize::from(*first)]);
        if may_be { self.special.get(word).copied() } else { None }
    }

    /// The id of a word that is not merged, being a token as a whole.
    #[inline]
    pub(crate) fn whole(&self, word: &[u8]) -> Option<u32> {
        if self.bpe.whole.is_empty() { None } else { self.bpe.whole.get(word).copied() }
    }

    /// Between two bytes that no entry has side by side nothing merges, so what is on either side is encoded by itself.
    /// A syllable that forms before anything else happens to its bytes begins as what it becomes.
    #[inline]
    fn encode_bytes(&self, word: &[u8], scratch: &mut Scratch, mut found: impl FnMut(&[u32])) {
        let mut at = 0;
        while let Some(&byte) = word.get(at) {
            let before = at.checked_sub(1).map(|at| word[at]);
            if before.is_some_and(|before| !self.bpe.are_neighbours(before.into(), byte.into())) {
                self.flush(scratch, &mut found);
            }
            if let Some((ids, length)) = self.bpe.syllables.start(before, &word[at..]) {
                scratch.ids.extend_from_slice(ids);
                at += length;
            } else {
                scratch.ids.push(self.bpe.bytes[usize::from(byte)]);
                at += 1;
            }
        }
        self.flush(scratch, &mut found);
    }

    /// Between two characters that no entry has side by side nothing merges, so what is on either side is encoded by
    /// itself.
    #[inline]
    fn encode_characters(&self, word: &[u8], scratch: &mut Scratch, mut found: impl FnMut(&[u32])) {
        let (mut rest, mut before) = (word, NONE);
        while let Some((code, length)) = first(rest) {
            let (utf8, after) = rest.split_at(length);
            rest = after;
            let id = self.bpe.code_id(code);
            if id == NONE || !self.bpe.are_neighbours(before, code) {
                self.flush(scratch, &mut found);
            }
            before = code;
            if id == NONE {
                let utf8 = if code == u32::from(SPACE) { "\u{2581}".as_bytes() } else { utf8 };
                let mut ids = [0; 4];
                for (id, byte) in ids.iter_mut().zip(utf8) {
                    *id = self.bpe.bytes[usize::from(*byte)];
                }
                found(&ids[..utf8.len().min(4)]);
            } else {
                scratch.ids.push(id);
            }
        }
        self.flush(scratch, &mut found);
    }

    #[inline]
    fn flush(&self, scratch: &mut Scratch, found: &mut impl FnMut(&[u32])) {
        match scratch.ids.len() {
            0 => return,
            1 => {}
            _ => scratch.merge(&self.bpe.ranks, &self.bpe.merged),
        }
        found(&scratch.ids);
        scratch.ids.clear();
    }

    /// Count of each id over fragments that come in shares, a thread a share, each taken as often as its count says.
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub(crate) fn count<S, F>(&self, shares: impl Iterator<Item = S>) -> Result<Vec<u64>>
    where
        S: Iterator<Item = (F, u64)> + Send,
        F: AsRef<[u8]>,
    {
        let mut total = vec![0_u64; self.bpe.size];
        at_once(shares, |share| self.count_share(share)).into_iter().try_for_each(|part| add(&mut total, &part?))?;
        Ok(total)
    }

    fn count_share(&self, share: impl Iterator<Item = (impl AsRef<[u8]>, u64)>) -> Result<Vec<u64>> {
        let mut scratch = Scratch::default();
        let mut counts = vec![0_u64; self.bpe.size];
        let mut over = false;
        for (fragment, count) in share {
            self.encode_fragment(fragment.as_ref(), &mut scratch, |ids| {
                for &id in ids {
                    let (sum, passed) = counts[id as usize].overflowing_add(count);
                    counts[id as usize] = sum;
                    over |= passed;
                }
            });
        }
        if over { Err(Error::Overflow) } else { Ok(counts) }
    }
}

/// Add `counts` to `sums`.
///
/// # Errors
/// If a sum passes 2^64 - 1.
pub(crate) fn add(sums: &mut [u64], counts: &[u64]) -> Result<()> {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum = sum.checked_add(*count).ok_or(Error::Overflow)?;
    }
    Ok(())
}

/// The code of the first character and how many bytes it takes. Words were text before, and are not checked again:
/// that would be a quarter of their encoding.
#[inline]
pub(crate) fn first(word: &[u8]) -> Option<(u32, usize)> {
    let low = |byte: u8| u32::from(byte & 0x3F);
    match *word {
        [b' ', ..] => Some((u32::from(SPACE), 1)),
        [a @ ..0x80, ..] => Some((u32::from(a), 1)),
        [a @ 0xE0..0xF0, b, c, ..] => Some((code_of([a, b, c]), 3)),
        [a @ ..0xE0, b, ..] => Some((u32::from(a & 0x1F) << 6 | low(b), 2)),
        [a, b, c, d, ..] => Some((u32::from(a & 7) << 18 | low(b) << 12 | low(c) << 6 | low(d), 4)),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bpe::model::symbol;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet, HashMap};

    /// The lowest rank merges first, the leftmost of equal ones, until no pair has a rank.
    pub(crate) fn merged_by_definition(bpe: &Bpe, mut ids: Vec<u32>) -> Vec<u32> {
        let rank = |ids: &[u32], at: usize| bpe.ranks.get(ids[at], ids[at + 1]);
        while let Some(at) = (0..ids.len() - 1).min_by_key(|&at| rank(&ids, at))
            && rank(&ids, at) != NONE
        {
            ids[at] = bpe.merged[rank(&ids, at) as usize];
            ids.remove(at + 1);
        }
        ids
    }

    /// Merges made of random earlier tokens, so that ranks compete; `first` are those of one symbol.
    fn merges(first: &[&str], parts: &[(usize, usize)]) -> (Vec<String>, Vec<[String; 2]>) {
        let mut tokens: Vec<String> = first.iter().copied().map(String::from).collect();
        let mut merges = vec![];
        for &(left, right) in parts {
            let pair = [tokens[left % tokens.len()].clone(), tokens[right % tokens.len()].clone()];
            if !tokens.contains(&pair.concat()) {
                tokens.push(pair.concat());
            }
            merges.push(pair);
        }
        (tokens, merges)
    }

    /// Characters are symbols, others than `first` are spelled in bytes.
    pub(crate) fn of_characters(first: &[&str], parts: &[(usize, usize)]) -> Bpe {
        let (tokens, merges) = merges(first, parts);
        let mut vocab: HashMap<String, usize> = tokens.into_iter().zip(256..).collect();
        vocab.extend((0..256_usize).map(|byte| (format!("<0x{byte:02X}>"), byte)));
        let replace = serde_json::json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let model = serde_json::json!({"byte_fallback": true, "vocab": vocab, "merges": merges});
        Bpe::from_json(&serde_json::json!({"normalizer": replace, "model": model}).to_string()).unwrap()
    }

    /// Bytes are symbols, and those of `text` merge. `more` are tokens that nothing makes; with them, words that are
    /// tokens are taken whole.
    pub(crate) fn of_bytes(text: &str, parts: &[(usize, usize)], more: &[&str]) -> Bpe {
        let bytes: BTreeSet<u8> = text.bytes().collect();
        let first: Vec<String> = bytes.iter().map(|byte| symbol(*byte).to_string()).collect();
        let (tokens, merges) = merges(&first.iter().map(String::as_str).collect::<Vec<_>>(), parts);
        let all = (0..=u8::MAX).map(|byte| symbol(byte).to_string());
        let more = more.iter().map(|text| text.bytes().map(symbol).collect());
        let vocab: BTreeSet<String> = all.chain(tokens).chain(more.clone()).collect();
        let vocab: BTreeMap<String, usize> = vocab.into_iter().zip(0..).collect();
        let cut = serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true});
        let model = serde_json::json!({"vocab": vocab, "merges": merges, "ignore_merges": more.len() > 0});
        Bpe::from_json(&serde_json::json!({"pre_tokenizer": cut, "model": model}).to_string()).unwrap()
    }

    proptest! {
        #[test]
        fn both_ways_to_merge_give_what_the_definition_gives(
            parts in prop::collection::vec((0usize..20, 0usize..20), 1..20), word in "[abc漢]{1,90}",
        ) {
            let bpe = of_characters(&["a", "b", "c"], &parts);
            let encoder = Encoder::new(&bpe);
            let symbols: Vec<u32> = word.chars().flat_map(|c| match bpe.char_id(c) {
                NONE => c.to_string().bytes().map(u32::from).collect(),
                id => vec![id],
            }).collect();
            let slow = merged_by_definition(&bpe, symbols.clone());
            if symbols.len() < LONG {
                let mut scan = Scratch { ids: symbols.clone(), ..Scratch::default() };
                scan.merge_by_scan(&bpe.ranks, &bpe.merged);
                prop_assert_eq!(&scan.ids, &slow);
            }
            let mut heap = Scratch { ids: symbols, ..Scratch::default() };
            heap.merge_by_heap(&bpe.ranks, &bpe.merged);
            prop_assert_eq!(&heap.ids, &slow);
            let mut found = vec![];
            encoder.encode(word.as_bytes(), &mut Scratch::default(), |ids| found.extend_from_slice(ids));
            prop_assert_eq!(found, slow);
        }
    }
}
