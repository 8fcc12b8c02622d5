//! What crosses between the engine and its caller: scalars and strings in, Arrow columns in, Arrow tables out.
//! Nothing is worked out here.
//!
//! [`arrow`] makes tables of columns and columns of tables; `python` is the one file that knows Python.

pub mod arrow;
#[cfg(feature = "python")]
mod python;
