//! Documents into token ids, in order, in parallel. Comes in: documents, and what stands round each. Goes out: their
//! ids one after another, and what is to be known of each document. It never keeps a document.
//!
//! A [`packer`] takes documents apart as the counter does and encodes each word once, as long as it is among the
//! [`known`] ones.

pub mod known;
pub mod packer;
