//! How the state of a server changes, and only so: by a [`Change`], which is chained in the activity log, or by a
//! [`Note`], which is not.

pub mod activity;
pub mod actor;
pub mod chain;
pub mod note;
pub mod summary;

pub use activity::{ActivityEntry, Change};
pub use actor::Actor;
pub use note::{ContactAnswer, Note, NoteKey};
