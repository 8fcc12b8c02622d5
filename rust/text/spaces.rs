//! Words as people count them: runs of characters that are not white space, `\S+`. What a tokenizer cannot merge
//! across is another matter, see [`crate::text::words`].

#![allow(clippy::needless_bitwise_bool)] // `&&` and `||` would be jumps

use memchr::{memchr_iter, memchr3_iter};

use crate::text::words::GAP;

/// How many words stand between white space (Unicode's `White_Space`) in `text`. O(bytes).
///
/// `text` is UTF-8, and [`GAP`] may stand between texts: no word goes over it. White space beyond ASCII is rare: words
/// are counted as if there were none, without a branch, and where there may be some, what it changes is added.
#[must_use]
pub fn words_between_space(text: &[u8]) -> u64 {
    let (mut words, mut space) = (0, [1; BLOCK + 1]);
    for (number, block) in text.chunks(BLOCK).enumerate() {
        let mut wide = 0; // no bool: that would be a branch
        for (space, byte) in space[1..].iter_mut().zip(block) {
            *space = u8::from(is_space(*byte));
            wide |= u8::from(may_be_wide(*byte));
        }
        let starts: u8 = space.iter().zip(&space[1..=block.len()]).map(|(before, now)| before & (now ^ 1)).sum();
        space[0] = space[block.len()];
        words += u64::from(starts);
        if wide > 0 && text[number * BLOCK..].first_chunk().is_none_or(is_likely_wide) {
            words = with_wide_space(text, number * BLOCK, block, words);
        }
    }
    words
}

/// Bytes that are looked at together: half of them, at most, are starts, which a byte can count.
const BLOCK: usize = 256;

/// Whether a byte is white space of ASCII, tab to carriage return and the space, or a gap.
#[inline]
fn is_space(byte: u8) -> bool {
    // In this order it is done for sixteen bytes at once, and in others it may not be.
    (byte == b' ') | ((byte.wrapping_sub(b'\t') < 5) | (byte == GAP))
}

/// Whether a byte may be the first of white space beyond ASCII, see [`wide_space`]; of a syllable it is not.
#[inline]
fn may_be_wide(byte: u8) -> bool {
    byte.wrapping_sub(0xC2) < 0xE4 - 0xC2
}

/// Whether white space beyond ASCII may begin in a block, the two bytes behind it at hand; of quotation marks and jamo
/// it does not.
#[inline]
fn is_likely_wide(window: &[u8; BLOCK + 2]) -> bool {
    let likely = |at: usize| {
        let (a, b, c) = (window[at], window[at + 1], window[at + 2]);
        ((a == 0xC2) & ((b == 0x85) | (b == 0xA0)))
            | ((a.wrapping_sub(0xE1) < 3) & ((c <= 0x8A) | (c & 0xF8 == 0xA8) | (c == 0x9F)))
    };
    (0..BLOCK).fold(0, |any, at| any | u8::from(likely(at))) > 0
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
