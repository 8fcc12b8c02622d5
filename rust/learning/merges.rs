//! Merges, one after another, in pieces of words: those of pairs that are seen often enough.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;

use rustc_hash::FxHashMap;

use crate::bpe::pairs::NONE;
use crate::learning::pieces::Pieces;
use crate::threads::at_once;

/// From so many places on a merge is divided between threads.
const MANY: usize = 1 << 14;

pub(super) type Pair = (u32, u32);

/// What can be merged.
pub(super) struct Merges {
    shards: Vec<Shard>,
    /// How often each pair is seen that reached `least` when it came up.
    counts: Vec<u64>,
    number: FxHashMap<Pair, u32>,
    queue: BinaryHeap<(u64, Reverse<Pair>, u32)>,
    least: u64,
    /// By what stands beside a new token: the number of the pair that came up, or [`NONE`].
    came_up: Vec<u32>,
}

/// Some of the pieces, and what a merge changes in them.
struct Shard {
    pieces: Pieces,
    /// In which pieces each pair is, by its number.
    places: Vec<Vec<u32>>,
    /// How often each symbol stands before the new token (at twice its id) and behind it.
    beside: Vec<u64>,
    /// Of which of these there are any.
    touched: Vec<u32>,
    /// Which of these stands where, in the order of the places.
    log: Vec<(u32, u32)>,
}

impl Merges {
    /// Those of pairs that are seen `least` times or more, in `pieces`, which have a thread each.
    pub(super) fn new(pieces: Vec<Pieces>, least: u64) -> Self {
        let mut shards: Vec<Shard> = pieces.into_iter().map(Shard::new).collect();
        let parts = at_once(&shards, Shard::count_pairs);
        let mut counts: FxHashMap<Pair, u64> = FxHashMap::default();
        for (&pair, &(count, _)) in parts.iter().flatten() {
            *counts.entry(pair).or_default() += count;
        }
        let mut number: FxHashMap<Pair, u32> = FxHashMap::default();
        let (mut often, mut queue) = (vec![], vec![]);
        for (pair, count) in counts.into_iter().filter(|(_, count)| *count >= least) {
            queue.push((count, Reverse(pair), numbered(&often)));
            number.insert(pair, numbered(&often));
            often.push(count);
        }
        at_once(shards.iter_mut().zip(&parts), |(shard, part)| shard.find_places(part, &number, often.len()));
        Self { shards, counts: often, number, queue: queue.into(), least, came_up: vec![] }
    }

    /// The pair that is seen most often, and how often.
    pub(super) fn next(&mut self) -> Option<(Pair, u64)> {
        loop {
            let (count, Reverse(pair), number) = self.queue.pop()?;
            let now = self.counts[number as usize];
            if now == count {
                return Some((pair, count));
            }
            if now >= self.least {
                self.queue.push((now, Reverse(pair), number));
            }
        }
    }

    /// Merge what [`Merges::next`] gave into `id`, one more than the highest.
    pub(super) fn merge(&mut self, pair: Pair, id: u32) {
        let Some(number) = self.number.remove(&pair) else { return };
        self.came_up.resize(2 * id as usize + 2, NONE);
        let work = |shard: &mut Shard| shard.merge(pair, id, number);
        if self.shards.iter().map(|shard| shard.places[number as usize].len()).sum::<usize>() < MANY {
            self.shards.iter_mut().for_each(work);
        } else {
            at_once(&mut self.shards, work);
        }
        let Some((first, others)) = self.shards.split_first_mut() else { return };
        for other in others {
            for beside in other.touched.drain(..) {
                first.add(beside, mem::take(&mut other.beside[beside as usize]));
            }
        }
        let touched = mem::take(&mut first.touched);
        let mut new = Vec::new();
        for &beside in &touched {
            let count = mem::take(&mut self.shards[0].beside[beside as usize]);
            let other = beside >> 1;
            let (before, after) = match beside & 1 {
                0 if other == id => ((pair.1, pair.0), (id, id)),
                0 => ((other, pair.0), (other, id)),
                _ => ((pair.1, other), (id, other)),
            };
            if let Some(&number) = self.number.get(&before) {
                let now = &mut self.counts[number as usize];
                *now -= count;
                if *now < self.least {
                    self.shards.iter_mut().for_each(|shard| shard.places[number as usize] = vec![]);
                    self.number.remove(&before);
                }
            }
            if count >= self.least {
                let number = numbered(&self.counts);
                self.counts.push(count);
                self.number.insert(after, number);
                self.queue.push((count, Reverse(after), number));
                self.came_up[beside as usize] = number;
                new.push(beside);
            }
        }
        for shard in &mut self.shards {
            shard.places.resize(self.counts.len(), vec![]);
            if !new.is_empty() {
                for &(beside, place) in &shard.log {
                    if let Some(places) = shard.places.get_mut(self.came_up[beside as usize] as usize) {
                        note(places, place);
                    }
                }
            }
            shard.log.clear();
        }
        for beside in new {
            self.came_up[beside as usize] = NONE;
        }
        self.shards[0].touched = touched;
        self.shards[0].touched.clear();
    }
}

impl Shard {
    fn new(pieces: Pieces) -> Self {
        Self { pieces, places: vec![], beside: vec![], touched: vec![], log: vec![] }
    }

    /// How often each pair is seen, and at how many places.
    fn count_pairs(&self) -> FxHashMap<Pair, (u64, usize)> {
        let mut counts: FxHashMap<Pair, (u64, usize)> = FxHashMap::default();
        for piece in self.pieces.starts(0) {
            let count = self.pieces.count(piece);
            for pair in self.pieces.symbols(piece).windows(2) {
                let (sum, often) = counts.entry((pair[0], pair[1])).or_default();
                *sum += count;
                *often += 1;
            }
        }
        counts
    }

    /// Find the pieces of `pairs` pairs, which have a `number`; at how many places each is says `often`.
    #[allow(clippy::cast_possible_truncation)] // there are less than 2^32 cells
    fn find_places(&mut self, often: &FxHashMap<Pair, (u64, usize)>, number: &FxHashMap<Pair, u32>, pairs: usize) {
        let mut places = vec![vec![]; pairs];
        for (pair, &(_, often)) in often {
            if let Some(&number) = number.get(pair) {
                places[number as usize].reserve_exact(often);
            }
        }
        for piece in self.pieces.starts(0) {
            for pair in self.pieces.symbols(piece).windows(2) {
                if let Some(&number) = number.get(&(pair[0], pair[1])) {
                    note(&mut places[number as usize], piece as u32);
                }
            }
        }
        self.places = places;
    }

    /// Merge `pair`, which has a `number`, into `id` in the pieces that it is in.
    fn merge(&mut self, pair: Pair, id: u32, number: u32) {
        self.beside.resize(2 * id as usize + 2, 0);
        for place in mem::take(&mut self.places[number as usize]) {
            let count = self.pieces.count(place as usize);
            let from = place as usize + 1;
            let mut at = from;
            // Up to the first one nothing moves.
            while self.pieces.cells[at] != NONE
                && (self.pieces.cells[at] != pair.0 || self.pieces.cells[at + 1] != pair.1)
            {
                at += 1;
            }
            let mut to = at;
            loop {
                let symbol = self.pieces.cells[at];
                if symbol == NONE {
                    break;
                }
                if symbol == pair.0 && self.pieces.cells[at + 1] == pair.1 {
                    if to > from {
                        self.note(self.pieces.cells[to - 1] << 1, count, place);
                    }
                    at += 2;
                    let next = self.pieces.cells[at];
                    // Where the pair comes again at once, that is between two new tokens, and is seen there.
                    if next != NONE && (next != pair.0 || self.pieces.cells[at + 1] != pair.1) {
                        self.note(next << 1 | 1, count, place);
                    }
                    self.pieces.cells[to] = id;
                } else {
                    self.pieces.cells[to] = symbol;
                    at += 1;
                }
                to += 1;
            }
            self.pieces.cells[to..at].fill(NONE);
        }
    }

    #[inline]
    fn note(&mut self, beside: u32, count: u64, place: u32) {
        self.add(beside, count);
        self.log.push((beside, place));
    }

    #[inline]
    fn add(&mut self, beside: u32, count: u64) {
        let sum = &mut self.beside[beside as usize];
        if *sum == 0 {
            self.touched.push(beside);
        }
        *sum += count;
    }
}

/// The number of the next pair.
#[allow(clippy::cast_possible_truncation)] // memory ends before 2^32 pairs
fn numbered(counts: &[u64]) -> u32 {
    counts.len() as u32
}

/// Places come in order, so one that is there already is the last.
#[inline]
fn note(places: &mut Vec<u32>, place: u32) {
    if places.last() != Some(&place) {
        places.push(place);
    }
}
