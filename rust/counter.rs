//! Documents into word counts: one pass, each thread with a table of its own, no lock.
//!
//! A document is taken apart as the tokenizer takes it apart: special tokens are found in the raw text, longest
//! first from the left; each section between them is normalised (`▁` in front, spaces to `▁`) and cut into words
//! by [`Cut`](crate::words::Cut). The result depends on the multiset of documents only: not on threads, batches or order.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;

use crate::bpe::{Bpe, Prefix};
use crate::encode::{Encoder, join};
use crate::error::{Error, Result};
use crate::slots::Slots;
use crate::words::{Cut, SPACE};

/// Bytes of text that a thread takes at a time: enough to forget the taking, and little to wait for at the end.
const TASK: usize = 1 << 18;

/// How documents become words.
struct Rules {
    special: Option<AhoCorasick>,
    prefix: Prefix,
    cut: Cut,
    space: Finder<'static>,
}

/// Counts words over any number of batches.
pub struct WordCounter {
    rules: Rules,
    workers: Vec<Worker>,
}

#[derive(Default)]
struct Worker {
    slots: Slots,
    section: Vec<u8>,
}

/// Distinct words, sorted by count (descending) and word (ascending, by bytes), `▁` for a space.
pub struct Counts {
    text: String,
    words: Vec<Counted>,
}

/// A word of [`Counts`]: its count, its first eight bytes as a number, which settle most comparisons without a look
/// at the text, and where in the text it stands.
#[derive(Clone, Copy)]
struct Counted {
    count: u64,
    head: u64,
    start: usize,
    end: usize,
}

impl WordCounter {
    /// A counter with as many tables as `threads`.
    ///
    /// # Errors
    /// If the tokenizer's special tokens cannot be searched for.
    pub fn new(bpe: &Bpe, threads: usize) -> Result<Self> {
        let contents: Vec<&str> = bpe.special.iter().map(|(token, _)| token.as_str()).collect();
        let special = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&contents);
        let special = special.map_err(|e| Error::Tokenizer(format!("its special tokens: {e}")))?;
        let rules = Rules {
            special: (!contents.is_empty()).then_some(special),
            prefix: bpe.prefix,
            cut: bpe.cut,
            space: Finder::new("\u{2581}"),
        };
        Ok(Self { rules, workers: (0..threads.max(1)).map(|_| Worker::default()).collect() })
    }

    /// Count the words of `documents`; a thread that is free takes the next of them. O(bytes).
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub fn update(&mut self, documents: &[&str]) -> Result<()> {
        let (rules, tasks) = (&self.rules, tasks(documents));
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (tasks, next) = (&tasks, &next);
            let work = |worker: &mut Worker| {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    task.iter().try_for_each(|text| worker.document(rules, text))?;
                }
                worker.slots.flush()
            };
            let running: Vec<_> = self.workers.iter_mut().map(|worker| scope.spawn(move || work(worker))).collect();
            running.into_iter().try_for_each(join)
        })
    }

    /// Count of each token id over everything so far; each thread encodes the words of its own table, unsorted.
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub fn count_tokens(&self, encoder: &Encoder<'_>) -> Result<Vec<u64>> {
        encoder.count_shares(self.workers.iter().map(|worker| worker.slots.share(0, 1)))
    }

    /// The counts of everything so far, in shares for [`in_order`]. O(words log words), a thread a share.
    ///
    /// # Errors
    /// If a count passes 2^64 - 1.
    pub fn finish(self) -> Result<Vec<Counts>> {
        let tables: Vec<Slots> = self.workers.into_iter().map(|worker| worker.slots).collect();
        thread::scope(|scope| {
            let tables = &tables;
            let running: Vec<_> = (0..tables.len()).map(|part| scope.spawn(move || combine(tables, part))).collect();
            running.into_iter().map(join).collect()
        })
    }
}

/// The words of all `shares` with their counts, in order.
pub fn in_order(shares: &[Counts]) -> impl Iterator<Item = (&str, u64)> {
    let mut heads: Vec<_> = shares.iter().map(|share| share.words.iter().peekable()).collect();
    std::iter::from_fn(move || {
        let mut front = Vec::with_capacity(shares.len());
        for (at, head) in heads.iter_mut().enumerate() {
            front.extend(head.peek().map(|word| (word.order(&shares[at].text), at)));
        }
        let first = front.into_iter().min()?.1;
        heads[first].next().map(|word| (word.of(&shares[first].text), word.count))
    })
}

impl Counted {
    fn of<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }

    fn order<'a>(&self, text: &'a str) -> (Reverse<u64>, u64, &'a str) {
        (Reverse(self.count), self.head, self.of(text))
    }
}

/// Runs of documents of about [`TASK`] bytes.
fn tasks<'a, 'b>(documents: &'a [&'b str]) -> Vec<&'a [&'b str]> {
    let mut bytes = 0;
    let goes_on = |text: &&str, _: &&str| {
        bytes += text.len();
        let full = bytes >= TASK;
        if full {
            bytes = 0;
        }
        !full
    };
    documents.chunk_by(goes_on).collect()
}

impl Worker {
    fn document(&mut self, rules: &Rules, text: &str) -> Result<()> {
        let mut from = 0;
        if let Some(special) = &rules.special {
            for found in special.find_iter(text) {
                self.section(rules, &text[from..found.start()], from == 0)?;
                self.slots.push(text.as_bytes(), found.start(), found.end())?;
                from = found.end();
            }
        }
        self.section(rules, &text[from..], from == 0)
    }

    fn section(&mut self, rules: &Rules, text: &str, at_start: bool) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let section = &mut self.section;
        section.clear();
        let prefix = match rules.prefix {
            Prefix::Never => false,
            Prefix::Always => true,
            Prefix::Missing => !text.starts_with([' ', SPACE]),
            Prefix::MissingAtStart => at_start && !text.starts_with([' ', SPACE]),
        };
        if prefix {
            section.push(b' ');
        }
        let mut from = 0;
        for at in rules.space.find_iter(text.as_bytes()) {
            section.extend_from_slice(&text.as_bytes()[from..at]);
            section.push(b' ');
            from = at + SPACE.len_utf8();
        }
        section.extend_from_slice(&text.as_bytes()[from..]);
        let length = section.len();
        // So that a key of 24 bytes can be read at the last word too.
        section.extend_from_slice(&[0; 24]);
        let mut outcome = Ok(());
        let slots = &mut self.slots;
        rules.cut.words(&section[..length], |start, end| {
            if outcome.is_ok() {
                outcome = slots.push(section, start, end);
            }
        });
        outcome
    }
}

fn combine(tables: &[Slots], part: usize) -> Result<Counts> {
    let parts = tables.len();
    let mut together = Slots::default();
    let table = if let [only] = tables {
        only
    } else {
        for table in tables {
            for (word, count) in table.share(part, parts) {
                let bytes = word.bytes();
                together.add(bytes, 0, bytes.len(), count)?;
            }
        }
        &together
    };
    let mut text = String::new();
    let mut words = Vec::with_capacity(table.len());
    for (word, count) in table.share(0, 1) {
        let start = text.len();
        for (at, piece) in word.as_ref().split(' ').enumerate() {
            if at > 0 {
                text.push(SPACE);
            }
            text.push_str(piece);
        }
        let mut head = [0; 8];
        let length = (text.len() - start).min(8);
        head[..length].copy_from_slice(&text.as_bytes()[start..start + length]);
        words.push(Counted { count, head: u64::from_be_bytes(head), start, end: text.len() });
    }
    words.sort_unstable_by(|a, b| a.order(&text).cmp(&b.order(&text)));
    Ok(Counts { text, words })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn bpe(prefix: Option<&str>) -> Bpe {
        let mut vocab: HashMap<String, u32> = (0..256_u32).map(|b| (format!("<0x{b:02X}>"), b)).collect();
        for (token, id) in ["▁", "가", "▁가", "a", "<s>", "<s>x"].into_iter().zip(256..) {
            vocab.insert(token.to_owned(), id);
        }
        let special = |id: u32, content: &str| {
            serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        };
        let model = serde_json::json!({"type": "BPE", "byte_fallback": true, "vocab": vocab, "merges": [["▁", "가"]]});
        let metaspace = |scheme: &str| serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
        let replace = serde_json::json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let normalizer =
            serde_json::json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]});
        let json = serde_json::json!({
            "added_tokens": [special(260, "<s>"), special(261, "<s>x")],
            "normalizer": prefix.is_none().then_some(normalizer),
            "pre_tokenizer": prefix.map(metaspace),
            "model": model,
        });
        Bpe::from_json(&json.to_string()).unwrap()
    }

    fn count(bpe: &Bpe, threads: usize, batches: &[&[&str]]) -> Vec<(String, u64)> {
        let mut counter = WordCounter::new(bpe, threads).unwrap();
        for batch in batches {
            counter.update(batch).unwrap();
        }
        let shares = counter.finish().unwrap();
        in_order(&shares).map(|(word, count)| (word.to_owned(), count)).collect()
    }

    fn words(bpe: &Bpe, text: &str) -> Vec<String> {
        let mut words: Vec<String> = count(bpe, 1, &[&[text]]).into_iter().map(|(word, _)| word).collect();
        words.sort();
        words
    }

    #[test]
    fn special_tokens_and_prefixes_are_as_the_tokenizer_has_them() {
        assert_eq!(words(&bpe(None), "가<s>x a<s>▁b"), ["<s>", "<s>x", "▁▁a", "▁▁b", "▁가"]);
        assert_eq!(words(&bpe(Some("always")), "가<s>x a<s>b"), ["<s>", "<s>x", "▁a", "▁b", "▁가"]);
        assert_eq!(words(&bpe(Some("first")), "가<s>x a<s>b"), ["<s>", "<s>x", "b", "▁a", "▁가"]);
        assert_eq!(words(&bpe(Some("never")), "가 <s>"), ["<s>", "▁", "가"]);
    }

    proptest! {
        #[test]
        fn threads_batches_and_order_do_not_matter(
            mut texts in prop::collection::vec("[a가 \n]{0,12}", 0..40), threads in 1usize..4, at in 0usize..40,
        ) {
            let bpe = bpe(None);
            let whole: Vec<&str> = texts.iter().map(String::as_str).collect();
            let expected = count(&bpe, 1, &[&whole]);
            prop_assert!(expected.is_sorted_by_key(|(word, count)| (Reverse(*count), word.clone())));
            texts.reverse();
            let turned: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (front, back) = turned.split_at(at.min(turned.len()));
            prop_assert_eq!(count(&bpe, threads, &[front, back]), expected);
        }
    }
}
