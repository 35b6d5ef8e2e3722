//! Making a backup, also while the server runs.
//!
//! Invariant: what is reported as made can be restored. Only regular files are read, and no link is followed: whoever has
//! the home could make root wait for a pipe, or back up a file of root's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sealpost_files::{FileLock, PRIVATE, PRIVATE_FOLDER, Unfinished, refuse_what_is_no_file, sync_parent};
use sealpost_ledger::sqlite;
use sealpost_manifests::digest::{Sha256Digest, Sha256Hasher};
use sealpost_manifests::document;

use super::archive::{
    BackupError, BackupList, BackupMember, LEDGER, LIST, MAX_MEMBERS, MemberKind, PARTS, failed, is_allowed,
    is_allowed_link,
};
use crate::home::Home;

/// How the folder is named in which a backup grows.
const WORKPLACE: &str = ".sealpost-backup-";
/// So often a backup is begun anew because a file was replaced after it was listed.
const MAX_TRIES: u32 = 5;

/// Makes the backup `out` of a home; an earlier file of that name stays until the new one is whole. `progress` hears how
/// many bytes of how many are in.
///
/// # Errors
/// [`BackupError`]; then there is no new backup.
pub fn make(
    home: &Home,
    out: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupList, BackupError> {
    refuse_what_is_no_file(out).map_err(failed("write the backup", out))?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    remove_leftovers(folder);
    // The copy of the ledger stands beside the backup, where there has to be room for it anyway.
    let copies = tempfile::Builder::new().prefix(WORKPLACE).tempdir_in(folder);
    let copies = copies.map_err(failed("write the backup in", folder))?;
    fs::set_permissions(copies.path(), fs::Permissions::from_mode(PRIVATE_FOLDER))
        .map_err(failed("protect", copies.path()))?;
    let _mine = FileLock::try_take_folder(copies.path())
        .map_err(|error| failed("lock", copies.path())(io::Error::other(error)))?;
    let ledger = copies.path().join(LEDGER);
    sqlite::copy_file(&home.ledger(), &ledger)?;
    let found = sqlite::identify(&ledger)?;
    let mut tries = 0;
    let (list, file) = loop {
        let mut file = Unfinished::new_in(copies.path()).map_err(failed("write the backup", out))?;
        let mut members = vec![member(&ledger, LEDGER)?];
        for part in PARTS {
            collect(&home.path().join(part), part, &mut members)?;
        }
        let list = BackupList { server_id: found.server_id.clone(), head: found.head, made_at: now, members };
        tries += 1;
        match write(&mut file, &list, home, &ledger, out, progress) {
            Ok(()) => break (list, file),
            // A pull beside it replaced something.
            Err(BackupError::Changed { .. }) if tries < MAX_TRIES => {}
            Err(error) => return Err(error),
        }
    };
    file.finish(PRIVATE).map_err(failed("write the backup", out))?;
    file.replace(out).map_err(failed("put in place", out))?;
    sync_parent(out).map_err(failed("flush", out))?;
    Ok(list)
}

/// Adds a file, or everything beneath a folder. What is not there is left out; what the server makes and removes at any
/// moment, too.
fn collect(path: &Path, name: &str, members: &mut Vec<BackupMember>) -> Result<(), BackupError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("look at", path)(source)),
    };
    let odd = |problem: &str| BackupError::Odd { path: path.to_owned(), problem: problem.to_owned() };
    if !is_allowed(name) {
        return Err(odd("its name is none that a restore takes"));
    }
    if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(failed("read", path))?;
        let target = target.to_str().filter(|target| is_allowed_link(name, target));
        let target = target.ok_or_else(|| odd("it is a link that leads out of the backup"))?.to_owned();
        members.push(BackupMember { path: name.to_owned(), kind: MemberKind::Link { target } });
        return Ok(());
    }
    if !metadata.is_dir() {
        members.push(member(path, name)?);
        return Ok(());
    }
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(path).map_err(failed("look into", path))? {
        let entry = entry.map_err(failed("look into", path))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    // Unfinished files begin with a dot.
    for child in names.into_iter().filter(|child| !child.starts_with('.')) {
        collect(&path.join(&child), &format!("{name}/{child}"), members)?;
        if members.len() > MAX_MEMBERS {
            let problem = io::Error::other(format!("it has more than {MAX_MEMBERS} files"));
            return Err(failed("back up", path)(problem));
        }
    }
    Ok(())
}

/// A regular file. The look before may be out of date, so a link is not followed and a pipe not waited for.
fn open(path: &Path) -> Result<File, BackupError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let odd = |problem: &str| BackupError::Odd { path: path.to_owned(), problem: problem.to_owned() };
    let opened = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(odd("it is a link"));
        }
        // A socket.
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
            return Err(odd("it is no regular file"));
        }
        opened => opened.map_err(failed("read", path))?,
    };
    if opened.metadata().map_err(failed("look at", path))?.is_file() {
        return Ok(opened);
    }
    Err(odd("it is no regular file"))
}

/// Removes what killed backups left in a folder, also of other homes. What another one works in is locked; what belongs to
/// somebody else is not looked at. That it cannot be done keeps no backup from being made.
fn remove_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let is_ours = entry.file_name().to_string_lossy().starts_with(WORKPLACE)
            && entry
                .metadata()
                .is_ok_and(|about| about.is_dir() && about.uid() == rustix::process::geteuid().as_raw());
        if is_ours && let Ok(_unused) = FileLock::try_take_folder(&entry.path()) {
            // Tried again by the next backup.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn member(path: &Path, name: &str) -> Result<BackupMember, BackupError> {
    let file = open(path)?;
    let mode = file.metadata().map_err(failed("look at", path))?.permissions().mode();
    let (sha256, length) = Sha256Digest::of_reader(file).map_err(failed("read", path))?;
    let kind = MemberKind::File { length, sha256, public: mode & 0o044 != 0 };
    Ok(BackupMember { path: name.to_owned(), kind })
}

fn write(
    file: &mut Unfinished,
    list: &BackupList,
    home: &Home,
    ledger: &Path,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    let attempted = "write the backup";
    let length = |member: &BackupMember| match member.kind {
        MemberKind::File { length, .. } => length,
        MemberKind::Link { .. } => 0,
    };
    let (mut done, total) = (0, list.members.iter().map(length).sum());
    let text = document::write(list).map_err(|source| BackupError::List { path: out.to_owned(), source })?;
    let mut archive = tar::Builder::new(GzEncoder::new(file.file_mut(), Compression::fast()));
    append(&mut archive, LIST, text.as_bytes(), text.len() as u64).map_err(failed(attempted, out))?;
    for member in &list.members {
        let MemberKind::File { length, sha256, .. } = member.kind else { continue };
        let path = if member.path == LEDGER { ledger.to_owned() } else { home.path().join(&member.path) };
        let mut bytes = match open(&path) {
            Err(BackupError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::Changed { path });
            }
            opened => Digesting { inner: opened?, hasher: Sha256Hasher::new() },
        };
        append(&mut archive, &member.path, &mut bytes, length).map_err(failed(attempted, out))?;
        if bytes.hasher.finish() != sha256 {
            return Err(BackupError::Changed { path });
        }
        done += length;
        progress(done, total);
    }
    let zipped = archive.into_inner().map_err(failed(attempted, out))?;
    let file = zipped.finish().map_err(failed(attempted, out))?;
    file.flush().map_err(failed(attempted, out))
}

/// Digests what is read through it.
struct Digesting<R> {
    inner: R,
    hasher: Sha256Hasher,
}

impl<R: io::Read> io::Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &str,
    bytes: impl io::Read,
    length: u64,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o600);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, name, bytes.take(length))
}
