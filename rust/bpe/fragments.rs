//! Words cut between characters that no entry has side by side. Nothing merges there, so each fragment is encoded by
//! itself, and many words share it: what is left of 1.3 M Korean words is some 100,000 fragments and single characters.

use rustc_hash::FxHashMap;

use crate::bpe::encode::{Encoder, Scratch, first};
use crate::bpe::model::{Divided, text};
use crate::bpe::neighbours::Borders;
use crate::bpe::tokenizer_json::Style;
use crate::text::hangul::HANGUL;
use crate::text::words::SPACE;

/// Cuts words into fragments; shared between threads.
pub(crate) struct Fragments<'a> {
    encoder: &'a Encoder<'a>,
    divided: &'a Divided,
    /// Whether a space is one; else it is what `▁` stands for.
    byte_level: bool,
}

impl<'a> Fragments<'a> {
    /// Of the words that `encoder` encodes. Takes 0.02 to 0.2 s the first time.
    pub(crate) fn new(encoder: &'a Encoder<'a>) -> Self {
        let byte_level = matches!(encoder.bpe.style, Style::ByteLevel { .. });
        Self { encoder, divided: encoder.bpe.fragments.get_or_init(|| divided(encoder, byte_level)), byte_level }
    }

    /// Whether no Hangul, as [`is_hangul`](crate::text::hangul::is_hangul) has it, merges with anything.
    pub(crate) fn hangul_is_single(&self) -> bool {
        self.divided.hangul_is_single
    }

    /// The id of a word that is not cut: of an added token, or of one that is taken whole and that merges do not make.
    #[inline]
    pub(crate) fn whole(&self, word: &[u8]) -> Option<u32> {
        let taken = || if self.divided.unmade.is_empty() { None } else { self.divided.unmade.get(word).copied() };
        self.encoder.added(word).or_else(taken)
    }

    /// Call `found` with the beginning and the end of each fragment of any other word, and with its code where it is one
    /// character.
    #[inline]
    pub(crate) fn of(&self, word: &[u8], mut found: impl FnMut(usize, usize, Option<u32>)) {
        let Some((mut before, mut at)) = self.first(word) else { return };
        let (mut from, mut one) = (0, true);
        while let Some((code, length)) = self.first(&word[at..]) {
            if self.divided.borders.may_merge(before, code) {
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

    #[inline]
    fn first(&self, word: &[u8]) -> Option<(u32, usize)> {
        match word {
            [b' ', ..] if self.byte_level => Some((u32::from(b' '), 1)),
            _ => first(word),
        }
    }

    /// The fragment that is the character of this code, as words are written inside the engine.
    pub(crate) fn of_code(&self, code: u32) -> Option<String> {
        let c = char::from_u32(code)?;
        Some(if c == SPACE && !self.byte_level { ' ' } else { c }.into())
    }
}

fn divided(encoder: &Encoder<'_>, byte_level: bool) -> Divided {
    let bpe = encoder.bpe;
    let entries = bpe.entries.iter();
    let borders = if byte_level {
        let entries: Vec<_> = entries.filter_map(|entry| text(entry)).collect();
        Borders::of(entries.iter().map(Vec::as_slice))
    } else {
        Borders::of(entries.map(String::as_bytes))
    };
    let unmade = unmade(encoder);
    // A byte-level tokenizer cuts words by what is round them, so nothing can be taken out of a text before. Added tokens of
    // one character, and words taken whole, are none of the model's merges.
    let plain = !byte_level && unmade.is_empty() && !bpe.added.iter().any(|token| token.content.chars().count() == 1);
    let hangul_is_single = plain && HANGUL.into_iter().flatten().all(|c| borders.is_single(c.into()));
    Divided { borders, unmade, hangul_is_single }
}

/// Of the words that are taken whole, those that merges do not make.
fn unmade(encoder: &Encoder<'_>) -> FxHashMap<Vec<u8>, u32> {
    let mut scratch = Scratch::default();
    let mut made = |word: &[u8], id| {
        let mut made = false;
        encoder.encode_fragment(word, &mut scratch, |ids| made |= ids == [id]);
        made
    };
    let whole = encoder.bpe.whole.iter().filter(|(word, id)| !made(word, **id));
    whole.map(|(word, id)| (word.clone(), *id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::encode::tests::{of_bytes, of_characters};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

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
        #![proptest_config(ProptestConfig::with_cases(40))] // each looks through the plane

        #[test]
        fn fragments_are_encoded_as_the_word_is(
            parts in prop::collection::vec((0usize..60, 0usize..12), 0..90),
            words in prop::collection::vec("[ ▁ab가각낙나é漢😀]{1,6}", 200),
            whole in any::<bool>(),
        ) {
            let (text, characters) = (" ▁a가각낙나漢", ["▁", "a", "b", "가", "각", "é"]);
            // Seldom by chance: 가, which others then are made of.
            let bytes: BTreeSet<u8> = text.bytes().collect();
            let at = |byte: u8| bytes.range(..byte).count();
            let first = if whole { vec![(at(0xEA), at(0xB0)), (bytes.len(), at(0x80))] } else { vec![] };
            for bpe in [of_bytes(text, &[first, parts.clone()].concat(), &[]), of_characters(&characters, &parts)] {
                let encoder = Encoder::new(&bpe);
                let byte_level = matches!(bpe.style, Style::ByteLevel { .. });
                for word in &words {
                    // Where characters are symbols, `▁` is a space by now.
                    let word = if byte_level { word.clone() } else { word.replace('▁', " ") };
                    let mut whole = vec![];
                    encoder.encode_fragment(word.as_bytes(), &mut Scratch::default(), |ids| whole.extend_from_slice(ids));
                    prop_assert_eq!(by_fragments(&encoder, &word), whole, "{}", word);
                }
            }
        }
    }
}
