//! The TUF repository: reading it as a stranger, writing it as its owner.
//!
//! **Reading** goes through one door, [`Reader`] (or [`ReaderHandle`], the same door on a thread of its own). The
//! verification core is the crate `sigstore-tuf`; what it leaves open is closed here: a store that never takes a
//! damaged record for a missing one ([`FailClosedStore`]), a transport that is bounded and stops once the store has
//! failed ([`HttpTransport`], [`FolderTransport`]), and a streaming download that resumes.
//!
//! **Writing** is [`RepositoryEditor`] → [`SignedRepository`] → [`Written`], in metadata types of our own, because
//! the core's types cannot be written.
//!
//! Invariant: a [`TargetInfo`] exists only for a target that a verified, unexpired chain from the pinned root lists,
//! and [`Reader::download`] leaves a file at its destination only if length and digest are the listed ones.
//! Left out on purpose: minisign (the release manifest is checked by whoever reads it), the wall clock (`now` comes
//! in), and any rotation command.

mod download;
mod editor;
mod files;
mod guarded;
mod handle;
mod keys;
mod load;
mod metadata;
mod mirror;
mod publish;
mod reader;
mod refusal;
mod store;
mod target;
mod transport;

pub use download::{DownloadError, Downloaded, Resume};
pub use editor::{
    EditError, Lifetimes, RepositoryEditor, RoleName, RootSpec, SignError, SignedRepository, TargetSource,
};
pub use handle::{Gone, ReaderHandle};
pub use keys::{KeyThreshold, Signers, ThresholdError, tuf_key_id};
pub use load::LoadError;
pub use mirror::{MirrorError, MirroredFile};
pub use publish::{PublishError, Written};
pub use reader::{OpenError, Reader, RefreshError, Refreshed, TargetError};
pub use refusal::Refusal;
pub use store::{FailClosedStore, Latch, StoreError};
pub use target::{ListedTarget, TargetInfo, TargetPath};
pub use transport::{
    BearerSource, FolderTransport, HttpTransport, Patience, TargetBody, Transport, TransportError,
};

#[cfg(test)]
mod tests;
