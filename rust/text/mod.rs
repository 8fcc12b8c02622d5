//! Text into words. Comes in: text. Goes out: the places where it is cut. It knows no tokenizer but by the entries
//! that it is asked to check its cuts against, and it counts nothing.

pub mod hangul;
pub mod words;
