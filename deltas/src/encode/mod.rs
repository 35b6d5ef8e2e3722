//! From covers to bytes: seven streams, each packed as small as it gets.

mod group;
mod pack;
mod prefix;
mod streams;

pub(crate) use group::{Encoded, Hints, ProgramPair, encode};
