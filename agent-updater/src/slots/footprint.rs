//! The footprint of a slot: one digest over what the file system says of each path, so that a look at a slot reads no
//! file.
//!
//! Invariant: whoever changes a file, its mode, owner, name or links changes its footprint, also when times are set back:
//! nobody sets the time of the last change of an inode. The other way round nothing follows: a backup that was put back
//! has another footprint and the same content, so a new footprint is a reason to digest the slot, and no more.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Stat;
use sealpost_manifests::digest::{Sha256Digest, Sha256Hasher};

use super::beneath::{BeneathError, Folder};

/// What a footprint begins with, so that it is the digest of nothing else.
const LABEL: &[u8] = b"sealpost footprint 1\n";

pub(super) fn footprint(slots: &Folder, slot: &str) -> Result<Sha256Digest, BeneathError> {
    let mut hasher = Sha256Hasher::new();
    hasher.update(LABEL);
    add(&mut hasher, Path::new("."), &slots.stat(slot)?);
    slots.folder(slot)?.walk(&mut |folder, name, path, _| {
        add(&mut hasher, path, &folder.stat(name)?);
        Ok(())
    })?;
    Ok(hasher.finish())
}

fn add(hasher: &mut Sha256Hasher, path: &Path, stat: &Stat) {
    hasher.update(path.as_os_str().as_bytes());
    let numbers = format!(
        "\0{} {} {} {} {} {} {}.{} {}.{}\n",
        stat.st_mode,
        stat.st_uid,
        stat.st_gid,
        stat.st_nlink,
        stat.st_size,
        stat.st_ino,
        stat.st_mtime,
        stat.st_mtime_nsec,
        stat.st_ctime,
        stat.st_ctime_nsec,
    );
    hasher.update(numbers.as_bytes());
}
