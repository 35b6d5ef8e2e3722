//! Reading a repository that somebody else owns: everything in it is untrusted until it was verified from the pinned root.

mod delegations;
mod download;
mod errors;
mod guarded;
mod handle;
mod listing;
mod mirror;
mod newer;
mod part;
mod reader;
mod refusal;
mod roles;
mod store;

pub use download::{Downloaded, Resume};
pub use errors::{DownloadError, Gone, MirrorError, OpenError, RefreshError, TargetError};
pub use handle::ReaderHandle;
pub use mirror::MirroredFile;
pub use newer::version_of;
pub use reader::{Reader, Refreshed};
pub use refusal::Refusal;
pub use store::{FailClosedStore, Latch, StoreError};
