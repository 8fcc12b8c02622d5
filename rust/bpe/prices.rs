//! What tokens are worth: how many tokens more the words are without each, in one pass over the segments.
//!
//! Merges are never undone, so a token has a part in a segment's encoding exactly if it is a node of one of the merge
//! trees that the segment ends as. Without a token that is no node nothing changes; for one that is, the segment is
//! encoded again, all but the merges that make or need it. A segment has some ten such tokens, so all prices together
//! cost some ten times what encoding costs.

use crate::bpe::encode::Scratch;
use crate::bpe::pairs::{NONE, Pairs, Ranks};
use crate::bpe::shard::Shard;

/// By id, the sets that it is in, in order.
pub(crate) struct Sets {
    ends: Vec<usize>,
    sets: Vec<u32>,
}

impl Sets {
    /// Of pairs of an id, below `size`, and a set.
    pub(crate) fn new(size: usize, mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        let mut ends = vec![0; size];
        for (id, _) in &pairs {
            ends[*id as usize] += 1;
        }
        let mut end = 0;
        for at in &mut ends {
            end += *at;
            *at = end;
        }
        Self { ends, sets: pairs.into_iter().map(|(_, set)| set).collect() }
    }

    /// The sets of each token, and those of what it may be made of; `made` has parts before what is made of them.
    pub(crate) fn with_what_is_made(&self, made: impl Iterator<Item = (u32, [u32; 2])>) -> Self {
        let mut all: Vec<Vec<u32>> = (0..).take(self.ends.len()).map(|id| self.of(id).to_vec()).collect();
        for (token, parts) in made {
            let mut sets = std::mem::take(&mut all[token as usize]);
            for part in parts {
                sets.extend_from_slice(&all[part as usize]);
            }
            sets.sort_unstable();
            sets.dedup();
            all[token as usize] = sets;
        }
        let ends = all.iter().scan(0, |end, sets| {
            *end += sets.len();
            Some(*end)
        });
        Self { ends: ends.collect(), sets: all.concat() }
    }

    #[inline]
    fn of(&self, id: u32) -> &[u32] {
        let id = id as usize;
        &self.sets[id.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[id]]
    }

    #[inline]
    fn has(&self, id: u32, set: u32) -> bool {
        self.of(id).contains(&set)
    }
}

/// What prices go by.
pub(crate) struct Pricing<'a> {
    pub(crate) pairs: &'a Pairs,
    pub(crate) merged: &'a [u32],
    /// The sets that an id is dropped with.
    pub(crate) dropping: Sets,
    /// The sets without which an id may come out otherwise.
    pub(crate) touching: Sets,
    /// By id, how many tokens it is in the text: of a character that is absent, its bytes; and when it is dropped.
    pub(crate) weights: Vec<(u64, u64)>,
}

/// The pairs less what makes a token of a set.
struct Without<'a> {
    of: &'a Pricing<'a>,
    set: u32,
}

impl Ranks for Without<'_> {
    #[inline]
    fn get(&self, left: u32, right: u32) -> u32 {
        match self.of.pairs.get(left, right) {
            NONE => NONE,
            rank if self.of.dropping.has(self.of.merged[rank as usize], self.set) => NONE,
            rank => rank,
        }
    }
}

impl Pricing<'_> {
    /// By set, how many tokens more the segments of a shard are without it.
    pub(crate) fn of(&self, shard: &Shard, sets: usize) -> Vec<i128> {
        let mut prices = vec![0; sets];
        let (mut touched, mut scratch) = (Vec::new(), Scratch::default());
        shard.each_encoded(|atoms, now, count| {
            touched.clear();
            for id in now {
                touched.extend_from_slice(self.touching.of(*id));
            }
            touched.sort_unstable();
            touched.dedup();
            let before: u64 = now.iter().map(|id| self.weights[*id as usize].0).sum();
            for &set in &touched {
                let after = self.pieces_without(set, atoms, &mut scratch);
                prices[set as usize] += (i128::from(after) - i128::from(before)) * i128::from(count);
            }
        });
        prices
    }

    /// How many tokens a segment is without a set. A character that goes is spelled in bytes, which merge with nothing.
    fn pieces_without(&self, set: u32, atoms: &[u32], scratch: &mut Scratch) -> u64 {
        let without = Without { of: self, set };
        let mut pieces = 0;
        for known in atoms.split(|atom| self.dropping.has(*atom, set)) {
            scratch.ids.clear();
            scratch.ids.extend_from_slice(known);
            if known.len() > 1 {
                scratch.merge(&without, self.merged);
            }
            pieces += scratch.ids.iter().map(|id| self.weights[*id as usize].0).sum::<u64>();
        }
        pieces
            + atoms
                .iter()
                .filter(|atom| self.dropping.has(**atom, set))
                .map(|atom| self.weights[*atom as usize].1)
                .sum::<u64>()
    }
}
