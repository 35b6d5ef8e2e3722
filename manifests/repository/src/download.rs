//! Downloads: streaming, bounded by the listed length, resumable, checked before the file gets its name.
//!
//! Invariant: the destination either is not touched, or has exactly the listed length and digests and is on disk.
//! What has arrived lies in `<destination>.part`; it is trusted by nobody: a resumed download digests it again.
//! Left out on purpose: retrying. The caller knows the schedule; [`DownloadError::Interrupted`] says what it needs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use rustix::fs::OFlags;

use crate::files::{self, length_of};
use crate::handle::Gone;
use crate::store::{Latch, StoreError};
use crate::target::{ListedTarget, TargetHasher};
use crate::transport::{Transport, TransportError};

/// Bytes per read when a kept part is digested again.
const REHASH_BYTES: usize = 64 * 1024;

/// What to do with the part that an earlier download left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Ask only for the rest.
    Continue,
    /// Throw it away.
    StartOver,
}

/// How a download ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downloaded {
    /// The destination had the right bytes already; nothing was fetched.
    AlreadyThere,
    /// It was fetched, beginning at this offset.
    Fetched {
        /// Bytes that an earlier download had brought.
        resumed_at: u64,
    },
}

/// Why a download did not end well. The destination was not touched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The connection ended too early. What came is kept.
    #[error("download of {name} was cut after {received} of {total} bytes; download again to continue there")]
    Interrupted {
        /// The target.
        name: String,
        /// Bytes that are kept.
        received: u64,
        /// Bytes that it has.
        total: u64,
        /// How the connection ended, if not by the server's closing it.
        #[source]
        source: Option<TransportError>,
    },
    /// Metadata lists it, and the server does not have it.
    #[error("the repository lists {name} but has no such file; try again later, then ask its owner")]
    Absent {
        /// The target.
        name: String,
    },
    /// The server could not be asked.
    #[error("cannot download {name}")]
    Transport {
        /// The target.
        name: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// More bytes came than are listed.
    #[error(
        "{name} is longer than the {total} bytes that are signed; it was thrown away, the server is faulty or hostile"
    )]
    TooLong {
        /// The target.
        name: String,
        /// Bytes that it may have.
        total: u64,
    },
    /// Other bytes came than are listed.
    #[error(
        "{name} has another digest than the signed one; it was thrown away, the server is faulty or hostile"
    )]
    Mismatch {
        /// The target.
        name: String,
    },
    /// The disk refused.
    #[error("cannot {action} {}; check disk space and permissions", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The metadata store failed, so nothing is fetched on its word.
    #[error("cannot download {name}, because the record of what was trusted before has failed")]
    Store {
        /// The target.
        name: String,
        /// The first failure.
        #[source]
        source: Arc<StoreError>,
    },
    /// The reader's thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl DownloadError {
    /// What was kept from an earlier download does not fit what the server has, so start over.
    const fn is_about_the_kept_part(&self) -> bool {
        matches!(
            self,
            Self::Mismatch { .. }
                | Self::TooLong { .. }
                | Self::Transport {
                    source: TransportError::WrongRange { .. } | TransportError::NoSuchRange { .. },
                    ..
                }
        )
    }
}

/// Downloads into a file.
pub(crate) async fn to_file(
    transport: &dyn Transport,
    latch: &Latch,
    target: &ListedTarget,
    destination: &Path,
    resume: Resume,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Downloaded, DownloadError> {
    check(latch, target)?;
    if is_already_there(target, destination)? {
        progress(target.length);
        return Ok(Downloaded::AlreadyThere);
    }
    let mut part = Part::open(target, destination)?;
    match resume {
        Resume::Continue => part.rehash()?,
        Resume::StartOver => part.restart()?,
    }
    progress(part.received);
    loop {
        let error = match part.receive(transport, progress).await.and_then(|()| part.judge()) {
            Ok(()) => break,
            Err(error) => error,
        };
        if part.resumed_at > 0 && error.is_about_the_kept_part() {
            tracing::info!(target_name = %target.name, "the kept part does not fit; downloading from the start");
            part.restart()?;
            progress(0);
            continue;
        }
        if matches!(error, DownloadError::Mismatch { .. } | DownloadError::TooLong { .. }) {
            part.remove()?;
        }
        return Err(error);
    }
    part.finish(destination)?;
    Ok(Downloaded::Fetched { resumed_at: part.resumed_at })
}

/// Downloads into memory; the caller has bounded the listed length.
pub(crate) async fn to_memory(
    transport: &dyn Transport,
    latch: &Latch,
    target: &ListedTarget,
) -> Result<Vec<u8>, DownloadError> {
    check(latch, target)?;
    let name = || target.name.clone();
    let body = transport
        .target(&target.path, 0)
        .await
        .map_err(|source| DownloadError::Transport { name: name(), source })?
        .ok_or_else(|| DownloadError::Absent { name: name() })?;
    let mut chunks = body.chunks;
    let (mut bytes, mut hasher) = (Vec::new(), target.digests.hasher());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|source| DownloadError::Transport { name: name(), source })?;
        if length_of(&bytes) + length_of(&chunk) > target.length {
            return Err(DownloadError::TooLong { name: name(), total: target.length });
        }
        hasher.update(&chunk);
        bytes.extend_from_slice(&chunk);
    }
    if length_of(&bytes) == target.length && hasher.matches() {
        Ok(bytes)
    } else {
        Err(DownloadError::Mismatch { name: name() })
    }
}

fn check(latch: &Latch, target: &ListedTarget) -> Result<(), DownloadError> {
    latch.check().map_err(|source| DownloadError::Store { name: target.name.clone(), source })
}

fn is_already_there(target: &ListedTarget, destination: &Path) -> Result<bool, DownloadError> {
    let failed = |source| DownloadError::File { action: "read", path: destination.to_owned(), source };
    let mut file = match File::open(destination) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() != target.length {
        return Ok(false);
    }
    let mut hasher = target.digests.hasher();
    let read = hash_up_to(&mut file, target.length, &mut hasher).map_err(failed)?;
    Ok(read == target.length && hasher.matches())
}

/// The unfinished file, with the digest of what is in it.
struct Part<'a> {
    target: &'a ListedTarget,
    path: PathBuf,
    file: File,
    received: u64,
    /// Bytes that an earlier download had brought, and that are still used.
    resumed_at: u64,
    hasher: TargetHasher,
}

impl<'a> Part<'a> {
    fn open(target: &'a ListedTarget, destination: &Path) -> Result<Self, DownloadError> {
        let mut name = destination.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // A link in its place would let somebody else choose the file that is overwritten.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|source| DownloadError::File { action: "open", path: path.clone(), source })?;
        let hasher = target.digests.hasher();
        Ok(Self { target, path, file, received: 0, resumed_at: 0, hasher })
    }

    /// Takes over what an earlier download left, if it can be the beginning of this target.
    fn rehash(&mut self) -> Result<(), DownloadError> {
        let length = self.file.metadata().map_err(|source| self.failed("look at", source))?.len();
        if length == 0 || length > self.target.length {
            return self.restart();
        }
        self.received = hash_up_to(&mut self.file, length, &mut self.hasher)
            .map_err(|source| self.failed("read", source))?;
        self.resumed_at = self.received;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), DownloadError> {
        self.file.set_len(0).map_err(|source| self.failed("empty", source))?;
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.failed("rewind", source))?;
        self.received = 0;
        self.resumed_at = 0;
        self.hasher = self.target.digests.hasher();
        Ok(())
    }

    async fn receive(
        &mut self,
        transport: &dyn Transport,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), DownloadError> {
        let total = self.target.length;
        if self.received == total {
            return Ok(());
        }
        let name = || self.target.name.clone();
        let body = transport
            .target(&self.target.path, self.received)
            .await
            .map_err(|source| DownloadError::Transport { name: name(), source })?
            .ok_or_else(|| DownloadError::Absent { name: name() })?;
        if body.offset != self.received {
            // A server that cannot skip sends the whole file.
            self.restart()?;
        }
        let mut chunks = body.chunks;
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                // All bytes are here; how the connection ended does not matter any more.
                Err(_) if self.received == total => return Ok(()),
                Err(source) => return Err(self.interrupted(Some(source))),
            };
            if self.received + length_of(&chunk) > total {
                return Err(DownloadError::TooLong { name: self.target.name.clone(), total });
            }
            self.file.write_all(&chunk).map_err(|source| self.failed("write", source))?;
            self.hasher.update(&chunk);
            self.received += length_of(&chunk);
            progress(self.received);
        }
        if self.received < total { Err(self.interrupted(None)) } else { Ok(()) }
    }

    /// All bytes are here: are they the listed ones?
    fn judge(&mut self) -> Result<(), DownloadError> {
        let hasher = std::mem::replace(&mut self.hasher, self.target.digests.hasher());
        if hasher.matches() {
            Ok(())
        } else {
            Err(DownloadError::Mismatch { name: self.target.name.clone() })
        }
    }

    fn finish(&self, destination: &Path) -> Result<(), DownloadError> {
        self.file.sync_all().map_err(|source| self.failed("flush", source))?;
        fs::rename(&self.path, destination).map_err(|source| self.failed("rename", source))?;
        match destination.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => {
                files::sync_folder(folder).map_err(|source| self.failed("flush the folder of", source))
            }
            _ => Ok(()),
        }
    }

    fn remove(&self) -> Result<(), DownloadError> {
        fs::remove_file(&self.path).map_err(|source| self.failed("remove", source))
    }

    fn interrupted(&self, source: Option<TransportError>) -> DownloadError {
        // Best effort: a power cut may lose what was kept, never more.
        let _ = self.file.sync_data();
        DownloadError::Interrupted {
            name: self.target.name.clone(),
            received: self.received,
            total: self.target.length,
            source,
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> DownloadError {
        DownloadError::File { action, path: self.path.clone(), source }
    }
}

/// Digests at most `limit` bytes and leaves the file at the end of them.
fn hash_up_to(file: &mut File, limit: u64, hasher: &mut TargetHasher) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = file.take(limit);
    let mut buffer = vec![0; REHASH_BYTES];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
