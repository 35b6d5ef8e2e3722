//! Unpacked releases: `staging/trees/<manifest digest>/`, with the files in `tree/` and the manifest's exact bytes
//! beside them.
//!
//! Invariant: a tree has its name only when the whole payload was read and every byte was the signed one.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_files::{PRIVATE, PRIVATE_FOLDER, make_folder};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::RelativePath;
use sealpost_manifests::payload::{PayloadSink, ReadError, read_gzip};
use sealpost_manifests::release::{Encoding, ReleaseManifest};

use crate::ports::blobs::{BlobError, BlobStore};
use crate::ports::staging::{LaidOut, StagingError};

/// Largest manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;
/// Folder of the unpacked releases.
const TREES: &str = "trees";
/// How the name of an unfinished folder begins; what a killed process left is removed at the start.
const UNFINISHED: &str = ".unfinished-";
/// Permissions of folders that a test-load reads.
const OPEN_FOLDER: u32 = 0o755;
/// The files of a release within its folder.
pub(super) const TREE: &str = "tree";
/// The manifest within its folder.
pub(super) const MANIFEST: &str = "manifest";

/// The unpacked releases in staging's folder.
#[derive(Clone)]
pub(super) struct Trees {
    /// Staging's folder: drafts lie in it, beside the folder of trees.
    root: PathBuf,
    blobs: Arc<dyn BlobStore>,
}

impl Trees {
    /// Makes the folders and removes what a killed process left unfinished, its own and the files of others.
    pub(super) fn open(root: &Path, blobs: Arc<dyn BlobStore>) -> Result<Self, StagingError> {
        make_folders(root)?;
        for entry in fs::read_dir(root).map_err(|source| StagingError::io("list", root, source))? {
            let entry = entry.map_err(|source| StagingError::io("list", root, source))?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                remove(&entry.path())?;
            }
        }
        Ok(Self { root: root.to_owned(), blobs })
    }

    /// A manifest that was verified when it was fetched, from the blobs.
    pub(super) fn manifest(&self, digest: &Sha256Digest) -> Result<Option<ReleaseManifest>, StagingError> {
        let Some(bytes) = self.blobs.read(digest, MAX_MANIFEST_BYTES)? else { return Ok(None) };
        document::read(&bytes)
            .map(Some)
            .map_err(|error| StagingError::io("read", Path::new("a kept manifest"), io::Error::other(error)))
    }

    /// Unpacks a payload and compares every byte with the manifest. The inner error: what is wrong with the release.
    pub(super) fn unpack(
        &self,
        manifest: &ReleaseManifest,
        digest: &Sha256Digest,
    ) -> Result<Result<(), Vec<String>>, StagingError> {
        let destination = self.tree_folder(digest);
        if destination.is_dir() {
            return Ok(Ok(()));
        }
        // Somebody may have removed them while the server runs.
        make_folders(&self.root)?;
        let absent = |what| StagingError::Absent { what, release: manifest.release.to_string() };
        let Some(blob) = manifest.payload.encoding(Encoding::Gzip) else {
            return Ok(Err(manifest.check()));
        };
        let payload = self.blobs.open(&blob.sha256)?.ok_or_else(|| absent("payload"))?;
        let text = self.blobs.read(digest, MAX_MANIFEST_BYTES)?.ok_or_else(|| absent("manifest"))?;
        let draft = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(Permissions::from_mode(PRIVATE_FOLDER))
            .tempdir_in(&self.root)
            .map_err(|source| StagingError::io("make a folder in", &self.root, source))?;
        let tree = draft.path().join(TREE);
        private_folders(&tree).map_err(|source| StagingError::io("make", &tree, source))?;
        match read_gzip(payload.file, manifest, &mut TreeSink { root: tree.clone() }) {
            Ok(()) => {}
            Err(ReadError::Read(source)) => {
                return Err(StagingError::io("read the payload for", &tree, source));
            }
            Err(ReadError::Sink { path, source }) => {
                return Err(StagingError::io("write", &tree.join(path.as_str()), source));
            }
            Err(ReadError::Manifest { problems }) => return Ok(Err(problems)),
            Err(refused) => {
                if self.payload_is_damaged(&blob.sha256) {
                    return Err(absent("undamaged payload"));
                }
                return Ok(Err(vec![refused.to_string()]));
            }
        }
        let path = draft.path().join(MANIFEST);
        fs::write(&path, text).map_err(|source| StagingError::io("write", &path, source))?;
        // All at once, since a tree has thousands of files: after a power cut one that has its name is whole.
        File::open(draft.path())
            .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
            .map_err(|source| StagingError::io("flush", draft.path(), source))?;
        let draft = draft.keep();
        fs::rename(&draft, &destination)
            .map_err(|source| StagingError::io("rename", &destination, source))?;
        Ok(Ok(()))
    }

    /// Bytes that unpacking a release would take now; 0 if it is unpacked, or its manifest is gone.
    pub(super) fn bytes_to_unpack(&self, digest: &Sha256Digest) -> Result<u64, StagingError> {
        if self.tree_folder(digest).is_dir() {
            return Ok(0);
        }
        Ok(self.manifest(digest)?.map_or(0, |manifest| manifest.payload.tar.length))
    }

    /// Bytes of all files of a release; 0 if its manifest is gone.
    pub(super) fn installed_bytes(&self, digest: &Sha256Digest) -> Result<u64, StagingError> {
        Ok(self.manifest(digest)?.map_or(0, |manifest| manifest.installed_bytes()))
    }

    /// The folder of an unpacked release, unpacked now if it is not; `None` if its manifest or payload is gone.
    pub(super) fn tree(&self, digest: &Sha256Digest) -> Result<Option<PathBuf>, StagingError> {
        let folder = self.tree_folder(digest);
        if folder.is_dir() {
            return Ok(Some(folder));
        }
        let Some(manifest) = self.manifest(digest)? else { return Ok(None) };
        match self.unpack(&manifest, digest) {
            Ok(Ok(())) => Ok(Some(folder)),
            Ok(Err(problems)) => {
                tracing::error!(release = %manifest.release, ?problems, "a staged release can no longer be unpacked");
                Ok(None)
            }
            Err(StagingError::Absent { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lays a release out in a new folder, straight from its payload: its digest is verified, and each byte is compared with the
    /// manifest on the way, so that no more is written than was signed.
    pub(super) fn lay_out(&self, digest: &Sha256Digest, folder: &Path) -> Result<LaidOut, StagingError> {
        let (manifest, payload) = match self.payload_as_signed(digest)? {
            Ok(found) => found,
            Err(gone) => return Ok(gone),
        };
        open_folders(folder).map_err(|source| StagingError::io("make", folder, source))?;
        let mut sink = OpenSink { root: folder.to_owned() };
        match read_gzip(payload, &manifest, &mut sink) {
            Ok(()) => Ok(LaidOut::Whole),
            Err(error) => Err(StagingError::io("unpack a payload into", folder, io::Error::other(error))),
        }
    }

    pub(super) fn copy_file(
        &self,
        digest: &Sha256Digest,
        path: &str,
        into: &mut dyn Write,
    ) -> Result<LaidOut, StagingError> {
        let (manifest, payload) = match self.payload_as_signed(digest)? {
            Ok(found) => found,
            Err(gone) => return Ok(gone),
        };
        let mut sink = OneFile { path, into, found: false };
        match read_gzip(payload, &manifest, &mut sink) {
            Ok(()) if sink.found => Ok(LaidOut::Whole),
            Ok(()) => Ok(LaidOut::Absent),
            Err(error) => Err(StagingError::io("read a payload in", &self.root, io::Error::other(error))),
        }
    }

    /// A release's payload, whose stored bytes are the signed ones before anything reads them as an archive; or how it is gone.
    fn payload_as_signed(
        &self,
        digest: &Sha256Digest,
    ) -> Result<Result<(ReleaseManifest, File), LaidOut>, StagingError> {
        let manifest = match self.manifest(digest) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Ok(Err(self.missing(digest))),
            Err(StagingError::Blobs { source: BlobError::Damaged { .. } }) => {
                return Ok(Err(LaidOut::Damaged));
            }
            Err(error) => return Err(error),
        };
        let Some(blob) = manifest.payload.encoding(Encoding::Gzip) else { return Ok(Err(LaidOut::Absent)) };
        match self.blobs.verify(&blob.sha256) {
            Ok(true) => {}
            Ok(false) => return Ok(Err(self.missing(&blob.sha256))),
            Err(BlobError::Damaged { .. }) => return Ok(Err(LaidOut::Damaged)),
            Err(error) => return Err(error.into()),
        }
        let Some(payload) = self.blobs.open(&blob.sha256)? else { return Ok(Err(LaidOut::Absent)) };
        Ok(Ok((manifest, payload.file)))
    }

    /// What was found damaged is not here either, and that is another matter for whoever looks after the disk.
    fn missing(&self, sha256: &Sha256Digest) -> LaidOut {
        if self.blobs.was_damaged(sha256) { LaidOut::Damaged } else { LaidOut::Absent }
    }

    /// Removes trees that no delta needs.
    pub(super) fn clear(&self, keep: &BTreeSet<Sha256Digest>) -> Result<(), StagingError> {
        let folder = self.root.join(TREES);
        for entry in fs::read_dir(&folder).map_err(|source| StagingError::io("list", &folder, source))? {
            let entry = entry.map_err(|source| StagingError::io("list", &folder, source))?;
            let digest = entry.file_name().to_str().and_then(|name| name.parse::<Sha256Digest>().ok());
            if digest.is_none_or(|digest| !keep.contains(&digest)) {
                // Renamed first: a folder that is half removed must not look whole.
                let aside = self.root.join(format!("{UNFINISHED}{}", entry.file_name().to_string_lossy()));
                remove(&aside)?;
                fs::rename(entry.path(), &aside)
                    .map_err(|source| StagingError::io("rename", &entry.path(), source))?;
                remove(&aside)?;
            }
        }
        Ok(())
    }

    fn tree_folder(&self, digest: &Sha256Digest) -> PathBuf {
        self.root.join(TREES).join(digest.to_string())
    }

    /// Damage on this server's disk is not the vendor's fault: a damaged blob is put aside, and the next pull fetches
    /// it again.
    fn payload_is_damaged(&self, sha256: &Sha256Digest) -> bool {
        !matches!(self.blobs.verify(sha256), Ok(true))
    }
}

/// Writes a tree that only this server reads: not executable, and not flushed file by file but as a whole.
struct TreeSink {
    root: PathBuf,
}

impl TreeSink {
    fn place(&self, path: &RelativePath) -> io::Result<PathBuf> {
        let place = self.root.join(path.as_str());
        if let Some(parent) = place.parent() {
            private_folders(parent)?;
        }
        Ok(place)
    }
}

impl PayloadSink for TreeSink {
    fn create_file(
        &mut self,
        path: &RelativePath,
        _mode: u32,
        _length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(self.place(path)?)?;
        io::copy(content, &mut file)?;
        file.flush()
    }

    fn create_symlink(&mut self, path: &RelativePath, target: &str) -> io::Result<()> {
        symlink(target, self.place(path)?)
    }
}

/// Writes a tree that everybody may read, with the permissions that were signed.
struct OpenSink {
    root: PathBuf,
}

impl OpenSink {
    fn place(&self, path: &RelativePath) -> io::Result<PathBuf> {
        let place = self.root.join(path.as_str());
        if let Some(parent) = place.parent() {
            open_folders(parent)?;
        }
        Ok(place)
    }
}

impl PayloadSink for OpenSink {
    fn create_file(
        &mut self,
        path: &RelativePath,
        mode: u32,
        _length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(self.place(path)?)?;
        io::copy(content, &mut file)?;
        file.flush()?;
        // Whatever mask the server has; nobody writes it.
        file.set_permissions(Permissions::from_mode(if mode & 0o111 == 0 { 0o444 } else { 0o555 }))
    }

    fn create_symlink(&mut self, path: &RelativePath, target: &str) -> io::Result<()> {
        symlink(target, self.place(path)?)
    }
}

/// Takes one file of a payload, and reads past the rest.
struct OneFile<'s> {
    path: &'s str,
    into: &'s mut dyn Write,
    found: bool,
}

impl PayloadSink for OneFile<'_> {
    fn create_file(
        &mut self,
        path: &RelativePath,
        _mode: u32,
        _length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        if path.as_str() == self.path {
            self.found = true;
            return io::copy(content, self.into).map(drop);
        }
        io::copy(content, &mut io::sink()).map(drop)
    }

    fn create_symlink(&mut self, _path: &RelativePath, _target: &str) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a folder that everybody may enter, whatever mask the server has.
fn open_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        open_folders(parent)?;
    }
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(OPEN_FOLDER))
}

fn make_folders(root: &Path) -> Result<(), StagingError> {
    for folder in [root, &root.join(TREES)] {
        make_folder(folder, PRIVATE_FOLDER)
            .map_err(|source| StagingError::io("make the folder", folder, source))?;
    }
    Ok(())
}

/// Makes folders of a draft. Not durably: a tree has thousands of them and is flushed as a whole.
fn private_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)
}

/// Removes a file or folder, if it is there.
fn remove(path: &Path) -> Result<(), StagingError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|source| StagingError::io("remove", path, source))
}
