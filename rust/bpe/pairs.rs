//! Pairs of ids and their ranks: what merges, and when.

/// No token, no rank.
pub const NONE: u32 = u32::MAX;

/// What gives pairs their ranks, so that the lowest merges first.
pub trait Ranks {
    /// The rank of a pair, or [`NONE`].
    fn get(&self, left: u32, right: u32) -> u32;
}

impl Ranks for Pairs {
    #[inline]
    fn get(&self, left: u32, right: u32) -> u32 {
        Self::get(self, left, right)
    }
}

/// Pair of ids → rank: open addressing, at most half full. A slot is 64 bits, 21 for each id and 22 for the rank,
/// so that the merges of a 40,000-token vocabulary take one megabyte: lookups are cache misses.
#[derive(Clone)]
pub struct Pairs {
    slots: Vec<u64>,
    shift: u32,
    /// A bit for each pair by its hash, sixteen times as many: most pairs that are asked for are none, and a bit that is
    /// not set says so from a table an eighth as large.
    filter: Vec<u64>,
}

const ID_BITS: u32 = 21;
const RANK_BITS: u32 = 22;
/// The rank of no pair: what a free slot holds.
const NO_RANK: u64 = (1 << RANK_BITS) - 1;
/// No pair of ids: both would be one more than the highest.
const FREE: u64 = u64::MAX;

impl Pairs {
    /// One more than the highest id and rank.
    pub const MOST: usize = (1 << ID_BITS) - 1;

    /// Room for so many pairs.
    pub(crate) fn with_capacity(pairs: usize) -> Self {
        let bits = (pairs * 2).next_power_of_two().trailing_zeros().max(4);
        Self { slots: vec![FREE; 1 << bits], shift: 64 - bits, filter: vec![0; 1 << (bits + 3 - 6)] }
    }

    /// A pair that comes twice keeps its later rank, as in `tokenizers`. Ids and rank are below [`Pairs::MOST`].
    pub(crate) fn insert(&mut self, left: u32, right: u32, rank: u32) {
        let at = self.find(key(left, right));
        self.slots[at] = key(left, right) | u64::from(rank);
        let bit = self.bit(key(left, right));
        self.filter[bit / 64] |= 1 << (bit % 64);
    }

    /// The rank of a pair, or [`NONE`]. Lower ranks merge first.
    #[must_use]
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // 22 bits
    pub fn get(&self, left: u32, right: u32) -> u32 {
        let bit = self.bit(key(left, right));
        if self.filter[bit / 64] >> (bit % 64) & 1 == 0 {
            return NONE;
        }
        match self.slots[self.find(key(left, right))] & NO_RANK {
            NO_RANK => NONE,
            rank => rank as u32,
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn bit(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (self.shift - 3)) as usize
    }

    /// The slot of a pair, or the free one where it would be.
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn find(&self, key: u64) -> usize {
        // Fibonacci hashing: the high bits of the product are the well mixed ones.
        let mut at = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize;
        while self.slots[at] != FREE && (self.slots[at] ^ key) > NO_RANK {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << (ID_BITS + RANK_BITS) | u64::from(right) << RANK_BITS
}
