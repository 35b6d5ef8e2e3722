//! The payload: all files of a release as one deterministic tar, written from a folder and read back
//! only as the manifest says.
//!
//! Invariant: a manifest's list of files determines every byte of the tar that is not file content
//! (`format.rs` is that function). So the reader does not interpret an archive: it computes what has to
//! stand there and compares. Whatever else a tar can say (a way out of the folder, a hard link, a
//! device, a double, a trick in an extended header) is simply not the expected byte.
//!
//! Left out on purpose: empty folders, owners, times, special files; encodings but gzip; and where
//! files are put, which is the business of a [`PayloadSink`].

mod content;
mod folder;
mod format;
mod read;
mod scan;
mod write;

#[cfg(test)]
mod tests;

pub use folder::FolderSink;
pub use format::MAX_FILE_BYTES;
pub use read::{PayloadSink, ReadError, read_gzip};
pub use scan::{PayloadProblem, PayloadProblems, PayloadSource};
pub use write::WriteError;
