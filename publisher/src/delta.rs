//! Deltas of plain files and folders, without keys, manifests or a server.
//!
//! Invariant: a result appears under its name only when it is whole; what has that name stays, unless it is a file that the
//! caller wants replaced. Left out on purpose: releases; a delta between them is made from their manifests.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use rustix::io::Errno;
use sealpost_deltas::{
    ApplyError, Base, BaseFile, Control, FolderBase, FolderTarget, Limits, Lists, MakeError, MakeSettings,
    Shown, Summary, Tree, apply, apply_file, folder_list, make_file, make_folder, read_folder,
};

use sealpost_files::sync_parent;
use tempfile::NamedTempFile;

/// What an error of the engine names the length of the target.
const TARGET_BYTES: &str = "target bytes";

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
    #[error("{} would lie in {}, which is read meanwhile; give a place outside of it", out.display(), folder.display())]
    Inside { out: PathBuf, folder: PathBuf },
    #[error("the target would have more than {most} bytes; if that is meant, give a larger --max-mib")]
    TooLong { most: u64 },
    #[error("the target would have more than the {free} bytes that are free where {} is to lie", out.display())]
    NoRoom { out: PathBuf, free: u64 },
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
    if kind == Kind::Folder {
        ensure_outside(out, base)?;
        ensure_outside(out, target)?;
    }
    let mut written = NewFile::beside(out, existing)?;
    // There is room where the delta is to be; the system's folder for temporary files may lie in memory.
    let settings = &MakeSettings { scratch: Some(parent(out).to_owned()), ..settings.clone() };
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

/// Makes the target out of the base and a delta: of at most so many bytes, and no more than are free.
///
/// # Errors
/// [`DeltaError`]; nothing is left of the target then.
pub fn apply_delta(
    base: &Path,
    delta: &Path,
    out: &Path,
    existing: Existing,
    most_bytes: u64,
    control: &mut dyn Control,
) -> Result<Summary, DeltaError> {
    let free =
        free_bytes(parent(out)).map_err(|source| DeltaError::Write { path: out.to_owned(), source })?;
    let limits = Limits { target_bytes: most_bytes.min(free), ..Limits::default() };
    apply_within(base, delta, out, existing, &limits, control).map_err(|error| match error {
        DeltaError::Apply(ApplyError::TooLarge { what: TARGET_BYTES, .. }) if free < most_bytes => {
            DeltaError::NoRoom { out: out.to_owned(), free }
        }
        DeltaError::Apply(ApplyError::TooLarge { what: TARGET_BYTES, .. }) => {
            DeltaError::TooLong { most: most_bytes }
        }
        error => error,
    })
}

fn apply_within(
    base: &Path,
    delta: &Path,
    out: &Path,
    existing: Existing,
    limits: &Limits,
    control: &mut dyn Control,
) -> Result<Summary, DeltaError> {
    if kind_of(base)? == Kind::File {
        let mut written = NewFile::beside(out, existing)?;
        let (base, delta) = (open(base)?, open_delta(delta)?);
        let made = apply_file(&base, delta, &mut written.writer(), limits, control)?;
        written.finish()?;
        return Ok(made);
    }
    if fs::symlink_metadata(out).is_ok() {
        return Err(DeltaError::FolderExists { path: out.to_owned() });
    }
    ensure_outside(out, base)?;
    let delta = open_delta(delta)?;
    let failed = |source| DeltaError::Write { path: out.to_owned(), source };
    let Tree { root, entries } = tree(base)?;
    // What is not whole is nobody else's business.
    let folder = unfinished(0o700).tempdir_in(parent(out)).map_err(failed)?;
    let base = Base { files: &FolderBase::new(root), list: &folder_list(&entries), entries: &entries };
    let root = folder.path().join("target");
    fs::create_dir(&root).map_err(failed)?;
    let made = apply(&base, delta, &mut Lists::Folder, &mut FolderTarget::new(&root), limits, control)?;
    // Nothing that came meanwhile is replaced.
    match renameat_with(CWD, &root, CWD, out, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => return Err(DeltaError::FolderExists { path: out.to_owned() }),
        renamed => renamed.map_err(|error| failed(error.into()))?,
    }
    sync_parent(out).map_err(failed)?;
    Ok(made)
}

/// What is written while a folder is read must not lie in it.
fn ensure_outside(out: &Path, folder: &Path) -> Result<(), DeltaError> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|source| DeltaError::Read { path: path.to_owned(), source })
    };
    let place = parent(out);
    let place = place.canonicalize().map_err(|source| DeltaError::Write { path: out.to_owned(), source })?;
    if place.starts_with(real(folder)?) {
        return Err(DeltaError::Inside { out: out.to_owned(), folder: folder.to_owned() });
    }
    Ok(())
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
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
    Ok(sealpost_deltas::show(open_delta(delta)?, base.as_deref(), &Limits::default())?)
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

fn open_delta(path: &Path) -> Result<BufReader<File>, DeltaError> {
    open_plain(path).map(BufReader::new)
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
            Ok(_) => sync_parent(self.path).map_err(failed),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(DeltaError::Exists { path: self.path.to_owned() })
            }
            Err(error) => Err(DeltaError::Write { path: self.path.to_owned(), source: error.error }),
        }
    }
}
