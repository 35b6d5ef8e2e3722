//! Key files as they lie on disk: which are there, and whose they are, without opening any.
//!
//! Left out on purpose: secret halves. A public half beside a key is a hint that saves asking for a passphrase; whether
//! a key is the right one shows when it signs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_keys::key_file;
use sealpost_repository::{RepositoryEditor, RoleName, tuf_key_id};
use serde::Serialize;

use super::error::HomeError;

/// Most files of a folder that are looked at: a medium in a safe holds a few.
const MAX_FILES: usize = 4096;

/// Whether a key that has to sign lies where it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    Here,
    Absent,
    /// Its public half says that another key lies there.
    Other,
}

/// What signs a role, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyNeeded {
    /// The key; of a root the folder of its keys.
    pub place: PathBuf,
    pub state: KeyState,
    /// Keys that have to sign together.
    pub needed: u32,
    /// Keys that lie there.
    pub found: u32,
}

impl KeyNeeded {
    /// What signs a role of this repository, as far as can be seen without opening a key.
    #[must_use]
    pub fn of(editor: &RepositoryEditor, role: &RoleName, place: PathBuf) -> Self {
        let (ids, needed) = editor.keys_of(role).unwrap_or((&[], 1));
        if *role == RoleName::Root {
            let files = key_files(&place).unwrap_or_default();
            let fits = |path: &&PathBuf| named_id(path).is_none_or(|id| ids.contains(&id));
            let found = u32::try_from(files.iter().filter(fits).count()).unwrap_or(u32::MAX);
            let state = if found >= needed { KeyState::Here } else { KeyState::Absent };
            return Self { place, state, needed, found };
        }
        let state = match (place.is_file(), named_id(&place)) {
            (false, _) => KeyState::Absent,
            (true, Some(id)) if !ids.contains(&id) => KeyState::Other,
            (true, _) => KeyState::Here,
        };
        Self { place, state, needed, found: u32::from(state == KeyState::Here) }
    }
}

/// The key files of a folder, in the order of their names.
pub(super) fn key_files(folder: &Path) -> Result<Vec<PathBuf>, HomeError> {
    let failed = |source: io::Error| HomeError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)?.take(MAX_FILES) {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "key") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The TUF id of the key in a file, if its public half lies beside it.
pub(super) fn named_id(path: &Path) -> Option<String> {
    key_file::read_public(&path.with_extension("pub")).ok().map(|public| tuf_key_id(&public))
}
