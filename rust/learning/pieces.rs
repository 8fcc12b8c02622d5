//! Pieces of words, each once, with the sum of their counts.

use std::mem;

use hashbrown::HashTable;

use crate::bpe::pairs::NONE;
use crate::error::{Error, Result};

/// From here on a count stands in a list of its own, and this plus its number in the piece.
const LARGE: u32 = 1 << 31;

/// Pieces one after another, each a count, its symbols, and [`NONE`]; merging shortens it and fills up with [`NONE`].
#[derive(Default)]
pub(super) struct Pieces {
    pub(super) cells: Vec<u32>,
    large: Vec<u64>,
}

impl Pieces {
    #[inline]
    pub(super) fn count(&self, piece: usize) -> u64 {
        match self.cells[piece] {
            small @ ..LARGE => small.into(),
            large => self.large[(large - LARGE) as usize],
        }
    }

    pub(super) fn with_capacity(cells: usize) -> Self {
        Self { cells: Vec::with_capacity(cells), large: vec![] }
    }

    pub(super) fn push(&mut self, symbols: &[u32], count: u64) {
        let count = self.cell(count);
        self.cells.push(count);
        self.cells.extend_from_slice(symbols);
        self.cells.push(NONE);
    }

    fn add_count(&mut self, piece: usize, count: u64) {
        let sum = self.count(piece) + count; // of a character's count, which fits
        match self.cells[piece] {
            LARGE.. => self.large[(self.cells[piece] - LARGE) as usize] = sum,
            _ => self.cells[piece] = self.cell(sum),
        }
    }

    #[allow(clippy::cast_possible_truncation)] // there are less than 2^31 large ones: each is 2^31 of 2^63
    fn cell(&mut self, count: u64) -> u32 {
        if let Ok(small @ ..LARGE) = u32::try_from(count) {
            return small;
        }
        self.large.push(count);
        LARGE + (self.large.len() - 1) as u32
    }

    /// Where each piece is, from a cell on.
    pub(super) fn starts(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        let mut at = from;
        std::iter::from_fn(move || {
            while self.cells.get(at) == Some(&NONE) {
                at += 1;
            }
            let start = at;
            (start < self.cells.len()).then(|| {
                at += self.symbols(start).len() + 1;
                start
            })
        })
    }

    /// The symbols of a piece.
    #[inline]
    pub(super) fn symbols(&self, piece: usize) -> &[u32] {
        let from = &self.cells[piece + 1..];
        &from[..from.iter().position(|&id| id == NONE).unwrap_or(from.len())]
    }
}

/// Pieces while they are found: a piece's hash and place say where it is.
#[derive(Default)]
pub(super) struct Table {
    pieces: Pieces,
    index: HashTable<(u32, u32)>,
}

impl Table {
    /// # Errors
    /// If the pieces pass 2^32 cells.
    pub(super) fn add(&mut self, hash: u32, symbols: &[u32], count: u64) -> Result<()> {
        let Self { pieces, index } = self;
        let same = |&(other, at): &(u32, u32)| {
            let from = at as usize + 1;
            other == hash && pieces.cells[from..].starts_with(symbols) && pieces.cells[from + symbols.len()] == NONE
        };
        if let Some(&(_, at)) = index.find(spread(hash), same) {
            pieces.add_count(at as usize, count);
            return Ok(());
        }
        let at = u32::try_from(pieces.cells.len());
        let at = at.map_err(|_| Error::Argument("the words have more than 2^32 symbols".into()))?;
        index.insert_unique(spread(hash), (hash, at), |&(hash, _)| spread(hash));
        pieces.push(symbols, count);
        Ok(())
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.pieces.cells.len() * size_of::<u32>() + self.index.allocation_size()
    }

    /// The pieces, without what found them.
    pub(super) fn take(&mut self) -> Pieces {
        mem::take(self).pieces
    }
}

/// The upper half of a hash decides a place in a table, and the lower one what is compared first.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A hash of 64 bits; the lower 32 are for a [`Table`], the upper ones say which.
#[inline]
pub(super) fn hash(symbols: &[u32]) -> u64 {
    let mixed = symbols
        .iter()
        .fold(0_u64, |hash, &symbol| (hash.rotate_left(29) ^ u64::from(symbol)).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed ^ mixed >> 29
}
