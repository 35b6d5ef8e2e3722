//! Files that survive a power cut, written once for every program: new, replaced, locked and framed files, folders,
//! bounded reads; and an error with its causes as one line, which is how their failures are told.
//!
//! Invariant: what a function reports as written is on disk, whole, with its name; after a crash a file has its old
//! bytes or its new ones.
//! Left out on purpose: paths from outside (callers check names before), and who else may write a path (that is a
//! question of the agent's alone).

#![warn(missing_docs)]

mod causes;
mod folder;
mod framed;
mod lock;
mod read;
mod write;

pub use causes::{escape, with_causes};
pub use folder::{make_folder, remove_durably, sync_folder, sync_parent};
pub use framed::{Unframed, frame, unframe};
pub use lock::{FileLock, LockError};
pub use read::{open_regular, read_bounded};
pub use write::{Unfinished, create_or_same, replace, sweep, write_new};

/// Mode of a file that only its owner may read and write.
pub const PRIVATE: u32 = 0o600;
/// Mode of a file that everybody on the computer may read.
pub const PUBLIC: u32 = 0o644;
/// Mode of a folder that only its owner may enter.
pub const PRIVATE_FOLDER: u32 = 0o700;
