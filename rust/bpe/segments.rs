//! Words cut once more, so that a refine round re-encodes only what it changes.
//!
//! A merge acts inside vocabulary entries. A place in a word that no entry spans *as the word stands* is never
//! merged across, so the word can be cut there, and the counts of equal segments summed: 1.01 M words of 112 MB of
//! Korean are 0.24 M segments, and the more words there are, the more they share. Refine only ever takes merges
//! away, and then the cut stays right.
//!
//! Which segments a round changes. A token is made by the same merges wherever it stands: before it is made no
//! merge crosses its ends, and between them the lowest rank, leftmost first, does not depend on what is outside.
//! So the merges that a segment went through are those of the tokens that it ended as. Taking away merges that
//! it did not go through changes nothing: at each step the lowest rank is there still. Hence a segment has to be
//! encoded again only if one of its tokens is made by a merge that was taken away, or of a token that is.
//!
//! Characters need no encoding at all. One that the vocabulary lacks is spelled in bytes, and no merge joins a
//! byte, so it is counted as the character that it is and turned into bytes when the counts are asked for. A
//! character that comes back comes without merges.

use std::hash::{BuildHasher, BuildHasherDefault};
use std::thread;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::{FxHashMap, FxHasher};

use crate::bpe::encode::Scratch;
use crate::bpe::model::{Bpe, NONE, Pairs};
use crate::error::{Error, Result};
use crate::text::words::SPACE;
use crate::threads::join;

/// Word counts as segments, each with its encoding by a vocabulary that shrinks.
pub struct Segments {
    shards: Vec<Shard>,
    /// Shorter tokens first, so that parts come before what is made of them.
    merges: Vec<Merge>,
    pairs: Pairs,
    merged: Vec<u32>,
    characters: Vec<Character>,
    /// By id; a character that is absent is counted under its id here, too.
    counts: Vec<u64>,
}

struct Merge {
    left: u32,
    right: u32,
    token: u32,
    rank: u32,
}

struct Character {
    id: u32,
    bytes: Vec<u32>,
    present: bool,
}

/// Some of the segments, one after another in `atoms`; `now` has room for the encoding of each in the same place.
#[derive(Default)]
struct Shard {
    atoms: Vec<u32>,
    now: Vec<u32>,
    ends: Vec<usize>,
    counts: Vec<u64>,
}

impl Segments {
    /// Cut `words` where no entry of `bpe` spans, sum the segments and encode them.
    ///
    /// # Errors
    /// If three times the bytes of all words pass 2^64 - 1, or there is no room for the entries in a table of pairs.
    pub fn new(bpe: &Bpe, words: &[(&str, u64)], threads: usize) -> Result<Self> {
        let threads = threads.max(1);
        // No id is emitted more often than there are bytes, of which a space has three as `▁`, so sums of counts need
        // no check below.
        let weigh = |sum: u64, (word, count): &(&str, u64)| sum.checked_add(count.checked_mul(3 * word.len() as u64)?);
        words.iter().try_fold(0, weigh).ok_or(Error::Overflow)?;

        let share = words.len().div_ceil(threads).max(1);
        // Entries of characters that no word holds, Latin ones say, would only make the tables larger.
        let mut seen = vec![false; bpe.size];
        let ids = words.iter().flat_map(|(word, _)| word.chars()).map(|c| bpe.char_id(symbol(c)));
        ids.for_each(|id| _ = seen.get_mut(id as usize).map(|seen| *seen = true));
        let possible =
            |rank: &usize| bpe.entries[*rank].chars().all(|c| seen.get(bpe.char_id(c) as usize) == Some(&true));
        let mut order: Vec<usize> = (0..bpe.merged.len()).filter(possible).collect();
        order.sort_by_key(|&rank| bpe.entries[rank].len());
        let spans = Spans::new(bpe, &order)?;
        let parts: Vec<Cutter<'_>> = thread::scope(|scope| {
            let cut = |words| Cutter::new(bpe, &spans, threads).cut(words);
            let workers: Vec<_> = words.chunks(share).map(|words| scope.spawn(move || cut(words))).collect();
            workers.into_iter().map(join).collect::<Result<_>>()
        })?;
        let mut counts = vec![0; bpe.size];
        for part in &parts {
            counts.iter_mut().zip(&part.spelled).for_each(|(sum, count)| *sum += count);
        }
        let mut tables: Vec<Vec<Table>> = (0..threads).map(|_| Vec::new()).collect();
        for part in parts {
            part.tables.into_iter().zip(&mut tables).for_each(|(table, of_shard)| of_shard.push(table));
        }
        let shards = thread::scope(|scope| {
            let workers: Vec<_> = tables.into_iter().map(|tables| scope.spawn(move || Table::sum(tables))).collect();
            workers.into_iter().map(join).collect::<Result<Vec<_>>>()
        })?;
        for shard in &shards {
            shard.each(|atoms, count| atoms.iter().for_each(|&atom| counts[atom as usize] += count));
        }

        let merge = |rank: usize| {
            let (left, right) = bpe.parts[rank];
            // Of a pair that comes twice the later rank holds.
            Merge { left, right, token: bpe.merged[rank], rank: bpe.ranks.get(left, right) }
        };
        let merges: Vec<Merge> = order.into_iter().map(merge).collect();
        let mut segments = Self {
            shards,
            pairs: table(&merges),
            merges,
            merged: bpe.merged.clone(),
            characters: bpe.characters().map(|(c, id)| Character { id, bytes: bytes(bpe, c), present: true }).collect(),
            counts,
        };
        segments.characters.sort_unstable_by_key(|character| character.id);
        segments.encode(&vec![true; bpe.size]);
        Ok(segments)
    }

    /// Take tokens out of the vocabulary, and with them what is made of them, and put characters back.
    ///
    /// Returns how many segments were encoded again.
    ///
    /// # Errors
    /// If there is no such id, or one to put back is no character.
    pub fn change(&mut self, drop: &[u32], add: &[u32]) -> Result<usize> {
        let mut dropped = vec![false; self.counts.len()];
        for &id in drop {
            *dropped.get_mut(id as usize).ok_or_else(|| Error::Argument(format!("there is no id {id}")))? = true;
        }
        for &id in add {
            let at = self.characters.binary_search_by_key(&id, |character| character.id);
            let at = at.map_err(|_| Error::Argument(format!("{id} is not the id of a character")))?;
            self.characters[at].present = true;
        }
        for character in &mut self.characters {
            character.present &= !dropped[character.id as usize];
        }
        let mut changed = vec![false; self.counts.len()];
        let before = self.merges.len();
        self.merges.retain(|&Merge { left, right, token, .. }| {
            let [left, right, token] = [left as usize, right as usize, token as usize];
            let gone = dropped[left] || dropped[right] || dropped[token];
            changed[token] |= gone || changed[left] || changed[right];
            !gone
        });
        if self.merges.len() < before {
            self.pairs = table(&self.merges);
        }
        Ok(self.encode(&changed))
    }

    /// Count of each id.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = self.counts.clone();
        for character in self.characters.iter().filter(|character| !character.present) {
            let count = std::mem::take(&mut counts[character.id as usize]);
            character.bytes.iter().for_each(|&byte| counts[byte as usize] += count);
        }
        counts
    }

    /// How many segments there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.counts.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encode again the segments that hold a token of `changed`.
    fn encode(&mut self, changed: &[bool]) -> usize {
        if !changed.contains(&true) {
            return 0;
        }
        let (pairs, merged) = (&self.pairs, &self.merged);
        let done = thread::scope(|scope| {
            let shards = self.shards.iter_mut();
            let workers: Vec<_> =
                shards.map(|shard| scope.spawn(move || shard.encode(pairs, merged, changed))).collect();
            workers.into_iter().map(join).collect::<Vec<_>>()
        });
        let mut encoded = 0;
        for (differences, segments) in done {
            encoded += segments;
            for (count, difference) in self.counts.iter_mut().zip(differences) {
                *count = count.wrapping_add(difference);
            }
        }
        encoded
    }
}

/// As small as can be, because a look-up is a cache miss.
fn table(merges: &[Merge]) -> Pairs {
    let mut pairs = Pairs::with_capacity(merges.len());
    for merge in merges {
        pairs.insert(merge.left, merge.right, merge.rank);
    }
    pairs
}

impl Shard {
    /// Call `found` with the atoms and the count of each segment.
    fn each(&self, mut found: impl FnMut(&[u32], u64)) {
        let mut start = 0;
        for (&end, &count) in self.ends.iter().zip(&self.counts) {
            found(&self.atoms[start..end], count);
            start = end;
        }
    }

    /// Returns what to add to the count of each id, modulo 2^64, and how many segments were encoded.
    fn encode(&mut self, pairs: &Pairs, merged: &[u32], changed: &[bool]) -> (Vec<u64>, usize) {
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
struct Table {
    shard: Shard,
    index: HashTable<u32>,
}

impl Table {
    fn add(&mut self, hash: u64, atoms: &[u32], count: u64) -> Result<()> {
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

    fn sum(tables: Vec<Self>) -> Result<Shard> {
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

fn hash_of(atoms: &[u32]) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(atoms)
}

/// A thread's share of the words, cut and summed.
struct Cutter<'a> {
    bpe: &'a Bpe,
    spans: &'a Spans,
    tables: Vec<Table>,
    /// Counts of the byte tokens of characters that are no token.
    spelled: Vec<u64>,
    /// Counts of the segments that are the start of an entry, by node.
    whole: Vec<u64>,
}

impl<'a> Cutter<'a> {
    fn new(bpe: &'a Bpe, spans: &'a Spans, shards: usize) -> Self {
        let tables = (0..shards).map(|_| Table::default()).collect();
        Self { bpe, spans, tables, spelled: vec![0; bpe.size], whole: vec![0; spans.nodes.len()] }
    }

    fn cut(mut self, words: &[(&str, u64)]) -> Result<Self> {
        let mut atoms = Vec::new();
        let mut path = Vec::new();
        for &(word, count) in words {
            for c in word.chars().map(symbol) {
                match self.bpe.char_id(c) {
                    NONE => {
                        self.cut_atoms(&atoms, count, &mut path)?;
                        atoms.clear();
                        for byte in bytes(self.bpe, c) {
                            self.spelled[byte as usize] += count;
                        }
                    }
                    id => atoms.push(id),
                }
            }
            self.cut_atoms(&atoms, count, &mut path)?;
            atoms.clear();
        }
        let mut atoms = Vec::new();
        for (node, count) in std::mem::take(&mut self.whole).into_iter().enumerate().filter(|(_, count)| *count > 0) {
            self.spans.text(node, &mut atoms);
            self.add(&atoms, count)?;
        }
        Ok(self)
    }

    fn cut_atoms(&mut self, atoms: &[u32], count: u64, path: &mut Vec<u32>) -> Result<()> {
        let (mut start, mut end) = (0, 0);
        for at in 0..atoms.len() {
            if at == end {
                self.found(&atoms[start..end], path, count)?;
                (start, end) = (at, at + 1);
                path.clear();
                path.push(atoms[at]);
            }
            let mut node = atoms[at];
            for (&atom, after) in atoms[at + 1..].iter().zip(at + 2..) {
                node = self.spans.next.get(node, atom);
                if node == NONE {
                    break;
                }
                if at == start {
                    path.push(node);
                }
                if self.spans.nodes[node as usize].entry {
                    end = end.max(after);
                }
            }
        }
        self.found(&atoms[start..end], path, count)
    }

    /// A segment; `path` holds the nodes of its starts, as far as there are.
    fn found(&mut self, atoms: &[u32], path: &[u32], count: u64) -> Result<()> {
        match path.get(atoms.len().wrapping_sub(1)) {
            Some(&node) => self.whole[node as usize] += count,
            None if atoms.is_empty() => {}
            None => self.add(atoms, count)?,
        }
        Ok(())
    }

    fn add(&mut self, atoms: &[u32], count: u64) -> Result<()> {
        let hash = hash_of(atoms);
        // The table goes by the low and the highest bits of the hash.
        let shard = (hash >> 32) as usize % self.tables.len();
        self.tables[shard].add(hash, atoms, count)
    }
}

/// The texts of all entries, as a tree of characters: which entries stand where in a word.
struct Spans {
    /// Node and character → node. A character is a node of its own, by its id.
    next: Pairs,
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    before: u32,
    atom: u32,
    /// Whether an entry ends here.
    entry: bool,
}

impl Spans {
    /// Of the entries of these ranks.
    fn new(bpe: &Bpe, ranks: &[usize]) -> Result<Self> {
        let root = |id| Node { before: NONE, atom: id, entry: false };
        let mut nodes: Vec<Node> = (0..).take(bpe.size).map(root).collect();
        let mut known: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        for &rank in ranks {
            let mut atoms = bpe.entries[rank].chars().map(|c| bpe.char_id(c));
            let Some(mut node) = atoms.next() else { continue };
            for atom in atoms {
                let size = u32::try_from(nodes.len()).map_err(|_| Error::Overflow)?;
                node = *known.entry((node, atom)).or_insert_with_key(|&(before, atom)| {
                    nodes.push(Node { before, atom, entry: false });
                    size
                });
            }
            nodes[node as usize].entry = true;
        }
        if nodes.len() > Pairs::MOST {
            return Err(Error::Tokenizer("its entries are too many".into()));
        }
        let mut next = Pairs::with_capacity(known.len());
        for ((before, atom), node) in known {
            next.insert(before, atom, node);
        }
        Ok(Self { next, nodes })
    }

    fn text(&self, node: usize, atoms: &mut Vec<u32>) {
        atoms.clear();
        let mut node = self.nodes[node];
        atoms.push(node.atom);
        while node.before != NONE {
            node = self.nodes[node.before as usize];
            atoms.push(node.atom);
        }
        atoms.reverse();
    }
}

/// As [`crate::bpe::encode`] reads a word: `▁` may be written as a space.
fn symbol(c: char) -> char {
    if c == ' ' { SPACE } else { c }
}

fn bytes(bpe: &Bpe, c: char) -> Vec<u32> {
    c.encode_utf8(&mut [0; 4]).bytes().map(|byte| bpe.bytes[usize::from(byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::encode::Encoder;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const CHARACTERS: [&str; 5] = ["▁", "a", "b", "가", "나"];

    /// Merges made of random tokens, so that ranks compete and some come twice, less those that need one of
    /// `dropped`; characters less `absent`. Ids are always the same.
    fn bpe(parts: &[(usize, usize)], dropped: &BTreeSet<u32>, absent: &BTreeSet<u32>) -> Bpe {
        let mut tokens: Vec<String> = CHARACTERS.map(String::from).to_vec();
        let mut merges = vec![];
        for &(left, right) in parts {
            let pair = [tokens[left % tokens.len()].clone(), tokens[right % tokens.len()].clone()];
            if !tokens.contains(&pair.concat()) {
                tokens.push(pair.concat());
            }
            merges.push(pair);
        }
        let mut vocab: BTreeMap<String, u32> = tokens.into_iter().zip(256..).collect();
        merges.retain(|[left, right]| {
            [left, right, &format!("{left}{right}")].iter().all(|token| !dropped.contains(&vocab[*token]))
        });
        vocab.retain(|_, id| !absent.contains(id));
        vocab.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), byte)));
        vocab.insert("last".into(), 400);
        let replace = serde_json::json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let model = serde_json::json!({"byte_fallback": true, "vocab": vocab, "merges": merges});
        Bpe::from_json(&serde_json::json!({"normalizer": replace, "model": model}).to_string()).unwrap()
    }

    proptest! {
        #[test]
        fn counts_are_those_of_encoding_all_words_anew(
            parts in prop::collection::vec((0usize..30, 0usize..30), 0..25),
            words in prop::collection::btree_map("[▁ ab가나漢]{0,12}|[가나]{60,80}", 0u64..9, 0..20),
            changes in prop::collection::vec(
                (prop::collection::btree_set(256u32..290, 0..4), prop::collection::btree_set(256u32..261, 0..2)), 0..4,
            ),
            threads in 1usize..4,
        ) {
            let words: Vec<(&str, u64)> = words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
            let (mut dropped, mut absent) = (BTreeSet::new(), BTreeSet::new());
            let first = bpe(&parts, &dropped, &absent);
            let mut segments = Segments::new(&first, &words, threads).unwrap();
            prop_assert_eq!(segments.counts(), Encoder::new(&first).count(&words, 1).unwrap());
            for (drop, add) in changes {
                let add: Vec<u32> = add.difference(&drop).copied().collect();
                dropped.extend(&drop);
                absent.extend(drop.iter().filter(|id| **id < 261));
                absent.retain(|id| !add.contains(id));
                let encoded = segments.change(&drop.into_iter().collect::<Vec<_>>(), &add).unwrap();
                prop_assert!(encoded <= segments.len());
                let anew = bpe(&parts, &dropped, &absent);
                prop_assert_eq!(segments.counts(), Encoder::new(&anew).count(&words, 1).unwrap());
            }
        }
    }

    #[test]
    fn what_cannot_be_changed_or_counted() {
        let all = bpe(&[(3, 4)], &BTreeSet::new(), &BTreeSet::new());
        let mut segments = Segments::new(&all, &[("▁가나", u64::MAX / 28), ("漢", 1)], 2).unwrap();
        assert_eq!(segments.len(), 2);
        assert_eq!((segments.counts()[261], segments.counts()[0xE6]), (u64::MAX / 28, 1));
        assert!(segments.change(&[401], &[]).is_err());
        assert!(segments.change(&[], &[261]).is_err());
        assert_eq!(segments.change(&[256], &[]).unwrap(), 0);
        assert_eq!(segments.change(&[259], &[]).unwrap(), 1);
        assert!(Segments::new(&all, &[("가나", u64::MAX / 2)], 2).is_err());
    }
}
