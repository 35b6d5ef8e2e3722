//! Which files of a target cost nothing, and which are open: makers and readers come to the same answer out of both lists.

use std::collections::BTreeMap;

use crate::tree::{Entry, EntryKind};

/// What is known of a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileOf<'a> {
    pub(crate) path: &'a str,
    pub(crate) length: u64,
    pub(crate) sha256: [u8; 32],
    pub(crate) mode: u32,
}

/// Where a target's file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Empty,
    /// A file of the base, by number among its regular files.
    Base(usize),
    /// An earlier file of the target, by number among its regular files.
    Earlier(usize),
    /// A group makes it.
    Open,
}

/// Both lists, compared.
pub(crate) struct Plan<'a> {
    /// Regular files of the base, in the order of the list.
    pub(crate) bases: Vec<FileOf<'a>>,
    /// Regular files of the target, in the order of the list.
    pub(crate) targets: Vec<(FileOf<'a>, Origin)>,
    /// The open ones, by number among them.
    pub(crate) open: Vec<usize>,
    /// Links of the target: path and text.
    pub(crate) links: Vec<(&'a str, &'a str)>,
    /// Paths of the base that the target does not have.
    pub(crate) removed: u64,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(base: &'a [Entry], target: &'a [Entry]) -> Self {
        let bases: Vec<FileOf<'a>> = base.iter().filter_map(file_of).collect();
        let mut by_path = BTreeMap::new();
        let mut by_content = BTreeMap::new();
        for (number, file) in bases.iter().enumerate() {
            by_path.insert(file.path, number);
            by_content.entry((file.length, file.sha256)).or_insert(number);
        }
        let same_path = |file: &FileOf<'_>| {
            let number = by_path.get(file.path).copied()?;
            let base = bases.get(number)?;
            (base.length == file.length && base.sha256 == file.sha256).then_some(number)
        };
        let mut targets: Vec<(FileOf<'a>, Origin)> = Vec::new();
        let mut open = Vec::new();
        let mut earlier = BTreeMap::new();
        for file in target.iter().filter_map(file_of) {
            let number = targets.len();
            let content = (file.length, file.sha256);
            let origin = if file.length == 0 {
                Origin::Empty
            } else if let Some(base) = same_path(&file).or_else(|| by_content.get(&content).copied()) {
                Origin::Base(base)
            } else if let Some(first) = earlier.get(&content) {
                Origin::Earlier(*first)
            } else {
                earlier.insert(content, number);
                open.push(number);
                Origin::Open
            };
            targets.push((file, origin));
        }
        let links = target.iter().filter_map(|entry| match &entry.kind {
            EntryKind::Symlink { target } => Some((entry.path.as_str(), target.as_str())),
            EntryKind::File { .. } => None,
        });
        let kept: std::collections::BTreeSet<&str> = target.iter().map(|entry| entry.path.as_str()).collect();
        let removed = base.iter().filter(|entry| !kept.contains(entry.path.as_str())).count();
        Self {
            links: links.collect(),
            removed: u64::try_from(removed).unwrap_or(u64::MAX),
            bases,
            targets,
            open,
        }
    }
}

fn file_of(entry: &Entry) -> Option<FileOf<'_>> {
    match &entry.kind {
        EntryKind::File { length, sha256, mode } => {
            Some(FileOf { path: &entry.path, length: *length, sha256: *sha256, mode: *mode })
        }
        EntryKind::Symlink { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: u8, length: u64) -> Entry {
        Entry { path: path.to_owned(), kind: EntryKind::File { length, sha256: [content; 32], mode: 0o644 } }
    }

    fn link(path: &str) -> Entry {
        Entry { path: path.to_owned(), kind: EntryKind::Symlink { target: "x".to_owned() } }
    }

    #[test]
    fn files_that_are_empty_known_or_made_before_are_not_open() {
        let base = [file("a", 1, 5), file("b", 1, 5), link("c"), file("d", 2, 5)];
        let target = [
            file("b", 1, 5),
            file("c", 1, 5),
            file("d", 3, 5),
            link("e"),
            file("f", 3, 5),
            file("g", 0, 0),
            file("h", 2, 5),
            file("i", 2, 6),
        ];
        let plan = Plan::new(&base, &target);
        let origins: Vec<Origin> = plan.targets.iter().map(|(_, origin)| *origin).collect();
        assert_eq!(
            origins,
            [
                Origin::Base(1),
                Origin::Base(0),
                Origin::Open,
                Origin::Earlier(2),
                Origin::Empty,
                Origin::Base(2),
                Origin::Open,
            ]
        );
        assert_eq!(plan.open, [2, 6]);
        assert_eq!((plan.links, plan.removed), (vec![("e", "x")], 1));
    }
}
