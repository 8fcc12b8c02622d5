//! The learner: it asks for the words again and again, each time for something else, until it has its tokens.

use std::mem;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::bpe::encode::Scratch;
use crate::bpe::pairs::{NONE, Pairs};
use crate::error::{Error, Result};
use crate::learning::bounds::Bounds;
use crate::learning::kept::Kept;
use crate::learning::merges::{Merges, Pair};
use crate::learning::pieces::{Pieces, Table, hash};
use crate::learning::runs::{Characters, Runs};
use crate::threads::at_once;

/// Words that a thread takes at a time, between which pieces are handed to the tables that they belong in.
const BLOCK: usize = 1 << 14;
/// Bits of the number of sums of pairs' counts: of characters at most so many, of tokens as memory allows.
const BITS: u32 = 21;
/// At first as many pairs as tokens are looked for are taken to be frequent enough, which may turn out too few; later, when
/// little is left of the words, so many times more.
const MARGIN: usize = 4;

/// A token that was learned, in order; characters come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The token's text.
    pub token: String,
    /// The two tokens that it is made of; none for a character.
    pub parts: Option<(String, String)>,
    /// How often the character, or the pair when it was merged, was seen.
    pub count: u64,
}

/// What to learn, and within what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tokens to begin with, those of a tokenizer that is trained on: each is merged from the two parts that those
    /// before it make of it, and passed over where they make another number of parts.
    pub first: Vec<String>,
    /// What tokens are made of: runs of these, and one `▁` before each. Whole words, if it is empty.
    pub characters: String,
    /// Tokens to reach, characters included.
    pub vocab_size: usize,
    /// The least count of a pair that is merged.
    pub min_count: u64,
    /// How many threads work.
    pub threads: usize,
    /// Bytes to keep to, about.
    pub memory: usize,
}

/// What words are read for.
enum Pass {
    Begin,
    /// How often each character is seen.
    Characters(Vec<Characters>),
    /// How often each pair is seen at most, and each symbol; the words are kept, where that is still possible.
    Pairs(Vec<(Bounds, Vec<u64>)>, Option<Vec<Kept>>),
    /// What is left of words cut at the pairs that are seen less often than so; `most` is as high as that may rise.
    Pieces {
        tables: Vec<Table>,
        bounds: Bounds,
        least: u64,
        most: u64,
    },
    End,
    /// There is no going on: what was seen is gone.
    Failed,
}

fn failed() -> Error {
    Error::Argument("the learner has failed before; wanted a new one".into())
}

/// Learns tokens from words that are read several times, the same ones each time.
pub struct Learner {
    settings: Settings,
    pass: Pass,
    words: usize,
    runs: Runs,
    coding: Coding,
    tokens: Vec<String>,
    learned: Vec<Learned>,
    merges: Vec<(Pair, u32)>,
    /// All pairs that are seen so often are merged.
    merged_from: u64,
    /// The words, some for each thread, if they fit in half the memory.
    kept: Option<Vec<Kept>>,
}

/// From text to symbols: the id of each code point, and the merges that there are.
struct Coding {
    ids: Vec<u32>,
    pairs: Pairs,
    merged: Vec<u32>,
}

impl Learner {
    /// A learner that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let settings = Settings { threads: settings.threads.max(1), ..settings };
        Self {
            runs: Runs::of(&settings.characters),
            settings,
            pass: Pass::Begin,
            words: 0,
            coding: Coding { ids: vec![], pairs: Pairs::with_capacity(0), merged: vec![] },
            tokens: vec![],
            learned: vec![],
            merges: vec![],
            merged_from: u64::MAX,
            kept: None,
        }
    }

    /// Whether the words are wanted, from the first on; those of the time before were all of them.
    ///
    /// # Errors
    /// If the counts of one character together pass 2^63 - 1, there are 2^21 tokens, or it failed before.
    pub fn again(&mut self) -> Result<bool> {
        self.next()?;
        while self.feed_kept()? {
            self.next()?;
        }
        Ok(!matches!(self.pass, Pass::End))
    }

    fn next(&mut self) -> Result<()> {
        self.pass = match mem::replace(&mut self.pass, Pass::Failed) {
            Pass::Begin => Pass::Characters((0..self.settings.threads).map(|_| Characters::new()).collect()),
            Pass::Characters(parts) => {
                self.alphabet(Characters::sum(&parts)?);
                self.begin_with()?;
                self.pairs(Some((0..self.settings.threads).map(|_| Kept::default()).collect()))
            }
            Pass::Pairs(parts, kept) => {
                self.kept = self.kept.take().or(kept);
                self.cut(parts)
            }
            Pass::Pieces { tables, least, .. } => {
                self.merge(tables, least)?;
                let over = self.tokens.len() >= self.settings.vocab_size || least <= self.settings.min_count.max(1);
                if over { Pass::End } else { self.pairs(None) }
            }
            Pass::End => Pass::End,
            Pass::Failed => return Err(failed()),
        };
        Ok(())
    }

    /// Take all words from those that are kept; false where they are not, or are not wanted.
    fn feed_kept(&mut self) -> Result<bool> {
        let Self { settings, pass, coding, kept, .. } = self;
        let Some(kept) = kept else { return Ok(false) };
        match pass {
            Pass::Pairs(parts, _) => {
                at_once(parts.iter_mut().zip(kept), |((bounds, _), kept)| {
                    let mut scratch = Scratch::default();
                    kept.each(|symbols, count| {
                        mem::swap(symbols, &mut scratch.ids);
                        scratch.merge(&coding.pairs, &coding.merged);
                        mem::swap(symbols, &mut scratch.ids);
                        symbols.windows(2).for_each(|pair| bounds.add(pair[0], pair[1], count));
                    });
                });
            }
            Pass::Pieces { tables, bounds, least, most } => {
                let memory = settings.memory.saturating_sub(kept.iter().map(Kept::memory).sum());
                for chunk in 0.. {
                    let found = at_once(&mut *kept, |kept| {
                        let mut cut = Cut::new(bounds, *least, tables.len());
                        kept.of_chunk(chunk, |symbols, count| cut.add(symbols, count)).then_some(cut.found)
                    });
                    let found: Vec<_> = found.into_iter().flatten().collect();
                    if found.is_empty() {
                        break;
                    }
                    keep(tables, &found)?;
                    rise(tables, bounds, (least, *most), memory)?;
                }
            }
            Pass::Begin | Pass::Characters(_) | Pass::End | Pass::Failed => return Ok(false),
        }
        Ok(true)
    }

    /// Take some of the words, with their counts.
    ///
    /// # Errors
    /// If the counts of one character together pass 2^63 - 1, or the words have too many symbols.
    pub fn feed(&mut self, words: &[(&str, u64)]) -> Result<()> {
        let Self { settings, pass, runs, coding, .. } = self;
        let share = words.len().div_ceil(settings.threads).max(1);
        match pass {
            Pass::Characters(parts) => {
                self.words += words.len();
                let work = parts.iter_mut().zip(words.chunks(share));
                at_once(work, |(part, words)| part.add(runs, words)).into_iter().collect()
            }
            Pass::Pairs(parts, kept) => {
                let keeping = kept.iter_mut().flatten().map(Some).chain(std::iter::repeat_with(|| None));
                let work = parts.iter_mut().zip(keeping).zip(words.chunks(share));
                at_once(work, |(((bounds, seen), mut kept), words)| {
                    coding.each(runs, words, |symbols, count| {
                        symbols.windows(2).for_each(|pair| bounds.add(pair[0], pair[1], count));
                        for &symbol in symbols {
                            seen[symbol as usize] += count;
                        }
                        if let Some(kept) = &mut kept {
                            kept.add(symbols, count);
                        }
                    });
                });
                if kept.iter().flatten().map(Kept::memory).sum::<usize>() > settings.memory / 2 {
                    *kept = None;
                }
                Ok(())
            }
            Pass::Pieces { tables, bounds, least, most } => {
                for words in words.chunks(BLOCK * settings.threads) {
                    let found = at_once(words.chunks(BLOCK), |words| {
                        let mut cut = Cut::new(bounds, *least, tables.len());
                        coding.each(runs, words, |symbols, count| cut.add(symbols, count));
                        cut.found
                    });
                    keep(tables, &found)?;
                    rise(tables, bounds, (least, *most), settings.memory)?;
                }
                Ok(())
            }
            Pass::Begin | Pass::End => Ok(()),
            Pass::Failed => Err(failed()),
        }
    }

    /// What was learned, when no word is wanted again.
    #[must_use]
    pub fn learned(&self) -> &[Learned] {
        &self.learned
    }

    #[allow(clippy::cast_possible_truncation)] // of code points
    fn alphabet(&mut self, seen: Vec<(char, u64)>) {
        self.coding.ids = vec![NONE; Runs::POINTS];
        for (c, count) in seen {
            self.coding.ids[c as usize] = self.tokens.len() as u32;
            self.tokens.push(c.into());
            self.learned.push(Learned { token: c.into(), parts: None, count });
        }
    }

    /// Number the tokens to begin with, and say what merges to each.
    fn begin_with(&mut self) -> Result<()> {
        let mut merges: FxHashMap<Pair, u32> = FxHashMap::default();
        let mut known: FxHashSet<String> = FxHashSet::default();
        for token in mem::take(&mut self.settings.first) {
            let run: Option<Vec<u32>> =
                token.chars().map(|c| Some(self.coding.ids[c as usize]).filter(|&id| id != NONE)).collect();
            let Some(mut run) = run else { continue };
            merge_all(&mut run, &merges);
            if let ([left, right], false) = (run.as_slice(), known.contains(&token)) {
                known.insert(token);
                let id = self.push((*left, *right), 0)?;
                merges.insert((*left, *right), id);
            }
        }
        Ok(())
    }

    fn push(&mut self, pair: Pair, count: u64) -> Result<u32> {
        let id = u32::try_from(self.tokens.len()).ok().filter(|&id| (id as usize) < Pairs::MOST);
        let id = id.ok_or_else(|| Error::Argument("more than 2^21 tokens".into()))?;
        let (left, right) = (self.tokens[pair.0 as usize].clone(), self.tokens[pair.1 as usize].clone());
        let token = format!("{left}{right}");
        self.tokens.push(token.clone());
        self.learned.push(Learned { token, parts: Some((left, right)), count });
        self.merges.push((pair, id));
        Ok(id)
    }

    /// Ask for the words, to see what pairs there are when all merges are done.
    #[allow(clippy::cast_possible_truncation)] // there are less than 2^21 merges
    fn pairs(&mut self, kept: Option<Vec<Kept>>) -> Pass {
        self.coding.pairs = Pairs::with_capacity(self.merges.len());
        for (&((left, right), _), rank) in self.merges.iter().zip(0_u32..) {
            self.coding.pairs.insert(left, right, rank);
        }
        self.coding.merged = self.merges.iter().map(|&(_, id)| id).collect();
        let most = if self.merges.is_empty() {
            BITS
        } else {
            (self.settings.memory / self.settings.threads / 64).max(1).ilog2().max(BITS)
        };
        let bits = ((self.words + 1).ilog2() + 1).min(most);
        let part = || (Bounds::new(bits), vec![0; self.tokens.len()]);
        Pass::Pairs((0..self.settings.threads).map(|_| part()).collect(), kept)
    }

    /// Ask for the words, cut where they can be.
    fn cut(&mut self, parts: Vec<(Bounds, Vec<u64>)>) -> Pass {
        let mut parts = parts.into_iter();
        let Some((mut bounds, mut seen)) = parts.next() else { return Pass::End };
        for (more, others) in parts {
            bounds.add_all(&more);
            seen.iter_mut().zip(others).for_each(|(sum, count)| *sum += count);
        }
        let min_count = self.settings.min_count.max(1);
        if self.merged_from == u64::MAX {
            self.count_first(seen);
        }
        let margin = if self.merged_from == u64::MAX { 1 } else { MARGIN };
        let missing = self.settings.vocab_size.saturating_sub(self.tokens.len());
        let highest = bounds.reached_by(1);
        // The highest value of a sum may stand for any count.
        if missing == 0 || highest < min_count.min(u32::MAX.into()) {
            return Pass::End;
        }
        let most = (highest / 2).min(self.merged_from / 4 * 3).max(min_count);
        let least = bounds.reached_by(margin.saturating_mul(missing)).clamp(min_count, most);
        let tables = (0..self.settings.threads).map(|_| Table::default()).collect();
        Pass::Pieces { tables, bounds, least, most }
    }

    /// How often each of the tokens to begin with was merged: as often as it is seen, and is in others.
    fn count_first(&mut self, mut seen: Vec<u64>) {
        for &((left, right), id) in self.merges.iter().rev() {
            let count = seen[id as usize];
            seen[left as usize] += count;
            seen[right as usize] += count;
            self.learned[id as usize].count = count;
        }
    }

    fn merge(&mut self, mut tables: Vec<Table>, least: u64) -> Result<()> {
        let pieces: Vec<Pieces> = tables.iter_mut().map(Table::take).collect();
        drop(tables);
        let mut merges = Merges::new(pieces, least);
        while self.tokens.len() < self.settings.vocab_size
            && let Some((pair, count)) = merges.next()
        {
            let id = self.push(pair, count)?;
            merges.merge(pair, id);
        }
        self.merged_from = least;
        Ok(())
    }
}

impl Coding {
    /// Call `found` with the symbols of each part of `words` that is learned from.
    fn each(&self, runs: &Runs, words: &[(&str, u64)], mut found: impl FnMut(&[u32], u64)) {
        let mut scratch = Scratch::default();
        for &(word, count) in words.iter().filter(|(_, count)| *count > 0) {
            runs.each(word, |run| {
                scratch.ids.clear();
                scratch.ids.extend(run.chars().map(|c| self.ids[c as usize]));
                if scratch.ids.contains(&NONE) {
                    return; // of no word that was there the first time
                }
                if scratch.ids.len() > 1 && !self.merged.is_empty() {
                    scratch.merge(&self.pairs, &self.merged);
                }
                found(&scratch.ids, count);
            });
        }
    }
}

/// Pieces, for each table those that belong there: hash, count in two halves, symbols, [`NONE`].
struct Cut<'a> {
    bounds: &'a Bounds,
    least: u64,
    found: Vec<Vec<u32>>,
}

impl<'a> Cut<'a> {
    fn new(bounds: &'a Bounds, least: u64, tables: usize) -> Self {
        Self { bounds, least, found: vec![vec![]; tables] }
    }

    /// Cut where no pair reaches `least`, and keep what has two symbols or more.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // halves
    fn add(&mut self, symbols: &[u32], count: u64) {
        let (bounds, least) = (self.bounds, self.least);
        for piece in symbols.chunk_by(|&left, &right| bounds.reach(left, right, least)) {
            if piece.len() > 1 {
                let (hash, tables) = (hash(piece), self.found.len());
                let found = &mut self.found[(hash >> 32) as usize % tables];
                found.extend_from_slice(&[hash as u32, count as u32, (count >> 32) as u32]);
                found.extend_from_slice(piece);
                found.push(NONE);
            }
        }
    }
}

/// Cut again at a higher count, as long as `tables` take more than `memory` and it is less than the highest.
fn rise(tables: &mut [Table], bounds: &Bounds, (least, most): (&mut u64, u64), memory: usize) -> Result<()> {
    while *least < most && tables.iter().map(Table::memory).sum::<usize>() > memory {
        *least = (*least + least.div_ceil(2)).min(most);
        cut_again(tables, bounds, *least)?;
    }
    Ok(())
}

/// Cut the pieces of `tables` where no pair reaches `least`, some at a time, so that they are not in memory twice.
fn cut_again(tables: &mut [Table], bounds: &Bounds, least: u64) -> Result<()> {
    let mut before: Vec<(Pieces, usize)> = tables.iter_mut().map(|table| (table.take(), 0)).collect();
    while before.iter().any(|(pieces, at)| *at < pieces.cells.len()) {
        let found = at_once(&mut before, |(pieces, at)| {
            let mut cut = Cut::new(bounds, least, tables.len());
            for start in pieces.starts(*at).take(BLOCK) {
                let symbols = pieces.symbols(start);
                cut.add(symbols, pieces.count(start));
                *at = start + symbols.len() + 2; // behind its count and its end
            }
            cut.found
        });
        keep(tables, &found)?;
    }
    Ok(())
}

/// Put pieces into the tables that they belong in.
fn keep(tables: &mut [Table], found: &[Vec<Vec<u32>>]) -> Result<()> {
    let kept = at_once(tables.iter_mut().enumerate(), |(at, table)| {
        for cells in found.iter().map(|of_tables| &of_tables[at]) {
            let mut rest = cells.as_slice();
            while let [hash, low, high, from @ ..] = rest {
                let length = from.iter().position(|&id| id == NONE).unwrap_or(from.len());
                table.add(*hash, &from[..length], u64::from(*high) << 32 | u64::from(*low))?;
                rest = &from[length + 1..];
            }
        }
        Ok(())
    });
    kept.into_iter().collect()
}

/// Merge in `run` what can be, the lowest id first; what a merge makes is a part of merges to higher ids only.
fn merge_all(run: &mut Vec<u32>, merges: &FxHashMap<Pair, u32>) {
    while let Some(id) = run.windows(2).filter_map(|pair| merges.get(&(pair[0], pair[1]))).min().copied() {
        let (mut from, mut to) = (0, 0);
        while from < run.len() {
            if from + 1 < run.len() && merges.get(&(run[from], run[from + 1])) == Some(&id) {
                run[to] = id;
                from += 2;
            } else {
                run[to] = run[from];
                from += 1;
            }
            to += 1;
        }
        run.truncate(to);
    }
}
