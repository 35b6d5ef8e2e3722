//! Makes deltas: which files go together, what they are made of, and what is written.
//!
//! Deterministic: the same two files or trees give the same bytes. Every byte that goes into a delta is checked against the
//! lists, and every group is applied once before it is taken, so that a damaged file, or a fault in here, is found now and not
//! on a thousand computers.

pub(crate) mod error;
mod file;
mod groups;
mod programs;
mod settings;
mod space;
#[cfg(test)]
mod tests;
mod tree;

pub use error::MakeError;
pub use file::make_file;
pub use settings::MakeSettings;
pub use tree::{Release, make, make_folder};
