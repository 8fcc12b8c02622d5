//! The engine of kovocab: one pass over a corpus leaves word counts, and everything later is derived from them.
//!
//! In the order of the street: [`words`] cuts text where no vocabulary entry can span, [`counter`] counts the
//! words in [`tables`], [`spill`] takes to disk what memory does not hold, [`sorted`] puts words in order, [`train`]
//! learns merges from the counts, [`encode`] turns words into token ids, [`segments`] counts them again for each
//! refine round, and
//! [`table`] carries columns in and out as Arrow. [`bpe`] reads the `tokenizer.json` that all of it depends on.
//! Only `python` knows Python; without the feature of that name the crate builds and is tested alone.

pub mod bpe;
pub mod counter;
pub mod encode;
pub mod error;
pub mod hangul;
pub mod keys;
pub mod pages;
pub mod records;
pub mod segments;
pub mod slots;
pub mod sorted;
pub mod spill;
pub mod table;
pub mod tables;
mod threads;
mod tokenizer_json;
pub mod train;
pub mod words;

#[cfg(feature = "python")]
mod python;
