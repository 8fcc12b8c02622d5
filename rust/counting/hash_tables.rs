//! Word → count for many threads: words are divided by their hash into tables, and each thread keeps the most
//! common ones to itself.
//!
//! A word first meets its thread's *front*: a table of words that were seen just now, which lies in the processor's
//! caches and takes more than two thirds of the words of Korean text. A word that is not there takes the place of another
//! (see `Pair`), and that one goes on, with its count, to a [`Sink`]: to count words it waits in its table's queue. A full
//! queue goes into the table at once, so a lock is taken once in [`BATCH`] words that wait, which is hundreds of words of
//! text. The threads share the tables, so that no word is held twice.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytemuck::Zeroable;

use crate::counting::keys::{Key, SHORT, Word, hash_long, hash_of, hash_short, same, short_key, to_usize};
use crate::counting::pages::fetch;
use crate::counting::slots::{BATCH, Slot, Slots};
use crate::error::{Error, Result};

/// Words are divided into so many parts wherever they leave memory: each part is combined and sorted by itself, so
/// no more than one part a thread is in memory then. A fixed number, since machines that share the work exchange parts.
pub const PARTS: usize = 128;
/// Pairs of a front: 4 MiB.
const FRONT: usize = 1 << 16;
/// Bytes of long words that wait: more only where one is longer.
const LONG: usize = 1 << 20;

/// The part that a hash belongs to: by its highest bits, while a place in a table goes by the lowest.
#[must_use]
#[inline]
pub fn part_of(hash: u64) -> usize {
    to_usize(hash >> (64 - PARTS.trailing_zeros()))
}

/// The pair of a front that a word of this hash is in: by the highest bits too, so that it tells the table.
#[inline]
fn pair_of(hash: u64) -> usize {
    to_usize(hash >> (64 - FRONT.trailing_zeros()))
}

/// The tables, shared between threads. Their number is a power of two, and a table's words have the same highest
/// bits of their hashes, as a part's have: a table holds one or more parts, or a part is in one or more tables.
pub struct Tables {
    tables: Vec<Mutex<Slots>>,
    shift: u32,
}

impl Tables {
    /// Enough tables that `threads` threads seldom meet, of so many slots together at first.
    #[must_use]
    pub fn new(threads: usize, slots: usize) -> Self {
        let tables = (threads * 8).next_power_of_two().clamp(16, 1024);
        Self {
            tables: (0..tables).map(|_| Mutex::new(Slots::new((slots / tables).max(BATCH * 2)))).collect(),
            shift: 64 - tables.trailing_zeros(),
        }
    }

    #[inline]
    fn table_of(&self, hash: u64) -> usize {
        to_usize(hash >> self.shift)
    }

    /// The table of number `at`.
    pub fn table(&self, at: usize) -> MutexGuard<'_, Slots> {
        // A thread that panicked takes the whole count with it.
        self.tables[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many tables there are.
    #[must_use]
    pub fn number(&self) -> usize {
        self.tables.len()
    }

    /// What all tables hold.
    #[must_use]
    pub fn size(&self) -> Size {
        let mut size = Size::default();
        for table in (0..self.number()).map(|at| self.table(at)) {
            size.words += table.len();
            size.memory += table.memory();
            size.memory_soon += table.memory_soon();
        }
        size
    }

    /// The smallest groups of tables that share no part with others, each with its parts.
    pub fn groups(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let groups = self.number().min(PARTS);
        let (tables, parts) = (self.number() / groups, PARTS / groups);
        (0..groups).map(move |at| (at * tables..(at + 1) * tables, at * parts..(at + 1) * parts))
    }
}

/// What tables hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Distinct words.
    pub words: usize,
    /// Bytes of memory that they take.
    pub memory: usize,
    /// Bytes that they will take before long, since tables that are nearly full will double.
    pub memory_soon: usize,
}

/// Two words that share a place in a front. A new word takes the second, which makes way; seen again there, the two
/// change places: so a word that comes once does not drive out one that comes often. A cache line.
#[derive(Clone, Copy, Zeroable)]
#[repr(align(64))]
struct Pair(Slot, Slot);

/// Recent words, which a thread keeps to itself.
pub struct Front {
    recent: Vec<Pair>,
    pushed: [(Key, u64); BATCH],
    number: usize,
}

/// Where the words of a front go on to.
pub trait Sink {
    /// Whether the words between white space are counted, too.
    const BETWEEN_SPACE: bool;
    /// A word of up to 23 bytes that makes way, with its count, and a hash that is of the same table as its own.
    fn add(&mut self, slot: &Slot, hash: u64);
    /// A longer word, which no front takes.
    fn add_long(&mut self, word: &[u8]);
    /// Sections of text before they are cut into words: what need not be in a word may be taken out of them, a gap for it.
    fn take_singles(&mut self, _: &mut Vec<u8>) {}
}

/// Words that wait for their tables.
pub struct Queues {
    waiting: Vec<Slot>,
    queued: Vec<usize>,
    /// Long words of any table, with their hashes, counts and lengths.
    long: Vec<(u64, u64, usize)>,
    /// The words themselves, one behind another.
    text: Vec<u8>,
    over: bool,
}

impl Default for Front {
    fn default() -> Self {
        Self { recent: bytemuck::zeroed_vec(FRONT), pushed: [([0; 3], 0); BATCH], number: 0 }
    }
}

impl Front {
    /// Add 1 to the word `text[start..end]`, which is not empty; it is in `to` when [`Front::flush`] returns.
    #[inline]
    pub fn push(&mut self, text: &[u8], start: usize, end: usize, to: &mut impl Sink) {
        if end - start > SHORT {
            to.add_long(&text[start..end]);
            return;
        }
        let key = short_key(text, start, end);
        let hash = hash_short(&key);
        fetch(&self.recent[pair_of(hash)]);
        self.pushed[self.number] = (key, hash);
        self.number += 1;
        if self.number == BATCH {
            self.meet(to);
        }
    }

    /// What was pushed meets the recent words. First all of it meets the words that are kept, without a jump, since half
    /// of it is there and no processor can foretell which half; then what was not there meets the words that are tried.
    #[inline(never)] // so that `push`, which is short without it, can be where words are cut
    fn meet(&mut self, to: &mut impl Sink) {
        let Self { recent, pushed, number } = self;
        let pushed = &pushed[..std::mem::take(number)];
        let (mut others, mut left) = ([0; BATCH], 0);
        for (at, (key, hash)) in pushed.iter().enumerate() {
            let Pair(kept, _) = &mut recent[pair_of(*hash)];
            let there = same(&kept.key, key);
            kept.count += u64::from(there);
            others[left] = at;
            left += usize::from(!there);
        }
        for (key, hash) in others[..left].iter().map(|at| &pushed[*at]) {
            let Pair(kept, tried) = &mut recent[pair_of(*hash)];
            if same(&tried.key, key) {
                tried.count += 1;
                std::mem::swap(kept, tried);
            } else if same(&kept.key, key) {
                kept.count += 1; // it was there twice
            } else {
                let old = std::mem::replace(tried, Slot { key: *key, count: 1 });
                if old.count > 0 {
                    // The words of a pair are of one table.
                    to.add(&old, *hash);
                }
            }
        }
    }

    /// Everything that was pushed goes on to `to`.
    pub fn flush(&mut self, to: &mut impl Sink) {
        self.meet(to);
        for slot in self.recent.iter_mut().flat_map(|Pair(kept, tried)| [kept, tried]) {
            if slot.count > 0 {
                let slot = std::mem::replace(slot, Slot::NONE);
                to.add(&slot, hash_of(&slot.key));
            }
        }
    }
}

/// Words go on as they are: by a thread's queues into the tables.
pub struct Whole<'a> {
    /// The thread's own.
    pub queues: &'a mut Queues,
    /// Those of all threads.
    pub tables: &'a Tables,
}

impl Sink for Whole<'_> {
    const BETWEEN_SPACE: bool = true;

    #[inline]
    fn add(&mut self, slot: &Slot, hash: u64) {
        self.queues.add(*slot, self.tables.table_of(hash), self.tables);
    }

    #[inline]
    fn add_long(&mut self, word: &[u8]) {
        self.queues.push_long(word, 1, self.tables);
    }
}

impl Queues {
    /// Queues to `tables`.
    #[must_use]
    pub fn new(tables: &Tables) -> Self {
        Self {
            waiting: vec![Slot::NONE; tables.number() * BATCH],
            queued: vec![0; tables.number()],
            long: Vec::with_capacity(BATCH),
            text: Vec::new(),
            over: false,
        }
    }

    /// Add `count`, which is not 0, to the word `text[start..end]`, which is not empty.
    #[inline]
    pub fn push(&mut self, text: &[u8], start: usize, end: usize, count: u64, tables: &Tables) {
        if end - start > SHORT {
            self.push_long(&text[start..end], count, tables);
        } else {
            let key = short_key(text, start, end);
            self.add(Slot { key, count }, tables.table_of(hash_short(&key)), tables);
        }
    }

    #[inline]
    fn add(&mut self, slot: Slot, table: usize, tables: &Tables) {
        let queued = &mut self.queued[table];
        self.waiting[table * BATCH + *queued] = slot;
        *queued += 1;
        if *queued == BATCH {
            *queued = 0;
            self.over |= !tables.table(table).add_all(&self.waiting[table * BATCH..(table + 1) * BATCH]);
        }
    }

    #[cold]
    fn push_long(&mut self, word: &[u8], count: u64, tables: &Tables) {
        self.long.push((hash_long(word), count, word.len()));
        self.text.extend_from_slice(word);
        if self.long.len() == BATCH || self.text.len() > LONG {
            self.add_long(tables);
        }
    }

    fn add_long(&mut self, tables: &Tables) {
        for (hash, ..) in &self.long {
            tables.table(tables.table_of(*hash)).fetch(*hash);
        }
        let mut rest = &*self.text;
        for (hash, count, length) in self.long.drain(..) {
            let (word, behind) = rest.split_at(length);
            self.over |= !tables.table(tables.table_of(hash)).add_long(word, hash, count);
            rest = behind;
        }
        self.text.clear();
        self.text.shrink_to(LONG);
    }

    /// Add everything that waits to `tables`.
    ///
    /// # Errors
    /// If a word's count has passed 2^64 - 1.
    pub fn flush(&mut self, tables: &Tables) -> Result<()> {
        self.add_long(tables);
        for (at, queued) in self.queued.iter_mut().enumerate() {
            let from = at * BATCH;
            self.over |= !tables.table(at).add_all(&self.waiting[from..from + std::mem::take(queued)]);
        }
        if self.over { Err(Error::Overflow) } else { Ok(()) }
    }
}

/// Words of `tables` with their counts and parts, in no order, table by table.
pub fn for_each(tables: &Tables, numbers: Range<usize>, mut each: impl FnMut(usize, &Word<'_>, u64)) {
    for at in numbers {
        for (hash, word, count) in tables.table(at).iter() {
            each(part_of(hash), &word, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn counts_as_a_hash_map_does(
            words in prop::collection::vec("[a-c가\0]{1,40}", 1..300), threads in prop::sample::select(vec![1, 40]),
        ) {
            let tables = Tables::new(threads, 1 << 9);
            let (mut front, mut queues) = (Front::default(), Queues::new(&tables));
            let text = words.concat();
            let mut expected: HashMap<Vec<u8>, u64> = HashMap::new();
            let mut at = 0;
            for word in &words {
                front.push(text.as_bytes(), at, at + word.len(), &mut Whole { queues: &mut queues, tables: &tables });
                queues.push(word.as_bytes(), 0, word.len(), 3, &tables);
                *expected.entry(word.as_bytes().to_vec()).or_default() += 4;
                at += word.len();
            }
            front.flush(&mut Whole { queues: &mut queues, tables: &tables });
            queues.flush(&tables).unwrap();
            prop_assert_eq!(tables.size().words, expected.len());
            let mut found = HashMap::new();
            for (numbers, parts) in tables.groups() {
                for_each(&tables, numbers, |part, word, count| {
                    assert!(parts.contains(&part) && found.insert(word.bytes().to_vec(), count).is_none());
                });
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn grows_and_refuses_overflow() {
        let tables = Tables::new(2, 1 << 9);
        let mut queues = Queues::new(&tables);
        for number in 0..1_000_000 {
            let word = format!("{number}");
            queues.push(word.as_bytes(), 0, word.len(), 1, &tables);
        }
        queues.flush(&tables).unwrap();
        assert_eq!(tables.size().words, 1_000_000);
        queues.push(b"7", 0, 1, u64::MAX, &tables);
        assert!(queues.flush(&tables).is_err());
    }
}
