//! Words cut once more (see `spans`), so that a refine round re-encodes only what it changes. It only ever takes
//! merges away, and then the cut stays right.
//!
//! Which segments a round changes. A token is made by the same merges wherever it stands: before it is made no
//! merge crosses its ends, and between them the lowest rank, leftmost first, does not depend on what is outside.
//! So the merges that a segment went through are those of the tokens that it ended as. Taking away merges that
//! it did not go through changes nothing: at each step the lowest rank is there still. Hence a segment has to be
//! encoded again only if one of its tokens is made by a merge that was taken away, or of a token that is.
//!
//! Characters need no encoding at all. One that the vocabulary lacks is spelled in bytes, and no merge joins a
//! byte, so it is counted as the character that it is and turned into bytes when the counts are asked for. A
//! character that comes back comes without merges. To a byte-level tokenizer bytes are what is never missing.

use rustc_hash::FxHashSet;

use crate::bpe::model::Bpe;
use crate::bpe::pairs::{NONE, Pairs};
use crate::bpe::prices::{Pricing, Sets};
use crate::bpe::shard::Shard;
use crate::bpe::spans::Cutting;
use crate::error::{Error, Result};
use crate::threads::at_once;

/// Word counts as segments, each with its encoding by a vocabulary that shrinks.
#[derive(Clone)]
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

#[derive(Clone)]
struct Merge {
    left: u32,
    right: u32,
    token: u32,
    rank: u32,
}

#[derive(Clone)]
struct Character {
    id: u32,
    bytes: Vec<u32>,
    present: bool,
}

/// Words on their way to segments, some at a time: they need not be in memory together.
pub struct Segmenter {
    /// Ranks of the entries that words may hold, shorter ones first.
    order: Vec<usize>,
    cutting: Cutting,
    /// Three times the bytes of all words. No id is emitted more often than there are bytes, of which a space has three
    /// as `▁`, so sums of counts need no check behind this one.
    most: u64,
}

impl Segmenter {
    /// For words that hold no other characters than these, as entries of `bpe` are written; any, where there are none.
    ///
    /// # Errors
    /// If there is no room for the entries in a table of pairs.
    pub fn new(bpe: &Bpe, characters: &str, threads: usize) -> Result<Self> {
        // Entries of characters that no word holds, Latin ones say, would only make the tables larger.
        let held: FxHashSet<char> = characters.chars().collect();
        // One of a character that is no token is never made: characters are what segments begin as.
        let may_be = |c: char| bpe.char_id(c) != NONE && (held.is_empty() || held.contains(&c));
        let possible = |rank: &usize| bpe.entries[*rank].chars().all(may_be);
        let mut order: Vec<usize> = (0..bpe.merged.len()).filter(possible).collect();
        order.sort_by_key(|&rank| bpe.entries[rank].len());
        let cutting = Cutting::new(bpe, &order, threads.max(1))?;
        Ok(Self { order, cutting, most: 0 })
    }

    /// Cut `words` where no entry of `bpe`, which is that of `new`, spans, and sum the segments.
    ///
    /// # Errors
    /// If three times the bytes of all words pass 2^64 - 1.
    pub fn feed(&mut self, bpe: &Bpe, words: &[(&str, u64)]) -> Result<()> {
        let weigh = |sum: u64, (word, count): &(&str, u64)| sum.checked_add(count.checked_mul(3 * word.len() as u64)?);
        self.most = words.iter().try_fold(self.most, weigh).ok_or(Error::Overflow)?;
        self.cutting.feed(bpe, words)
    }

    /// The segments of all words, encoded by `bpe`.
    ///
    /// # Errors
    /// If there are more than 2^32 in a thread's share.
    pub fn segments(self, bpe: &Bpe) -> Result<Segments> {
        Segments::new(bpe, self.order, self.cutting)
    }
}

impl Segments {
    fn new(bpe: &Bpe, order: Vec<usize>, cutting: Cutting) -> Result<Self> {
        let (shards, mut counts) = cutting.end()?;
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
            characters: bpe.characters().map(|(c, id)| Character { id, bytes: bpe.spell(c), present: true }).collect(),
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
        let place = |&id: &u32| {
            let at = self.characters.binary_search_by_key(&id, |character| character.id);
            at.map_err(|_| Error::Argument(format!("{id} is not the id of a character")))
        };
        for at in add.iter().map(place).collect::<Result<Vec<_>>>()? {
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

    /// How many tokens more the words are without each of `sets` sets of tokens; fewer where it is below 0.
    ///
    /// `sets_of` and `ids` say which id is in which set, in any order. A set has all that cannot be made without the
    /// rest of it; what else is made of it may still be made in another way.
    ///
    /// # Errors
    /// If there is no such set or id, not a set of each id, or a price is no 64-bit number.
    pub fn prices(&self, sets: usize, sets_of: &[u32], ids: &[u32]) -> Result<Vec<i64>> {
        if sets_of.len() != ids.len() {
            return Err(Error::Argument(format!("{} sets but {} ids", sets_of.len(), ids.len())));
        }
        let pairs: Vec<(u32, u32)> = ids.iter().copied().zip(sets_of.iter().copied()).collect();
        if let Some((id, set)) =
            pairs.iter().find(|(id, set)| *id as usize >= self.counts.len() || *set as usize >= sets)
        {
            return Err(Error::Argument(format!("there is no id {id}, or no set {set}")));
        }
        let dropping = Sets::new(self.counts.len(), pairs.clone());
        let made = self.merges.iter().map(|merge| (merge.token, [merge.left, merge.right]));
        let touching = dropping.with_what_is_made(made);
        let mut weights = vec![(1, 1); self.counts.len()];
        for character in &self.characters {
            let spelled = character.bytes.len() as u64;
            weights[character.id as usize] = (if character.present { 1 } else { spelled }, spelled);
        }
        let pricing = Pricing { pairs: &self.pairs, merged: &self.merged, dropping, touching, weights };
        let done = at_once(&self.shards, |shard| pricing.of(shard, sets));
        let sum = |set: usize| i64::try_from(done.iter().map(|prices| prices[set]).sum::<i128>());
        (0..sets).map(|set| sum(set).map_err(|_| Error::Overflow)).collect()
    }

    /// How many segments there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
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
        let done = at_once(&mut self.shards, |shard| shard.encode(&self.pairs, &self.merged, changed));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::encode::{Encoder, Scratch};
    use crate::text::notation::turn;
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

    /// Count of each id, word by word.
    fn counted(bpe: &Bpe, words: &[(&str, u64)]) -> Vec<u64> {
        let (encoder, mut scratch, mut counts) = (Encoder::new(bpe), Scratch::default(), vec![0; bpe.size]);
        for (word, count) in words {
            let mut inside = vec![];
            turn(word.as_bytes(), &mut inside);
            let add = |ids: &[u32]| ids.iter().for_each(|&id| counts[id as usize] += count);
            encoder.encode(&inside, &mut scratch, add);
        }
        counts
    }

    /// Of words that come three at a time.
    fn segments(bpe: &Bpe, words: &[(&str, u64)], threads: usize) -> Result<Segments> {
        let held: String =
            words.iter().flat_map(|(word, _)| word.chars().map(|c| if c == ' ' { '▁' } else { c })).collect();
        let mut segmenter = Segmenter::new(bpe, &held, threads)?;
        words.chunks(3).try_for_each(|some| segmenter.feed(bpe, some))?;
        segmenter.segments(bpe)
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
            let mut segments = segments(&first, &words, threads).unwrap();
            prop_assert_eq!(segments.counts(), counted(&first, &words));
            for (drop, add) in changes {
                let add: Vec<u32> = add.difference(&drop).copied().collect();
                dropped.extend(&drop);
                absent.extend(drop.iter().filter(|id| **id < 261));
                absent.retain(|id| !add.contains(id));
                let encoded = segments.change(&drop.into_iter().collect::<Vec<_>>(), &add).unwrap();
                prop_assert!(encoded <= segments.len());
                let anew = bpe(&parts, &dropped, &absent);
                prop_assert_eq!(segments.counts(), counted(&anew, &words));
            }
        }
    }

    #[test]
    fn an_entry_of_a_character_that_is_no_token_is_never_made() {
        let mut vocab: BTreeMap<String, u32> =
            ["▁", "b", "ab", "abb", "bb"].map(String::from).into_iter().zip(256..).collect();
        vocab.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), byte)));
        let model = serde_json::json!({"byte_fallback": true, "vocab": vocab, "merges": [["ab", "b"], ["b", "b"]]});
        let replace = serde_json::json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let bpe = Bpe::from_json(&serde_json::json!({"normalizer": replace, "model": model}).to_string()).unwrap();
        let words = [("abb", 3), ("▁b", 2)];
        for characters in ["", "▁ab"] {
            let mut segmenter = Segmenter::new(&bpe, characters, 2).unwrap();
            segmenter.feed(&bpe, &words).unwrap();
            let counts = segmenter.segments(&bpe).unwrap().counts();
            assert_eq!(counts, counted(&bpe, &words));
            assert_eq!((counts[97], counts[260], counts[258]), (3, 3, 0));
        }
    }

    #[test]
    fn what_cannot_be_changed_or_counted() {
        let all = bpe(&[(3, 4)], &BTreeSet::new(), &BTreeSet::new());
        let mut counted = segments(&all, &[("▁가나", u64::MAX / 28), ("漢", 1)], 2).unwrap();
        assert_eq!(counted.len(), 2);
        assert_eq!((counted.counts()[261], counted.counts()[0xE6]), (u64::MAX / 28, 1));
        assert!(counted.change(&[401], &[]).is_err());
        assert!(counted.change(&[], &[261]).is_err());
        assert_eq!(counted.change(&[256], &[]).unwrap(), 0);
        assert_eq!(counted.change(&[259], &[]).unwrap(), 1);
        assert!(segments(&all, &[("가나", u64::MAX / 2)], 2).is_err());
    }
}
