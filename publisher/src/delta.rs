//! Deltas of plain files and folders, without keys, manifests or a server.
//!
//! Invariant: a result appears under its name only when it is whole; what has that name stays, unless it is a file that the
//! caller wants replaced. Left out on purpose: releases; a delta between them is made from their manifests.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sealpost_deltas::{
    ApplyError, Base, BaseFile, Control, FolderBase, FolderTarget, Limits, Lists, MakeError, MakeSettings,
    Shown, Summary, Tree, apply, apply_file, folder_list, make_file, make_folder, read_folder,
};
use tempfile::NamedTempFile;

/// What to do with a file that has the name of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Keep,
    Replace,
}

/// Why a delta was not made, applied or shown.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is neither a file nor a folder; give one of them", path.display())]
    OtherKind { path: PathBuf },
    #[error("a delta leads from a file to a file, or from a folder to a folder; {} is something else than {}", target.display(), base.display())]
    Mixed { base: PathBuf, target: PathBuf },
    #[error("{} exists; give --force to replace it, or give another name", path.display())]
    Exists { path: PathBuf },
    #[error("{} exists; remove it, or give another name", path.display())]
    FolderExists { path: PathBuf },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

/// Makes a delta from a file or folder to another.
///
/// # Errors
/// [`DeltaError`].
pub fn make(
    base: &Path,
    target: &Path,
    out: &Path,
    existing: Existing,
    settings: &MakeSettings,
    control: &mut dyn Control,
) -> Result<Summary, DeltaError> {
    let kind = kind_of(base)?;
    if kind_of(target)? != kind {
        return Err(DeltaError::Mixed { base: base.to_owned(), target: target.to_owned() });
    }
    let mut written = NewFile::beside(out, existing)?;
    let made = match kind {
        Kind::File => make_file(&open(base)?, &open(target)?, written.writer(), settings, control)?,
        Kind::Folder => {
            let limits = Limits { target_bytes: u64::MAX, ..Limits::default() };
            make_folder(&tree(base)?, &tree(target)?, written.writer(), &limits, settings, control)?
        }
    };
    written.finish()?;
    Ok(made)
}

/// Makes the target out of the base and a delta.
///
/// # Errors
/// [`DeltaError`]; nothing is left of the target then.
pub fn apply_delta(
    base: &Path,
    delta: &Path,
    out: &Path,
    existing: Existing,
    control: &mut dyn Control,
) -> Result<Summary, DeltaError> {
    let limits = Limits { target_bytes: u64::MAX, ..Limits::default() };
    if kind_of(base)? == Kind::File {
        let mut written = NewFile::beside(out, existing)?;
        let (base, delta) = (open(base)?, open_plain(delta)?);
        let made = apply_file(&base, delta, &mut written.writer(), &limits, control)?;
        written.finish()?;
        return Ok(made);
    }
    if fs::symlink_metadata(out).is_ok() {
        return Err(DeltaError::FolderExists { path: out.to_owned() });
    }
    let delta = open_plain(delta)?;
    let failed = |source| DeltaError::Write { path: out.to_owned(), source };
    let Tree { root, entries } = tree(base)?;
    let folder = unfinished(0o777).tempdir_in(parent(out)).map_err(failed)?;
    let base = Base { files: &FolderBase::new(root), list: &folder_list(&entries), entries: &entries };
    let mut target = FolderTarget::new(folder.path());
    let made = apply(&base, delta, &mut Lists::Folder, &mut target, &limits, control)?;
    fs::rename(folder.path(), out).map_err(failed)?;
    // It has another name now.
    let _ = folder.keep();
    Ok(made)
}

/// Shows a delta; files have names if the folder is given that it was made for.
///
/// # Errors
/// [`DeltaError`].
pub fn show(delta: &Path, base: Option<&Path>) -> Result<Shown, DeltaError> {
    let base = match base {
        Some(base) if kind_of(base)? == Kind::Folder => Some(tree(base)?.entries),
        _ => None,
    };
    Ok(sealpost_deltas::show(open_plain(delta)?, base.as_deref(), &Limits::default())?)
}

fn kind_of(path: &Path) -> Result<Kind, DeltaError> {
    let metadata = fs::metadata(path).map_err(|source| DeltaError::Read { path: path.to_owned(), source })?;
    if metadata.is_dir() {
        Ok(Kind::Folder)
    } else if metadata.is_file() {
        Ok(Kind::File)
    } else {
        Err(DeltaError::OtherKind { path: path.to_owned() })
    }
}

fn open_plain(path: &Path) -> Result<File, DeltaError> {
    if kind_of(path)? != Kind::File {
        return Err(DeltaError::OtherKind { path: path.to_owned() });
    }
    File::open(path).map_err(|source| DeltaError::Read { path: path.to_owned(), source })
}

fn open(path: &Path) -> Result<BaseFile, DeltaError> {
    BaseFile::new(open_plain(path)?).map_err(|source| DeltaError::Read { path: path.to_owned(), source })
}

fn tree(root: &Path) -> Result<Tree, DeltaError> {
    let entries = read_folder(root).map_err(|source| DeltaError::Read { path: root.to_owned(), source })?;
    Ok(Tree { root: root.to_owned(), entries })
}

/// What is not yet whole, with the rights that a new file or folder gets.
fn unfinished(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".unfinished-").permissions(Permissions::from_mode(mode));
    builder
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that gets its name when it is whole.
struct NewFile<'a> {
    path: &'a Path,
    existing: Existing,
    file: NamedTempFile,
}

impl<'a> NewFile<'a> {
    fn beside(path: &'a Path, existing: Existing) -> Result<Self, DeltaError> {
        // Told before the work, and again by the name that is taken at its end.
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => return Err(DeltaError::FolderExists { path: path.to_owned() }),
            Ok(_) if existing == Existing::Keep => return Err(DeltaError::Exists { path: path.to_owned() }),
            _ => {}
        }
        let file = unfinished(0o666)
            .tempfile_in(parent(path))
            .map_err(|source| DeltaError::Write { path: path.to_owned(), source })?;
        Ok(Self { path, existing, file })
    }

    fn writer(&mut self) -> impl Write {
        io::BufWriter::new(self.file.as_file_mut())
    }

    fn finish(self) -> Result<(), DeltaError> {
        let failed = |source| DeltaError::Write { path: self.path.to_owned(), source };
        self.file.as_file().sync_all().map_err(failed)?;
        let named = match self.existing {
            Existing::Keep => self.file.persist_noclobber(self.path),
            Existing::Replace => self.file.persist(self.path),
        };
        match named {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(DeltaError::Exists { path: self.path.to_owned() })
            }
            Err(error) => Err(DeltaError::Write { path: self.path.to_owned(), source: error.error }),
        }
    }
}
