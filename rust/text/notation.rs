//! How words are written: outside the engine a space is `▁`, inside it is the one byte that it is in a text.
//!
//! To a SentencePiece-style tokenizer `▁` is a space. A byte-level one can meet a `▁` that is none; so that no word is
//! written as another is, the two change places: a space becomes `▁`, and `▁` a space.

use memchr::memchr2_iter;

use crate::text::words::SPACE;

const MARK: &[u8] = "\u{2581}".as_bytes();

/// Append `word` to `to`, from one notation in the other.
pub fn turn(word: &[u8], to: &mut Vec<u8>) {
    let mut from = 0;
    for at in memchr2_iter(b' ', MARK[0], word) {
        let (turned, length): (&[u8], usize) = match word[at..] {
            [b' ', ..] => (MARK, 1),
            _ if word[at..].starts_with(MARK) => (b" ", SPACE.len_utf8()),
            _ => continue,
        };
        to.extend_from_slice(&word[from..at]);
        to.extend_from_slice(turned);
        from = at + length;
    }
    to.extend_from_slice(&word[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn there_and_back(word in "[ ▁“a가\u{2580}]{0,40}") {
            let (mut there, mut back) = (vec![], vec![]);
            turn(word.as_bytes(), &mut there);
            let expected: String = word.chars().map(|c| match c { ' ' => SPACE, SPACE => ' ', c => c }).collect();
            prop_assert_eq!(&there, expected.as_bytes());
            turn(&there, &mut back);
            prop_assert_eq!(back, word.as_bytes());
        }
    }
}
