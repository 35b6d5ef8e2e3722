//! What a source of repository bytes can do, whatever is behind it.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::target::TargetPath;
use crate::transport::error::TransportError;

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

    /// The roles beside the top ones that will be read, if the source can say at once what is newer than what a reader holds;
    /// `None` if it cannot.
    fn roles_at_once(&self) -> Option<Vec<String>> {
        None
    }

    /// What is newer, in one answer. `None` if the source could not say: then each file is asked for by itself.
    fn newer<'a>(&'a self, _held: &'a HeldVersions) -> BoxFuture<'a, Option<Newer>> {
        Box::pin(std::future::ready(None))
    }

    /// Where a metadata file is fetched from, for messages; without credentials.
    fn metadata_location(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Where a target is fetched from, for messages; without credentials.
    fn location(&self, path: &TargetPath) -> String {
        path.encoded()
    }
}

/// The versions of what a reader has verified and kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldVersions {
    /// Of the root.
    pub root: u64,
    /// Of the timestamp.
    pub timestamp: Option<u64>,
    /// Of the other roles, by their names.
    pub roles: BTreeMap<String, u64>,
    /// The other roles as they are kept, by the names that a repository has them under: `7.acme-av.json`.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What a source says is newer than what a reader holds. It is worth as much as the same files one by one: each is verified,
/// and that there is nothing newer shows as little as the same file once more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Newer {
    /// The version of the newest root.
    pub root: u64,
    /// The version of the newest timestamp.
    pub timestamp: u64,
    /// Files by their names.
    pub files: BTreeMap<String, Vec<u8>>,
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

/// A metadata file name as TUF makes them: percent-encoded, so without separators; never `.` or `..`, because of
/// its suffix.
pub(super) fn is_metadata_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%');
    name.len() <= 255 && name.ends_with(".json") && name.bytes().all(plain)
}
