//! Pairs that were made at random, out of numbers that are the same in every run.

use super::applied;
use super::memory::{Files, Memory, Out, entries};
use crate::apply::tree::apply;
use crate::apply::{Base, Lists, Progress};
use crate::container::layout::{Group, Subject};
use crate::limits::Limits;
use crate::list::folder_list;
use crate::plan::Plan;
use crate::testing::encoder::{Encoded, all_ways, delta, file_delta};
use crate::testing::{noise, text};

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    fn content(&mut self) -> Vec<u8> {
        let length = [0, 1, 17, 300, 5000, 70_000][self.below(6)];
        let seed = u32::try_from(self.below(1000)).unwrap();
        match self.below(3) {
            0 => noise(length, seed),
            1 => vec![7; length],
            _ => text(length, seed),
        }
    }

    /// Edits, insertions, removals, repetitions and swapped blocks.
    fn changed(&mut self, base: &[u8]) -> Vec<u8> {
        let mut target = base.to_vec();
        for _ in 0..self.below(8) {
            let (from, length) = (self.below(target.len()), self.below(400));
            let end = (from + length).min(target.len());
            match self.below(5) {
                0 => target[from..end].iter_mut().step_by(3).for_each(|byte| *byte = byte.wrapping_add(5)),
                1 => drop(target.splice(from..from, noise(length, 3))),
                2 => drop(target.drain(from..end)),
                3 => target.extend_from_within(from..end),
                _ => target.rotate_left(from),
            }
        }
        target
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

#[test]
fn files_come_back() {
    let mut random = Random(1);
    for round in 0..60 {
        let base = random.content();
        let target = if random.below(5) == 0 { random.content() } else { random.changed(&base) };
        for way in all_ways(&base, &target) {
            let result = applied(&base, &file_delta(&base, &target, &way)).unwrap().0;
            assert!(result == target, "{round}: {:?}", way.0);
        }
    }
}

/// A tree, and one that comes of it: renamed, changed, removed, new, doubled, links.
fn trees(random: &mut Random) -> (Files, Files) {
    let mut base = Files::new();
    for number in 0..random.below(12) {
        base.insert(format!("{}/{number}", random.below(3)), random.content());
    }
    base.insert("link".to_owned(), b"->0/1".to_vec());
    let mut target = Files::new();
    for (path, content) in &base {
        match random.below(7) {
            0 => {}
            1 => drop(target.insert(format!("{path}-renamed"), content.clone())),
            2 | 3 if !content.starts_with(b"->") => {
                target.insert(path.clone(), random.changed(content));
            }
            4 => drop(target.insert(path.clone(), b"->elsewhere".to_vec())),
            _ => drop(target.insert(path.clone(), content.clone())),
        }
    }
    for number in 0..random.below(4) {
        let new = random.content();
        target.insert(format!("new/{number}"), new.clone());
        if random.below(2) == 0 {
            target.insert(format!("new/{number}-again"), new);
        }
    }
    (base, target)
}

#[test]
fn trees_come_back() {
    let mut random = Random(2);
    for round in 0..60 {
        let (base, target) = trees(&mut random);
        let (old, new) = (entries(&base), entries(&target));
        let (old_list, new_list) = (folder_list(&old), folder_list(&new));
        let plan = Plan::new(&old, &new);
        let mut encoded: Vec<(Vec<u32>, Vec<u32>, Encoded)> =
            vec![(vec![], vec![], random.pick(&all_ways(&old_list, &new_list)))];
        let mut open: Vec<u32> = (0..u32::try_from(plan.open.len()).unwrap()).collect();
        while !open.is_empty() {
            let files: Vec<u32> = (0..=random.below(3).min(open.len() - 1))
                .map(|_| open.swap_remove(random.below(open.len())))
                .collect();
            let mut bases: Vec<u32> = Vec::new();
            if !plan.bases.is_empty() {
                bases.extend(
                    (0..random.below(4)).map(|_| u32::try_from(random.below(plan.bases.len())).unwrap()),
                );
            }
            let mut seen = std::collections::BTreeSet::new();
            bases.retain(|number| seen.insert(*number));
            let space: Vec<u8> =
                bases.iter().flat_map(|number| base[plan.base(*number).unwrap().path].clone()).collect();
            let made: Vec<u8> = files
                .iter()
                .flat_map(|number| target[plan.open_file(*number).unwrap().path].clone())
                .collect();
            let way = random.pick(&all_ways(&space, &made));
            encoded.push((files, bases, way));
        }
        let groups = encoded.iter().map(|(targets, bases, (codec, _))| Group {
            targets: targets.clone(),
            bases: bases.clone(),
            codec: codec.clone(),
        });
        let bodies: Vec<&[u8]> = encoded.iter().map(|(_, _, (_, body))| body.as_slice()).collect();
        let bytes = delta(Subject::Folder, &old_list, &new_list, groups.collect(), &bodies);
        let base = Base { files: &Memory(&base), list: &old_list, entries: &old };
        let mut out = Out { most: random.below(target.len() + 1), ..Out::new() };
        let go = |out: &mut Out| {
            let limits = Limits::default();
            apply(&base, bytes.as_slice(), &mut Lists::Folder, out, &limits, &mut |_: Progress| true)
        };
        // Killed somewhere, and gone on with.
        let first = go(&mut out);
        assert!(first.is_ok() || out.made == out.most, "{round}: {first:?}");
        out.most = usize::MAX;
        go(&mut out).unwrap();
        assert!(out.files == target, "{round}");
        assert_eq!(out.made, target.len());
    }
}
