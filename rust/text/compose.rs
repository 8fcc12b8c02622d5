//! Text into NFC, as `tokenizers` brings it there; most text is in it already, and that shows in its bytes.

use std::borrow::Cow;

use unicode_normalization_alignments::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The text in NFC.
#[must_use]
pub fn nfc(text: &str) -> Cow<'_, str> {
    if !may_change(text.as_bytes()) || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().map(|(c, _)| c).collect())
}

/// Whether `text` holds a character that NFC may change or compose with the one before. Looked at closely are only
/// characters from U+0300 on that are neither syllables nor Han.
fn may_change(text: &[u8]) -> bool {
    let closely = |from: usize, to: usize| (from..to).any(|at| changes(&text[at..]));
    let Some(end) = text.len().checked_sub(BLOCK + 1) else { return closely(0, text.len()) };
    // The last block reaches back over the one before it, so that no short rest is left.
    (0..end).step_by(BLOCK).chain([end]).any(|from| {
        let block = text[from..].first_chunk::<{ BLOCK + 1 }>();
        let rare =
            |block: &[u8; BLOCK + 1]| (0..BLOCK).fold(0, |any, at| any | u8::from(is_rare(block[at], block[at + 1])));
        block.is_some_and(|block| rare(block) > 0) && closely(from, from + BLOCK)
    })
}

const BLOCK: usize = 64;

#[allow(clippy::needless_bitwise_bool)] // `&&` would be a jump
fn is_rare(first: u8, second: u8) -> bool {
    (first >= 0xCC) & (!(0xE4..=0xED).contains(&first) | ((first == 0xEA) & (second < 0xB0)))
}

/// Whether the character that `text` begins with may change, or a block of it holds one that may.
fn changes(text: &[u8]) -> bool {
    match *text {
        [0xCE, b, ..] => b == 0x87,
        [..0xCC | 0xCF..=0xD1 | 0xE4..=0xE9 | 0xEB..=0xEE, ..] | [0xF0, 0x9F, ..] => false,
        [0xE2, b, c, ..] => matches!((b, c), (0x80, ..0x90) | (0x83 | 0x84 | 0x8C | 0xAB, _)) || b >= 0xB3,
        [0xE3, b, c, ..] => matches!((b, c), (0x80, 0xAA..) | (0x82, _)),
        [0xEA, b, ..] => b < 0xB0,
        [0xEF, b, ..] => b < 0xBC,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_does_not_change() {
        for c in '\0'..=char::MAX {
            let mut utf8 = [0; 4];
            let text = c.encode_utf8(&mut utf8);
            if !may_change(text.as_bytes()) {
                // Yes: it is what NFC makes of it, begins no combination and goes into none.
                assert_eq!(is_nfc_quick(text.chars()), IsNormalized::Yes, "U+{:04X}", c as u32);
                assert_eq!(
                    unicode_normalization_alignments::char::canonical_combining_class(c),
                    0,
                    "U+{:04X}",
                    c as u32
                );
            }
        }
    }

    #[test]
    fn jamo_become_syllables() {
        assert_eq!(nfc("a \u{1112}\u{1161}\u{11ab}e\u{301}"), "a 한é");
        assert!(matches!(nfc("한글 “Ⅷ” 漢 😀 ①"), Cow::Borrowed(_)));
    }
}
