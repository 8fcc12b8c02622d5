//! Text into words. Comes in: text. Goes out: the places where it is cut. It knows no tokenizer but by the entries
//! that it is asked to check its cuts against.
//!
//! [`hangul`] and [`classes`] know the code points, [`bytes`] looks at many bytes at once; [`words`] finds where a SentencePiece-style tokenizer may be cut,
//! [`split`] where a byte-level one cuts by itself (or [`pattern`], by any pattern), [`compose`] brings text into NFC before that; [`notation`] is how
//! words are written, [`spaces`] counts the words that people see.

pub mod bytes;
pub mod classes;
pub mod compose;
pub mod hangul;
pub mod notation;
pub mod pattern;
pub mod spaces;
pub mod split;
pub mod words;
