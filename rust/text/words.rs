//! Text into words: the safe cut.
//!
//! A SentencePiece-style tokenizer has no pre-tokenizer, so to it a document is one long word. Its merges act
//! inside vocabulary entries only: where no entry that a merge can make spans a place, cutting there changes no
//! token. Three kinds of place are worth it, and each is checked against the vocabulary at hand:
//!
//! - before each run of `▁` that follows something else;
//! - on both sides of a newline;
//! - where Hangul (see [`crate::text::hangul`]) meets anything else, but for `▁` before Hangul.
//!
//! Words are cut from *normalised* text, as the model sees it: a space is `▁`, and a section of text has one
//! `▁` put before it. Inside the engine `▁` is written as the one byte of a space.

use crate::text::bytes::{BLOCK, GAP, follow, is, planes};
use crate::text::hangul::{are_first, is_hangul};

/// What a space is to a SentencePiece model: U+2581.
pub const SPACE: char = '\u{2581}';

/// Which kinds of place are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Before each run of `▁` that follows something else.
    pub spaces: bool,
    /// On both sides of a newline.
    pub newlines: bool,
    /// Where Hangul meets something else, but for `▁` before Hangul.
    pub hangul: bool,
}

impl Cut {
    /// Every kind of place: what a new Korean token respects.
    pub const ALL: Self = Self { spaces: true, newlines: true, hangul: true };

    /// The kinds of place that no entry spans. O(characters of all entries).
    pub fn check<'a>(entries: impl IntoIterator<Item = &'a str>) -> Self {
        let mut cut = Self::ALL;
        for entry in entries {
            let mut before: Option<char> = None;
            for after in entry.chars() {
                if let Some(before) = before {
                    cut.spaces &= !(after == SPACE && before != SPACE);
                    cut.newlines &= before != '\n' && after != '\n';
                    cut.hangul &= is_hangul(before) == is_hangul(after) || (before == SPACE && is_hangul(after));
                }
                before = Some(after);
            }
        }
        cut
    }

    /// Call `found` with the start and end of each word of `text`, in order; together they are all of it.
    ///
    /// `text` is valid UTF-8 in which `▁` is written as a space, and [`GAP`] may stand between texts: it is a word of
    /// its own. Bytes are classified 64 at a time, without a
    /// branch, and a cut is then a bit: one jump a word instead of one a character, 2.5 times as fast.
    #[inline]
    pub fn words(self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        let switch = |on: bool| if on { u64::MAX } else { 0 };
        let (spaces, newlines, hangul) = (switch(self.spaces), switch(self.newlines), switch(self.hangul));
        let mut before = Bits::default();
        let mut start = 0;
        let mut block = |base: usize, window: &[u8; WINDOW], within: u64| {
            let mut now = Bits::of(window);
            // A Hangul character is three bytes long, and may reach over from the block before.
            now.hangul = now.first | follow(before.first, now.first, 1) | follow(before.first, now.first, 2);
            let after_space = follow(before.space, now.space, 1);
            let after_newline = follow(before.newline, now.newline, 1);
            let meets = now.hangul ^ follow(before.hangul, now.hangul, 1);
            let mut cuts = (now.gap | follow(before.gap, now.gap, 1))
                | (spaces & now.space & !after_space)
                | (newlines & (now.newline | after_newline))
                | (hangul & meets & !after_space);
            cuts &= within;
            while cuts != 0 {
                let at = base + cuts.trailing_zeros() as usize;
                found(start, at);
                start = at;
                cuts &= cuts - 1;
            }
            before = now;
        };
        let mut base = 0;
        let mut within = u64::MAX << 1; // the start is no cut
        while let Some(window) = text.get(base..).and_then(<[u8]>::first_chunk) {
            block(base, window, within);
            base += BLOCK;
            within = u64::MAX;
        }
        // What is left is less than a window: one block, or two where the second is 1 or 2 bytes.
        let mut rest = [0; BLOCK + WINDOW];
        rest[..text.len() - base].copy_from_slice(&text[base..]);
        for window in [rest.first_chunk(), rest[BLOCK..].first_chunk()].into_iter().flatten() {
            let left = text.len().saturating_sub(base);
            block(base, window, if left < BLOCK { within & !(u64::MAX << left) } else { within });
            base += BLOCK;
            within = u64::MAX;
        }
        if start < text.len() {
            found(start, text.len());
        }
    }
}

/// A block and the two bytes behind it that say whether its last ones begin Hangul.
const WINDOW: usize = BLOCK + 2;

/// What the bytes of a block are, the first in the lowest bit.
#[derive(Clone, Copy, Default)]
struct Bits {
    gap: u64,
    space: u64,
    newline: u64,
    /// First bytes of Hangul characters.
    first: u64,
    /// All their bytes.
    hangul: u64,
}

impl Bits {
    #[inline]
    fn of(window: &[u8; WINDOW]) -> Self {
        let [space, newline, gap, first] =
            planes(window, |a, b, c| [is(a, b' '), is(a, b'\n'), is(a, GAP), are_first(a, b, c)]);
        Self { gap, space, newline, first, hangul: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(cut: Cut, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        cut.words(text.as_bytes(), |start, end| found.push(text[start..end].to_owned()));
        found
    }

    /// The definition, place by place, on characters.
    fn slow(cut: Cut, text: &str) -> Vec<String> {
        let mut found = vec![];
        let mut word = String::new();
        let mut before: Option<char> = None;
        for c in text.chars() {
            if let Some(b) = before {
                let space = cut.spaces && c == ' ' && b != ' ';
                let newline = cut.newlines && (c == '\n' || b == '\n');
                let hangul = cut.hangul && is_hangul(b) != is_hangul(c) && b != ' ';
                if space || newline || hangul {
                    found.push(std::mem::take(&mut word));
                }
            }
            word.push(c);
            before = Some(c);
        }
        if !word.is_empty() {
            found.push(word);
        }
        found
    }

    #[test]
    fn cuts_where_the_design_says() {
        let found = words(Cut::ALL, " 안녕 JSON을  쓰자\n\n끝!");
        assert_eq!(found, [" 안녕", " JSON", "을", "  쓰자", "\n", "\n", "끝", "!"]);
    }

    #[test]
    fn an_entry_that_spans_a_place_forbids_it() {
        assert_eq!(Cut::check(["▁안녕", "▁▁", "the", "ㅋㅋ"]), Cut::ALL);
        assert!(!Cut::check(["of▁the"]).spaces);
        assert!(!Cut::check(["\n\n"]).newlines);
        assert!(!Cut::check([")의"]).hangul);
        assert!(!Cut::check(["을)"]).hangul);
    }

    proptest! {
        #[test]
        fn fast_is_slow(text in "[ a가ㅋ\n漢é😀~\u{1100}]{0,200}", bits in 0u8..8) {
            let cut = Cut { spaces: bits & 1 > 0, newlines: bits & 2 > 0, hangul: bits & 4 > 0 };
            prop_assert_eq!(words(cut, &text), slow(cut, &text));
        }

        #[test]
        fn texts_with_gaps_between_are_cut_one_by_one(
            texts in prop::collection::vec("[ a가ㅋ\n]{1,70}", 1..6), bits in 0u8..8,
        ) {
            let cut = Cut { spaces: bits & 1 > 0, newlines: bits & 2 > 0, hangul: bits & 4 > 0 };
            let bytes: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
            let joined = bytes.join(&GAP);
            let mut found: Vec<&[u8]> = vec![];
            cut.words(&joined, |start, end| found.push(&joined[start..end]));
            found.retain(|word| *word != [GAP]);
            let expected: Vec<String> = texts.iter().flat_map(|text| slow(cut, text)).collect();
            prop_assert_eq!(found, expected.iter().map(String::as_bytes).collect::<Vec<_>>());
        }
    }
}
