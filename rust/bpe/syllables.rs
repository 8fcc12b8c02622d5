//! Hangul syllables that a byte-level tokenizer puts together before anything else happens to their bytes, alone and
//! behind a space.
//!
//! Such bytes can begin as what they become, which saves most merges of a Korean word. When may they? Let them merge, left
//! to themselves, until nothing merges, and let *r* be the latest rank of these merges. As long as they are not done one
//! of their own merges ranks at *r* or before. So if each merge of a neighbour with what stands at their edge meanwhile, or
//! in the end, ranks after *r*, none comes in between; and whatever merges elsewhere before they are done ranks before *r*,
//! so it is chosen all the same where they are done from the start. Neighbours are told apart by their byte next to the
//! edge, in a few groups.

use crate::bpe::pairs::{NONE, Pairs};
use crate::text::bytes::code_of;

/// Bytes of a syllable.
pub(crate) const SYLLABLE: usize = 3;
const FIRST: u32 = 0xAC00;
const NUMBER: usize = 11_172;

/// By code, from U+AC00 on: syllables, and syllables behind a space that begins a word.
#[derive(Default)]
pub(crate) struct Syllables {
    alone: Vec<Start>,
    behind_space: Vec<Start>,
}

/// What some bytes may begin as.
#[derive(Clone, Copy)]
struct Start {
    /// One symbol or two, the second [`NONE`] then; the first [`NONE`] where they have to begin as bytes.
    ids: [u32; 2],
    /// The groups of bytes that they may not stand behind, and those that they may not stand before.
    not_behind: u8,
    not_before: u8,
}

impl Start {
    const NONE: Self = Self { ids: [NONE; 2], not_behind: 0, not_before: 0 };
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
        let all = |prefix: &[u8]| {
            let start = |code| {
                let mut utf8 = [0; SYLLABLE];
                char::from_u32(FIRST + code)?.encode_utf8(&mut utf8);
                let ids = prefix.iter().chain(&utf8).map(|byte| bytes[usize::from(*byte)]).collect();
                merged_alone(ids, merged, ranks, &around)
            };
            (0..).take(NUMBER).map(|code| start(code).unwrap_or(Start::NONE)).collect()
        };
        Self { alone: all(b""), behind_space: all(b" ") }
    }

    /// What the first bytes of `word` may begin as, and how many they are; none where they have to begin as bytes.
    #[inline]
    pub(crate) fn start(&self, before: Option<u8>, word: &[u8]) -> Option<(&[u32], usize)> {
        let (table, place) = match before {
            None if word.first() == Some(&b' ') => (&self.behind_space, 1),
            _ => (&self.alone, 0),
        };
        let [a @ 0xEA..=0xED, b, c, ref behind @ ..] = word[place..] else { return None };
        let start = table.get(code_of([a, b, c]).wrapping_sub(FIRST) as usize)?;
        let stands = |byte: Option<u8>, not: u8| byte.is_none_or(|byte| group(byte) & not == 0);
        let symbols = 2 - start.ids.iter().filter(|id| **id == NONE).count();
        (symbols > 0 && stands(before, start.not_behind) && stands(behind.first().copied(), start.not_before))
            .then_some((&start.ids[..symbols], place + SYLLABLE))
    }
}

/// What `ids` become by themselves, if that is one symbol or two, and what may not stand round them.
fn merged_alone(mut ids: Vec<u32>, merged: &[u32], ranks: &Pairs, around: &[Around]) -> Option<Start> {
    let (mut lefts, mut rights) = (vec![ids[0]], vec![ids[ids.len() - 1]]);
    let mut last = None;
    while let Some((rank, at)) = (0..ids.len() - 1).map(|at| (ranks.get(ids[at], ids[at + 1]), at)).min()
        && rank != NONE
    {
        ids[at] = merged[rank as usize];
        ids.remove(at + 1);
        last = last.max(Some(rank));
        lefts.push(ids[0]);
        rights.push(ids[ids.len() - 1]);
    }
    let (last, second) = (last?, ids.get(1).copied().unwrap_or(NONE));
    let groups = |edge: &[u32], side: fn(&Around) -> &[u32; 8]| {
        let before_last = |id: u32| (0..8).filter(move |at| side(&around[id as usize])[*at] < last);
        edge.iter().flat_map(|id| before_last(*id)).fold(0, |all, at| all | 1 << at)
    };
    let (not_behind, not_before) = (groups(&lefts, |around| &around.behind), groups(&rights, |around| &around.before));
    (ids.len() <= 2).then_some(Start { ids: [ids[0], second], not_behind, not_before })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::bpe::encode::tests::{merged_by_definition, of_bytes};
    use crate::bpe::encode::{Encoder, Scratch};

    const TEXT: &str = " a가각낙나";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn what_begins_whole_would_have_become_that(
            parts in prop::collection::vec((0usize..40, 0usize..40), 0..40), words in prop::collection::vec("[ a가각낙나]{1,8}", 18),
        ) {
            let bpe = of_bytes(TEXT, &parts, &[]);
            for word in words {
                let symbols = word.bytes().map(|byte| bpe.bytes[usize::from(byte)]).collect();
                let slow = merged_by_definition(&bpe, symbols);
                let mut found = vec![];
                Encoder::new(&bpe).encode(word.as_bytes(), &mut Scratch::default(), |ids| found.extend_from_slice(ids));
                prop_assert_eq!(found, slow, "{}", word);
            }
        }
    }
}
