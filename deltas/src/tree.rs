//! What a tree of files is here: a folder and a sorted list of the files and links in it.
//!
//! Invariant: a checked list names each path once, no path lies beneath a file or a link, and no link
//! can lead out of the tree, whatever other links it passes through.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Longest path or link target, in bytes.
const MAX_PATH_BYTES: usize = 4096;
/// Permission bits that a file may have: no set-user-id, set-group-id or sticky bit.
const MODE_BITS: u32 = 0o777;

/// A folder on disk, and what is in it.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The folder that the entries are in.
    pub root: PathBuf,
    /// Every file and link in it that counts; folders are implied.
    pub entries: Vec<Entry>,
}

/// One file or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is: relative, with `/` between the parts.
    pub path: String,
    /// Whether it is a file or a link, and its content.
    pub kind: EntryKind,
}

impl Entry {
    /// A file as signed releases have it: everybody may read it, and run it or not.
    #[must_use]
    pub fn file(path: &str, length: u64, sha256: [u8; 32], executable: bool) -> Self {
        let mode = if executable { 0o755 } else { 0o644 };
        Self { path: path.to_owned(), kind: EntryKind::File { length, sha256, mode } }
    }

    /// A symbolic link.
    #[must_use]
    pub fn link(path: &str, target: &str) -> Self {
        Self { path: path.to_owned(), kind: EntryKind::Symlink { target: target.to_owned() } }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file and its content.
    File {
        /// Its length in bytes.
        length: u64,
        /// SHA-256 of its content.
        sha256: [u8; 32],
        /// Its permission bits, such as `0o644`.
        mode: u32,
    },
    /// A symbolic link and its text.
    Symlink {
        /// The text of the link: relative, and inside the tree.
        target: String,
    },
}

/// Why a list of entries is not a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeProblem {
    /// Absolute, with `..`, an empty part, a NUL or too long.
    #[error("the path {path:?} is not a plain relative path")]
    UnsafePath {
        /// The path, cut if it is very long.
        path: String,
    },
    /// The same path twice, or not in order.
    #[error("the path {path:?} stands twice or not in byte order")]
    OutOfOrder {
        /// The path in the list.
        path: String,
    },
    /// The path lies beneath something that is not a folder.
    #[error("the path {path:?} lies beneath a file or a link")]
    BeneathFile {
        /// The path in the list.
        path: String,
    },
    /// The link leads out of the tree, or could.
    #[error("the link {path:?} leads out of the tree, or passes a name before a `..`")]
    EscapingLink {
        /// The path in the list.
        path: String,
    },
    /// The mode has bits beyond reading, writing and executing.
    #[error("the file {path:?} has a mode with special bits")]
    SpecialMode {
        /// The path in the list.
        path: String,
    },
}

/// Checks a whole list: paths, order, links and modes.
pub(crate) fn check<'a>(
    entries: impl Iterator<Item = (&'a str, CheckKind<'a>)> + Clone,
) -> Result<(), TreeProblem> {
    let leaves: BTreeSet<&str> = entries.clone().map(|(path, _)| path).collect();
    let mut previous: Option<&str> = None;
    for (path, kind) in entries {
        if !is_plain(path) {
            return Err(TreeProblem::UnsafePath { path: path.chars().take(200).collect() });
        }
        if previous.is_some_and(|previous| previous.as_bytes() >= path.as_bytes()) {
            return Err(TreeProblem::OutOfOrder { path: path.to_owned() });
        }
        previous = Some(path);
        let beneath = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        if beneath.into_iter().any(|folder| leaves.contains(folder)) {
            return Err(TreeProblem::BeneathFile { path: path.to_owned() });
        }
        match kind {
            CheckKind::Link(target) if !link_stays_inside(path, target) => {
                return Err(TreeProblem::EscapingLink { path: path.to_owned() });
            }
            CheckKind::File(mode) if mode & !MODE_BITS != 0 => {
                return Err(TreeProblem::SpecialMode { path: path.to_owned() });
            }
            CheckKind::Link(_) | CheckKind::File(_) => {}
        }
    }
    Ok(())
}

/// As [`check`], for entries.
pub(crate) fn check_entries(entries: &[Entry]) -> Result<(), TreeProblem> {
    check(entries.iter().map(|entry| {
        let kind = match &entry.kind {
            EntryKind::File { mode, .. } => CheckKind::File(*mode),
            EntryKind::Symlink { target } => CheckKind::Link(target),
        };
        (entry.path.as_str(), kind)
    }))
}

/// What [`check`] needs to know of an entry.
#[derive(Clone, Copy)]
pub(crate) enum CheckKind<'a> {
    File(u32),
    Link(&'a str),
}

/// Whether a path is relative, and names every part of its way.
pub(crate) fn is_plain(path: &str) -> bool {
    path.len() <= MAX_PATH_BYTES
        && !path.contains('\0')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Whether a link cannot leave the tree. A `..` is accepted only at the beginning, where it climbs real
/// folders: after a name it might climb from wherever another link has led.
fn link_stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.len() > MAX_PATH_BYTES || target.starts_with('/') || target.contains('\0')
    {
        return false;
    }
    let mut depth = path.matches('/').count();
    let mut named = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if named || depth == 0 => return false,
            ".." => depth -= 1,
            _ => named = true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(list: &[(&'static str, CheckKind<'static>)]) -> Option<TreeProblem> {
        check(list.iter().copied()).err()
    }

    const FILE: CheckKind<'static> = CheckKind::File(0o644);

    #[test]
    fn a_plain_sorted_list_is_a_tree() {
        let list =
            [("a", FILE), ("d/b", CheckKind::Link("../a")), ("d/c/x", CheckKind::Link("y")), ("d/c/y", FILE)];
        assert_eq!(problem(&list), None);
    }

    #[test]
    fn paths_that_could_leave_the_tree_are_refused() {
        for path in ["", "/a", "a/", "a//b", "./a", "a/../b", "..", "a\0b", &"x".repeat(5000)] {
            assert!(!is_plain(path), "{path:?}");
        }
    }

    #[test]
    fn links_that_could_leave_the_tree_are_refused() {
        for (path, target) in [
            ("x", "/etc/passwd"),
            ("x", ".."),
            ("a/x", "../../b"),
            ("x", "a/../../b"),
            // If p/q/x leads to the root of the tree, this leads out of it.
            ("y", "p/q/x/.."),
            ("x", ""),
            ("x", "a\0"),
        ] {
            assert!(!link_stays_inside(path, target), "{path} -> {target:?}");
        }
        assert!(link_stays_inside("p/q/x", "../.."));
    }

    #[test]
    fn doubles_disorder_and_paths_beneath_files_or_links_are_refused() {
        assert!(matches!(problem(&[("a", FILE), ("a", FILE)]), Some(TreeProblem::OutOfOrder { .. })));
        assert!(matches!(problem(&[("b", FILE), ("a", FILE)]), Some(TreeProblem::OutOfOrder { .. })));
        assert!(matches!(problem(&[("a", FILE), ("a/b", FILE)]), Some(TreeProblem::BeneathFile { .. })));
        let link = CheckKind::Link("d");
        assert!(matches!(
            problem(&[("a", link), ("a.x", FILE), ("a/b", FILE)]),
            Some(TreeProblem::BeneathFile { .. })
        ));
        assert!(matches!(problem(&[("a", CheckKind::File(0o4755))]), Some(TreeProblem::SpecialMode { .. })));
    }
}
