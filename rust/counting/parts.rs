//! The words of a part, sorted in memory: by count, descending, then by word, ascending by bytes, with `▁` for a space.

use std::cmp::Reverse;

use simdutf8::basic::from_utf8;

use crate::counting::keys::Word;
use crate::counting::records::write_record;
use crate::error::{Error, Result};
use crate::text::notation::turn;

/// The words of a part, in order, `▁` for a space.
pub struct Part {
    pub(super) text: String,
    pub(super) words: Vec<Counted>,
}

/// A word of [`Part`]: its count, its first bytes as a number, which settle most comparisons without a look at the
/// text, and where in the text it stands.
#[derive(Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) count: u64,
    pub(super) head: u128,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Counted {
    pub(super) fn order<'a>(&self, text: &'a [u8]) -> (Reverse<u64>, u128, &'a [u8]) {
        let (count, head) = self.first();
        (count, head, &text[self.start..self.end])
    }

    /// What settles most comparisons.
    pub(super) fn first(&self) -> (Reverse<u64>, u128) {
        (Reverse(self.count), self.head)
    }
}

/// The first 16 bytes of a word as a number that is ordered as they are.
pub(super) fn head(word: &[u8]) -> u128 {
    let mut first = [0; 16];
    let length = word.len().min(16);
    first[..length].copy_from_slice(&word[..length]);
    u128::from_be_bytes(first)
}

impl Part {
    /// Sort `words`, which are written as they are inside the engine.
    ///
    /// # Errors
    /// If a word is no UTF-8.
    pub fn sort<'a>(words: impl Iterator<Item = (Word<'a>, u64)>) -> Result<Self> {
        let mut text = Vec::new();
        let mut found = Vec::with_capacity(words.size_hint().0);
        for (word, count) in words {
            let start = text.len();
            turn(word.bytes(), &mut text);
            let end = text.len();
            found.push(Counted { count, head: head(&text[start..end]), start, end });
        }
        // By numbers alone, and what they do not tell apart by the text: faster than to be ready for both each time.
        found.sort_unstable_by_key(Counted::first);
        for alike in found.chunk_by_mut(|a, b| a.first() == b.first()).filter(|alike| alike.len() > 1) {
            alike.sort_unstable_by(|a, b| a.order(&text).cmp(&b.order(&text)));
        }
        // All at once: one by one, words are too short to be looked at many bytes at a time.
        let broken = || Error::Argument("a word is no UTF-8".into());
        let text = from_utf8(&text).map_err(|_| broken())?;
        // In the order of the words: it is read from its beginning to its end when parts are combined.
        let mut ordered = String::with_capacity(text.len());
        for word in &mut found {
            let start = ordered.len();
            ordered.push_str(text.get(word.start..word.end).ok_or_else(broken)?);
            (word.start, word.end) = (start, ordered.len());
        }
        Ok(Self { text: ordered, words: found })
    }

    /// How many words there are, and the sum of their counts.
    ///
    /// # Errors
    /// If the sum passes 2^64 - 1.
    pub fn totals(&self) -> Result<(u64, u64)> {
        add_totals(self.words.iter().map(|word| (1, word.count)))
    }

    /// The words as records, in order.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        self.words
            .iter()
            .try_for_each(|word| write_record(out, &self.text.as_bytes()[word.start..word.end], word.count))
    }
}

/// The sums of distinct words and of words.
///
/// # Errors
/// If one passes 2^64 - 1.
pub fn add_totals(totals: impl IntoIterator<Item = (u64, u64)>) -> Result<(u64, u64)> {
    let add = |sum: (u64, u64), more: (u64, u64)| Some((sum.0.checked_add(more.0)?, sum.1.checked_add(more.1)?));
    totals.into_iter().try_fold((0, 0), add).ok_or(Error::Overflow)
}
