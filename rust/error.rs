//! Every way the engine can fail, once. `python.rs` maps each kind to one Python exception.

/// What went wrong, in words for the person at the other end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument of the wrong type, shape or value.
    #[error("{0}")]
    Argument(String),
    /// A `tokenizer.json` that is broken or of a kind that the engine does not read.
    #[error("{0}")]
    Tokenizer(String),
    /// A count that passes 2^64 - 1.
    #[error("a count passes 2^64 - 1")]
    Overflow,
}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;
