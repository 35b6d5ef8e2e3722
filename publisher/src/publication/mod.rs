//! The published repository: read with every signature checked, and changed one publication at a time.

mod edit;
mod error;
mod releases;

pub use edit::{Publication, PublicationView, lifetimes, read_root};
pub(crate) use edit::{target_file, whole_seconds};
pub use error::PublicationError;
pub use releases::{Published, Standing};
