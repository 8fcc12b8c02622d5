//! Documents into token ids, in their order: the ids that the tokenizer gives of each, between those that its template
//! puts round a document. They depend on nothing else: not on threads, nor on what came before.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use aho_corasick::AhoCorasick;
use blake2b_simd::Params;
use blake2b_simd::many::{HashManyJob, hash_many};

use crate::bpe::encode::{Encoder, Scratch};
use crate::bpe::model::Bpe;
use crate::counting::cutter::Cutter;
use crate::counting::keys::{Key, PADDING, SHORT, hash_short, short_key};
use crate::counting::reader::tasks;
use crate::error::{Error, Result};
use crate::packing::known::{Id, Known, Lines};
use crate::text::spaces::words_between_space;
use crate::threads::at_once;

/// Words that are looked up side by side.
const BATCH: usize = 64;
/// The id of no token: where a document ends.
const END: u32 = u32::MAX;
/// The most bytes of words that are worth keeping to a thread.
const MOST: usize = 64 << 20;

/// What stands round a document, and what its text may be.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Ids before it.
    pub before: Vec<u32>,
    /// Ids behind it.
    pub behind: Vec<u32>,
    /// The id that has to be its last, if any.
    pub last: Option<u32>,
    /// Texts that are looked for in it.
    pub sought: Vec<String>,
    /// Whether the text of a special token is text as any other.
    pub special_as_text: bool,
}

/// The ids of documents, and of each document what is to be known of it.
#[derive(Debug, Default)]
pub struct Packed<T> {
    /// All ids, document after document.
    pub ids: Vec<T>,
    /// How many ids there are up to the end of each document.
    pub ends: Vec<u64>,
    /// How many of a document's ids are its text's.
    pub text_tokens: Vec<u64>,
    /// Its `BLAKE2b` of eight bytes, the first of them the highest.
    pub hashes: Vec<u64>,
    /// Words between white space.
    pub words: Vec<u64>,
    /// Bytes of text.
    pub bytes: Vec<u64>,
    /// How many documents hold one of the texts that are sought.
    pub found: u64,
}

/// Turns documents into ids, over any number of batches.
pub struct Packer<T> {
    cutter: Cutter,
    round: Round,
    sought: Option<AhoCorasick>,
    workers: Vec<Worker<T>>,
}

struct Worker<T> {
    known: Known,
    /// Ids of documents that it did last.
    ids: Vec<T>,
    sections: Vec<u8>,
    /// Added tokens and ends of documents, each with its place in the sections, in order.
    marks: Vec<(usize, u32)>,
    scratch: Scratch,
}

impl<T: Id> Packer<T> {
    /// A packer that works in `threads` threads, and keeps words in at most `memory` bytes.
    ///
    /// # Errors
    /// If the tokenizer's added tokens, or what is sought, cannot be searched for, or an id is wider than `T`.
    pub fn new(bpe: &Bpe, round: Round, threads: usize, memory: usize) -> Result<Self> {
        let ids = round.before.iter().chain(&round.behind).copied();
        let most = ids.chain(u32::try_from(bpe.size.saturating_sub(1))).max().unwrap_or_default();
        if most > T::MOST {
            return Err(Error::Argument(format!("there is an id {most}; wanted none beyond {}", T::MOST)));
        }
        let sought = (!round.sought.is_empty()).then(|| AhoCorasick::new(&round.sought)).transpose();
        let sought = sought.map_err(|e| Error::Argument(format!("what is sought: {e}")))?;
        let threads = threads.max(1);
        let worker = |_| Worker {
            known: Known::new((memory / threads).min(MOST)),
            ids: Vec::new(),
            sections: Vec::new(),
            marks: Vec::new(),
            scratch: Scratch::default(),
        };
        let cutter = Cutter::reading(bpe, round.special_as_text)?;
        Ok(Self { cutter, round, sought, workers: (0..threads).map(worker).collect() })
    }

    /// The ids of `documents`; a thread that is free takes the next of them. O(bytes).
    ///
    /// # Errors
    /// If a document cannot be cut into words; see [`Cutter::check`].
    pub fn pack(&mut self, bpe: &Bpe, documents: &[&str]) -> Result<Packed<T>> {
        let Self { cutter, round, sought, workers } = self;
        let (tasks, encoder, next) = (tasks(documents), Encoder::new(bpe), AtomicUsize::new(0));
        let work = |(number, worker): (usize, &mut Worker<T>)| {
            let (mut done, mut begin) = (vec![], 0);
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(task) = tasks.get(at) else { return done };
                let mut packed = Packed::of(task, sought.as_ref());
                let end = worker.encode(cutter, round, &encoder, task, begin, &mut packed);
                done.push((at, number, begin..end, packed));
                begin = end;
            }
        };
        let mut done: Vec<_> = at_once(workers.iter_mut().enumerate(), work).into_iter().flatten().collect();
        done.sort_unstable_by_key(|(at, ..)| *at);
        let mut all = Packed::default();
        all.ids.reserve_exact(done.iter().map(|(_, _, ids, _)| ids.len()).sum());
        for (_, number, ids, packed) in done {
            all.append(packed, &workers[number].ids[ids]);
        }
        cutter.check().map(|()| all)
    }
}

impl<T: Id> Packed<T> {
    /// What documents are known by without a tokenizer.
    fn of(documents: &[&str], sought: Option<&AhoCorasick>) -> Self {
        let mut params = Params::new();
        params.hash_length(8);
        let mut jobs: Vec<_> = documents.iter().map(|text| HashManyJob::new(&params, text.as_bytes())).collect();
        let mut side_by_side: Vec<_> = jobs.iter_mut().zip(documents).collect(); // the best where all are of a length
        side_by_side.sort_unstable_by_key(|(_, text)| Reverse(text.len()));
        hash_many(side_by_side.into_iter().map(|(job, _)| job));
        let hash =
            |job: &HashManyJob<'_>| job.to_hash().as_bytes().iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let finds = |text: &&&str| sought.is_some_and(|sought| sought.is_match(**text));
        Self {
            hashes: jobs.iter().map(hash).collect(),
            words: documents.iter().map(|text| words_between_space(text.as_bytes())).collect(),
            bytes: documents.iter().map(|text| text.len() as u64).collect(),
            found: documents.iter().filter(finds).count() as u64,
            ..Self::default()
        }
    }

    /// Add what comes next, and its ids.
    fn append(&mut self, mut next: Self, ids: &[T]) {
        let before = self.ids.len() as u64;
        self.ends.extend(next.ends.iter().map(|end| before + end));
        self.ids.extend_from_slice(ids);
        self.text_tokens.append(&mut next.text_tokens);
        self.hashes.append(&mut next.hashes);
        self.words.append(&mut next.words);
        self.bytes.append(&mut next.bytes);
        self.found += next.found;
    }
}

impl<T: Id> Worker<T> {
    /// Write the ids of `documents` from `begin` on, and where each ends to `packed`, from there; returns their end.
    fn encode(
        &mut self,
        cutter: &Cutter,
        round: &Round,
        encoder: &Encoder<'_>,
        documents: &[&str],
        begin: usize,
        packed: &mut Packed<T>,
    ) -> usize {
        let Self { known, ids, sections, marks, scratch } = self;
        sections.clear();
        marks.clear();
        for text in documents {
            cutter.sections(text, sections, |token, place| marks.push((place, token.id)));
            marks.push((sections.len(), END));
        }
        let length = sections.len();
        sections.extend_from_slice(&[0; PADDING]);
        let mut out = Out { round, packed, ids, first: begin, length: begin, begin, marks: marks.iter() };
        out.begin();
        let (mut waiting, mut known) = (Waiting::new(), known.lines());
        cutter.words(&sections[..length], |start, end| {
            waiting.push(sections, start..end);
            if waiting.number == BATCH {
                waiting.encode(sections, &mut known, scratch, encoder, &mut out);
            }
        });
        waiting.encode(sections, &mut known, scratch, encoder, &mut out);
        out.settle(usize::MAX);
        out.length
    }
}

/// Words that are to be looked up together.
struct Waiting {
    words: [(Key, u64, usize, usize); BATCH],
    number: usize,
}

impl Waiting {
    fn new() -> Self {
        Self { words: [([0; 3], 0, 0, 0); BATCH], number: 0 }
    }

    #[inline]
    fn push(&mut self, sections: &[u8], Range { start, end }: Range<usize>) {
        let short = end - start <= SHORT;
        let key = if short { short_key(sections, start, end) } else { [0; 3] };
        self.words[self.number] = (key, hash_short(&key), start, end);
        self.number += 1;
    }

    fn encode<T: Id>(
        &mut self,
        sections: &[u8],
        known: &mut Lines<'_>,
        scratch: &mut Scratch,
        encoder: &Encoder<'_>,
        out: &mut Out<'_, T>,
    ) {
        let words = &self.words[..std::mem::take(&mut self.number)];
        known.fetch(words.iter().map(|(_, hash, ..)| *hash));
        out.reserve(BATCH * (T::ROOM + 1));
        for (key, hash, start, end) in words {
            out.settle(*start);
            let short = end - start <= SHORT;
            if short && let Some(number) = known.get(key, *hash, &mut out.ids[out.length..]) {
                out.length += number;
                continue;
            }
            let from = out.length;
            encoder.encode_text(&sections[*start..*end], scratch, |ids| out.extend(ids));
            if short {
                known.put(key, *hash, &out.ids[from..out.length]);
            }
            out.reserve(BATCH * (T::ROOM + 1));
        }
    }
}

/// Where ids are written.
struct Out<'a, T> {
    round: &'a Round,
    packed: &'a mut Packed<T>,
    ids: &'a mut Vec<T>,
    /// Where the ids begin.
    first: usize,
    /// Ids that are written; there is room for more behind them.
    length: usize,
    /// Where the ids of the document's text begin.
    begin: usize,
    marks: std::slice::Iter<'a, (usize, u32)>,
}

impl<T: Id> Out<'_, T> {
    /// See that there is room for `more` ids.
    #[inline]
    fn reserve(&mut self, more: usize) {
        if self.ids.len() < self.length + more {
            self.ids.resize((self.length + more).next_power_of_two(), T::default());
        }
    }

    fn extend(&mut self, ids: &[u32]) {
        self.reserve(ids.len());
        for (to, id) in self.ids[self.length..].iter_mut().zip(ids) {
            *to = T::of(*id);
        }
        self.length += ids.len();
    }

    fn begin(&mut self) {
        let round = self.round;
        self.extend(&round.before);
        self.begin = self.length;
    }

    /// Write what stands before the word at `place`: added tokens, ends of documents.
    #[inline]
    fn settle(&mut self, place: usize) {
        while self.marks.as_slice().first().is_some_and(|(at, _)| *at <= place) {
            self.mark();
        }
    }

    #[cold]
    fn mark(&mut self) {
        let round = self.round;
        match self.marks.next() {
            Some((_, END)) => {
                self.packed.text_tokens.push((self.length - self.begin) as u64);
                self.extend(&round.behind);
                let begin = self.begin - round.before.len();
                let last = self.ids[begin..self.length].last().map(|id| id.number());
                if let Some(id) = round.last
                    && last != Some(id)
                {
                    self.extend(&[id]);
                }
                self.packed.ends.push((self.length - self.first) as u64);
                if !self.marks.as_slice().is_empty() {
                    self.begin();
                }
            }
            Some((_, id)) => self.extend(&[*id]),
            None => {}
        }
        self.reserve(BATCH * (T::ROOM + 1)); // that a batch of words had, and these have taken of
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counting::cutter::tests::bpe;
    use proptest::prelude::*;

    const TWO: Round =
        Round { before: vec![], behind: vec![], last: Some(260), sought: vec![], special_as_text: false };

    #[test]
    fn added_tokens_stand_where_they_were() {
        // As in the cutter's own tests: 257 is a syllable, 258 one behind a space, 256 a space, 260 `<s>`, 261 `<s>x`.
        let bpe = bpe(None);
        let round = Round { before: vec![1], behind: vec![2], sought: vec!["<s>".into()], ..TWO };
        let packed: Packed<u16> =
            Packer::new(&bpe, round, 1, 0).unwrap().pack(&bpe, &["가<s>가 a<s>", "<s>x", "a"]).unwrap();
        assert_eq!(packed.ids, [1, 258, 260, 258, 256, 259, 260, 2, 260, 1, 261, 2, 260, 1, 256, 259, 2, 260]);
        assert_eq!((packed.ends, packed.text_tokens), (vec![9, 13, 18], vec![6, 1, 2]));
        assert_eq!((packed.found, packed.words, packed.bytes), (2, vec![2, 1, 1], vec![14, 4, 1]));
        let known = "a".to_owned() + "b";
        let hash: Packed<u32> = Packer::new(&bpe, TWO, 1, 0).unwrap().pack(&bpe, &[&known]).unwrap();
        let wanted = blake2b_simd::Params::new().hash_length(8).hash(b"ab");
        assert_eq!(hash.hashes[0].to_be_bytes(), wanted.as_bytes());
    }

    #[test]
    fn the_text_of_a_special_token_may_be_text_and_an_end_is_not_doubled() {
        let bpe = bpe(None);
        let pack = |special_as_text| {
            let mut made = Packer::new(&bpe, Round { special_as_text, ..TWO }, 1, 1 << 20).unwrap();
            let packed: Packed<u32> = made.pack(&bpe, &["a<s>", "a"]).unwrap();
            packed
        };
        assert_eq!((pack(false).ids, pack(false).ends), (vec![256, 259, 260, 256, 259, 260], vec![3, 6]));
        let spelled = ["<", "s", ">"].map(|c| u32::from(c.as_bytes()[0]));
        assert_eq!(pack(true).ids, [[256, 259].as_slice(), &spelled, &[260, 256, 259, 260]].concat());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn threads_batches_and_what_came_before_do_not_matter(
            texts in prop::collection::vec("([a-c가나 \n]{0,12}|<s>x?){1,4}", 1..8), threads in 1usize..4,
        ) {
            let bpe = bpe(None);
            let texts: Vec<String> = texts.iter().map(|text| text.repeat(if threads == 3 { 3_000 } else { 1 })).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut packer = Packer::new(&bpe, TWO, threads, 1 << 12).unwrap();
            let packed: Packed<u16> = packer.pack(&bpe, &texts).unwrap();
            let mut begin = 0;
            for (number, text) in texts.iter().enumerate() {
                let one: Packed<u16> = Packer::new(&bpe, TWO, 1, 0).unwrap().pack(&bpe, &[text]).unwrap();
                let end = usize::try_from(packed.ends[number]).unwrap();
                prop_assert_eq!(&packed.ids[begin..end], &one.ids);
                prop_assert_eq!(packed.hashes[number], one.hashes[0]);
                prop_assert_eq!(packed.text_tokens[number], one.text_tokens[0]);
                begin = end;
            }
            prop_assert_eq!(begin, packed.ids.len());
        }
    }
}
