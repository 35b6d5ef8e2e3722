//! Which open files of a target go together, and which files of the base they are made of.
//!
//! A large file is a group of its own, so that several are made beside each other and each with its own kind of matching. All
//! smaller ones are one group: what they have in common is sent once.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{FileOf, Plan};

/// A file from here on is a group of its own.
const LARGE: u64 = 1 << 20;
/// Files of the base that are not a namesake of any open file: so many bytes of them are searched for new files.
const MOST_OTHERS: u64 = 32 << 20;

/// Files that are made together: numbers of open files, and of files of the base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Together {
    pub(super) targets: Vec<usize>,
    pub(super) bases: Vec<usize>,
}

/// Puts the open files together.
pub(super) fn groups(plan: &Plan<'_>) -> Vec<Together> {
    let bases = Bases::new(plan);
    let mut small = Together::default();
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    let mut groups = Vec::new();
    let mut some_are_new = false;
    for (open, number) in plan.open.iter().enumerate() {
        let Some((file, _)) = plan.targets.get(*number) else { continue };
        let base = bases.like(file);
        if file.length >= LARGE {
            groups.push(Together { targets: vec![open], bases: base.into_iter().collect() });
        } else {
            some_are_new |= base.is_none();
            small.targets.push(open);
            chosen.extend(base);
        }
    }
    if small.targets.is_empty() {
        return groups;
    }
    let mut bytes = 0;
    let others = bases.gone.iter().copied().chain(if some_are_new { 0..plan.bases.len() } else { 0..0 });
    for other in others {
        let Some(file) = plan.bases.get(other) else { continue };
        if bytes + file.length <= MOST_OTHERS && chosen.insert(other) {
            bytes += file.length;
        }
    }
    small.bases = chosen.into_iter().collect();
    groups.push(small);
    groups
}

/// The files of the base, to be found by what they are like.
struct Bases<'a> {
    by_path: BTreeMap<&'a str, usize>,
    /// By the last part of the path and the digits taken out of it: `lib-1.2.so` is like `lib-1.3.so`.
    by_name: BTreeMap<String, Vec<usize>>,
    /// Those whose path the target does not have.
    gone: Vec<usize>,
    lengths: Vec<u64>,
}

impl<'a> Bases<'a> {
    fn new(plan: &Plan<'a>) -> Self {
        let kept: BTreeSet<&str> = plan.targets.iter().map(|(file, _)| file.path).collect();
        let mut bases = Self {
            by_path: BTreeMap::new(),
            by_name: BTreeMap::new(),
            gone: Vec::new(),
            lengths: plan.bases.iter().map(|file| file.length).collect(),
        };
        for (number, file) in plan.bases.iter().enumerate() {
            bases.by_path.insert(file.path, number);
            bases.by_name.entry(stem(file.path)).or_default().push(number);
            if !kept.contains(file.path) {
                bases.gone.push(number);
            }
        }
        bases
    }

    /// The file that another one is most likely the next release of: its namesake, else of those with a name like its own one
    /// that is gone, else the one whose length is nearest.
    fn like(&self, file: &FileOf<'_>) -> Option<usize> {
        if let Some(number) = self.by_path.get(file.path) {
            return Some(*number);
        }
        let alike = self.by_name.get(&stem(file.path))?;
        let length = |number: &usize| self.lengths.get(*number).copied().unwrap_or_default();
        alike
            .iter()
            .copied()
            .min_by_key(|number| (!self.gone.contains(number), length(number).abs_diff(file.length)))
    }
}

/// The last part of a path without digits: versions and digests stand in names.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Entry, EntryKind};

    fn file(path: &str, content: u8, length: u64) -> Entry {
        Entry { path: path.to_owned(), kind: EntryKind::File { length, sha256: [content; 32], mode: 0o644 } }
    }

    #[test]
    fn large_files_stand_alone_and_small_ones_go_together_with_what_they_are_like() {
        let base = [
            file("a", 1, 10),
            file("big", 2, 2 << 20),
            file("lib/x-1.2.so", 3, 3 << 20),
            file("lib/x.so", 4, 4 << 20),
            file("same", 5, 10),
            file("went", 6, 10),
        ];
        let target = [
            file("a", 11, 10),
            file("big", 12, 2 << 20),
            file("lib/x-1.3.so", 13, 3 << 20),
            file("lib/x.so", 4, 4 << 20),
            file("same", 5, 10),
        ];
        let together =
            |targets: &[usize], bases: &[usize]| Together { targets: targets.into(), bases: bases.into() };
        let plan = Plan::new(&base, &target);
        // Of the base: `a`, and what is gone, among which a renamed file may be.
        let small = together(&[0], &[0, 2, 5]);
        assert_eq!(groups(&plan), [together(&[1], &[1]), together(&[2], &[2]), small]);
    }

    #[test]
    fn for_a_new_file_the_whole_base_is_searched() {
        let base = [file("a", 1, 10), file("b", 2, 10)];
        let target = [file("a", 1, 10), file("b", 2, 10), file("c", 3, 10)];
        let plan = Plan::new(&base, &target);
        assert_eq!(groups(&plan), [Together { targets: vec![0], bases: vec![0, 1] }]);
    }
}
