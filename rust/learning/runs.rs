//! What of the words is learned from, and the characters in it.

use crate::error::{Error, Result};
use crate::text::words::SPACE;

/// Which parts of words are learned from: runs of some characters and one `▁` before each, or whole words.
pub(super) struct Runs {
    /// Of each code point, whether it is one of these; of whole words there are none.
    of: Vec<bool>,
}

impl Runs {
    pub(super) const POINTS: usize = 0x11_0000;

    pub(super) fn of(characters: &str) -> Self {
        let mut of = vec![false; if characters.is_empty() { 0 } else { Self::POINTS }];
        characters.chars().for_each(|c| of[c as usize] = true);
        Self { of }
    }

    /// Call `found` with each part of `word` that is learned from.
    #[inline]
    pub(super) fn each(&self, word: &str, mut found: impl FnMut(&str)) {
        if self.of.is_empty() {
            found(word);
            return;
        }
        let (mut start, mut before) = (None, None);
        for (at, c) in word.char_indices() {
            match (self.of[c as usize], start) {
                (true, None) => start = Some(if before == Some(SPACE) { at - SPACE.len_utf8() } else { at }),
                (false, Some(from)) => {
                    found(&word[from..at]);
                    start = None;
                }
                _ => {}
            }
            before = Some(c);
        }
        if let Some(from) = start {
            found(&word[from..]);
        }
    }
}

/// How often each code point is seen, and which are seen at all, if only in words that are counted 0 times.
pub(super) struct Characters {
    counts: Vec<u64>,
    seen: Vec<bool>,
}

impl Characters {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; Runs::POINTS], seen: vec![false; Runs::POINTS] }
    }

    /// # Errors
    /// If a sum passes 2^63 - 1.
    pub(super) fn add(&mut self, runs: &Runs, words: &[(&str, u64)]) -> Result<()> {
        let mut passed = 0;
        for &(word, count) in words {
            passed |= count;
            runs.each(word, |run| {
                for c in run.chars() {
                    let sum = &mut self.counts[c as usize];
                    *sum = sum.saturating_add(count);
                    passed |= *sum;
                    self.seen[c as usize] = true;
                }
            });
        }
        if passed >> 63 == 0 { Ok(()) } else { Err(Error::Overflow) }
    }

    /// The characters that are seen, in code-point order, and how often.
    ///
    /// # Errors
    /// If a sum passes 2^63 - 1.
    pub(super) fn sum(parts: &[Self]) -> Result<Vec<(char, u64)>> {
        let mut found = vec![];
        for c in '\0'..=char::MAX {
            if parts.iter().any(|part| part.seen[c as usize]) {
                let sum = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.counts[c as usize]));
                found.push((c, sum.filter(|&sum| sum >> 63 == 0).ok_or(Error::Overflow)?));
            }
        }
        Ok(found)
    }
}
