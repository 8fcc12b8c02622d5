//! Byte-pair encoding on words. Comes in: a `tokenizer.json`, words with their counts. Goes out: merges, token ids,
//! token counts. It never sees a document.
//!
//! [`tokenizer_json`] reads the file, [`model`] makes tables of it ([`pairs`] with their ranks, [`syllables`], where symbols are
//! bytes, and what stands side by side in its entries, [`neighbours`]), [`encode`] turns words into ids, [`fragments`] cuts them
//! where nothing merges, [`segments`] counts them again for each refine round (`spans` cuts words into segments, a `shard` holds some of
//! them), `prices` says how many more there were without each token.

pub mod encode;
pub mod fragments;
pub mod model;
pub mod neighbours;
pub mod pairs;
mod prices;
pub mod segments;
mod shard;
mod spans;
mod syllables;
pub mod tokenizer_json;
