//! Every way the engine can fail, once. `border/python.rs` maps each kind to one Python exception.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, in words for the person at the other end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument of the wrong type, shape or value.
    #[error("{0}")]
    Argument(String),
    /// A `tokenizer.json` that is broken or of a kind that the engine does not read.
    #[error("{0}")]
    Tokenizer(String),
    /// A file that cannot be read or written.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    /// A count that passes 2^64 - 1.
    #[error("a count passes 2^64 - 1")]
    Overflow,
}

impl Error {
    /// What `error` was about.
    #[must_use]
    pub fn file(path: &Path, error: io::Error) -> Self {
        Self::File(path.to_owned(), error)
    }
}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;
