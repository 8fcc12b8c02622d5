//! Documents into word counts: one pass, by threads that share tables (see [`crate::counting::hash_tables`]).
//! The result depends on the multiset of documents only: not on threads, batches or order.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::bpe::encode::Encoder;
use crate::counting::cutter::Cutter;
use crate::counting::hash_tables::{Front, Size, Tables};
use crate::counting::keys::PADDING;
use crate::counting::sorted::{Part, Sorted};
use crate::counting::spill::spill;
use crate::error::Result;
use crate::text::notation::turn;
use crate::text::spaces::words_between_space;
use crate::threads::{each, join, start};

/// Bytes of text that a thread takes at a time: enough to forget the taking, and little to wait for at the end.
const TASK: usize = 1 << 16;

/// Counts words over any number of batches.
pub struct WordCounter {
    tables: Tables,
    workers: Vec<Worker>,
}

/// Aligned so that no cache line is of two: a thread would wait for each word that the other counts.
#[repr(align(128))]
struct Worker {
    front: Front,
    /// Sections of text with gaps between: cut all at once, however short they are.
    sections: Vec<u8>,
}

impl WordCounter {
    /// A counter that works in `threads` threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let tables = Tables::new(threads);
        let worker = |_| Worker { front: Front::new(&tables), sections: Vec::new() };
        let workers = (0..threads.max(1)).map(worker).collect();
        Self { tables, workers }
    }

    /// Count the words of `documents`; a thread that is free takes the next of them. O(bytes).
    ///
    /// Returns how many words stand between white space, which the words as they are cut do not tell.
    pub fn update(&mut self, cutter: &Cutter, documents: &[&str]) -> u64 {
        let (tables, tasks) = (&self.tables, tasks(documents));
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (tasks, next) = (&tasks, &next);
            let work = |worker: &mut Worker| {
                let mut between_space = 0;
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !cutter.plain_sections(task, &mut worker.sections) {
                        between_space += task.iter().map(|text| worker.document(cutter, text, tables)).sum::<i64>();
                    }
                    between_space += worker.count(cutter, tables);
                }
                between_space
            };
            let running: Vec<_> = self.workers.iter_mut().map(|worker| start(scope, move || work(worker))).collect();
            running.into_iter().map(join).sum::<i64>().unsigned_abs()
        })
    }

    /// Bring the words that threads keep to themselves into the tables.
    fn settle(&mut self) -> Result<()> {
        self.workers.iter_mut().try_for_each(|worker| worker.front.flush(&self.tables))
    }

    /// Add words that were counted before, `▁` for a space.
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub fn add(&mut self, words: &[(&str, u64)]) -> Result<()> {
        let (tables, Worker { front, sections: word }) = (&self.tables, &mut self.workers[0]);
        for &(text, count) in words.iter().filter(|(text, count)| !text.is_empty() && *count > 0) {
            word.clear();
            turn(text.as_bytes(), word);
            front.add(word, count, tables);
        }
        word.clear();
        front.flush(tables)
    }

    /// How many threads it works in.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len()
    }

    /// What is in memory, but for some thousand words that each thread keeps to itself.
    #[must_use]
    pub fn size(&self) -> Size {
        self.tables.size()
    }

    /// Count of each token id over what is in memory; each thread encodes the words of some tables, unsorted.
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub fn count_tokens(&mut self, encoder: &Encoder<'_>) -> Result<Vec<u64>> {
        self.settle()?;
        let tables: Vec<_> = (0..self.tables.number()).map(|at| self.tables.table(at)).collect();
        let shares = tables.chunks(tables.len().div_ceil(self.workers.len()));
        encoder.count_shares(
            shares.map(|share| share.iter().flat_map(|table| table.iter().map(|(_, word, count)| (word, count)))),
        )
    }

    /// Append the words to the parts in `folder` and forget them; see [`spill`].
    ///
    /// # Errors
    /// If a file cannot be written; some words may be there then, and all are still here. If a count passes 2^64 - 1.
    pub fn spill(&mut self, folder: &Path) -> Result<()> {
        self.settle()?;
        spill(&self.tables, folder, self.workers.len())?;
        self.clear();
        Ok(())
    }

    /// Forget all words.
    pub fn clear(&mut self) {
        *self = Self::new(self.workers.len());
    }

    /// All words in order. O(words log words).
    ///
    /// # Errors
    /// If the sum of all counts passes 2^64 - 1.
    pub fn sorted(&mut self) -> Result<Sorted> {
        self.settle()?;
        let sort = |at| Ok(Part::sort(self.tables.table(at).iter().map(|(_, word, count)| (word, count))));
        Sorted::of(each(self.tables.number(), self.workers.len(), sort)?)
    }
}

/// Runs of documents of about [`TASK`] bytes.
pub(crate) fn tasks<'a, 'b>(documents: &'a [&'b str]) -> Vec<&'a [&'b str]> {
    let mut bytes = 0;
    let goes_on = |text: &&str, _: &&str| {
        bytes += text.len();
        let full = bytes >= TASK;
        if full {
            bytes = 0;
        }
        !full
    };
    documents.chunk_by(goes_on).collect()
}

impl Worker {
    /// Take a document apart; returns how many more words stand between white space in it than in its sections.
    fn document(&mut self, cutter: &Cutter, text: &str, tables: &Tables) -> i64 {
        let Self { front, sections } = self;
        let before = sections.len();
        if cutter.sections(text, sections, |token, _| front.push(&token.padded, 0, token.length, tables)) {
            return 0;
        }
        between_space(text.as_bytes()) - between_space(&sections[before..])
    }

    /// Count the words of the sections; returns how many stand between white space.
    fn count(&mut self, cutter: &Cutter, tables: &Tables) -> i64 {
        let Self { front, sections } = self;
        let length = sections.len();
        let between_space = between_space(sections);
        sections.extend_from_slice(&[0; PADDING]);
        cutter.words(&sections[..length], |start, end| front.push(sections, start, end, tables));
        sections.clear();
        between_space
    }
}

fn between_space(text: &[u8]) -> i64 {
    words_between_space(text).cast_signed()
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
            counter.update(&Cutter::new(bpe).unwrap(), batch);
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
            prop_assert_eq!(counter.update(&cutter, front) + counter.update(&cutter, back), between as u64);
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
