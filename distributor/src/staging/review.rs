//! What changes from one release to another, file by file. Pure: computed from the file lists of the two manifests.

use std::collections::BTreeMap;

use sealpost_manifests::release::{FileEntry, FileKind};

use sealpost_admin_api::updates::{ChangedFile, Difference};

/// The paths that are added, changed and removed between two file lists.
pub(super) fn difference(before: &[FileEntry], after: &[FileEntry]) -> Difference {
    let old: BTreeMap<&str, &FileEntry> = before.iter().map(|entry| (entry.path.as_str(), entry)).collect();
    let new: BTreeMap<&str, &FileEntry> = after.iter().map(|entry| (entry.path.as_str(), entry)).collect();
    let mut difference = Difference {
        bytes_before: before.iter().map(bytes).fold(0, u64::saturating_add),
        bytes_after: after.iter().map(bytes).fold(0, u64::saturating_add),
        ..Difference::default()
    };
    for entry in after {
        match old.get(entry.path.as_str()) {
            None => difference.added.push(ChangedFile {
                path: entry.path.clone(),
                bytes_before: None,
                bytes_after: Some(bytes(entry)),
                remarks: added_remarks(entry),
            }),
            Some(was) if was.kind == entry.kind => difference.unchanged += 1,
            Some(was) => difference.changed.push(ChangedFile {
                path: entry.path.clone(),
                bytes_before: Some(bytes(was)),
                bytes_after: Some(bytes(entry)),
                remarks: changed_remarks(was, entry),
            }),
        }
    }
    for entry in before.iter().filter(|entry| !new.contains_key(entry.path.as_str())) {
        difference.removed.push(ChangedFile {
            path: entry.path.clone(),
            bytes_before: Some(bytes(entry)),
            bytes_after: None,
            remarks: Vec::new(),
        });
    }
    difference
}

const fn bytes(entry: &FileEntry) -> u64 {
    match entry.kind {
        FileKind::File { length, .. } => length,
        FileKind::Symlink { .. } => 0,
    }
}

fn added_remarks(entry: &FileEntry) -> Vec<String> {
    match &entry.kind {
        FileKind::File { executable: true, .. } => vec!["executable".to_owned()],
        FileKind::File { .. } => Vec::new(),
        FileKind::Symlink { target } => vec![format!("link to {target}")],
    }
}

fn changed_remarks(was: &FileEntry, is: &FileEntry) -> Vec<String> {
    match (&was.kind, &is.kind) {
        (
            FileKind::File { executable: before, sha256: old, .. },
            FileKind::File { executable: after, sha256: new, .. },
        ) => {
            let mut remarks = Vec::new();
            match (before, after) {
                (false, true) => remarks.push("becomes executable".to_owned()),
                (true, false) => remarks.push("is no longer executable".to_owned()),
                _ => {}
            }
            if old == new {
                remarks.push("same content".to_owned());
            }
            remarks
        }
        (FileKind::Symlink { target: old }, FileKind::Symlink { target: new }) => {
            vec![format!("link to {new}, was to {old}")]
        }
        (_, FileKind::Symlink { target }) => vec![format!("becomes a link to {target}")],
        (FileKind::Symlink { target }, _) => vec![format!("was a link to {target}")],
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::RelativePath;

    use super::*;

    fn file(path: &str, content: &str, executable: bool) -> FileEntry {
        let kind = FileKind::File {
            executable,
            length: content.len() as u64,
            sha256: Sha256Digest::of(content.as_bytes()),
        };
        FileEntry { path: RelativePath::new(path).unwrap(), kind }
    }

    fn link(path: &str, target: &str) -> FileEntry {
        FileEntry {
            path: RelativePath::new(path).unwrap(),
            kind: FileKind::Symlink { target: target.to_owned() },
        }
    }

    fn names(files: &[ChangedFile]) -> Vec<(&str, &[String])> {
        files.iter().map(|file| (file.path.as_str(), file.remarks.as_slice())).collect()
    }

    #[test]
    fn every_path_is_added_changed_removed_or_the_same() {
        let before =
            [file("a", "old", false), file("b", "same", false), file("gone", "x", false), link("l", "a")];
        let after =
            [file("a", "newer", false), file("b", "same", false), link("l", "b"), file("new", "12", true)];
        let difference = difference(&before, &after);
        assert_eq!(names(&difference.added), [("new", &["executable".to_owned()][..])]);
        assert_eq!(
            names(&difference.changed),
            [("a", &[][..]), ("l", &["link to b, was to a".to_owned()][..])]
        );
        assert_eq!(names(&difference.removed), [("gone", &[][..])]);
        assert_eq!(difference.unchanged, 1);
        assert_eq!((difference.bytes_before, difference.bytes_after), (3 + 4 + 1, 5 + 4 + 2));
        assert_eq!(difference.changed[0].bytes_before, Some(3));
    }

    #[test]
    fn a_file_that_becomes_executable_is_pointed_out() {
        let difference = difference(&[file("a", "x", false)], &[file("a", "x", true)]);
        let remarks = &difference.changed[0].remarks;
        assert_eq!(remarks, &["becomes executable", "same content"]);
        let difference = super::difference(&[file("a", "x", false)], &[link("a", "b")]);
        assert_eq!(difference.changed[0].remarks, ["becomes a link to b"]);
    }

    #[test]
    fn a_first_release_adds_everything() {
        let difference = difference(&[], &[file("a", "x", false), file("b", "y", false)]);
        assert_eq!((difference.added.len(), difference.unchanged), (2, 0));
        assert!(difference.changed.is_empty() && difference.removed.is_empty());
    }
}
