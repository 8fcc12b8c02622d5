//! Words in order: by count, descending, then by word, ascending by bytes, with `▁` for a space.
//!
//! Each part of the words is sorted by itself, in memory or into a file, and the parts are then combined as they are
//! read: however many words there are, one of each part is in memory. Parts in memory are combined by all threads, a range
//! of the words each.

use std::sync::Arc;

use crate::counting::merge::Merge;
use crate::counting::parts::{Part, add_totals};
use crate::counting::records::Reader;
use crate::error::Result;
use crate::threads::each;

/// A word of so many of a part is looked at to find where ranges begin.
const SAMPLED: usize = if cfg!(test) { 2 } else { 1 << 10 };
/// About how many words a range has: threads do not wait for each other for long, and beginning one is not felt.
const RANGE: usize = if cfg!(test) { 6 } else { 1 << 16 };

/// All words in order.
pub struct Sorted {
    parts: Arc<[Part]>,
    /// Where each range of words begins in each part, and behind the last where the parts end.
    begins: Vec<Vec<usize>>,
    /// Ranges that are done.
    done: usize,
    files: Merge,
    totals: (u64, u64),
}

impl Sorted {
    /// The words of `parts`.
    ///
    /// # Errors
    /// If the sum of all counts passes 2^64 - 1.
    pub fn of(parts: Vec<Part>) -> Result<Self> {
        let totals = add_totals(parts.iter().map(Part::totals).collect::<Result<Vec<_>>>()?)?;
        let order = |&(part, at): &(usize, usize)| {
            let part: &Part = &parts[part];
            part.words[at].order(part.text.as_bytes())
        };
        let each_of = |part: usize| (0..parts[part].words.len()).step_by(SAMPLED).skip(1).map(move |at| (part, at));
        let mut samples: Vec<_> = (0..parts.len()).flat_map(each_of).collect();
        samples.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        let firsts = samples.chunks(RANGE / SAMPLED).skip(1).map(|range| order(&range[0]));
        let mut begins = vec![vec![0; parts.len()]];
        begins.extend(firsts.map(|first| {
            let begin = |part: &Part| part.words.partition_point(|word| word.order(part.text.as_bytes()) < first);
            parts.iter().map(begin).collect()
        }));
        begins.push(parts.iter().map(|part| part.words.len()).collect());
        Ok(Self { begins, parts: parts.into(), done: 0, files: Merge::default(), totals })
    }

    /// The words of files of records, each in order.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(files: Vec<Reader>) -> Result<Self> {
        let (parts, begins) = (Vec::new().into(), vec![Vec::new()]);
        Ok(Self { parts, begins, done: 0, files: Merge::of_files(files)?, totals: (0, 0) })
    }

    /// Distinct words, and the sum of their counts; not known of files.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        self.totals
    }

    /// What `make` makes of the next words, and of how many: a range each, by `threads` threads. Words of files come one
    /// after another, at most `limit` of them. After the last word, what is made of none.
    ///
    /// # Errors
    /// If a file cannot be read, or `make` says so.
    pub fn ranges<T: Send>(
        &mut self,
        limit: usize,
        threads: usize,
        make: impl Fn(&mut Merge, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let number = self.left().min(threads);
        if number == 0 {
            return make(&mut self.files, limit).map(|of_all| vec![of_all]);
        }
        let (done, sorted) = (self.done, &*self);
        let results = each(number, threads, |at| make(&mut sorted.range(done + at)?, usize::MAX))?;
        self.done += number;
        Ok(results)
    }

    fn left(&self) -> usize {
        self.begins.len() - 1 - self.done
    }

    fn range(&self, number: usize) -> Result<Merge> {
        Merge::of_parts(&self.parts, &self.begins[number], &self.begins[number + 1])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cmp::Reverse;

    use super::*;
    use crate::counting::keys::Word;
    use crate::error::Error;
    use proptest::prelude::*;

    /// Words with spaces, of equal beginnings, and some that end in zeros, which a head does not tell from none.
    const WORDS: &str = "( ?(가나다라마)?(가나다라마바)?[a\0]{0,3} ?[가b]{0,2}){1,3}";

    pub(crate) fn drain(mut sorted: Sorted, limit: usize) -> Vec<(String, u64)> {
        let mut found = vec![];
        loop {
            let made = sorted.ranges(limit, limit % 4 + 1, |words, limit| {
                let mut found = vec![];
                words.take(limit, |word, count| found.push((word.to_owned(), count)))?;
                Ok(found)
            });
            let next = made.unwrap().concat();
            if next.is_empty() {
                return found;
            }
            found.extend(next);
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
                Part::sort(its.map(|(_, (word, count))| (Word::Long(word.as_bytes()), *count))).unwrap()
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
        let part =
            |word: &'static str| Part::sort([(Word::Long(word.as_bytes()), u64::MAX / 2 + 1)].into_iter()).unwrap();
        assert!(Sorted::of(vec![part("a")]).is_ok());
        assert!(matches!(Sorted::of(vec![part("a"), part("b")]), Err(Error::Overflow)));
        assert_eq!(add_totals([(1, u64::MAX), (1, 0)]).unwrap(), (2, u64::MAX));
        assert!(add_totals([(1, u64::MAX), (1, 1)]).is_err());
    }
}
