//! Documents into token counts: one pass, by threads, as words are counted, but no words are kept. Where Hangul merges
//! with nothing, its characters are counted before there are words (see `singles`). A word that makes way
//! in a thread's front is cut into fragments (see `bpe/fragments.rs`): a single character is counted at once, other
//! fragments in tables, which are a tenth as large as those of words, and each distinct one is encoded once.

use crate::bpe::encode::{Encoder, add};
use crate::bpe::fragments::Fragments;
use crate::bpe::neighbours::PLANE;
use crate::counting::cutter::Cutter;
use crate::counting::hash_tables::{Queues, Sink, Size, Tables};
use crate::counting::keys::{PADDING, SHORT};
use crate::counting::reader::{Reader, read};
use crate::counting::singles::take;
use crate::counting::slots::Slot;
use crate::error::{Error, Result};
use crate::text::notation::turn;
use crate::text::words::SPACE;
use crate::threads::at_once;

/// Slots that all tables have together at first: 8 MiB.
const FIRST: usize = 1 << 18;

/// Counts tokens over any number of batches, which are all of one tokenizer.
pub struct TokenCounter {
    tables: Tables,
    workers: Vec<Worker>,
    /// By id; without what is in memory otherwise.
    total: Vec<u64>,
}

/// Aligned so that no cache line is of two: a thread would wait for each word that the other counts.
#[repr(align(128))]
struct Worker {
    reader: Reader,
    queues: Queues,
    /// Of the characters that are fragments by themselves, by code.
    characters: Vec<u64>,
    /// Of the characters that were taken out of text before it was cut, by code: one by one, so that no sum passes 64 bits.
    taken: Vec<u64>,
    /// Of the words that are taken whole, by id.
    whole: Vec<u64>,
    over: bool,
}

impl Worker {
    fn new(tables: &Tables) -> Self {
        let (reader, queues) = (Reader::default(), Queues::new(tables));
        Self { reader, queues, characters: vec![0; PLANE], taken: vec![0; PLANE], whole: Vec::new(), over: false }
    }

    /// Both of its sides: words, and what is made of them. `size` is one more than the highest id.
    fn sides<'a>(
        &'a mut self,
        tables: &'a Tables,
        fragments: &'a Fragments<'a>,
        size: usize,
    ) -> (&'a mut Reader, Cut<'a>) {
        let Self { reader, queues, characters, taken, whole, over } = self;
        whole.resize(size, 0);
        (reader, Cut { queues, characters, taken, whole, over, tables, fragments })
    }
}

/// Words are cut into fragments, and these counted.
struct Cut<'a> {
    queues: &'a mut Queues,
    characters: &'a mut [u64],
    taken: &'a mut [u64],
    whole: &'a mut [u64],
    over: &'a mut bool,
    tables: &'a Tables,
    fragments: &'a Fragments<'a>,
}

impl Cut<'_> {
    /// Add `count` times the word that is the first `length` bytes of `text`; [`PADDING`] bytes follow it.
    #[inline]
    fn word(&mut self, text: &[u8], length: usize, count: u64) {
        let Self { queues, characters, whole, over, tables, fragments, .. } = self;
        let mut counted = |sum: &mut u64| {
            let passed;
            (*sum, passed) = sum.overflowing_add(count);
            **over |= passed;
        };
        let word = &text[..length];
        if let Some(id) = fragments.whole(word) {
            counted(&mut whole[id as usize]);
            return;
        }
        fragments.of(word, |from, to, code| match code.and_then(|code| characters.get_mut(code as usize)) {
            Some(sum) => counted(sum),
            None => queues.push(text, from, to, count, tables),
        });
    }
}

impl Sink for Cut<'_> {
    const BETWEEN_SPACE: bool = false;

    #[inline]
    fn add(&mut self, slot: &Slot, _: u64) {
        let mut text = [0; PADDING + PADDING];
        for (to, from) in text.chunks_exact_mut(8).zip(&slot.key) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        let length = usize::from(std::mem::take(&mut text[SHORT]));
        self.word(&text, length, slot.count);
    }

    fn take_singles(&mut self, sections: &mut Vec<u8>) {
        if !self.fragments.hangul_is_single() {
            return;
        }
        let mut add = |code: u32, count| {
            if let Some(sum) = self.taken.get_mut(code as usize) {
                *sum += count;
            }
        };
        let spaces = take(sections, |code| add(code, 1));
        add(SPACE.into(), spaces);
    }

    #[cold]
    fn add_long(&mut self, word: &[u8]) {
        self.word(&[word, &[0; PADDING]].concat(), word.len(), 1);
    }
}

impl TokenCounter {
    /// A counter that works in `threads` threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let tables = Tables::new(threads, FIRST);
        let workers = (0..threads.max(1)).map(|_| Worker::new(&tables)).collect();
        Self { tables, workers, total: Vec::new() }
    }

    /// Count the tokens of `documents`. O(bytes).
    ///
    /// # Errors
    /// If a document is no UTF-8, or cannot be cut; some of them are counted then.
    pub fn update(&mut self, encoder: &Encoder<'_>, cutter: &Cutter, documents: &[&str]) -> Result<()> {
        let (tables, fragments) = (&self.tables, &Fragments::new(encoder));
        let sides = self.workers.iter_mut().map(|worker| worker.sides(tables, fragments, encoder.size()));
        read(sides, cutter, documents).map(drop)
    }

    /// Count the tokens of words that were counted before, as they are written outside the engine.
    pub fn add(&mut self, encoder: &Encoder<'_>, words: &[(&str, u64)]) {
        let Self { tables, workers, .. } = self;
        let fragments = &Fragments::new(encoder);
        let share = words.len().div_ceil(workers.len()).max(1);
        at_once(workers.iter_mut().zip(words.chunks(share)), |(worker, words)| {
            let (_, mut cut) = worker.sides(tables, fragments, encoder.size());
            let mut text = Vec::new();
            for &(word, count) in words.iter().filter(|(word, count)| !word.is_empty() && *count > 0) {
                text.clear();
                turn(word.as_bytes(), &mut text);
                let length = text.len();
                text.extend_from_slice(&[0; PADDING]);
                cut.word(&text, length, count);
            }
        });
    }

    /// What is in memory, but for the words that each thread keeps to itself, up to 131,072 of them.
    #[must_use]
    pub fn size(&self) -> Size {
        self.tables.size()
    }

    /// Encode what is in memory and forget it.
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub fn spill(&mut self, encoder: &Encoder<'_>) -> Result<()> {
        let Self { tables, workers, total } = self;
        let fragments = &Fragments::new(encoder);
        total.resize(encoder.size(), 0);
        let mut characters = vec![0; PLANE];
        let settle = |worker: &mut Worker| {
            let (reader, mut cut) = worker.sides(tables, fragments, encoder.size());
            reader.front.flush(&mut cut);
            worker.queues.flush(tables)
        };
        at_once(workers.iter_mut(), settle).into_iter().collect::<Result<()>>()?;
        for worker in workers.iter_mut() {
            if worker.over {
                return Err(Error::Overflow);
            }
            add(total, &worker.whole)?;
            add(&mut characters, &worker.characters)?;
            add(&mut characters, &worker.taken)?;
            for found in [&mut worker.whole, &mut worker.characters, &mut worker.taken] {
                found.fill(0);
            }
        }
        let single = (0..).zip(characters).filter(|(_, count)| *count > 0);
        let single: Vec<_> = single.filter_map(|(code, count)| Some((fragments.of_code(code)?, count))).collect();
        add(total, &encoder.count([single.into_iter()].into_iter())?)?;
        let all: Vec<_> = (0..tables.number()).map(|at| tables.table(at)).collect();
        let shares = all.chunks(all.len().div_ceil(workers.len()));
        let found = shares.map(|share| share.iter().flat_map(|table| table.iter().map(|(_, f, count)| (f, count))));
        add(total, &encoder.count(found)?)?;
        drop(all);
        *tables = Tables::new(workers.len(), FIRST);
        Ok(())
    }

    /// Count of each id.
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub fn counts(&mut self, encoder: &Encoder<'_>) -> Result<Vec<u64>> {
        self.spill(encoder)?;
        Ok(self.total.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::encode::Scratch;
    use crate::bpe::encode::tests::{of_bytes, of_characters};
    use crate::bpe::model::Bpe;
    use crate::counting::cutter::tests::bpe as with_added;
    use proptest::prelude::*;

    /// Added tokens, and each word of what is between them encoded by itself.
    fn expected(bpe: &Bpe, texts: &[&str]) -> Vec<u64> {
        let (cutter, encoder) = (Cutter::new(bpe).unwrap(), Encoder::new(bpe));
        let (mut counts, mut scratch) = (vec![0; bpe.size], Scratch::default());
        for text in texts {
            let mut sections = vec![];
            cutter.sections(text, &mut sections, |token, _| counts[token.id as usize] += 1);
            cutter.words(&sections, |start, end| {
                let add = |ids: &[u32]| ids.iter().for_each(|&id| counts[id as usize] += 1);
                encoder.encode_text(&sections[start..end], &mut scratch, add);
            });
        }
        counts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))] // each with fronts of 4 MiB

        #[test]
        fn counts_are_those_of_each_word_by_itself(
            parts in prop::collection::vec((0usize..40, 0usize..40), 0..40),
            texts in prop::collection::vec("([ ab가각é漢😀]{1,8}|<s>x?|[a가]{20,40}| 가각| aé)*", 1..30),
            threads in 1usize..4, at in 0usize..30,
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let characters = ["▁", "a", "b", "가", "각", "é"];
            let whole = of_bytes(" a가각é漢", &parts, &[" 가각", "aé", "😀"]);
            let single = of_characters(&["▁", "a", "b", "é"], &parts);
            prop_assert!(Fragments::new(&Encoder::new(&single)).hangul_is_single());
            let of_parts = [of_bytes(" a가각é漢", &parts, &[]), of_characters(&characters, &parts)];
            for bpe in of_parts.into_iter().chain([with_added(None), whole, single]) {
                let (cutter, encoder) = (Cutter::new(&bpe).unwrap(), Encoder::new(&bpe));
                let mut counter = TokenCounter::new(threads);
                let (first, second) = texts.split_at(at.min(texts.len()));
                counter.update(&encoder, &cutter, first).unwrap();
                if at % 2 > 0 {
                    counter.spill(&encoder).unwrap();
                    prop_assert_eq!(counter.size().words, 0);
                }
                counter.update(&encoder, &cutter, second).unwrap();
                prop_assert_eq!(counter.counts(&encoder).unwrap(), expected(&bpe, &texts));
            }
        }
    }

    #[test]
    fn words_are_counted_as_often_as_they_say_and_do_not_wrap() {
        let bpe = of_characters(&["▁", "a", "b", "c"], &[(1, 2), (4, 3)]);
        let encoder = Encoder::new(&bpe);
        let counts = |words: &[(&str, u64)], threads| {
            let mut counter = TokenCounter::new(threads);
            counter.add(&encoder, words);
            counter.counts(&encoder)
        };
        let long = "ab".repeat(50) + "▁c";
        let words = [("abc", 5), ("ab漢", 7), ("cab", u64::MAX - 200), ("", 3), (&long, 2), ("b▁", 0)];
        for threads in 1..4 {
            let found = counts(&words, threads).unwrap();
            assert_eq!((found[257], found[260], found[261], found[0xE6]), (0, u64::MAX - 200 + 107, 5, 7));
        }
        let ends = |word| counts(&[(word, u64::MAX), ("ab", 1), (word, 1)], 1).is_err();
        assert!(["c", "ab", "漢", "▁"].into_iter().all(ends));
    }
}
