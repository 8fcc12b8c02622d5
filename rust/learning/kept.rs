//! Words as symbols, kept while there is room for them, so that they are not read a third time.

use crate::bpe::model::NONE;

/// Cells that stand in memory in one piece, so that none are copied when there are more; few where tests have few words.
const CHUNK: usize = if cfg!(test) { 1 << 6 } else { 1 << 18 };

/// Words one after another, each its count in two halves, its symbols, and [`NONE`].
#[derive(Default)]
pub(super) struct Kept {
    chunks: Vec<Vec<u32>>,
}

impl Kept {
    /// Keep a word, unless it is of one symbol, which no merge changes.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // halves
    pub(super) fn add(&mut self, symbols: &[u32], count: u64) {
        if symbols.len() < 2 {
            return;
        }
        let cells = symbols.len() + 3;
        if self.chunks.last().is_none_or(|chunk| chunk.capacity() - chunk.len() < cells) {
            self.chunks.push(Vec::with_capacity(CHUNK.max(cells)));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.extend_from_slice(&[count as u32, (count >> 32) as u32]);
            chunk.extend_from_slice(symbols);
            chunk.push(NONE);
        }
    }

    /// Call `change` with the symbols of each word, which it may make fewer, and its count.
    pub(super) fn each(&mut self, mut change: impl FnMut(&mut Vec<u32>, u64)) {
        let mut symbols = Vec::new();
        for chunk in &mut self.chunks {
            let (mut from, mut to) = (0, 0);
            while let Some(&[low, high]) = chunk.get(from..from + 2) {
                symbols.clear();
                symbols.extend(chunk[from + 2..].iter().take_while(|id| **id != NONE));
                from += symbols.len() + 3;
                change(&mut symbols, u64::from(high) << 32 | u64::from(low));
                if symbols.len() < 2 {
                    continue;
                }
                for &cell in [low, high].iter().chain(&symbols).chain(&[NONE]) {
                    chunk[to] = cell;
                    to += 1;
                }
            }
            chunk.truncate(to);
        }
    }

    /// Call `found` with the symbols and the count of each word of a chunk; false where there is no such chunk.
    pub(super) fn of_chunk(&self, number: usize, mut found: impl FnMut(&[u32], u64)) -> bool {
        let Some(mut rest) = self.chunks.get(number).map(Vec::as_slice) else { return false };
        while let [low, high, from @ ..] = rest {
            let length = from.iter().position(|&id| id == NONE).unwrap_or(from.len());
            found(&from[..length], u64::from(*high) << 32 | u64::from(*low));
            rest = &from[length + 1..];
        }
        true
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<u32>()).sum()
    }
}
