//! How large files of a repository may be, for everybody who reads them.

/// Largest metadata file, in bytes; the same as the verification core's largest.
pub const MAX_METADATA_BYTES: u64 = 5_000_000;
/// Largest root that is pinned, in bytes; one with a few keys has about 2 KiB.
pub const MAX_ROOT_BYTES: u64 = 1024 * 1024;
