//! Code-point classes: which characters new tokens may hold, and so where Hangul meets the rest.

/// Whether `c` may stand in a new token: a modern syllable (U+AC00 to U+D7A3) or a modern compatibility jamo
/// (U+3131 to U+3163). Other Hangul (conjoining, half-width, circled) is left to the base tokenizer.
#[must_use]
pub fn is_hangul(c: char) -> bool {
    matches!(c, '\u{AC00}'..='\u{D7A3}' | '\u{3131}'..='\u{3163}')
}

/// [`is_hangul`] for the three bytes of a character; `bytes` starts at a character and is valid UTF-8.
///
/// U+AC00 is EA B0 80, U+D7A3 is ED 9E A3, U+3131 is E3 84 B1 and U+3163 is E3 85 A3.
#[must_use]
#[inline]
pub fn starts_with_hangul(bytes: &[u8]) -> bool {
    let Some(&[a, b, c]) = bytes.first_chunk::<3>() else {
        return false;
    };
    match a {
        0xEB | 0xEC => true,
        0xEA => b >= 0xB0,
        0xED => (b, c) <= (0x9E, 0xA3),
        0xE3 => (0x84, 0xB1) <= (b, c) && (b, c) <= (0x85, 0xA3),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_say_what_the_character_says() {
        for c in '\0'..=char::MAX {
            let mut buffer = [0; 4];
            let bytes = c.encode_utf8(&mut buffer).as_bytes();
            assert_eq!(starts_with_hangul(bytes), is_hangul(c), "U+{:04X}", c as u32);
        }
    }
}
