//! Version 1: a list of files as JSON, bsdiff patches file by file, all deflated. It stays readable for ever.

pub(crate) mod apply;
mod codec;
pub(crate) mod container;

pub(crate) use container::MAGIC;
