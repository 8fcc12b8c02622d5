//! Segments, each once: its characters, its count, and its encoding by the vocabulary as it is now.

use std::hash::{BuildHasher, BuildHasherDefault};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxHasher;

use crate::bpe::encode::Scratch;
use crate::bpe::pairs::{NONE, Pairs};
use crate::error::{Error, Result};

/// Some of the segments: `atoms` holds the characters of one after another, `now` has room for the encoding of each in
/// the same place.
#[derive(Clone, Default)]
pub(crate) struct Shard {
    atoms: Vec<u32>,
    now: Vec<u32>,
    ends: Vec<usize>,
    counts: Vec<u64>,
}

impl Shard {
    /// How many segments there are.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Call `found` with the atoms and the count of each segment.
    pub(crate) fn each(&self, mut found: impl FnMut(&[u32], u64)) {
        let mut start = 0;
        for (&end, &count) in self.ends.iter().zip(&self.counts) {
            found(&self.atoms[start..end], count);
            start = end;
        }
    }

    /// Call `found` with the atoms, the encoding and the count of each segment.
    pub(crate) fn each_encoded(&self, mut found: impl FnMut(&[u32], &[u32], u64)) {
        let mut start = 0;
        for (&end, &count) in self.ends.iter().zip(&self.counts) {
            let now = &self.now[start..end];
            let length = now.iter().position(|&id| id == NONE).unwrap_or(now.len());
            found(&self.atoms[start..end], &now[..length], count);
            start = end;
        }
    }

    /// Encode again the segments that hold a token of `changed`.
    ///
    /// Returns what to add to the count of each id, modulo 2^64, and how many segments were encoded.
    pub(crate) fn encode(&mut self, pairs: &Pairs, merged: &[u32], changed: &[bool]) -> (Vec<u64>, usize) {
        let mut differences = vec![0_u64; changed.len()];
        let mut scratch = Scratch::default();
        let (mut start, mut encoded) = (0, 0);
        for (&end, &count) in self.ends.iter().zip(&self.counts) {
            let now = &mut self.now[start..end];
            let atoms = &self.atoms[start..end];
            start = end;
            let length = now.iter().position(|&id| id == NONE).unwrap_or(now.len());
            if !now[..length].iter().any(|&id| changed[id as usize]) {
                continue;
            }
            encoded += 1;
            for &id in &now[..length] {
                let sum = &mut differences[id as usize];
                *sum = sum.wrapping_sub(count);
            }
            scratch.ids.clear();
            scratch.ids.extend_from_slice(atoms);
            scratch.merge(pairs, merged);
            for &id in &scratch.ids {
                let sum = &mut differences[id as usize];
                *sum = sum.wrapping_add(count);
            }
            let length = scratch.ids.len();
            now[..length].copy_from_slice(&scratch.ids);
            now[length..].fill(NONE);
        }
        (differences, encoded)
    }
}

/// A shard while it is filled: finds a segment by its atoms.
#[derive(Default)]
pub(crate) struct Table {
    shard: Shard,
    index: HashTable<u32>,
}

impl Table {
    pub(crate) fn add(&mut self, hash: u64, atoms: &[u32], count: u64) -> Result<()> {
        let Self { shard, index } = self;
        let at = |segment: u32| {
            let segment = segment as usize;
            &shard.atoms[segment.checked_sub(1).map_or(0, |before| shard.ends[before])..shard.ends[segment]]
        };
        match index.entry(hash, |&segment| at(segment) == atoms, |&segment| hash_of(at(segment))) {
            Entry::Occupied(found) => shard.counts[*found.get() as usize] += count,
            Entry::Vacant(free) => {
                let segment = u32::try_from(shard.counts.len());
                free.insert(segment.map_err(|_| Error::Argument("more than 2^32 segments".into()))?);
                shard.atoms.extend_from_slice(atoms);
                shard.ends.push(shard.atoms.len());
                shard.counts.push(count);
            }
        }
        Ok(())
    }

    /// All the segments of `tables`, each as its characters at first.
    pub(crate) fn sum(tables: Vec<Self>) -> Result<Shard> {
        let mut tables = tables.into_iter();
        let mut sum = tables.next().unwrap_or_default();
        for table in tables {
            let mut added = Ok(());
            table.shard.each(|atoms, count| {
                if added.is_ok() {
                    added = sum.add(hash_of(atoms), atoms, count);
                }
            });
            added?;
        }
        let mut shard = sum.shard;
        shard.atoms.shrink_to_fit();
        shard.ends.shrink_to_fit();
        shard.counts.shrink_to_fit();
        shard.now = shard.atoms.clone();
        Ok(shard)
    }
}

pub(crate) fn hash_of(atoms: &[u32]) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(atoms)
}
