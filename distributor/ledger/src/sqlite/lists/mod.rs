//! What lists and look-ups answer.

mod clients;
mod licenses;
pub(super) mod releases;
