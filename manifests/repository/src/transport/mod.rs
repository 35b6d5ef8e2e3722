//! How bytes of a repository are fetched: over HTTP, or out of a folder.
//!
//! Invariants: never more than the allowed bytes are held; only "not found" (HTTP 404 and 410, `ENOENT`) means absent,
//! and for a root, which need not exist, 403 too, as object stores answer; every other failure is an error; an answer that
//! is not the file itself is named as what it is; no credential appears in an error, in `Debug` or in a log.
//! Left out on purpose: TLS, pins and proxies (the caller's `reqwest::Client` brings them) and any check of what
//! was fetched.

mod error;
mod folder;
mod http;
mod interface;
mod pace;

pub use error::TransportError;
pub use folder::FolderTransport;
pub use http::{BearerSource, HttpTransport, Timeouts, retry_after};
pub use interface::{HeldVersions, Newer, TargetBody, Transport};
pub use pace::{Pace, PacedTransport};
