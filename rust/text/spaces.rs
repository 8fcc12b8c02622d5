//! Words as people count them: runs of characters that are not white space, `\S+`. What a tokenizer cannot merge
//! across is another matter, see [`crate::text::words`].

use memchr::{memchr_iter, memchr3_iter};

/// How many words stand between white space (Unicode's `White_Space`) in `text`. O(bytes).
///
/// White space beyond ASCII is rare: words are counted as if there were none, without a branch, and where there may be
/// some, what it changes is added.
#[must_use]
pub fn words_between_space(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    let (mut words, mut wide) = (u64::from(!is_space(*first)), false);
    for (before, now) in bytes.chunks(BLOCK).zip(rest.chunks(BLOCK)) {
        let mut starts = 0;
        for (before, now) in before.iter().zip(now) {
            starts += u8::from(is_space(*before) & !is_space(*now));
            wide |= may_be_wide(*before);
        }
        words += u64::from(starts);
    }
    if wide { with_wide_space(text, words) } else { words }
}

/// Bytes that are looked at together: half of them, at most, are starts, which a byte can count.
const BLOCK: usize = 256;

/// Whether a byte is white space of ASCII: tab to carriage return, and the space.
#[inline]
fn is_space(byte: u8) -> bool {
    (byte == b' ') | (byte.wrapping_sub(b'\t') < 5)
}

/// Whether a byte is the first of a block of characters with white space: U+0085 and U+00A0 begin with C2, U+1680 with
/// E1, U+2000 to U+205F with E2, U+3000 with E3.
#[inline]
fn may_be_wide(byte: u8) -> bool {
    (byte == 0xC2) | (byte.wrapping_sub(0xE1) < 3)
}

/// The words of `text`, which are `words` where only ASCII is white space.
fn with_wide_space(text: &str, mut words: u64) -> u64 {
    let bytes = text.as_bytes();
    for at in memchr3_iter(0xC2, 0xE2, 0xE3, bytes).chain(memchr_iter(0xE1, bytes)) {
        let (before, from) = text.split_at(at);
        let mut from = from.chars();
        if from.next().is_some_and(char::is_whitespace) {
            // The next word begins behind it, and none begins with it.
            words += u64::from(from.next().is_some_and(|next| !next.is_whitespace()));
            words -= u64::from(before.as_bytes().last().is_none_or(|last| is_space(*last)));
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
            assert_eq!(words_between_space(&text), 1 + u64::from(c.is_whitespace()), "U+{:04X}", c as u32);
        }
        assert_eq!(words_between_space(""), 0);
        assert_eq!(words_between_space(" \u{3000}\n"), 0);
    }

    proptest! {
        #[test]
        fn fast_is_slow(text in "[ a가\n\tㅋ漢é·“😀\u{85}\u{a0}\u{1680}\u{2003}\u{202f}\u{205f}\u{3000}\u{200b}]{0,300}") {
            prop_assert_eq!(words_between_space(&text), slow(&text));
        }

        #[test]
        fn fast_is_slow_where_most_is_ascii(text in "[ a-z가\n]{0,300}\u{3000}?[ a-z가]{0,200}") {
            prop_assert_eq!(words_between_space(&text), slow(&text));
        }
    }
}
