//! Words in order: by count, descending, then by word, ascending by bytes, with `▁` for a space.
//!
//! Each part of the words is sorted by itself, in memory or into a file, and the parts are then combined as they are
//! read: however many words there are, one of each part is in memory.

use std::cmp::Reverse;

use crate::counting::keys::Word;
use crate::counting::records::{Reader, write_record};
use crate::error::{Error, Result};
use crate::text::notation::turn;

/// The words of a part, in order, `▁` for a space.
pub struct Part {
    text: Vec<u8>,
    words: Vec<Counted>,
}

/// A word of [`Part`]: its count, its first bytes as a number, which settle most comparisons without a look at the
/// text, and where in the text it stands.
#[derive(Clone, Copy, Default)]
struct Counted {
    count: u64,
    head: u128,
    start: usize,
    end: usize,
}

impl Counted {
    fn order<'a>(&self, text: &'a [u8]) -> (Reverse<u64>, u128, &'a [u8]) {
        (Reverse(self.count), self.head, &text[self.start..self.end])
    }
}

/// The first 16 bytes of a word as a number that is ordered as they are.
fn head(word: &[u8]) -> u128 {
    let mut first = [0; 16];
    let length = word.len().min(16);
    first[..length].copy_from_slice(&word[..length]);
    u128::from_be_bytes(first)
}

impl Part {
    /// Sort `words`, which are written as they are inside the engine.
    pub fn sort<'a>(words: impl Iterator<Item = (Word<'a>, u64)>) -> Self {
        let mut text = Vec::new();
        let mut found = Vec::with_capacity(words.size_hint().0);
        for (word, count) in words {
            let start = text.len();
            turn(word.bytes(), &mut text);
            let end = text.len();
            found.push(Counted { count, head: head(&text[start..end]), start, end });
        }
        found.sort_unstable_by(|a, b| a.order(&text).cmp(&b.order(&text)));
        // The text in the order of the words: it is read from its beginning to its end when parts are combined.
        let mut ordered = Vec::with_capacity(text.len());
        for word in &mut found {
            let start = ordered.len();
            ordered.extend_from_slice(&text[word.start..word.end]);
            (word.start, word.end) = (start, ordered.len());
        }
        Self { text: ordered, words: found }
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
        self.words.iter().try_for_each(|word| write_record(out, &self.text[word.start..word.end], word.count))
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

/// Where a part's words come from, and the word that it has come to; its count is 0 after the last.
struct Source {
    from: From,
    now: Counted,
}

enum From {
    Memory(Part, usize),
    /// The word that was read last, and what is left.
    File(Vec<u8>, Reader),
}

impl Source {
    fn text(&self) -> &[u8] {
        match &self.from {
            From::Memory(part, _) => &part.text,
            From::File(word, _) => word,
        }
    }

    fn advance(&mut self) -> Result<()> {
        self.now = match &mut self.from {
            From::Memory(part, at) => {
                *at += 1;
                part.words.get(*at - 1).copied().unwrap_or_default()
            }
            From::File(word, file) => {
                word.clear();
                let count = file.next(word)?.unwrap_or_default();
                Counted { count, head: head(word), start: 0, end: word.len() }
            }
        };
        Ok(())
    }
}

/// All words in order, part by part as they are read.
pub struct Sorted {
    sources: Vec<Source>,
    /// A tournament: the sources play at the leaves, each node holds who won below, and the root is next in order.
    winners: Vec<usize>,
    totals: (u64, u64),
}

impl Sorted {
    /// The words of `parts`.
    ///
    /// # Errors
    /// If the sum of all counts passes 2^64 - 1.
    pub fn of(parts: Vec<Part>) -> Result<Self> {
        let totals = add_totals(parts.iter().map(Part::totals).collect::<Result<Vec<_>>>()?)?;
        Self::new(parts.into_iter().map(|part| From::Memory(part, 0)).collect(), totals)
    }

    /// The words of files of records, each in order.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(files: Vec<Reader>) -> Result<Self> {
        Self::new(files.into_iter().map(|file| From::File(Vec::new(), file)).collect(), (0, 0))
    }

    fn new(from: Vec<From>, totals: (u64, u64)) -> Result<Self> {
        let mut sources: Vec<_> = from.into_iter().map(|from| Source { from, now: Counted::default() }).collect();
        sources.iter_mut().try_for_each(Source::advance)?;
        // Node 1 is the root, and 2n and 2n + 1 are below n; there is a leaf for each source.
        let mut winners = vec![0; sources.len()];
        winners.extend(0..sources.len());
        let mut sorted = Self { sources, winners, totals };
        (1..sorted.sources.len()).rev().for_each(|node| sorted.play(node));
        Ok(sorted)
    }

    /// Distinct words, and the sum of their counts; not known of files.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        self.totals
    }

    /// Hand at most `limit` words, with their counts, to `each`; how many there were.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn take(&mut self, limit: usize, mut each: impl FnMut(&str, u64)) -> Result<usize> {
        for taken in 0..limit {
            let first = self.winners.get(1).copied().unwrap_or_default();
            let Some(source) = self.sources.get_mut(first).filter(|source| source.now.count > 0) else {
                return Ok(taken);
            };
            let word = &source.text()[source.now.start..source.now.end];
            each(std::str::from_utf8(word).unwrap_or_default(), source.now.count);
            source.advance()?;
            let mut node = usize::midpoint(self.sources.len(), first);
            while node > 0 {
                self.play(node);
                node /= 2;
            }
        }
        Ok(limit)
    }

    fn play(&mut self, node: usize) {
        let (left, right) = (self.winners[2 * node], self.winners[2 * node + 1]);
        let (one, other) = (&self.sources[left], &self.sources[right]);
        // What has ended has the lowest count, and loses.
        let ahead = other.now.order(other.text()) < one.now.order(one.text());
        self.winners[node] = if ahead { right } else { left };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Words with spaces, of equal beginnings, and some that end in zeros, which a head does not tell from none.
    const WORDS: &str = "( ?(가나다라마)?(가나다라마바)?[a\0]{0,3} ?[가b]{0,2}){1,3}";

    fn drain(mut sorted: Sorted, limit: usize) -> Vec<(String, u64)> {
        let mut found = vec![];
        loop {
            let before = found.len();
            let taken = sorted.take(limit, |word, count| found.push((word.to_owned(), count))).unwrap();
            assert_eq!(found.len() - before, taken);
            if taken == 0 {
                return found;
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_is_by_count_and_then_by_word(
            words in prop::collection::btree_map(WORDS, 1u64..4, 0..60), parts in 1usize..5, limit in 1usize..70,
        ) {
            let mut expected: Vec<(String, u64)> =
                words.iter().map(|(word, count)| (word.replace(' ', "▁"), *count)).collect();
            expected.sort_by_key(|(word, count)| (Reverse(*count), word.clone()));
            let totals = (words.len() as u64, words.values().sum());
            let sort = |part: usize| {
                let its = words.iter().enumerate().filter(|(at, _)| at % parts == part);
                Part::sort(its.map(|(_, (word, count))| (Word::Long(word.as_bytes()), *count)))
            };

            let sorted = Sorted::of((0..parts).map(sort).collect()).unwrap();
            prop_assert_eq!(sorted.totals(), totals);
            prop_assert_eq!(&drain(sorted, limit), &expected);

            let folder = tempfile::tempdir().unwrap();
            let written = (0..parts).map(|part| {
                let path = folder.path().join(part.to_string());
                sort(part).write(&mut std::fs::File::create(&path).unwrap()).unwrap();
                Reader::open(&path).unwrap()
            });
            prop_assert_eq!(&drain(Sorted::read(written.collect()).unwrap(), limit), &expected);
        }
    }

    #[test]
    fn sums_that_pass_64_bits_are_errors() {
        let part = |word: &'static str| Part::sort([(Word::Long(word.as_bytes()), u64::MAX / 2 + 1)].into_iter());
        assert!(Sorted::of(vec![part("a")]).is_ok());
        assert!(matches!(Sorted::of(vec![part("a"), part("b")]), Err(Error::Overflow)));
        assert_eq!(add_totals([(1, u64::MAX), (1, 0)]).unwrap(), (2, u64::MAX));
        assert!(add_totals([(1, u64::MAX), (1, 1)]).is_err());
    }
}
