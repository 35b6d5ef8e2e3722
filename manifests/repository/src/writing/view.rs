//! A repository as it is published now, for who only looks: no lock is taken, and nobody is waited for or held up.
//!
//! Invariant: everything belongs to one publication. The timestamp is replaced in one step, and the files that it leads to
//! are never changed or removed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::writing::editor::RepositoryEditor;
use crate::writing::load::{Folder, LoadError};
use crate::writing::role::Lifetimes;

/// What a repository says, verified from the pinned root, expired or not. Nothing can be changed through it.
#[derive(Debug)]
pub struct RepositoryView {
    editor: RepositoryEditor,
}

impl RepositoryView {
    /// Reads the repository in a folder, as [`RepositoryEditor::load`] does, also while another program changes it.
    ///
    /// # Errors
    /// [`LoadError`] if anything is missing, damaged, not signed as it must be, or written by a tool that knows more.
    pub fn load(folder: &Path, pinned_root: &[u8], lifetimes: Lifetimes) -> Result<Self, LoadError> {
        // Which versions are used up matters to who signs.
        let editor =
            RepositoryEditor::of_folder(Folder::view(folder), pinned_root, lifetimes, BTreeMap::new())?;
        Ok(Self { editor })
    }
}

impl AsRef<RepositoryEditor> for RepositoryView {
    fn as_ref(&self) -> &RepositoryEditor {
        &self.editor
    }
}
