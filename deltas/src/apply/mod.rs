//! Makes targets out of a base and a delta of version 2.

pub(crate) mod unpack;
