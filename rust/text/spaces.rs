//! Words as people count them: runs of characters that are not white space, `\S+`. What a tokenizer cannot merge
//! across is another matter, see [`crate::text::words`].

use memchr::{memchr_iter, memchr3_iter};
use wide::u8x16;

use crate::text::bytes::{BLOCK, GAP, any, follow, is, planes, within};

/// A block and the two bytes behind it, which a character may reach into.
const WINDOW: usize = BLOCK + 2;

/// How many words stand between white space (Unicode's `White_Space`) in `text`. O(bytes).
///
/// `text` is UTF-8, and [`GAP`] may stand between texts: no word goes over it. White space beyond ASCII is rare: words
/// are counted as if there were none, without a branch, and where there may be some, what it changes is added.
#[must_use]
pub fn words_between_space(text: &[u8]) -> u64 {
    let (mut words, mut before) = (0, u64::MAX);
    let mut count = |base: usize, window: &[u8; WINDOW]| {
        let [space, wide] = planes(window, |a, _, _| [are_space(a), may_be_wide(a)]);
        words += u64::from((!space & follow(before, space, 1)).count_ones());
        before = space;
        if wide > 0 && any(window, are_likely_wide) {
            words = with_wide_space(text, base, &text[base..text.len().min(base + BLOCK)], words);
        }
    };
    let mut base = 0;
    while let Some(window) = text.get(base..).and_then(<[u8]>::first_chunk) {
        count(base, window);
        base += BLOCK;
    }
    // What is left is less than a window: one block, or two.
    let mut rest = [b' '; BLOCK + WINDOW];
    rest[..text.len() - base].copy_from_slice(&text[base..]);
    for window in [rest.first_chunk(), rest[BLOCK..].first_chunk()].into_iter().flatten() {
        if base < text.len() {
            count(base, window);
        }
        base += BLOCK;
    }
    words
}

/// Whether a byte is white space of ASCII, tab to carriage return and the space, or a gap.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | GAP)
}

/// [`is_space`] of sixteen bytes.
#[inline]
fn are_space(bytes: u8x16) -> u8x16 {
    is(bytes, b' ') | within(bytes, b'\t', 5) | is(bytes, GAP)
}

/// Which bytes may be the first of white space beyond ASCII, see [`wide_space`]; of a syllable they are not.
#[inline]
fn may_be_wide(bytes: u8x16) -> u8x16 {
    within(bytes, 0xC2, 0xE4 - 0xC2)
}

/// Where white space beyond ASCII may begin, by the two bytes behind too; at quotation marks and jamo it does not.
#[inline]
fn are_likely_wide(a: u8x16, b: u8x16, c: u8x16) -> u8x16 {
    (is(a, 0xC2) & (is(b, 0x85) | is(b, 0xA0)))
        | (within(a, 0xE1, 3) & (within(c, 0x80, 0x0B) | within(c, 0xA8, 8) | is(c, 0x9F)))
}

/// How many bytes of white space beyond ASCII, one character, stand at the start of `text`: U+0085 and U+00A0; U+1680,
/// U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000.
fn wide_space(text: &[u8]) -> usize {
    match text {
        [0xC2, 0x85 | 0xA0, ..] => 2,
        [0xE1, 0x9A, 0x80, ..]
        | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, ..]
        | [0xE2, 0x81, 0x9F, ..]
        | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

/// What `words` become by the wide space that begins in `block`, which stands in `text` from `start`; behind it words
/// are not counted yet.
fn with_wide_space(text: &[u8], start: usize, block: &[u8], mut words: u64) -> u64 {
    for at in memchr3_iter(0xC2, 0xE2, 0xE3, block).chain(memchr_iter(0xE1, block)) {
        let (before, from) = text.split_at(start + at);
        let length = wide_space(from);
        if length > 0 {
            // The next word begins behind it, and none begins with it.
            let behind = &from[length..];
            words += u64::from(behind.first().is_some_and(|next| !is_space(*next)) && wide_space(behind) == 0);
            words -= u64::from(before.last().is_none_or(|last| is_space(*last)));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slow(text: &str) -> u64 {
        text.split(char::is_whitespace).filter(|word| !word.is_empty()).count() as u64
    }

    #[test]
    fn every_kind_of_white_space_parts_words_and_nothing_else_does() {
        for c in '\0'..=char::MAX {
            let text = format!("가{c}나");
            assert_eq!(words_between_space(text.as_bytes()), 1 + u64::from(c.is_whitespace()), "U+{:04X}", c as u32);
        }
        assert_eq!(words_between_space(b""), 0);
        assert_eq!(words_between_space(" \u{3000}\n".as_bytes()), 0);
    }

    proptest! {
        #[test]
        fn fast_is_slow(text in "[ a가\n\tㅋ漢é·“😀\u{85}\u{a0}\u{1680}\u{2003}\u{202f}\u{205f}\u{3000}\u{200b}]{0,300}") {
            prop_assert_eq!(words_between_space(text.as_bytes()), slow(&text));
        }

        #[test]
        fn fast_is_slow_where_most_is_ascii(text in "[ a-z가\n]{0,300}\u{3000}?[ a-z가]{0,200}") {
            prop_assert_eq!(words_between_space(text.as_bytes()), slow(&text));
        }

        #[test]
        fn a_gap_parts_words(texts in prop::collection::vec("[ a가\u{a0}\u{3000}\n]{0,9}", 0..60)) {
            let bytes: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
            let expected: u64 = texts.iter().map(|text| slow(text)).sum();
            prop_assert_eq!(words_between_space(&bytes.join(&GAP)), expected);
        }
    }
}
