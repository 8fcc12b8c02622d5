//! Words that are in order in each of several places, combined as they are read: in order, one of each in memory.

use std::ops::Range;
use std::sync::Arc;

use crate::counting::parts::{Counted, Part, head};
use crate::counting::records::Reader;
use crate::error::{Error, Result};

/// Where a part's words come from, and the word that it has come to; its count is 0 after the last.
struct Source {
    from: From,
    now: Counted,
}

enum From {
    /// Of all parts, some words of one.
    Memory(Arc<[Part]>, usize, Range<usize>),
    /// The word that was read last, and what is left.
    File(String, Reader),
}

impl Source {
    fn text(&self) -> &str {
        match &self.from {
            From::Memory(parts, part, _) => &parts[*part].text,
            From::File(word, _) => word,
        }
    }

    fn word(&self) -> &str {
        &self.text()[self.now.start..self.now.end]
    }

    fn advance(&mut self) -> Result<()> {
        self.now = match &mut self.from {
            From::Memory(parts, part, left) => left.next().map(|at| parts[*part].words[at]).unwrap_or_default(),
            From::File(word, file) => {
                let mut bytes = std::mem::take(word).into_bytes();
                bytes.clear();
                let count = file.next(&mut bytes)?.unwrap_or_default();
                *word = String::from_utf8(bytes).map_err(|_| file.broken())?;
                Counted { count, head: head(word.as_bytes()), start: 0, end: word.len() }
            }
        };
        Ok(())
    }
}

/// Words in order, from several sources.
#[derive(Default)]
pub struct Merge {
    sources: Vec<Source>,
    /// A tournament: the sources play at the leaves, each node holds who won below, and the root is next in order.
    winners: Vec<usize>,
    /// Whether a file could not be read: where it stands now is no word's beginning.
    failed: bool,
}

impl Merge {
    /// The words of `parts` from where `begins` says to before where `ends` does.
    ///
    /// # Errors
    /// None: nothing is read.
    pub(super) fn of_parts(parts: &Arc<[Part]>, begins: &[usize], ends: &[usize]) -> Result<Self> {
        let of = |(part, (&begin, &end))| From::Memory(Arc::clone(parts), part, begin..end);
        Self::new(begins.iter().zip(ends).enumerate().map(of).collect())
    }

    /// The words of files.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(super) fn of_files(files: Vec<Reader>) -> Result<Self> {
        Self::new(files.into_iter().map(|file| From::File(String::new(), file)).collect())
    }

    fn new(from: Vec<From>) -> Result<Self> {
        let mut sources: Vec<_> = from.into_iter().map(|from| Source { from, now: Counted::default() }).collect();
        sources.iter_mut().try_for_each(Source::advance)?;
        // Node 1 is the root, and 2n and 2n + 1 are below n; there is a leaf for each source.
        let mut winners = vec![0; sources.len()];
        winners.extend(0..sources.len());
        let mut merge = Self { sources, winners, failed: false };
        (1..merge.sources.len()).rev().for_each(|node| merge.play(node));
        Ok(merge)
    }

    /// Hand at most `limit` words, with their counts, to `each`; how many there were.
    ///
    /// # Errors
    /// If a file cannot be read, or could not be before.
    pub fn take(&mut self, limit: usize, mut each: impl FnMut(&str, u64)) -> Result<usize> {
        if self.failed {
            return Err(Error::Argument("the words could not be read to their end".into()));
        }
        for taken in 0..limit {
            let first = self.winners.get(1).copied().unwrap_or_default();
            let Some(source) = self.sources.get_mut(first).filter(|source| source.now.count > 0) else {
                return Ok(taken);
            };
            each(source.word(), source.now.count);
            source.advance().inspect_err(|_| self.failed = true)?;
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
        let first = other.now.first().cmp(&one.now.first());
        let ahead = first.then_with(|| other.word().cmp(one.word())).is_lt();
        self.winners[node] = if ahead { right } else { left };
    }
}
