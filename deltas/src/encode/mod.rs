//! From covers to bytes: which codec, and streams that are packed as small as it gets.

mod find;
mod group;
mod images;
mod pack;
mod prefix;
mod streams;

pub(crate) use find::PART_OF_MEMORY;
pub(crate) use group::encode;
pub(crate) use images::{Hints, ProgramPair};
pub(crate) use pack::pack_few;
