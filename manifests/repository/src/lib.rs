//! The TUF repository: reading it from its pinned root, writing it as its owner.
//!
//! **Reading** goes through [`Reader`], or through [`ReaderHandle`], which is a reader on a thread of its own. The
//! crate `sigstore-tuf` verifies; what it leaves to its callers is done here: a store that never takes a
//! damaged record for a missing one ([`FailClosedStore`]), a transport that is bounded and stops once the store has
//! failed ([`HttpTransport`], [`FolderTransport`]), and a streaming download that resumes.
//!
//! **Writing** is [`RepositoryEditor`] → [`SignedRepository`] → [`Written`], in metadata types of our own, because
//! the core's types cannot be written. Who only looks at a repository of its own takes a [`RepositoryView`].
//!
//! Invariant: a [`TargetInfo`] exists only for a target that a verified, unexpired chain from the pinned root lists,
//! and [`Reader::download`] leaves a file at its destination only if length and digest are the listed ones.
//! Left out on purpose: minisign (the release manifest is checked by whoever reads it), the wall clock (`now` comes
//! in), and any rotation command.

#![warn(missing_docs)]

mod limits;
mod reading;
mod signing_time;
mod target;
mod transport;
mod writing;

pub use limits::{MAX_METADATA_BYTES, MAX_ROOT_BYTES};
pub use reading::{
    DownloadError, Downloaded, FailClosedStore, Gone, Latch, MirrorError, MirroredFile, OpenError, Reader,
    ReaderHandle, RefreshError, Refreshed, Refusal, Resume, StoreError, TargetError, version_of,
};
pub use target::{ListedTarget, TargetInfo, TargetPath};
pub use transport::{
    BearerSource, FolderTransport, HeldVersions, HttpTransport, Newer, Pace, PacedTransport, TargetBody,
    Timeouts, Transport, TransportError, retry_after,
};
pub use writing::{
    EditError, KeyThreshold, Lifetimes, LoadError, PublishError, RepositoryEditor, RepositoryView, RoleName,
    RootSpec, SignError, SignedRepository, Signers, TargetSource, ThresholdError, Written, tuf_key_id,
};
