//! Text into words. Comes in: text. Goes out: the places where it is cut. It knows no tokenizer but by the entries
//! that it is asked to check its cuts against, and it counts nothing.
//!
//! [`hangul`] knows the code points, [`words`] finds where to cut.

pub mod hangul;
pub mod words;
