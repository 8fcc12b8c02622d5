//! Code-point classes: which characters new tokens may hold, and so where Hangul meets the rest.

use std::iter::Sum;
use std::ops::RangeInclusive;

use wide::u8x16;

use crate::text::bytes::{is, within};

/// Whether `c` may stand in a new token: a modern syllable (U+AC00 to U+D7A3) or a modern compatibility jamo
/// (U+3131 to U+3163). Other Hangul (conjoining, half-width, circled) is left to the base tokenizer.
#[must_use]
pub fn is_hangul(c: char) -> bool {
    HANGUL.iter().any(|range| range.contains(&c))
}

/// What [`is_hangul`] holds of.
pub(crate) const HANGUL: [RangeInclusive<char>; 2] = ['\u{AC00}'..='\u{D7A3}', '\u{3131}'..='\u{3163}'];

/// Whether the byte `a`, followed by `b` and `c` in valid UTF-8, is the first of a Hangul character. No branches.
///
/// U+AC00 is EA B0 80, U+D7A3 is ED 9E A3, U+3131 is E3 84 B1 and U+3163 is E3 85 A3.
#[allow(clippy::needless_bitwise_bool)] // `&&` and `||` would be jumps
#[must_use]
#[inline]
pub fn is_first(a: u8, b: u8, c: u8) -> bool {
    (a == 0xEB)
        | (a == 0xEC)
        | ((a == 0xEA) & (b >= 0xB0))
        | ((a == 0xED) & ((b < 0x9E) | ((b == 0x9E) & (c <= 0xA3))))
        | ((a == 0xE3) & (((b == 0x84) & (c >= 0xB1)) | ((b == 0x85) & (c <= 0xA3))))
}

/// [`is_first`] of sixteen bytes, the bytes behind each, and those two behind it.
#[must_use]
#[inline]
pub(crate) fn are_first(a: u8x16, b: u8x16, c: u8x16) -> u8x16 {
    within(a, 0xEB, 2)
        | (is(a, 0xEA) & within(b, 0xB0, 0x50))
        | (is(a, 0xED) & (within(b, 0, 0x9E) | (is(b, 0x9E) & within(c, 0, 0xA4))))
        | (is(a, 0xE3) & ((is(b, 0x84) & within(c, 0xB1, 0x4F)) | (is(b, 0x85) & within(c, 0, 0xA4))))
}

/// Which of sixteen bytes Hangul may begin with; other characters begin with them too.
#[inline]
pub(crate) fn may_be_first(a: u8x16) -> u8x16 {
    within(a, 0xE3, 0xEE - 0xE3)
}

/// Hangul characters, by what can become of them; each number times the count of its word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// All characters whose script is Hangul.
    pub all: u128,
    /// Conjoining jamo, which NFC makes syllables of.
    pub conjoining: u128,
    /// Halfwidth jamo.
    pub halfwidth: u128,
    /// Old compatibility jamo, enclosed Hangul and tone marks.
    pub other: u128,
    /// U+E000 to U+F8FF, where older files of Hanyang keep old Hangul, and web pages their icons: none of `all`.
    pub private_use: u128,
}

impl Sum for Kinds {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            all: sum.all + part.all,
            conjoining: sum.conjoining + part.conjoining,
            halfwidth: sum.halfwidth + part.halfwidth,
            other: sum.other + part.other,
            private_use: sum.private_use + part.private_use,
        })
    }
}

impl Kinds {
    /// Of words and their counts. O(characters).
    #[must_use]
    pub fn of(words: &[(&str, u64)]) -> Self {
        let mut kinds = Self::default();
        for &(word, count) in words {
            let mut syllables = 0_u64;
            for c in word.chars() {
                // Nearly all are these, and no more than counted.
                if matches!(c, '\u{AC00}'..='\u{D7A3}') {
                    syllables += 1;
                    continue;
                }
                let kind = match c {
                    '\u{3131}'..='\u{3163}' => &mut kinds.all,
                    '\u{1100}'..='\u{11FF}'
                    | '\u{A960}'..='\u{A97C}'
                    | '\u{D7B0}'..='\u{D7C6}'
                    | '\u{D7CB}'..='\u{D7FB}' => &mut kinds.conjoining,
                    '\u{FFA0}'..='\u{FFBE}'
                    | '\u{FFC2}'..='\u{FFC7}'
                    | '\u{FFCA}'..='\u{FFCF}'
                    | '\u{FFD2}'..='\u{FFD7}'
                    | '\u{FFDA}'..='\u{FFDC}' => &mut kinds.halfwidth,
                    '\u{E000}'..='\u{F8FF}' => &mut kinds.private_use,
                    '\u{302E}'..='\u{302F}'
                    | '\u{3164}'..='\u{318E}'
                    | '\u{3200}'..='\u{321E}'
                    | '\u{3260}'..='\u{327E}' => &mut kinds.other,
                    _ => continue,
                };
                *kind += u128::from(count);
            }
            kinds.all += u128::from(syllables) * u128::from(count);
        }
        kinds.all += kinds.conjoining + kinds.halfwidth + kinds.other;
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_by_character_times_count() {
        let words = [("\u{1112}\u{1161}\u{11ab}", 10), ("한ㅋ㉠ㆍ a漢", 100), ("ﾡ\u{e0bc}", u64::MAX)];
        let most = u128::from(u64::MAX);
        let wanted = Kinds { all: 30 + 400 + most, conjoining: 30, halfwidth: most, other: 200, private_use: most };
        assert_eq!(Kinds::of(&words), wanted);
        assert_eq!(words.chunks(1).map(Kinds::of).sum::<Kinds>(), wanted);
        assert_eq!(Kinds::of(&[]), Kinds::default());
    }

    #[test]
    fn the_bytes_say_what_the_character_says() {
        for c in '\0'..=char::MAX {
            let mut buffer = [0; 4];
            c.encode_utf8(&mut buffer);
            let [a, b, c_] = [buffer[0], buffer[1], buffer[2]];
            assert_eq!(is_first(a, b, c_), is_hangul(c), "U+{:04X}", c as u32);
            let first = are_first(u8x16::splat(a), u8x16::splat(b), u8x16::splat(c_)).to_bitmask();
            assert_eq!(first, if is_hangul(c) { 0xFFFF } else { 0 }, "U+{:04X}", c as u32);
        }
    }
}
