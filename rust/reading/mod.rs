//! Reading: what Polars does not read as strictly, or as frugally, as a corpus is to be read.
//!
//! [`json`] finds the texts at a path in JSON, be it gigabytes in one value; [`seen`] knows the documents that stood
//! there before.

pub mod json;
pub mod seen;
