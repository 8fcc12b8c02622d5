//! Reading: what Polars does not read as strictly, or as frugally, as a corpus is to be read.
//!
//! [`json`] finds the rows at [`paths`] in JSON, be it gigabytes in one value; [`delimited`] the columns of `.csv` and
//! `.tsv`; [`lines`] reads plain files of lines faster than it does, with `one_text` for a line of JSON; [`seen`] knows the documents
//! that stood there before. `place` says where in a file a fault is.

pub mod delimited;
pub mod json;
pub mod lines;
mod one_text;
pub mod paths;
mod place;
pub mod seen;
