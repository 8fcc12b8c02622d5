//! Words cut between characters that no entry has side by side. Nothing merges there, so each fragment is encoded by
//! itself, and many words share it: what is left of 1.3 M Korean words is some 100,000 fragments and single characters.

use rustc_hash::FxHashMap;

use crate::bpe::encode::{Encoder, first};
use crate::bpe::model::Bpe;
use crate::bpe::neighbours::Borders;
use crate::text::words::SPACE;

/// Cuts words into fragments; shared between threads.
pub(crate) struct Fragments<'a> {
    encoder: &'a Encoder<'a>,
    bpe: &'a Bpe,
    bytes: Option<&'a (Borders, FxHashMap<Vec<u8>, u32>)>,
}

impl<'a> Fragments<'a> {
    /// Of the words that `encoder` encodes.
    pub(crate) fn new(encoder: &'a Encoder<'a>) -> Self {
        Self { encoder, bpe: encoder.bpe, bytes: encoder.bpe.fragments() }
    }

    /// The id of a word that is not cut: of an added token, or of one that is taken whole and that merges do not make.
    #[inline]
    pub(crate) fn whole(&self, word: &[u8]) -> Option<u32> {
        let taken = || self.bytes.filter(|(_, unmade)| !unmade.is_empty())?.1.get(word).copied();
        self.encoder.added(word).or_else(taken)
    }

    /// Call `found` with the beginning and the end of each fragment of any other word, and with its code where it is one
    /// character.
    #[inline]
    pub(crate) fn of(&self, word: &[u8], found: impl FnMut(usize, usize, Option<u32>)) {
        match self.bytes {
            None => cut(word, first, |left, right| self.bpe.are_neighbours(left, right), found),
            Some((borders, _)) => cut(word, first_as_it_is, |left, right| borders.may_merge(left, right), found),
        }
    }

    /// The fragment that is the character of this code, as words are written inside the engine.
    pub(crate) fn of_code(&self, code: u32) -> Option<String> {
        let c = char::from_u32(code)?;
        Some(if c == SPACE && self.bytes.is_none() { ' ' } else { c }.into())
    }
}

#[inline]
fn cut(
    word: &[u8],
    first: impl Fn(&[u8]) -> Option<(u32, usize)>,
    may_merge: impl Fn(u32, u32) -> bool,
    mut found: impl FnMut(usize, usize, Option<u32>),
) {
    let Some((mut before, mut at)) = first(word) else { return };
    let (mut from, mut one) = (0, true);
    while let Some((code, length)) = first(&word[at..]) {
        if may_merge(before, code) {
            one = false;
        } else {
            found(from, at, one.then_some(before));
            (from, one) = (at, true);
        }
        before = code;
        at += length;
    }
    found(from, at, one.then_some(before));
}

/// [`first`], where a space is one and `▁` another.
#[inline]
fn first_as_it_is(word: &[u8]) -> Option<(u32, usize)> {
    match word {
        [b' ', ..] => Some((u32::from(b' '), 1)),
        _ => first(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::encode::Scratch;
    use crate::bpe::encode::tests::{of_bytes, of_characters};
    use proptest::prelude::*;

    /// The ids of fragments one after another, each encoded by itself.
    fn by_fragments(encoder: &Encoder<'_>, word: &str) -> Vec<u32> {
        let fragments = Fragments::new(encoder);
        let (mut scratch, mut ids, mut end) = (Scratch::default(), vec![], 0);
        fragments.of(word.as_bytes(), |from, to, code| {
            assert!(from == end && from < to, "fragments follow each other");
            end = to;
            let text = &word[from..to];
            if let Some(code) = code {
                assert_eq!(fragments.of_code(code).as_deref(), Some(text));
            }
            assert_eq!(code.is_some(), text.chars().count() == 1);
            encoder.encode_fragment(text.as_bytes(), &mut scratch, |found| ids.extend_from_slice(found));
        });
        assert_eq!(end, word.len());
        ids
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn fragments_are_encoded_as_the_word_is(
            parts in prop::collection::vec((0usize..40, 0usize..40), 0..40),
            words in prop::collection::vec("[ ▁ab가각낙나é漢😀]{1,8}", 18),
        ) {
            let characters = ["▁", "a", "b", "가", "각", "é"];
            for bpe in [of_bytes(" ▁a가각낙나漢", &parts, &[]), of_characters(&characters, &parts)] {
                let encoder = Encoder::new(&bpe);
                for word in &words {
                    // Where characters are symbols, `▁` is a space by now.
                    let word = if bpe.fragments().is_some() { word.clone() } else { word.replace('▁', " ") };
                    let mut whole = vec![];
                    encoder.encode_fragment(word.as_bytes(), &mut Scratch::default(), |ids| whole.extend_from_slice(ids));
                    prop_assert_eq!(by_fragments(&encoder, &word), whole, "{}", word);
                }
            }
        }
    }
}
