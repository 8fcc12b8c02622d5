//! Text into words: the safe cut.
//!
//! A SentencePiece-style tokenizer has no pre-tokenizer, so to it a document is one long word. Its merges act
//! inside vocabulary entries only: where no entry that a merge can make spans a place, cutting there changes no
//! token. Three kinds of place are worth it, and each is checked against the vocabulary at hand:
//!
//! - before each run of `▁` that follows something else;
//! - on both sides of a newline;
//! - where Hangul (see [`crate::hangul`]) meets anything else, but for `▁` before Hangul.
//!
//! Words are cut from *normalised* text, as the model sees it: a space is `▁`, and a section of text has one
//! `▁` put before it. Inside the engine `▁` is written as the one byte of a space.

use crate::hangul::{is_hangul, starts_with_hangul};

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
    /// `text` is valid UTF-8 in which `▁` is written as a space.
    #[inline]
    pub fn words(self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        let (mut start, mut at) = (0, 0);
        let mut before = Class::None;
        while at < text.len() {
            let byte = text[at];
            // A lead byte tells the length; Hangul is three bytes long.
            let (class, length) = match byte {
                b' ' => (Class::Space, 1),
                b'\n' => (Class::Newline, 1),
                0..0x80 => (Class::Other, 1),
                0xE0..0xF0 if starts_with_hangul(&text[at..]) => (Class::Hangul, 3),
                0xE0..0xF0 => (Class::Other, 3),
                0xF0.. => (Class::Other, 4),
                _ => (Class::Other, 2),
            };
            if class != before || class == Class::Newline {
                let here = match (before, class) {
                    (Class::None, _) => false,
                    (_, Class::Newline) | (Class::Newline, _) if self.newlines => true,
                    (_, Class::Space) => self.spaces || (self.hangul && before == Class::Hangul),
                    (Class::Space, _) => false,
                    (Class::Hangul, _) | (_, Class::Hangul) => self.hangul,
                    _ => false,
                };
                if here {
                    found(start, at);
                    start = at;
                }
                before = class;
            }
            at += length;
        }
        if start < text.len() {
            found(start, text.len());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    None,
    Space,
    Newline,
    Hangul,
    Other,
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
        fn fast_is_slow(text in "[ a가ㅋ\n漢é😀~\u{1100}]{0,40}", bits in 0u8..8) {
            let cut = Cut { spaces: bits & 1 > 0, newlines: bits & 2 > 0, hangul: bits & 4 > 0 };
            prop_assert_eq!(words(cut, &text), slow(cut, &text));
        }
    }
}
