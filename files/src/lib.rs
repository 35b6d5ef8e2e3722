//! Files that survive a power cut, written once for every program: new, replaced, locked and framed files, folders,
//! bounded reads; and an error with its causes as one line, which is how their failures are told.
//!
//! Invariant: what a function reports as written is on disk, whole, with its name; after a crash a file has its old
//! bytes or its new ones.
//! Left out on purpose: paths from outside (callers check names before), and who else may write a path (that is a
//! question of the agent's alone).

#![warn(missing_docs)]

mod causes;
pub mod faults;
mod folder;
mod framed;
mod lock;
mod mode;
mod read;
mod shared;
mod way;
mod write;

pub use causes::{escape, is_active, with_causes};
pub use folder::{make_folder, make_folder_at_most, remove_durably, sync_folder, sync_parent};
pub use framed::{Unframed, frame, unframe};
pub use lock::{FileLock, LockError};
pub use mode::{PRIVATE, PRIVATE_FOLDER, PUBLIC};
pub use read::{open_regular, read_bounded, read_input};
pub use shared::{Footprint, SharedFolder};
pub use write::{Unfinished, create_or_same, refuse_what_is_no_file, replace, sweep, write_new};
