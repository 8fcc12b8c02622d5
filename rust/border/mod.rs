//! What crosses between the engine and its caller: scalars and strings in, Arrow columns in, Arrow tables out.
//! Nothing is worked out here.

pub mod arrow;
#[cfg(feature = "python")]
mod python;
