//! Words as symbols, kept while there is room for them, so that they are not read a third time.

use crate::bpe::pairs::NONE;
use crate::learning::pieces::Pieces;

/// Cells that stand in memory in one piece, so that none are copied when there are more; few where tests have few words.
const CHUNK: usize = if cfg!(test) { 1 << 6 } else { 1 << 18 };

/// Words, of which none is compared with another.
#[derive(Default)]
pub(super) struct Kept(Vec<Pieces>);

impl Kept {
    /// Keep a word, unless it is of one symbol, which no merge changes.
    #[inline]
    pub(super) fn add(&mut self, symbols: &[u32], count: u64) {
        if symbols.len() < 2 {
            return;
        }
        let cells = symbols.len() + 2;
        if self.0.last().is_none_or(|words| words.cells.capacity() - words.cells.len() < cells) {
            self.0.push(Pieces::with_capacity(CHUNK.max(cells)));
        }
        if let Some(words) = self.0.last_mut() {
            words.push(symbols, count);
        }
    }

    /// Call `change` with the symbols of each word, which it may make fewer, and its count.
    pub(super) fn each(&mut self, mut change: impl FnMut(&mut Vec<u32>, u64)) {
        let mut symbols = Vec::new();
        for words in &mut self.0 {
            let mut at = 0;
            loop {
                let next = words.starts(at).next();
                let Some(word) = next else { break };
                symbols.clear();
                symbols.extend_from_slice(words.symbols(word));
                at = word + 1 + symbols.len();
                change(&mut symbols, words.count(word));
                let (left, gone) = words.cells[word + 1..at].split_at_mut(symbols.len());
                left.copy_from_slice(&symbols);
                gone.fill(NONE);
            }
        }
    }

    /// Call `found` with the symbols and the count of each word of a chunk; false where there is no such chunk.
    pub(super) fn of_chunk(&self, number: usize, mut found: impl FnMut(&[u32], u64)) -> bool {
        let Some(words) = self.0.get(number) else { return false };
        words.starts(0).for_each(|word| found(words.symbols(word), words.count(word)));
        true
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.0.iter().map(|words| words.cells.capacity() * size_of::<u32>()).sum()
    }
}
