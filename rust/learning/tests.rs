use std::cmp::Reverse;
use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::learning::learner::{Learned, Learner, Settings};

/// By the definition: all pairs are counted anew before every merge.
fn slow(words: &[(&str, u64)], first: &[&str], vocab_size: usize, min_count: u64) -> Vec<(String, String, u64)> {
    let mut split: Vec<(Vec<String>, u64)> =
        words.iter().map(|(word, count)| (word.chars().map(String::from).collect(), *count)).collect();
    let mut order: Vec<String> = split.iter().flat_map(|(word, _)| word.clone()).collect();
    order.sort();
    order.dedup();
    let mut found = vec![];
    let mut begin: Vec<(String, String)> = vec![];
    for &token in first {
        let mut parts: Vec<String> = token.chars().map(String::from).collect();
        if parts.iter().any(|part| !order.contains(part)) || order.contains(&String::from(token)) {
            continue;
        }
        for pair in &begin {
            merge(&mut parts, pair);
        }
        if let [left, right] = parts.as_slice() {
            begin.push((left.clone(), right.clone()));
            order.push(token.into());
        }
    }
    for pair in begin {
        let count = split.iter_mut().map(|(word, count)| merge(word, &pair) * *count).sum();
        found.push((pair.0, pair.1, count));
    }
    while order.len() < vocab_size {
        let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        let at = |token: &String| order.iter().position(|known| known == token).unwrap();
        for (word, count) in &split {
            for pair in word.windows(2) {
                *counts.entry((at(&pair[0]), at(&pair[1]))).or_default() += count;
            }
        }
        let Some((&(left, right), &count)) = counts.iter().max_by_key(|(pair, count)| (**count, Reverse(**pair)))
        else {
            break;
        };
        if count < min_count.max(1) {
            break;
        }
        let pair = (order[left].clone(), order[right].clone());
        for (word, _) in &mut split {
            merge(word, &pair);
        }
        order.push(format!("{}{}", pair.0, pair.1));
        found.push((pair.0, pair.1, count));
    }
    found
}

/// Merge a pair wherever it is, from the left; returns how often.
fn merge(word: &mut Vec<String>, (left, right): &(String, String)) -> u64 {
    let (mut at, mut merged) = (0, 0);
    while at + 1 < word.len() {
        if (&word[at], &word[at + 1]) == (left, right) {
            word[at] = format!("{left}{right}");
            word.remove(at + 1);
            merged += 1;
        }
        at += 1;
    }
    merged
}

fn learn(words: &[(&str, u64)], settings: Settings) -> Vec<Learned> {
    let mut learner = Learner::new(settings);
    while learner.again().unwrap() {
        words.chunks(7).for_each(|words| learner.feed(words).unwrap());
    }
    learner.learned().to_vec()
}

fn settings(vocab_size: usize) -> Settings {
    Settings { first: vec![], characters: String::new(), vocab_size, min_count: 1, threads: 1, memory: 1 << 30 }
}

fn merges(learned: &[Learned]) -> Vec<(String, String, u64)> {
    learned.iter().filter_map(|token| token.parts.clone().map(|(left, right)| (left, right, token.count))).collect()
}

/// Few letters and small counts, for ties and runs of one letter; some counts of more than 32 bits.
fn words() -> impl Strategy<Value = BTreeMap<String, u64>> {
    let words = prop_oneof!["a{1,12}", "[ab]{1,12}", "[abc]{1,9}", "▁?[가나다라마]{1,6}", "[a-h]{1,30}"];
    let counts = prop_oneof![8 => 0u64..4, 3 => 0u64..50, 1 => 0u64..1 << 40];
    prop::collection::btree_map(words, counts, 1..30)
}

/// None and next to none, some that words fit in half of or pieces do not fit beside them, and plenty.
const MEMORY: &[usize] = &[0, 200, 1_000, 2_000, 4_000, 1 << 30];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn merges_as_counting_anew_does_with_any_memory_and_threads(
        words in words(), size in 1usize..60, min_count in 0u64..4, memory in prop::sample::select(MEMORY),
        threads in 1usize..4, first in prop::collection::vec("[ab]{1,4}|[가나다]{2,3}", 0..5),
    ) {
        let words: Vec<(&str, u64)> = words.iter().map(|(word, count)| (word.as_str(), *count)).collect();
        let learned = learn(&words, Settings { first: first.clone(), min_count, threads, memory, ..settings(size) });
        let first: Vec<&str> = first.iter().map(String::as_str).collect();
        prop_assert_eq!(merges(&learned), slow(&words, &first, size, min_count));
    }

    #[test]
    fn runs_of_some_characters_are_what_a_search_finds(word in "[▁가나a]{0,12}") {
        let (mut expected, mut run) = (vec![], String::new());
        let mut before = None;
        for c in word.chars() {
            if "가나".contains(c) {
                if run.is_empty() && before == Some('▁') {
                    run.push('▁');
                }
                run.push(c);
            } else if !run.is_empty() {
                expected.push(std::mem::take(&mut run));
            }
            before = Some(c);
        }
        expected.extend(Some(run).filter(|run| !run.is_empty()));
        let mut found = vec![];
        super::runs::Runs::of("가나").each(&word, |run| found.push(run.to_string()));
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn tokens_to_begin_with_that_the_words_do_not_make() {
    let first = ["가나다", "나다", "가나다", "뷁가", "가나"].map(String::from).to_vec();
    let found = merges(&learn(&[("가나다", 3), ("가나", 2)], Settings { first, ..settings(9) }));
    let made = |left: &str, right: &str, count| (left.to_string(), right.to_string(), count);
    // 가나다 is three parts before 나다 is there, and two behind it; of 뷁가 no word has the first.
    assert_eq!(found, [made("나", "다", 3), made("가", "나다", 3), made("가", "나", 2)]);
}

#[test]
fn counts_past_32_bits() {
    let found = learn(&[("가나", 5_000_000_000), ("다라", 4_000_000_000)], settings(6));
    let counts: Vec<u64> = found[4..].iter().map(|token| token.count).collect();
    assert_eq!(counts, [5_000_000_000, 4_000_000_000]);
    for words in [vec![("가", u64::MAX)], vec![("가나", 1 << 62), ("나가", 1 << 62)]] {
        let mut learner = Learner::new(settings(6));
        assert!(learner.again().unwrap());
        assert!(learner.feed(&words).and_then(|()| learner.again()).is_err());
    }
}

#[test]
fn words_that_were_not_there_the_first_time_are_no_panic() {
    let mut learner = Learner::new(Settings { memory: 0, ..settings(9) });
    for words in [[("가나", 3)], [("가나", 3)], [("가라", 5)]] {
        assert!(learner.again().unwrap());
        learner.feed(&words).unwrap();
    }
    assert!(!learner.again().unwrap());
}

#[test]
fn words_that_fit_in_memory_are_read_twice() {
    let reads = |memory| {
        let mut learner = Learner::new(Settings { memory, ..settings(9) });
        let mut reads = 0;
        while learner.again().unwrap() {
            learner.feed(&[("가나다", 3), ("나다", 2)]).unwrap();
            reads += 1;
        }
        (reads, learner.learned().to_vec())
    };
    let (twice, learned) = reads(1 << 30);
    let (more, same) = reads(0);
    assert_eq!((twice, learned.len()), (2, 5));
    assert!(more > 2);
    assert_eq!(learned, same);
}
