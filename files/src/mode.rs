//! The modes that files and folders get here.

/// Mode of a file that only its owner may read and write.
pub const PRIVATE: u32 = 0o600;
/// Mode of a file that everybody on the computer may read.
pub const PUBLIC: u32 = 0o644;
/// Mode of a folder that only its owner may enter.
pub const PRIVATE_FOLDER: u32 = 0o700;
