//! Words in order: by count, descending, then by word, ascending by bytes, with `▁` for a space.
//!
//! Each part of the words is sorted by itself, in memory or into a file, and the parts are then combined as they are
//! read: however many words there are, one of each part is in memory.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::error::{Error, Result};
use crate::records::{Reader, write_record};
use crate::words::SPACE;

/// The words of a part, in order, `▁` for a space.
pub struct Part {
    text: String,
    words: Vec<Counted>,
}

/// A word of [`Part`]: its count, its first bytes as a number, which settle most comparisons without a look at the
/// text, and where in the text it stands.
#[derive(Clone, Copy)]
struct Counted {
    count: u64,
    head: u128,
    start: usize,
    end: usize,
}

/// The first 16 bytes of a word as a number that is ordered as they are.
fn head(word: &[u8]) -> u128 {
    let mut first = [0; 16];
    let length = word.len().min(16);
    first[..length].copy_from_slice(&word[..length]);
    u128::from_be_bytes(first)
}

impl Part {
    /// Sort `words`, which are written with spaces, as they are inside the engine.
    pub fn sort<W: AsRef<str>>(words: impl Iterator<Item = (W, u64)>) -> Self {
        let mut part = Self { text: String::new(), words: Vec::with_capacity(words.size_hint().0) };
        for (word, count) in words {
            let start = part.text.len();
            for (at, piece) in word.as_ref().split(' ').enumerate() {
                if at > 0 {
                    part.text.push(SPACE);
                }
                part.text.push_str(piece);
            }
            let end = part.text.len();
            part.words.push(Counted { count, head: head(&part.text.as_bytes()[start..end]), start, end });
        }
        let text = &part.text;
        part.words.sort_unstable_by(|a, b| {
            let settled = b.count.cmp(&a.count).then(a.head.cmp(&b.head));
            settled.then_with(|| text[a.start..a.end].cmp(&text[b.start..b.end]))
        });
        part
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

/// Where a part's words come from.
enum Source {
    Memory(Part, usize),
    File(Reader),
}

/// The word that a part has come to.
struct Next {
    count: u64,
    head: u128,
    word: Vec<u8>,
    from: usize,
}

impl Next {
    fn order(&self) -> (std::cmp::Reverse<u64>, u128, &[u8]) {
        (std::cmp::Reverse(self.count), self.head, &self.word)
    }
}

/// A heap gives its greatest first, so that is the first in order.
impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        other.order().cmp(&self.order())
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Next {}

/// All words in order, part by part as they are read.
pub struct Sorted {
    sources: Vec<Source>,
    heap: BinaryHeap<Next>,
    totals: (u64, u64),
}

impl Sorted {
    /// The words of `parts`.
    ///
    /// # Errors
    /// If the sum of all counts passes 2^64 - 1.
    pub fn of(parts: Vec<Part>) -> Result<Self> {
        let totals = add_totals(parts.iter().map(Part::totals).collect::<Result<Vec<_>>>()?)?;
        Self::new(parts.into_iter().map(|part| Source::Memory(part, 0)).collect(), totals)
    }

    /// Distinct words, and the sum of their counts; not known of files.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        self.totals
    }

    /// The words of files of records, each in order.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(files: Vec<Reader>) -> Result<Self> {
        Self::new(files.into_iter().map(Source::File).collect(), (0, 0))
    }

    fn new(mut sources: Vec<Source>, totals: (u64, u64)) -> Result<Self> {
        let mut heap = BinaryHeap::with_capacity(sources.len());
        for (from, source) in sources.iter_mut().enumerate() {
            let mut next = Next { count: 0, head: 0, word: Vec::new(), from };
            if source.advance(&mut next)? {
                heap.push(next);
            }
        }
        Ok(Self { sources, heap, totals })
    }

    /// Hand at most `limit` words, with their counts, to `each`; how many there were.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn take(&mut self, limit: usize, mut each: impl FnMut(&str, u64)) -> Result<usize> {
        for taken in 0..limit {
            let Some(mut first) = self.heap.peek_mut() else { return Ok(taken) };
            each(std::str::from_utf8(&first.word).unwrap_or_default(), first.count);
            let from = first.from;
            if !self.sources[from].advance(&mut first)? {
                PeekMut::pop(first);
            }
        }
        Ok(limit)
    }
}

impl Source {
    /// Write the next word into `next`; `false` after the last.
    fn advance(&mut self, next: &mut Next) -> Result<bool> {
        next.word.clear();
        match self {
            Self::Memory(part, at) => {
                let Some(word) = part.words.get(*at) else { return Ok(false) };
                *at += 1;
                next.count = word.count;
                next.word.extend_from_slice(&part.text.as_bytes()[word.start..word.end]);
            }
            Self::File(file) => match file.next(&mut next.word)? {
                Some(count) => next.count = count,
                None => return Ok(false),
            },
        }
        next.head = head(&next.word);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;

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
                Part::sort(its.map(|(_, (word, count))| (word, *count)))
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
        let part = |word| Part::sort([(word, u64::MAX / 2 + 1)].into_iter());
        assert!(Sorted::of(vec![part("a")]).is_ok());
        assert!(matches!(Sorted::of(vec![part("a"), part("b")]), Err(Error::Overflow)));
        assert_eq!(add_totals([(1, u64::MAX), (1, 0)]).unwrap(), (2, u64::MAX));
        assert!(add_totals([(1, u64::MAX), (1, 1)]).is_err());
    }
}
