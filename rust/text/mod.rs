//! Text into words. Comes in: text. Goes out: the places where it is cut. It knows no tokenizer but by the entries
//! that it is asked to check its cuts against.
//!
//! [`hangul`] knows the code points, [`words`] finds where to cut, [`spaces`] counts the words that people see.

pub mod hangul;
pub mod spaces;
pub mod words;
