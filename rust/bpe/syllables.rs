//! Hangul syllables that a byte-level tokenizer puts together before anything else happens to their bytes.
//!
//! Such a syllable can begin as one symbol, which saves most merges of a Korean word. When may it? Let its three bytes
//! merge, left to themselves, by two merges, the later of rank *r*. It is formed before any other merge takes a part of
//! it if each merge that joins one of these parts to a neighbour ranks after *r*: as long as it is not formed, one of
//! its own merges ranks before those. And nothing else is changed by its being there from the start if each merge of
//! the syllable itself ranks after *r* too: whatever the tokenizer merges before the syllable is formed ranks before
//! *r*, so it is chosen all the same. Neighbours are told apart by their byte next to the syllable, in a few groups.

use crate::bpe::model::{NONE, Pairs};

/// Bytes of a syllable.
pub(crate) const SYLLABLE: usize = 3;
const FIRST: u32 = 0xAC00;
const NUMBER: usize = 11_172;

/// By code, from U+AC00 on.
#[derive(Default)]
pub(crate) struct Syllables(Vec<Syllable>);

#[derive(Clone, Copy)]
struct Syllable {
    id: u32,
    /// The groups of bytes that it may not stand behind, and those that it may not stand before.
    not_behind: u8,
    not_before: u8,
}

impl Syllable {
    const NONE: Self = Self { id: NONE, not_behind: 0, not_before: 0 };
}

/// The group of a byte, one bit of eight.
fn group(byte: u8) -> u8 {
    match byte {
        b' ' => 1,
        ..0x80 => 2,
        0x80..0xC0 => 4,
        0xEA => 8,
        0xEB => 16,
        0xEC => 32,
        0xED => 64,
        0xC0.. => 128,
    }
}

impl Syllables {
    /// Of the ids of bytes, and of merges by rank: their parts, what they make, and its bytes.
    pub(crate) fn of(bytes: &[u32], parts: &[(u32, u32)], merged: &[u32], texts: &[Vec<u8>], ranks: &Pairs) -> Self {
        let size = bytes.iter().chain(merged).max().map_or(0, |&id| id as usize + 1);
        // The first and the last byte of each token; of none that nothing makes.
        let mut ends = vec![None; size];
        for (byte, &id) in (0..=u8::MAX).zip(bytes) {
            ends[id as usize] = Some((byte, byte));
        }
        for (text, &id) in texts.iter().zip(merged) {
            ends[id as usize] = text.first().copied().zip(text.last().copied());
        }
        let ends = |id: u32| ends.get(id as usize).copied().flatten();
        let mut around = vec![Around::default(); size];
        for (rank, &(left, right)) in (0..).zip(parts) {
            if let (Some((_, before)), Some((behind, _))) = (ends(left), ends(right)) {
                // Of a pair that comes twice the later rank holds; the earlier one is only more careful.
                around[right as usize].behind(before, rank);
                around[left as usize].before(behind, rank);
            }
        }
        let merge = |left, right| Some(ranks.get(left, right)).filter(|rank| *rank != NONE);
        let makes = |rank: u32| merged[rank as usize];
        let syllable = |code: u32| {
            let mut utf8 = [0; 4];
            char::from_u32(FIRST + code)?.encode_utf8(&mut utf8);
            let [a, b, c] = [0, 1, 2].map(|at| bytes[usize::from(utf8[at])]);
            // What may meet a neighbour on the left, and on the right, before the syllable is formed.
            let (first, then, lefts, rights) = match (merge(a, b), merge(b, c)) {
                (Some(first), other) if other.is_none_or(|other| first < other) => {
                    (first, merge(makes(first), c)?, [a, makes(first)], [c, c])
                }
                (_, Some(first)) => (first, merge(a, makes(first))?, [a, a], [c, makes(first)]),
                _ => return None,
            };
            let last = first.max(then);
            let before_last = |ranks: &[u32; 8]| (0..8).filter(|at| ranks[*at] < last).fold(0, |all, at| all | 1 << at);
            let all = |ids: [u32; 2], side: fn(&Around) -> &[u32; 8]| {
                ids.iter().fold(0, |groups, id| groups | before_last(side(&around[*id as usize])))
            };
            let id = makes(then);
            let itself = all([id, id], |around| &around.behind) | all([id, id], |around| &around.before);
            let (not_behind, not_before) = (all(lefts, |around| &around.behind), all(rights, |around| &around.before));
            (itself == 0).then_some(Syllable { id, not_behind, not_before })
        };
        Self((0..).take(NUMBER).map(|code| syllable(code).unwrap_or(Syllable::NONE)).collect())
    }

    /// The id of the syllable that `word` begins with, if it may begin as one symbol, or [`NONE`].
    #[inline]
    pub(crate) fn whole(&self, before: Option<u8>, word: &[u8]) -> u32 {
        let [a @ 0xEA..=0xED, b, c, ref behind @ ..] = *word else { return NONE };
        let code = u32::from(a & 0xF) << 12 | u32::from(b & 0x3F) << 6 | u32::from(c & 0x3F);
        let Some(syllable) = self.0.get(code.wrapping_sub(FIRST) as usize) else { return NONE };
        let stands = |byte: Option<u8>, not: u8| byte.is_none_or(|byte| group(byte) & not == 0);
        if stands(before, syllable.not_behind) && stands(behind.first().copied(), syllable.not_before) {
            syllable.id
        } else {
            NONE
        }
    }
}

/// The least rank of the merges that join a token to one that ends, or that begins, with a byte of each group.
#[derive(Clone)]
struct Around {
    behind: [u32; 8],
    before: [u32; 8],
}

impl Default for Around {
    fn default() -> Self {
        Self { behind: [NONE; 8], before: [NONE; 8] }
    }
}

impl Around {
    fn behind(&mut self, byte: u8, rank: u32) {
        let least = &mut self.behind[group(byte).ilog2() as usize];
        *least = rank.min(*least);
    }

    fn before(&mut self, byte: u8, rank: u32) {
        let least = &mut self.before[group(byte).ilog2() as usize];
        *least = rank.min(*least);
    }
}
