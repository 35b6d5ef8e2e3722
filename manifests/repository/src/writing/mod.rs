//! Writing a repository as its owner: editing, signing, publishing, each step with a type of its own.

mod editor;
mod keys;
mod load;
mod metadata;
mod publish;
mod role;
mod signed_before;
mod signing;
mod view;

pub use editor::{EditError, RepositoryEditor, RootSpec, TargetSource};
pub use keys::{KeyThreshold, Signers, ThresholdError, tuf_key_id};
pub use load::LoadError;
pub use publish::{PublishError, Written};
pub use role::{Lifetimes, RoleName};
pub use signing::{SignError, SignedRepository};
pub use view::RepositoryView;
