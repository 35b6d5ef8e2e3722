//! Restoring a backup into an empty home.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use sealpost_files::{PRIVATE, PRIVATE_FOLDER, PUBLIC, Unfinished, make_folder};
use sealpost_keys::token::random_bytes;
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_ledger::{Ledger, LedgerSettings};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::EraId;
use sealpost_site::changes::Actor;
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::rules::restore::RestoreCause;

use super::archive::{
    BackupError, BackupList, LEDGER, LIST, MAX_LIST_BYTES, MAX_MEMBERS, MemberKind, failed, is_allowed,
    is_allowed_link,
};
use crate::home::{Draft, Home};

/// Longest name of a member, in bytes: eight parts of 255 bytes, and what stands between them.
const MAX_NAME_BYTES: u64 = 8 * 256;
/// Most bytes behind the last file: the zeros by which an archive ends, and what fills its last block.
const MAX_BEHIND_BYTES: u64 = 1024 * 1024;

type ArchiveMember<'a> = tar::Entry<'a, GzDecoder<File>>;

/// A home that was restored.
#[derive(Debug)]
pub struct RestoredHome {
    pub list: BackupList,
}

/// Restores a backup into a home that is empty or does not exist. `progress` hears how many bytes of how many are out.
///
/// # Errors
/// [`BackupError`]; then nothing is there that looks like a server.
pub async fn restore(
    home: &Home,
    backup: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<RestoredHome, BackupError> {
    home.must_be_empty()?;
    let file = File::open(backup).map_err(failed("read the backup", backup))?;
    let draft = Draft::begin(home)?;
    let list = unpack(file, backup, draft.path(), progress)?;
    let found = sqlite::identify(&draft.path().join(LEDGER))?;
    if (&found.server_id, found.head) != (&list.server_id, list.head) {
        let problem = "its ledger is not the one that its list names".to_owned();
        return Err(BackupError::Damaged { path: backup.to_owned(), problem });
    }
    // Noted before anything is in place, so that no restored ledger ever runs without knowing it.
    declare(&draft.path().join(LEDGER), &list, now).await?;
    draft.finish(home)?;
    Ok(RestoredHome { list })
}

fn unpack(
    file: File,
    backup: &Path,
    into: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupList, BackupError> {
    let damaged = |problem: String| BackupError::Damaged { path: backup.to_owned(), problem };
    let unreadable = |error: io::Error| damaged(error.to_string());
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    // Raw, because the reader would else take names, attributes and holes of any length into memory or onto the disk.
    let mut entries = archive.entries().map_err(unreadable)?.raw(true);
    let (name, first) =
        next_member(&mut entries, &damaged)?.ok_or_else(|| damaged("it is empty".to_owned()))?;
    if name != LIST {
        return Err(damaged("its list is missing".to_owned()));
    }
    let mut text = Vec::new();
    first.take(MAX_LIST_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    let list: BackupList =
        document::read(&text).map_err(|source| BackupError::List { path: backup.to_owned(), source })?;
    let (mut wanted, total) = expected(&list).map_err(damaged)?;
    let mut done: u64 = 0;
    while let Some((name, mut entry)) = next_member(&mut entries, &damaged)? {
        let (length, sha256, mode) = wanted
            .remove(name.as_str())
            .ok_or_else(|| damaged(format!("{name:?} is not in its list, or stands twice")))?;
        if entry.size() != length {
            return Err(damaged(format!("{name:?} is not the file that its list names")));
        }
        let path = into.join(&name);
        make_parent(&path)?;
        write(&path, &mut entry, mode, &unreadable)?;
        let written = File::open(&path).map_err(failed("read", &path))?;
        let found = Sha256Digest::of_reader(written).map_err(failed("read", &path))?;
        if found != (sha256, length) {
            return Err(damaged(format!("{name:?} is not the file that its list names")));
        }
        done = done.saturating_add(length);
        progress(done, total);
    }
    if let Some(missing) = wanted.keys().next() {
        return Err(damaged(format!("{missing:?} is missing")));
    }
    // The checksum of the whole stands at its very end, and the list has no digest of its own.
    let mut rest = archive.into_inner().take(MAX_BEHIND_BYTES + 1);
    if io::copy(&mut rest, &mut io::sink()).map_err(unreadable)? > MAX_BEHIND_BYTES {
        return Err(damaged("there is more behind its end".to_owned()));
    }
    for member in &list.members {
        if let MemberKind::Link { target } = &member.kind {
            let path = into.join(&member.path);
            make_parent(&path)?;
            symlink(target, &path).map_err(failed("link", &path))?;
        }
    }
    Ok(list)
}

/// The next file of the archive, with its name. A name that is too long for a header stands in a member before it.
fn next_member<'a>(
    entries: &mut tar::Entries<'a, GzDecoder<File>>,
    damaged: &dyn Fn(String) -> BackupError,
) -> Result<Option<(String, ArchiveMember<'a>)>, BackupError> {
    let unreadable = |error: io::Error| damaged(error.to_string());
    let Some(mut member) = entries.next().transpose().map_err(unreadable)? else { return Ok(None) };
    let mut name = member.path_bytes().into_owned();
    if member.header().entry_type().is_gnu_longname() {
        if member.size() > MAX_NAME_BYTES {
            return Err(damaged(format!("a name in it has more than {MAX_NAME_BYTES} bytes")));
        }
        name.clear();
        let _ = member.read_to_end(&mut name).map_err(unreadable)?;
        let _ = name.pop_if(|last| *last == 0);
        let next = entries.next().ok_or_else(|| damaged("it ends after a name".to_owned()))?;
        member = next.map_err(unreadable)?;
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    if !member.header().entry_type().is_file() {
        return Err(damaged(format!("{name:?} is no file")));
    }
    Ok(Some((name, member)))
}

/// Length, digest and mode by path.
type Expected<'l> = BTreeMap<&'l str, (u64, Sha256Digest, u32)>;

/// Refuses a list that names what no backup has. Answers also with the bytes of all files together.
fn expected(list: &BackupList) -> Result<(Expected<'_>, u64), String> {
    if list.members.len() > MAX_MEMBERS {
        return Err(format!("its list has more than {MAX_MEMBERS} files"));
    }
    let (mut expected, mut total) = (BTreeMap::new(), 0u64);
    for member in &list.members {
        if !is_allowed(&member.path) {
            return Err(format!("its list names {:?}, which is no file of a backup", member.path));
        }
        match &member.kind {
            MemberKind::File { length, sha256, public } => {
                let mode = if *public { PUBLIC } else { PRIVATE };
                total = total
                    .checked_add(*length)
                    .ok_or_else(|| "its list names more bytes than there can be".to_owned())?;
                if expected.insert(member.path.as_str(), (*length, *sha256, mode)).is_some() {
                    return Err(format!("its list names {:?} twice", member.path));
                }
            }
            MemberKind::Link { target } if !is_allowed_link(&member.path, target) => {
                return Err(format!("its list has a link {:?} that leads elsewhere", member.path));
            }
            MemberKind::Link { .. } => {}
        }
    }
    if !expected.contains_key(LEDGER) {
        return Err("it holds no ledger".to_owned());
    }
    Ok((expected, total))
}

/// Writes a file from the archive; what cannot be read is the archive's fault, what cannot be written is the disk's.
fn write(
    path: &Path,
    mut bytes: impl Read,
    mode: u32,
    unreadable: &dyn Fn(io::Error) -> BackupError,
) -> Result<(), BackupError> {
    let attempted = "write";
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = Unfinished::new_in(folder).map_err(failed(attempted, path))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = bytes.read(&mut buffer).map_err(unreadable)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        file.file_mut().write_all(part).map_err(failed(attempted, path))?;
    }
    file.finish(mode).map_err(failed(attempted, path))?;
    file.create(path).map_err(failed(attempted, path))
}

fn make_parent(path: &Path) -> Result<(), BackupError> {
    match path.parent() {
        Some(parent) => make_folder(parent, PRIVATE_FOLDER).map_err(failed("make", parent)),
        None => Ok(()),
    }
}

async fn declare(ledger: &Path, list: &BackupList, now: Timestamp) -> Result<(), BackupError> {
    let store = SqliteStore::open(ledger)?;
    let cause = RestoreCause::BackupRestored { head: list.head };
    let new_era = EraId::from_random(random_bytes::<16>()?);
    let ledger = Ledger::start(Box::new(store), LedgerSettings::default())?;
    ledger.execute(now, DeclareRestore { actor: Actor::Server, cause, new_era }).await?;
    Ok(ledger.close().await?)
}
