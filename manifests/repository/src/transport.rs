//! How bytes of a repository are fetched: over HTTP, or out of a folder.
//!
//! Invariants: never more than the allowed bytes are held; only "not found" (HTTP 404, `ENOENT`) means absent, every
//! other failure is an error, because an absent next root ends the search for a newer root; no credential appears in
//! an error, in `Debug` or in a log.
//! Left out on purpose: TLS, pins and proxies (the caller's `reqwest::Client` brings them) and all judgement of what
//! was fetched.

mod folder;
mod http;

use std::io;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::target::TargetPath;

pub use folder::FolderTransport;
pub use http::{BearerSource, HttpTransport, Patience};

/// A source of untrusted repository bytes.
pub trait Transport: Send + Sync {
    /// A metadata file such as `7.snapshot.json`, of at most `max_bytes`; `None` if there is none.
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>>;

    /// The bytes of a target, if possible from `offset` on; `None` if there is no such target.
    fn target<'a>(
        &'a self,
        path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>>;
}

/// The bytes of a target as they arrive. How many come is not known; the receiver counts.
pub struct TargetBody {
    /// Where the first chunk belongs: the offset that was asked for, or 0 if the source cannot skip.
    pub offset: u64,
    /// The bytes, in order.
    pub chunks: BoxStream<'static, Result<Vec<u8>, TransportError>>,
}

impl std::fmt::Debug for TargetBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetBody").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// Why bytes could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The server could not be reached, or the connection was cut.
    #[error("no answer from {location}; check name, network, proxy and certificate")]
    Unreachable {
        /// The address, without credentials.
        location: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The server was silent for too long.
    #[error("{location} was silent for {seconds} s; try again later")]
    Silent {
        /// The address, without credentials.
        location: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The server answered, and neither with the file nor with "not found".
    #[error("{location} answered with status {status}; {hint}")]
    Status {
        /// The address, without credentials.
        location: String,
        /// The HTTP status.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// More bytes than such a file may have.
    #[error(
        "{location} is larger than the {max_bytes} bytes that are allowed; the repository is wrong or hostile"
    )]
    TooLarge {
        /// The address, without credentials.
        location: String,
        /// The bound.
        max_bytes: u64,
    },
    /// The answer to a request for the rest of a file is not that rest.
    #[error("{location} answered with another part of the file than was asked for; start the download over")]
    WrongRange {
        /// The address, without credentials.
        location: String,
    },
    /// The server says that there is nothing at the offset.
    #[error("{location} has no bytes at the offset that was asked for; start the download over")]
    NoSuchRange {
        /// The address, without credentials.
        location: String,
    },
    /// A file of a folder could not be read.
    #[error("cannot read {location}; check the disk and permissions")]
    File {
        /// The path.
        location: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A name that could leave the repository.
    #[error("{name:?} is not a name of a repository file")]
    Name {
        /// The name.
        name: String,
    },
    /// A base address that is not one.
    #[error("{text:?} is not a base address of a repository; give an http or https URL without credentials")]
    Base {
        /// The text.
        text: String,
    },
}

/// A metadata file name as TUF makes them: percent-encoded, so without separators; never `.` or `..`, because of
/// its suffix.
fn is_metadata_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%');
    name.len() <= 255 && name.ends_with(".json") && name.bytes().all(plain)
}
