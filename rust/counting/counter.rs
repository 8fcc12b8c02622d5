//! Documents into word counts: one pass, by threads that share tables (see [`crate::counting::hash_tables`]).
//! The result depends on the multiset of documents only: not on threads, batches or order.

use std::path::Path;

use crate::counting::cutter::Cutter;
use crate::counting::hash_tables::{Queues, Size, Tables, Whole};
use crate::counting::parts::Part;
use crate::counting::reader::{Reader, read};
use crate::counting::sorted::Sorted;
use crate::counting::spill::spill;
use crate::error::Result;
use crate::text::notation::turn;
use crate::threads::{at_once, each};

/// Slots that all tables have together at first: 64 MiB, which is 1.3 M words.
const FIRST: usize = 1 << 21;

/// Counts words over any number of batches.
pub struct WordCounter {
    tables: Tables,
    workers: Vec<Worker>,
}

/// Aligned so that no cache line is of two: a thread would wait for each word that the other counts.
#[repr(align(128))]
struct Worker {
    reader: Reader,
    queues: Queues,
}

impl WordCounter {
    /// A counter that works in `threads` threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let tables = Tables::new(threads, FIRST);
        let worker = |_| Worker { reader: Reader::default(), queues: Queues::new(&tables) };
        let workers = (0..threads.max(1)).map(worker).collect();
        Self { tables, workers }
    }

    /// Count the words of `documents`. O(bytes).
    ///
    /// Returns how many words stand between white space, which the words as they are cut do not tell.
    ///
    /// # Errors
    /// If a document is no UTF-8, or cannot be cut; some of them are counted then.
    pub fn update(&mut self, cutter: &Cutter, documents: &[&str]) -> Result<u64> {
        let tables = &self.tables;
        let workers = self.workers.iter_mut();
        read(workers.map(|Worker { reader, queues }| (reader, Whole { queues, tables })), cutter, documents)
    }

    /// Bring the words that threads keep to themselves into the tables.
    fn settle(&mut self) -> Result<()> {
        let tables = &self.tables;
        let settled = at_once(&mut self.workers, |Worker { reader, queues }| {
            reader.front.flush(&mut Whole { queues, tables });
            queues.flush(tables)
        });
        settled.into_iter().collect()
    }

    /// Add words that were counted before, `▁` for a space.
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub fn add(&mut self, words: &[(&str, u64)]) -> Result<()> {
        let (tables, Worker { queues, .. }) = (&self.tables, &mut self.workers[0]);
        let mut word = Vec::new();
        for &(text, count) in words.iter().filter(|(text, count)| !text.is_empty() && *count > 0) {
            word.clear();
            turn(text.as_bytes(), &mut word);
            queues.push(&word, 0, word.len(), count, tables);
        }
        queues.flush(tables)
    }

    /// How many threads it works in.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len()
    }

    /// What is in memory, but for the words that each thread keeps to itself, up to 131,072 of them.
    #[must_use]
    pub fn size(&self) -> Size {
        self.tables.size()
    }

    /// Append the words to the parts in `folder` and forget them; see [`spill`].
    ///
    /// # Errors
    /// If a file cannot be written; some words may be there then, and all are still here. If a count passes 2^64 - 1.
    pub fn spill(&mut self, folder: &Path) -> Result<()> {
        self.settle()?;
        spill(&self.tables, folder, self.workers.len())?;
        self.tables = Tables::new(self.workers.len(), FIRST);
        Ok(())
    }

    /// All words in order. O(words log words).
    ///
    /// # Errors
    /// If the sum of all counts passes 2^64 - 1.
    pub fn sorted(&mut self) -> Result<Sorted> {
        self.settle()?;
        let sort = |at| Part::sort(self.tables.table(at).iter().map(|(_, word, count)| (word, count)));
        Sorted::of(each(self.tables.number(), self.workers.len(), sort)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::model::Bpe;
    use crate::counting::cutter::tests::bpe;
    use crate::counting::sorted::tests::drain;
    use crate::counting::spill::{read_sorted, sort_parts};
    use proptest::prelude::*;
    use std::cmp::Reverse;

    fn count(bpe: &Bpe, threads: usize, batches: &[&[&str]]) -> Vec<(String, u64)> {
        let mut counter = WordCounter::new(threads);
        for batch in batches {
            counter.update(&Cutter::new(bpe).unwrap(), batch).unwrap();
        }
        drain(counter.sorted().unwrap(), 7)
    }

    proptest! {
        #[test]
        fn threads_batches_and_order_do_not_matter(
            mut texts in prop::collection::vec("[a가 \n]{0,12}", 0..40), threads in 1usize..4, at in 0usize..40,
        ) {
            let bpe = bpe(None);
            let whole: Vec<&str> = texts.iter().map(String::as_str).collect();
            let expected = count(&bpe, 1, &[&whole]);
            prop_assert!(expected.is_sorted_by_key(|(word, count)| (Reverse(*count), word.clone())));
            texts.reverse();
            let turned: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (front, back) = turned.split_at(at.min(turned.len()));
            prop_assert_eq!(count(&bpe, threads, &[front, back]), expected);
            let between: usize = turned.iter().map(|text| text.split_whitespace().count()).sum();
            let mut counter = WordCounter::new(threads);
            let cutter = Cutter::new(&bpe).unwrap();
            let [front, back] = [front, back].map(|half| counter.update(&cutter, half).unwrap());
            prop_assert_eq!(front + back, between as u64);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))] // hundreds of files each

        #[test]
        fn what_was_spilled_or_added_is_counted_too(
            texts in prop::collection::vec("[a가 \n]{0,40}", 2..40), threads in prop::sample::select(vec![1, 2, 40]),
        ) {
            let bpe = bpe(None);
            let whole: Vec<&str> = texts.iter().map(String::as_str).collect();
            let expected = count(&bpe, 1, &[&whole]);
            let folder = tempfile::tempdir().unwrap();
            let mut counter = WordCounter::new(threads);
            for batch in whole.chunks(whole.len().div_ceil(3)) {
                let counted = count(&bpe, threads, &[batch]);
                counter.add(&counted.iter().map(|(word, count)| (word.as_str(), *count)).collect::<Vec<_>>()).unwrap();
                counter.spill(folder.path()).unwrap();
                prop_assert_eq!(counter.size().words, 0);
            }
            sort_parts(folder.path(), threads).unwrap();
            prop_assert_eq!(drain(read_sorted(folder.path()).unwrap(), 7), expected);
        }
    }
}
