//! Words into word counts, in parallel, within a bound of memory, or into token counts. Comes in: documents. Goes out: words
//! with their counts, sorted, or a count of each token. It never merges tokens, but for handing an encoder what it counted.
//!
//! A [`cutter`] takes documents apart for a [`reader`], and a [`counter`] keeps their words in [`hash_tables`], which are made of
//! [`slots`] with [`keys`] in [`pages`]; [`spill`] takes to disk, as [`records`], what memory does not hold. [`parts`] are sorted,
//! each by itself, and [`sorted`] puts all of them in order, as [`merge`] combines them. [`tokens`] keeps fragments of words
//! instead, where no words are wanted, without the Hangul that `singles` takes out first.

pub mod counter;
pub mod cutter;
pub mod hash_tables;
pub mod keys;
pub mod merge;
pub mod pages;
pub mod parts;
pub mod reader;
pub mod records;
mod singles;
pub mod slots;
pub mod sorted;
pub mod spill;
pub mod tokens;
