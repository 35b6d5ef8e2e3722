//! The unfinished file of a download, `<destination>.part`, with the digest of what is in it.
//!
//! Invariant: bytes that an earlier download left are not trusted; they are digested again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use rustix::fs::OFlags;
use sealpost_files::faults::{Step, reach};
use sealpost_files::sync_parent;

use crate::reading::errors::DownloadError;
use crate::target::{ListedTarget, TargetHasher, length_of};
use crate::transport::{Transport, TransportError};

/// Bytes per read when a kept part is digested again.
const REHASH_BYTES: usize = 64 * 1024;

/// The unfinished file, with the digest of what is in it.
pub(super) struct Part<'a> {
    target: &'a ListedTarget,
    path: PathBuf,
    file: File,
    pub(super) received: u64,
    /// Bytes of an earlier download that are still used.
    pub(super) resumed_at: u64,
    hasher: TargetHasher,
}

impl<'a> Part<'a> {
    pub(super) fn open(target: &'a ListedTarget, destination: &Path) -> Result<Self, DownloadError> {
        let mut name = destination.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let failed = |source| DownloadError::File { action: "open", path: path.clone(), source };
        reach(Step::Create, &path).map_err(failed)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // A link in its place would let somebody else choose the file that is overwritten.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(failed)?;
        let hasher = target.digests.hasher();
        Ok(Self { target, path, file, received: 0, resumed_at: 0, hasher })
    }

    /// Takes over what an earlier download left, if it can be the beginning of this target.
    pub(super) fn rehash(&mut self) -> Result<(), DownloadError> {
        let length = self.file.metadata().map_err(|source| self.failed("look at", source))?.len();
        if length == 0 || length > self.target.length {
            return self.restart();
        }
        self.received = hash_up_to(&mut self.file, length, &mut self.hasher)
            .map_err(|source| self.failed("read", source))?;
        self.resumed_at = self.received;
        Ok(())
    }

    pub(super) fn restart(&mut self) -> Result<(), DownloadError> {
        reach(Step::Write, &self.path)
            .and_then(|()| self.file.set_len(0))
            .map_err(|source| self.failed("empty", source))?;
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.failed("rewind", source))?;
        self.received = 0;
        self.resumed_at = 0;
        self.hasher = self.target.digests.hasher();
        Ok(())
    }

    pub(super) async fn receive(
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
            .ok_or_else(|| DownloadError::Absent {
                name: name(),
                location: transport.location(&self.target.path),
            })?;
        if body.offset != self.received {
            // A server that cannot skip sends the whole file.
            self.restart()?;
        }
        let mut chunks = body.chunks;
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                // All bytes are here, so it does not matter how the connection ended.
                Err(_) if self.received == total => return Ok(()),
                Err(source) => return Err(self.interrupted(Some(source))),
            };
            if self.received + length_of(&chunk) > total {
                let location = transport.location(&self.target.path);
                return Err(DownloadError::TooLong { name: self.target.name.clone(), total, location });
            }
            reach(Step::Write, &self.path)
                .and_then(|()| self.file.write_all(&chunk))
                .map_err(|source| self.failed("write", source))?;
            self.hasher.update(&chunk);
            self.received += length_of(&chunk);
            progress(self.received);
        }
        if self.received < total { Err(self.interrupted(None)) } else { Ok(()) }
    }

    /// Checks, when all bytes are here, that they are the listed ones.
    pub(super) fn judge(&mut self, transport: &dyn Transport) -> Result<(), DownloadError> {
        let hasher = std::mem::replace(&mut self.hasher, self.target.digests.hasher());
        if hasher.matches() {
            Ok(())
        } else {
            let location = transport.location(&self.target.path);
            Err(DownloadError::Mismatch { name: self.target.name.clone(), location })
        }
    }

    pub(super) fn finish(&self, destination: &Path) -> Result<(), DownloadError> {
        reach(Step::Flush, &self.path)
            .and_then(|()| self.file.sync_all())
            .map_err(|source| self.failed("flush", source))?;
        reach(Step::Rename, destination.parent().unwrap_or(destination))
            .and_then(|()| fs::rename(&self.path, destination))
            .map_err(|source| self.failed("rename", source))?;
        sync_parent(destination).map_err(|source| self.failed("flush the folder of", source))
    }

    pub(super) fn remove(&self) -> Result<(), DownloadError> {
        reach(Step::Remove, &self.path)
            .and_then(|()| fs::remove_file(&self.path))
            .map_err(|source| self.failed("remove", source))
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
pub(super) fn hash_up_to(file: &mut File, limit: u64, hasher: &mut TargetHasher) -> io::Result<u64> {
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
