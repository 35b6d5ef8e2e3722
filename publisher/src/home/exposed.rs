//! Secret files that others than their owner can read, found without opening any.
//!
//! Left out on purpose: putting it right. A key that others could read may have been copied, which only a person can judge.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::key_files::key_files;
use super::vendor::Vendor;

/// Permission bits of which a secret file may have none: reading, writing and executing for group and others.
const OTHERS: u32 = 0o077;

/// A secret file that others can read or change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    pub path: PathBuf,
    pub mode: u32,
}

/// The signing keys and the license database of a home that others can read or change, wherever the settings say that
/// they lie. What is not there, or in a folder that cannot be listed, is passed over: whoever needs it reports it.
#[must_use]
pub fn exposed_secrets(vendor: &Vendor) -> Vec<Exposed> {
    let (home, places) = (vendor.home(), &vendor.settings().keys);
    let single = [&places.timestamp, &places.snapshot, &places.targets, &places.license];
    let folders = [places.role_dir.as_path(), &places.release_dir, places.root_dir()];
    let mut files: BTreeSet<PathBuf> = single.map(|path| home.join(path)).into();
    files.insert(vendor.license_database());
    files.extend(folders.iter().flat_map(|folder| key_files(&home.join(folder)).unwrap_or_default()));
    let exposed = |path: PathBuf| {
        let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o777;
        (mode & OTHERS != 0).then_some(Exposed { path, mode })
    };
    files.into_iter().filter_map(exposed).collect()
}
