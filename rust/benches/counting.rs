//! Where the time of a pass goes: `cargo bench --no-default-features -- TEXT [TOKENIZER.json]`.
//!
//! The floor only finds the cuts and hashes each word; what counting adds to it is the cost of memory. One thread,
//! text in memory, best of five. Documents are the lines of TEXT, or its records where it holds U+001E.

#![allow(clippy::cast_precision_loss, clippy::print_stdout)] // it prints megabytes

use std::hint::black_box;
use std::time::Instant;

use kovocab_core::bpe::encode::Encoder;
use kovocab_core::bpe::model::Bpe;
use kovocab_core::counting::counter::WordCounter;
use kovocab_core::counting::cutter::Cutter;
use kovocab_core::counting::keys::hash;
use kovocab_core::counting::merge::Merge;
use kovocab_core::counting::tokens::TokenCounter;
use kovocab_core::text::words::Cut;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(path) = arguments.next() else {
        eprintln!("no TEXT given: nothing to time");
        return;
    };
    let text = std::fs::read_to_string(path).expect("TEXT is a file of UTF-8");
    let separator = if text.contains('\u{1e}') { '\u{1e}' } else { '\n' };
    let documents: Vec<&str> = text.split(separator).collect();
    let megabytes = text.len() as f64 / 1e6;
    let time = |name: &str, run: &mut dyn FnMut()| {
        let best = (0..5)
            .map(|_| {
                let start = Instant::now();
                run();
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min);
        println!("{name:<34} {:>8.1} MB/s", megabytes / best);
    };

    let mut words = 0_u64;
    Cut::ALL.words(text.as_bytes(), |_, _| words += 1);
    println!("{megabytes:.1} MB, {} documents, {words} words", documents.len());
    time("cuts", &mut || Cut::ALL.words(text.as_bytes(), |start, end| _ = black_box((start, end))));
    time("cuts and hashes (the floor)", &mut || {
        Cut::ALL.words(text.as_bytes(), |start, end| _ = black_box(hash(text.as_bytes(), start, end)));
    });
    if let Some(tokenizer) = arguments.next() {
        let json = std::fs::read_to_string(tokenizer).expect("TOKENIZER is a file");
        let bpe = Bpe::from_json(&json).expect("TOKENIZER is SentencePiece-style");
        let cutter = Cutter::new(&bpe).expect("the tokenizer has searchable special tokens");
        let counted = |threads| {
            let mut counter = WordCounter::new(threads);
            counter.update(&cutter, &documents).expect("it is UTF-8");
            counter
        };
        for threads in [1, 2] {
            time(&format!("words, {threads} threads"), &mut || _ = black_box(counted(threads)));
            time(&format!("words, sorted, {threads} threads"), &mut || {
                let mut sorted = counted(threads).sorted().expect("it is in memory");
                let given = |words: &mut Merge, limit| words.take(limit, |word, count| _ = black_box((word, count)));
                while sorted.ranges(usize::MAX, threads, given).expect("it is in memory").iter().sum::<usize>() > 0 {}
            });
            time(&format!("tokens, {threads} threads"), &mut || {
                let (mut tokens, encoder) = (TokenCounter::new(threads), Encoder::new(&bpe));
                tokens.update(&encoder, &cutter, &documents).expect("it is UTF-8");
                _ = black_box(tokens.counts(&encoder));
            });
        }
    }
}
