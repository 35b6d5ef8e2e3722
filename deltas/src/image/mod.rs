//! Programs inside of what a delta is about: where their addresses stand, and what becomes of them.
//!
//! When one function of a program grows, every address that crosses it changes. Both sides of a delta know the covers, so
//! both can say where an old target went; only where that guess is wrong, bytes are sent. Nothing is disassembled: a few
//! patterns of instructions, tables, and aligned words are looked at, and what is found there by mistake costs bytes, never
//! correctness.
//!
//! - `regions`, `sites`: where addresses stand in an image (both sides).
//! - `map`, `correct`: what becomes of them (both sides).
//! - `parts`, `elf`, `pe`, `go`, `find`: what an image is made of (making only).
//! - `label`: addresses replaced by what they point at, for matching only (making only).

mod correct;
mod elf;
mod find;
mod go;
mod label;
mod map;
mod parts;
mod pe;
mod regions;
mod sites;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub(crate) use correct::Predictor;
pub(crate) use find::{Parsed, pair_up, parse};
pub(crate) use label::put_labels;
