//! A workspace as it was read: its crates, each with its manifest, its files and its modules.
//!
//! No file is touched here, so that each rule can be tried on small made-up input.

use super::breach::{Breach, Rule};
use super::manifest::Manifest;
use super::modules::{Modules, SourceFile};
use super::source::Source;

/// A workspace as it was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Workspace {
    pub(super) crates: Vec<Crate>,
    /// The pages that name tests.
    pub(super) pages: Vec<Page>,
}

/// A page of the project.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Relative to the workspace.
    pub(super) path: &'static str,
    pub(super) text: String,
}

/// One crate of the workspace.
#[derive(Debug, Clone)]
pub(super) struct Crate {
    /// Relative to the workspace, for example `distributor/site`.
    pub(super) folder: String,
    pub(super) manifest: Manifest,
    pub(super) files: Vec<SourceFile>,
    pub(super) modules: Modules,
}

impl Crate {
    /// Reads a crate's texts; the paths are relative to its folder.
    pub(super) fn read(folder: &str, cargo_toml: &str, texts: Vec<(String, String)>) -> Self {
        let files: Vec<SourceFile> = texts
            .into_iter()
            .map(|(path, text)| SourceFile { source: Source::read(&text), path, text })
            .collect();
        let modules = Modules::of(&files);
        Self { folder: folder.to_owned(), manifest: Manifest::read(cargo_toml), files, modules }
    }

    /// The files of `src` that are not for tests only, with their numbers.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &SourceFile)> {
        let files = self.files.iter().enumerate();
        files.filter(|(number, file)| file.path.starts_with("src/") && !self.modules.is_test(*number))
    }

    /// A breach in one of its files.
    pub(super) fn breach(&self, path: &str, what: String, rule: Rule) -> Breach {
        Breach { file: format!("{}/{path}", self.folder), what, rule }
    }
}

/// Whether a file is the module of this name at the crate's top, or stands under it.
pub(super) fn stands_under(path: &str, module: &str) -> bool {
    path.strip_prefix("src/")
        .and_then(|inner| inner.strip_prefix(module))
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Made-up crates for the rules' own tests.
#[cfg(test)]
pub(super) mod made_up {
    use super::Crate;

    /// A crate of these files, with a manifest that names nothing.
    pub(in super::super) fn crate_of(folder: &str, files: &[(&str, &str)]) -> Crate {
        let texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Crate::read(folder, "[package]\n", texts)
    }
}
