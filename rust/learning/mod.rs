//! BPE learned from word counts: the merges of the `tokenizers` trainer, in its order, from words that need not fit in
//! memory. Comes in: words with their counts, as often as asked for. Goes out: tokens. It never sees a document.
//!
//! The pair with the highest count merges first; of equal counts the one with the lower ids, where characters
//! have ids in code-point order and tokens in the order they were made. `tokenizers` 0.23 counts pairs in 32 bits
//! (its issue 2058), which a 100 GB corpus passes. A place between two equal symbols counts once each, so that `aaa`
//! holds the pair `aa` twice and merges it once.
//!
//! Nearly all places between symbols are in pairs too rare to be merged, and which these are is known beforehand:
//!
//! **A place whose two symbols stand side by side less than `k` times is never inside a token that was merged `k` times.**
//!
//! 1. A merge is done at all places of its pair at once. So where a run of characters occurs twice, and no symbol
//!    crosses an end of it, both hold the same symbols: the merges within one are those within the other (of equal symbols,
//!    too, which are paired from the left: an end that no symbol crosses is where pairing began anew).
//! 2. So a token can be made in one way only, at once wherever it can; a pair comes up when the later of its tokens is
//!    made, and from then on its count only falls.
//! 3. Where tokens `X` and `Y` are side by side later, their characters are so now, and by 1 they end and begin with the same
//!    symbols `x` and `y` at all these places. So the pair `XY` has at most as many places as `xy` has now.
//!
//! So at a count `k` that merges are wanted down to, words are cut at all places of pairs that are rarer, the pieces that
//! are equal become one, and those of one symbol go ([`pieces`]). Of pairs' counts an upper bound is enough to cut by:
//! sums by hash ([`bounds`]), in memory that does not grow. What merges `k` times or more in the pieces is what
//! does in the words ([`merges`]). Where that is not enough tokens, words are read again with the merges that there are,
//! and cut at a lower `k`; where memory is short, `k` rises until the pieces fit ([`learner`]). Words that fit in half the memory are
//! read twice, and then stand there as symbols, merged further each time ([`kept`]). `runs` are the parts of a word that tokens may
//! be made of; `tests` hold all of it to the definition.

mod bounds;
mod kept;
pub mod learner;
mod merges;
mod pieces;
mod runs;
#[cfg(test)]
mod tests;
