//! The engine of kovocab: one pass over a corpus leaves word counts, and everything later is derived from them.
//!
//! In the order of the street: [`reading`] finds documents in JSON, [`text`] cuts text where no vocabulary entry can span, [`counting`] counts the words,
//! [`learning`] learns merges from the counts, [`bpe`] reads the `tokenizer.json` that all of it depends on and turns words into
//! tokens; [`packing`] does both at once, where the order of a document's tokens is wanted. `border` carries columns in and out as Arrow, and alone knows Python; without the feature `python` the
//! crate builds and is tested by itself.

pub mod border;
pub mod bpe;
pub mod counting;
pub mod error;
pub mod learning;
pub mod packing;
pub mod reading;
pub mod text;
mod threads;
