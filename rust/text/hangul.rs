//! Code-point classes: which characters new tokens may hold, and so where Hangul meets the rest.

/// Whether `c` may stand in a new token: a modern syllable (U+AC00 to U+D7A3) or a modern compatibility jamo
/// (U+3131 to U+3163). Other Hangul (conjoining, half-width, circled) is left to the base tokenizer.
#[must_use]
pub fn is_hangul(c: char) -> bool {
    matches!(c, '\u{AC00}'..='\u{D7A3}' | '\u{3131}'..='\u{3163}')
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_say_what_the_character_says() {
        for c in '\0'..=char::MAX {
            let mut buffer = [0; 4];
            c.encode_utf8(&mut buffer);
            assert_eq!(is_first(buffer[0], buffer[1], buffer[2]), is_hangul(c), "U+{:04X}", c as u32);
        }
    }
}
