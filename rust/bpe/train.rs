//! BPE learned from word counts: the merges of the `tokenizers` trainer, with 64-bit pair counts.
//!
//! The pair with the highest count merges first; of equal counts the one with the lower ids, where characters
//! have ids in code-point order and tokens in the order they were made. `tokenizers` 0.23 counts pairs in 32 bits
//! (its issue 2058), which a 100 GB corpus passes. Two habits of its trainer are kept because they decide merges:
//! the count of a merged pair is not taken back, and a pair that comes up again later (because its token can be
//! made in two ways) is queued again with what is new and merged a second time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::bpe::model::NONE;
use crate::error::{Error, Result};

/// A token that training made, in order; characters come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trained {
    /// The token's text.
    pub token: String,
    /// The two tokens that it is made of; none for a character.
    pub parts: Option<(String, String)>,
    /// How often the character, or the pair when it was merged, was seen.
    pub count: u64,
}

type Pair = (u32, u32);

/// What waits: the count first, then the pair, lower ids before higher.
type Queue = BinaryHeap<(u64, Reverse<Pair>, Places)>;
type Places = Vec<u32>;

/// Words as runs of ids, one after another; merging shortens a run in place, and [`NONE`] ends it.
struct Words {
    ids: Vec<u32>,
    starts: Vec<usize>,
    counts: Vec<i64>,
}

/// Learn tokens from `words` until there are `vocab_size` of them or no pair reaches `min_count`.
///
/// `first` are tokens to begin with, those of a tokenizer that is trained on: each is merged from the two parts that
/// those before it make of it, and passed over where they make another number of parts.
///
/// `words` are taken by value because they are let go before the work begins: at 170 M words they are 4 GB.
///
/// # Errors
/// If the counts of one character together pass 2^63 - 1, or there are 2^32 words.
pub fn train(words: Vec<(&str, u64)>, first: &[&str], vocab_size: usize, min_count: u64) -> Result<Vec<Trained>> {
    if u32::try_from(words.len()).is_err() {
        return Err(Error::Argument("more than 2^32 words".into()));
    }
    let mut trained = alphabet(&words)?;
    let mut ids: FxHashMap<String, u32> = FxHashMap::default();
    let mut tokens: Vec<String> = Vec::new();
    for (token, id) in trained.iter().zip(0..) {
        ids.insert(token.token.clone(), id);
        tokens.push(token.token.clone());
    }
    let mut words = Words::new(words, &ids)?;
    let first = begin_with(first, &mut ids, &mut tokens)?;
    let merged = words.merge_first(&first);
    let mut made: Vec<(u32, Pair)> = first.into_iter().map(|(pair, id)| (id, pair)).collect();
    made.sort_unstable();
    for (id, (left, right)) in made {
        let parts = Some((tokens[left as usize].clone(), tokens[right as usize].clone()));
        let count = merged.get(&id).map_or(0, |count| count.unsigned_abs());
        trained.push(Trained { token: tokens[id as usize].clone(), parts, count });
    }
    let (mut counts, mut queue) = words.count_pairs();

    while tokens.len() < vocab_size {
        let Some((count, Reverse(pair), places)) = queue.pop() else { break };
        let now = u64::try_from(counts[&pair]).unwrap_or(0);
        if now != count {
            queue.push((now, Reverse(pair), places));
            continue;
        }
        if count < min_count.max(1) {
            break;
        }
        let (left, right) = (tokens[pair.0 as usize].clone(), tokens[pair.1 as usize].clone());
        let token = format!("{left}{right}");
        let id = match ids.entry(token.clone()) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(free) => {
                tokens.push(token.clone());
                *free.insert(u32::try_from(tokens.len() - 1).map_err(|_| too_many())?)
            }
        };
        trained.push(Trained { token, parts: Some((left, right)), count });
        for (new, places) in words.merge(pair, id, &places, &mut counts) {
            if let Ok(count) = u64::try_from(counts[&new]) {
                queue.push((count, Reverse(new), places));
            }
        }
    }
    Ok(trained)
}

/// The characters, in code-point order, with how often each was seen.
fn alphabet(words: &[(&str, u64)]) -> Result<Vec<Trained>> {
    let mut seen: FxHashMap<char, i64> = FxHashMap::default();
    for &(word, count) in words {
        let count = i64::try_from(count).map_err(|_| Error::Overflow)?;
        for c in word.chars() {
            let sum = seen.entry(c).or_default();
            *sum = sum.checked_add(count).ok_or(Error::Overflow)?;
        }
    }
    let mut seen: Vec<(char, i64)> = seen.into_iter().collect();
    seen.sort_unstable();
    Ok(seen
        .into_iter()
        .map(|(c, count)| Trained { token: c.to_string(), parts: None, count: count.unsigned_abs() })
        .collect())
}

/// Number the tokens of `first`, and say what merges to each.
fn begin_with(
    first: &[&str],
    ids: &mut FxHashMap<String, u32>,
    tokens: &mut Vec<String>,
) -> Result<FxHashMap<Pair, u32>> {
    let mut merges = FxHashMap::default();
    for &token in first {
        let characters: Option<Vec<u32>> =
            token.chars().map(|c| ids.get(c.encode_utf8(&mut [0; 4])).copied()).collect();
        let Some(mut run) = characters else { continue };
        merge_all(&mut run, &merges, |_| ());
        if let ([left, right], false) = (run.as_slice(), ids.contains_key(token)) {
            let id = u32::try_from(tokens.len()).map_err(|_| too_many())?;
            merges.insert((*left, *right), id);
            ids.insert(token.into(), id);
            tokens.push(token.into());
        }
    }
    Ok(merges)
}

/// Merge in `run` what can be, the lowest id first; what a merge makes is a part of merges to higher ids only.
fn merge_all(run: &mut Vec<u32>, merges: &FxHashMap<Pair, u32>, mut made: impl FnMut(u32)) {
    while let Some(id) = run.windows(2).filter_map(|pair| merges.get(&(pair[0], pair[1]))).min().copied() {
        let (mut from, mut to) = (0, 0);
        while from < run.len() {
            if from + 1 < run.len() && merges.get(&(run[from], run[from + 1])) == Some(&id) {
                made(id);
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

fn too_many() -> Error {
    Error::Argument("more than 2^32 tokens".into())
}

impl Words {
    fn new(words: Vec<(&str, u64)>, ids: &FxHashMap<String, u32>) -> Result<Self> {
        let chars: FxHashMap<char, u32> =
            ids.iter().filter_map(|(token, &id)| token.chars().next().map(|c| (c, id))).collect();
        let length = words.iter().map(|(word, _)| word.chars().count()).sum();
        let mut all = Self {
            ids: Vec::with_capacity(length),
            starts: Vec::with_capacity(words.len() + 1),
            counts: Vec::with_capacity(words.len()),
        };
        for (word, count) in words {
            all.starts.push(all.ids.len());
            all.ids.extend(word.chars().map(|c| chars[&c]));
            all.counts.push(i64::try_from(count).map_err(|_| Error::Overflow)?);
        }
        all.starts.push(all.ids.len());
        Ok(all)
    }

    /// Merge in each word what `merges` has; returns how often each was merged.
    fn merge_first(&mut self, merges: &FxHashMap<Pair, u32>) -> FxHashMap<u32, i64> {
        let mut often: FxHashMap<u32, i64> = FxHashMap::default();
        if merges.is_empty() {
            return often;
        }
        let mut run = Vec::new();
        for (word, &count) in self.starts.windows(2).zip(&self.counts) {
            let all = &mut self.ids[word[0]..word[1]];
            run.clear();
            run.extend_from_slice(all);
            merge_all(&mut run, merges, |id| *often.entry(id).or_default() += count);
            all[..run.len()].copy_from_slice(&run);
            all[run.len()..].fill(NONE);
        }
        often
    }

    fn count_pairs(&self) -> (FxHashMap<Pair, i64>, Queue) {
        let mut counts: FxHashMap<Pair, i64> = FxHashMap::default();
        let mut places: FxHashMap<Pair, Places> = FxHashMap::default();
        for ((run, &count), word) in self.starts.windows(2).zip(&self.counts).zip(0..) {
            let run = self.ids[run[0]..run[1]].split(|&id| id == NONE).next().unwrap_or_default();
            for pair in run.windows(2) {
                let pair = (pair[0], pair[1]);
                *counts.entry(pair).or_default() += count;
                note(places.entry(pair).or_default(), word);
            }
        }
        let queue = places.into_iter().map(|(pair, mut places)| {
            places.shrink_to_fit();
            (counts[&pair].unsigned_abs(), Reverse(pair), places)
        });
        let queue = queue.collect();
        (counts, queue)
    }

    /// Merge `pair` into `id` in the words of `places`; returns the pairs that came up, and where.
    fn merge(
        &mut self,
        pair: Pair,
        id: u32,
        places: &Places,
        counts: &mut FxHashMap<Pair, i64>,
    ) -> FxHashMap<Pair, Places> {
        let mut came_up: FxHashMap<Pair, Places> = FxHashMap::default();
        let mut change = |pair: Pair, count: i64| *counts.entry(pair).or_default() += count;
        for &place in places {
            let place_at = place as usize;
            let count = self.counts[place_at];
            let run = &mut self.ids[self.starts[place_at]..self.starts[place_at + 1]];
            let length = run.iter().position(|&id| id == NONE).unwrap_or(run.len());
            let (mut from, mut to) = (0, 0);
            while from < length {
                if from + 1 < length && (run[from], run[from + 1]) == pair {
                    if to > 0 {
                        change((run[to - 1], pair.0), -count);
                        change((run[to - 1], id), count);
                        note(came_up.entry((run[to - 1], id)).or_default(), place);
                    }
                    if from + 2 < length {
                        change((pair.1, run[from + 2]), -count);
                        change((id, run[from + 2]), count);
                        note(came_up.entry((id, run[from + 2])).or_default(), place);
                    }
                    run[to] = id;
                    from += 2;
                } else {
                    run[to] = run[from];
                    from += 1;
                }
                to += 1;
            }
            run[to..length].fill(NONE);
        }
        came_up
    }
}

/// Words come in order, so a word that is there already is the last one.
fn note(places: &mut Places, word: u32) {
    if places.last() != Some(&word) {
        places.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Count all pairs anew before every merge. The words hold no token that can be made in two ways.
    fn slow(words: &[(&str, u64)], merges: usize) -> Vec<(String, String)> {
        let mut split: Vec<(Vec<String>, u64)> =
            words.iter().map(|(word, count)| (word.chars().map(String::from).collect(), *count)).collect();
        let mut order: Vec<String> = split.iter().flat_map(|(word, _)| word.clone()).collect();
        order.sort();
        order.dedup();
        let mut found = vec![];
        for _ in 0..merges {
            let mut counts: FxHashMap<(usize, usize), u64> = FxHashMap::default();
            let at = |token: &String| order.iter().position(|known| known == token).unwrap();
            for (word, count) in &split {
                for pair in word.windows(2) {
                    *counts.entry((at(&pair[0]), at(&pair[1]))).or_default() += count;
                }
            }
            let Some((&(left, right), _)) = counts.iter().max_by_key(|(pair, count)| (**count, Reverse(**pair))) else {
                break;
            };
            let (left, right) = (order[left].clone(), order[right].clone());
            for (word, _) in &mut split {
                let mut at = 0;
                while at + 1 < word.len() {
                    if word[at] == left && word[at + 1] == right {
                        word[at] = format!("{left}{right}");
                        word.remove(at + 1);
                    }
                    at += 1;
                }
            }
            order.push(format!("{left}{right}"));
            found.push((left, right));
        }
        found
    }

    proptest! {
        #[test]
        fn merges_as_counting_anew_does(words in prop::collection::btree_map("▁?[가나다라마]{1,6}", 1u64..50, 1..30)) {
            let words: Vec<(&str, u64)> = words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
            let ours: Vec<_> = train(words.clone(), &[], 26, 1).unwrap().into_iter().filter_map(|token| token.parts).collect();
            let theirs = slow(&words, ours.len());
            // Up to the first token that can be made in two ways; from there the habits of `tokenizers` decide.
            let mut made = std::collections::HashSet::new();
            let clear = ours.iter().take_while(|(l, r)| l != r && made.insert(format!("{l}{r}"))).count();
            prop_assert_eq!(&ours[..clear], &theirs[..clear.min(theirs.len())]);
        }
    }

    proptest! {
        #[test]
        fn beginning_with_its_own_first_tokens_changes_nothing(
            words in prop::collection::btree_map("▁?[가나다라마]{1,6}", 1u64..50, 1..30), some in 0usize..26,
        ) {
            let words: Vec<(&str, u64)> = words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
            let whole = train(words.clone(), &[], 26, 1).unwrap();
            let merges: Vec<&Trained> = whole.iter().filter(|token| token.parts.is_some()).collect();
            // Up to the first token that can be made in two ways, whose second way is no token to begin with.
            let mut made = std::collections::HashSet::new();
            let clear = merges.iter().take_while(|t| t.parts.as_ref().is_some_and(|(l, r)| l != r) && made.insert(&t.token));
            let clear = clear.count();
            let first: Vec<&str> = merges[..some.min(clear)].iter().map(|token| token.token.as_str()).collect();
            let continued = train(words, &first, 26, 1).unwrap();
            let theirs: Vec<&Trained> = continued.iter().filter(|token| token.parts.is_some()).collect();
            prop_assert_eq!(&theirs[..clear], &merges[..clear]);
        }
    }

    #[test]
    fn tokens_to_begin_with_that_the_words_do_not_make() {
        let words = vec![("가나다", 3), ("가나", 2)];
        let merges: Vec<_> = train(words, &["가나다", "나다", "가나다", "뷁가", "가나"], 9, 1)
            .unwrap()
            .into_iter()
            .filter_map(|token| token.parts.map(|(left, right)| (left, right, token.count)))
            .collect();
        let made = |left: &str, right: &str, count| (left.to_string(), right.to_string(), count);
        // 가나다 is three parts before 나다 is there, and two behind it; of 뷁가 no word has the first.
        assert_eq!(merges, [made("나", "다", 3), made("가", "나다", 3), made("가", "나", 2)]);
    }

    #[test]
    fn counts_past_32_bits() {
        let trained = train(vec![("가나", 5_000_000_000), ("다라", 4_000_000_000)], &[], 6, 1).unwrap();
        let counts: Vec<u64> = trained[4..].iter().map(|token| token.count).collect();
        assert_eq!(counts, [5_000_000_000, 4_000_000_000]);
        assert!(train(vec![("가", u64::MAX)], &[], 6, 1).is_err());
    }
}
