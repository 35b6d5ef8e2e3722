//! Metadata, targets and deltas out of a folder that others write too: a share, a stick.
//!
//! Invariant: what is read is copied into memory or a private file by the same bounded reader that reads from a server, and
//! is verified there; nothing is used where it lies, since it may change between two looks. Nothing is opened through a
//! link, and nothing that is no regular file. The folder is opened anew for each file, because it may come and go.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use futures_util::stream;
use sealpost_files::SharedFolder;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::by_file::{DELTAS_FOLDER, METADATA_FOLDER, TARGETS_FOLDER, delta_file};
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_repository::{TargetBody, TargetPath, Transport, TransportError};

use crate::domain::release::Refusal;

use super::reason::{file_refusal, refusal};

/// Bytes of a target that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The releases of a folder.
#[derive(Debug, Clone)]
pub(super) struct ReleasesFolder {
    path: PathBuf,
}

impl ReleasesFolder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn open(&self, part: &str) -> Result<Option<SharedFolder>, TransportError> {
        let opened = self.open_releases().and_then(|folder| folder.folder(part));
        opened.map_err(|source| TransportError::File { location: self.location(part), source })
    }

    /// The folder of the releases lies in the shared one, so that it may be no link either.
    fn open_releases(&self) -> io::Result<SharedFolder> {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        let around = self.path.parent().ok_or_else(not_found)?;
        let name = self.path.file_name().and_then(|name| name.to_str()).ok_or_else(not_found)?;
        SharedFolder::open(around)?.folder(name)?.ok_or_else(not_found)
    }

    fn location(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn read_metadata(&self, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, TransportError> {
        let location = self.location(&format!("{METADATA_FOLDER}/{name}"));
        if name.contains('/') {
            return Err(TransportError::Name { name: name.to_owned() });
        }
        let Some(folder) = self.open(METADATA_FOLDER)? else {
            return Err(missing(self.location(METADATA_FOLDER)));
        };
        folder.read(name, max_bytes).map_err(|source| match source.kind() {
            io::ErrorKind::FileTooLarge => TransportError::TooLarge { location, max_bytes },
            _ => TransportError::File { location, source },
        })
    }

    fn open_target(&self, target: &TargetPath, offset: u64) -> Result<Option<TargetBody>, TransportError> {
        let name = target.parts().collect::<Vec<_>>().join("/");
        let location = self.location(&format!("{TARGETS_FOLDER}/{name}"));
        if name.contains('/') {
            return Err(TransportError::Name { name });
        }
        let failed = |source| TransportError::File { location: location.clone(), source };
        let Some(folder) = self.open(TARGETS_FOLDER)? else { return Ok(None) };
        let Some(mut file) = folder.file(&name).map_err(&failed)? else { return Ok(None) };
        file.seek(SeekFrom::Start(offset)).map_err(&failed)?;
        let chunks = stream::unfold(Some((file, location)), |open| async move {
            let (mut file, location) = open?;
            let mut chunk = vec![0; CHUNK_BYTES];
            match file.read(&mut chunk) {
                Ok(0) => None,
                Ok(count) => {
                    chunk.truncate(count);
                    Some((Ok(chunk), Some((file, location))))
                }
                Err(source) => Some((Err(TransportError::File { location, source }), None)),
            }
        });
        Ok(Some(TargetBody { offset, chunks: Box::pin(chunks) }))
    }

    /// Copies a delta of at most `max_bytes`; `false` if there is none. Blocks for the disk.
    pub(super) fn copy_delta(
        &self,
        base: &Sha256Digest,
        target: &Sha256Digest,
        destination: &Path,
        max_bytes: u64,
    ) -> Result<bool, Refusal> {
        let unreachable = |error: TransportError| refusal(ReasonCode::NetworkFailed, &error);
        let Some(folder) = self.open(DELTAS_FOLDER).map_err(unreachable)? else { return Ok(false) };
        let name = delta_file(base, target);
        let unreadable = |source| {
            let location = self.location(&format!("{DELTAS_FOLDER}/{name}"));
            unreachable(TransportError::File { location, source })
        };
        let Some(file) = folder.file(&name).map_err(unreadable)? else { return Ok(false) };
        if file.metadata().map_err(unreadable)?.len() > max_bytes {
            return Err(too_long(max_bytes));
        }
        let mut copy = super::delta::open(destination).map_err(|error| file_refusal(&error))?;
        copy.set_len(0).map_err(|error| file_refusal(&error))?;
        let mut file = file.take(max_bytes.saturating_add(1));
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut copied = 0_u64;
        loop {
            let count = file.read(&mut chunk).map_err(unreadable)?;
            let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { return Ok(true) };
            copied = copied.saturating_add(read.len() as u64);
            if copied > max_bytes {
                copy.set_len(0).map_err(|error| file_refusal(&error))?;
                return Err(too_long(max_bytes));
            }
            copy.write_all(read).map_err(|error| file_refusal(&error))?;
        }
    }
}

impl Transport for ReleasesFolder {
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>> {
        let result = self.read_metadata(name, max_bytes);
        Box::pin(async move { result })
    }

    fn target<'a>(
        &'a self,
        path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>> {
        let result = self.open_target(path, offset);
        Box::pin(async move { result })
    }

    fn metadata_location(&self, name: &str) -> String {
        self.location(&format!("{METADATA_FOLDER}/{name}"))
    }

    fn location(&self, path: &TargetPath) -> String {
        Self::location(self, &format!("{TARGETS_FOLDER}/{}", path.encoded()))
    }
}

/// A folder that is not there is no repository without news.
fn missing(location: String) -> TransportError {
    TransportError::File { location, source: io::Error::from(io::ErrorKind::NotFound) }
}

fn too_long(max_bytes: u64) -> Refusal {
    let detail = format!("the delta is longer than the payload of {max_bytes} bytes");
    Refusal::new(ReasonCode::PayloadInvalid, detail)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use futures_util::StreamExt;

    use super::*;

    fn releases() -> (tempfile::TempDir, ReleasesFolder) {
        let folder = tempfile::tempdir().unwrap();
        for part in [METADATA_FOLDER, TARGETS_FOLDER, DELTAS_FOLDER] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        let releases = ReleasesFolder::new(folder.path().to_owned());
        (folder, releases)
    }

    #[test]
    fn a_link_and_a_folder_that_is_gone_are_failures_and_not_taken_for_no_news() {
        let (folder, releases) = releases();
        assert!(releases.read_metadata("2.root.json", 100).unwrap().is_none());
        symlink("/etc/passwd", folder.path().join("metadata/timestamp.json")).unwrap();
        assert!(matches!(
            releases.read_metadata("timestamp.json", 1 << 20),
            Err(TransportError::File { .. })
        ));
        assert!(matches!(releases.read_metadata("../x.json", 100), Err(TransportError::Name { .. })));
        fs::write(folder.path().join("metadata/1.root.json"), [b'x'; 101]).unwrap();
        assert!(matches!(releases.read_metadata("1.root.json", 100), Err(TransportError::TooLarge { .. })));
        fs::remove_dir_all(folder.path().join("metadata")).unwrap();
        assert!(matches!(releases.read_metadata("2.root.json", 100), Err(TransportError::File { .. })));
        folder.close().unwrap();
        assert!(matches!(releases.read_metadata("2.root.json", 100), Err(TransportError::File { .. })));
    }

    #[tokio::test]
    async fn a_file_that_is_swapped_while_it_is_read_is_the_one_that_was_opened_to_its_end() {
        let (folder, releases) = releases();
        let path = folder.path().join("targets").join("engine");
        let good = [vec![b'a'; CHUNK_BYTES], vec![b'b'; CHUNK_BYTES]].concat();
        fs::write(&path, &good).unwrap();
        let target = TargetPath::new("engine", None).unwrap();
        let mut body = releases.target(&target, 0).await.unwrap().unwrap();
        let mut read = body.chunks.next().await.unwrap().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, vec![b'x'; good.len()]).unwrap();
        fs::rename(&other, &path).unwrap();
        while let Some(chunk) = body.chunks.next().await {
            read.extend(chunk.unwrap());
        }
        assert!(read == good, "bytes of two files were mixed");
    }

    #[test]
    fn a_delta_is_copied_up_to_its_bound_and_a_link_in_its_place_is_refused() {
        let (folder, releases) = releases();
        let (base, target) = (Sha256Digest::of(b"base"), Sha256Digest::of(b"target"));
        let destination = folder.path().join("copy");
        let copied = || releases.copy_delta(&base, &target, &destination, 5);
        assert!(!copied().unwrap());
        let delta = folder.path().join("deltas").join(delta_file(&base, &target));
        fs::write(&delta, b"delta").unwrap();
        fs::write(&destination, b"what an earlier try left").unwrap();
        assert!(copied().unwrap());
        assert_eq!(fs::read(&destination).unwrap(), b"delta");
        fs::write(&delta, b"longer").unwrap();
        assert_eq!(copied().unwrap_err().reason, ReasonCode::PayloadInvalid);
        fs::remove_file(&delta).unwrap();
        symlink("/etc/passwd", &delta).unwrap();
        copied().unwrap_err();
    }
}
