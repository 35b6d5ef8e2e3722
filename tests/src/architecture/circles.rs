//! No circle of files inside a crate: a file that uses another is not used by it, neither directly nor through others.
//!
//! A `mod` line uses nothing. A parent's `pub use child::Item` uses the child, so a child of such a parent that uses
//! `super::Item` of the parent closes a circle, unless the parent is a table of contents (see `modules`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::breach::{Breach, Rule};
use super::crates::Crate;

/// Which file uses which, and by which paths.
type Graph = BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>>;

/// Reports each circle once, with its files in order and the paths between them.
pub(super) fn check(found: &Crate) -> Vec<Breach> {
    let mut graph = Graph::new();
    for reference in found.modules.references(&found.files) {
        let Some(to) = reference.to.filter(|to| *to != reference.from && !found.modules.is_test(*to)) else {
            continue;
        };
        graph.entry(reference.from).or_default().entry(to).or_default().insert(reference.written);
    }
    circles(&graph)
        .into_iter()
        .filter_map(|circle| {
            let first = *circle.iter().min_by_key(|file| &found.files[**file].path)?;
            let what = describe(found, &graph, &circle, first);
            Some(found.breach(&found.files[first].path, what, Rule::Circles))
        })
        .collect()
}

/// The sets of files in which each leads to each.
fn circles(graph: &Graph) -> Vec<BTreeSet<usize>> {
    let reach: BTreeMap<usize, BTreeSet<usize>> =
        graph.keys().map(|file| (*file, reachable(graph, *file))).collect();
    let leads = |from: &usize, to: &usize| reach.get(from).is_some_and(|reached| reached.contains(to));
    let mut circles: Vec<BTreeSet<usize>> = Vec::new();
    for file in graph.keys().filter(|file| leads(file, file)) {
        if !circles.iter().any(|circle| circle.contains(file)) {
            circles.push(
                graph.keys().filter(|other| leads(file, other) && leads(other, file)).copied().collect(),
            );
        }
    }
    circles
}

fn reachable(graph: &Graph, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(file) = waiting.pop() {
        let next = graph.get(&file).into_iter().flat_map(BTreeMap::keys);
        waiting.extend(next.filter(|next| reached.insert(**next)));
    }
    reached
}

/// A shortest ring through the first file, then the paths of the circle that are not part of it.
fn describe(found: &Crate, graph: &Graph, circle: &BTreeSet<usize>, first: usize) -> String {
    let name = |file: usize| found.files[file].path.trim_start_matches("src/");
    let by = |from: usize, to: usize| {
        let paths = graph.get(&from).and_then(|edges| edges.get(&to)).into_iter().flatten();
        paths.cloned().collect::<Vec<_>>().join(", ")
    };
    let ring = ring(graph, circle, first);
    let edges: Vec<(usize, usize)> = ring.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let mut text = name(first).to_owned();
    for (from, to) in &edges {
        text.push_str(&format!(" -> {} (by {})", name(*to), by(*from, *to)));
    }
    let targets =
        |from: &usize| graph.get(from).into_iter().flat_map(BTreeMap::keys).copied().collect::<Vec<_>>();
    let others = circle.iter().flat_map(|from| targets(from).into_iter().map(|to| (*from, to)));
    for (from, to) in others.filter(|(from, to)| circle.contains(to) && !edges.contains(&(*from, *to))) {
        text.push_str(&format!("; {} -> {} (by {})", name(from), name(to), by(from, to)));
    }
    format!("is in a circle of {} files: {text}", circle.len())
}

/// A shortest way from a file back to itself, with the file at both ends.
fn ring(graph: &Graph, circle: &BTreeSet<usize>, first: usize) -> Vec<usize> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut waiting = VecDeque::from([first]);
    while let Some(file) = waiting.pop_front() {
        for next in graph.get(&file).into_iter().flat_map(BTreeMap::keys).filter(|next| circle.contains(next))
        {
            if came_from.contains_key(next) {
                continue;
            }
            came_from.insert(*next, file);
            waiting.push_back(*next);
        }
    }
    let mut ring = vec![first];
    while let Some(before) = ring.last().and_then(|file| came_from.get(file)) {
        ring.push(*before);
        if *before == first {
            break;
        }
    }
    ring.reverse();
    ring
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::crates::made_up::crate_of;

    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        check(&crate_of("keys", files)).into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn two_files_that_use_each_other_are_one_circle_with_its_paths() {
        let lib = ("src/lib.rs", "mod a; mod b;");
        let a = ("src/a.rs", "use crate::b::B; pub struct A;");
        for b in [
            "use super::a::A; pub struct B;",
            "use super::a; pub struct B;",
            "use self::super::a::A; pub struct B;",
            "pub struct B; fn f() { crate::a::A; }",
            "use crate::{a::{self, A}}; pub struct B;",
            "pub struct B; fn f() { use super::a::A; }",
            "pub struct B; mod inner { use super::super::a::A; }",
        ] {
            let found = circles_of(&[lib, a, ("src/b.rs", b)]);
            assert_eq!(found.len(), 1, "{b}");
            assert!(
                found[0].starts_with("is in a circle of 2 files: a.rs -> b.rs (by crate::b::B)"),
                "{}",
                found[0]
            );
        }
    }

    #[test]
    fn a_path_one_way_only_is_no_circle() {
        let lib = ("src/lib.rs", "mod a; mod b; mod c;");
        let files = [lib, ("src/a.rs", "use crate::b; use crate::c;"), ("src/b.rs", "use crate::c::C;")];
        let c = (
            "src/c.rs",
            "use serde::Serialize; use self::inner::D; pub struct C; mod inner { use super::C; }",
        );
        assert!(circles_of(&[files[0], files[1], files[2], c]).is_empty());
    }

    #[test]
    fn three_files_in_a_ring_are_text_in_order_and_once() {
        let found = circles_of(&[
            ("src/lib.rs", "mod a; mod b; mod c; mod d;"),
            ("src/a.rs", "use crate::b::B;"),
            ("src/b.rs", "use crate::c::C; use crate::a::A;"),
            ("src/c.rs", "use crate::a::A;"),
            ("src/d.rs", "use crate::a::A;"),
        ]);
        assert_eq!(
            found,
            ["is in a circle of 3 files: a.rs -> b.rs (by crate::b::B) -> a.rs (by crate::a::A); \
                 b.rs -> c.rs (by crate::c::C); c.rs -> a.rs (by crate::a::A)"]
        );
    }

    #[test]
    fn a_child_that_uses_an_item_of_a_parent_that_uses_the_child_is_a_circle() {
        let child = ("src/a/child.rs", "use super::Item; pub struct Part;");
        for parent in [
            "mod child; use child::Part; pub struct Item;",
            "mod child; pub use self::child::Part; pub struct Item;",
            "mod child; pub struct Item; fn f() { child::run() }",
        ] {
            for path in ["src/a.rs", "src/a/mod.rs"] {
                let found = circles_of(&[("src/lib.rs", "pub mod a;"), (path, parent), child]);
                assert_eq!(found.len(), 1, "{parent}");
            }
        }
        let parent = ("src/a.rs", "mod child; pub struct Item;");
        assert!(circles_of(&[("src/lib.rs", "pub mod a;"), parent, child]).is_empty());
    }

    #[test]
    fn a_table_of_contents_is_read_through_to_the_file_that_defines_the_item() {
        let contents = "//! Docs.\nmod one; mod two; pub use one::One; pub use two::{Two as Second, *};";
        let files = |one, two| [("src/lib.rs", contents), ("src/one.rs", one), ("src/two.rs", two)];
        assert!(circles_of(&files("pub struct One;", "use super::One; pub struct Two;")).is_empty());
        assert!(circles_of(&files("use super::Unknown; pub struct One;", "use crate as own;")).is_empty());
        for one in ["use super::Second; pub struct One;", "use crate::Other; pub struct One;"] {
            let found = circles_of(&files(one, "use crate::One; pub struct Two; pub struct Other;"));
            assert_eq!(found.len(), 1, "{one}");
            assert!(found[0].starts_with("is in a circle of 2 files: one.rs -> two.rs"), "{}", found[0]);
        }
    }

    #[test]
    fn a_parent_with_content_of_its_own_is_the_file_that_a_re_export_leads_to() {
        let parent = "mod one; mod two; pub use one::One; pub const LIMIT: u8 = 1;";
        let found = circles_of(&[
            ("src/lib.rs", parent),
            ("src/one.rs", "use super::LIMIT; pub struct One;"),
            ("src/two.rs", "use super::One;"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("lib.rs -> one.rs (by one::One) -> lib.rs (by super::LIMIT)"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn what_only_tests_use_makes_no_circle() {
        let files = |b| [("src/lib.rs", "mod a; mod b;"), ("src/a.rs", "use crate::b::B;"), ("src/b.rs", b)];
        assert!(circles_of(&files("#[cfg(test)] mod tests { use crate::a::A; }")).is_empty());
        assert!(circles_of(&files("#[cfg(test)] use crate::a::A; pub struct B;")).is_empty());
        let tested = ("src/b/tests.rs", "use crate::a::A; pub fn fixture() {}");
        let [lib, a, b] = files("#[cfg(test)] mod tests; #[cfg(test)] fn f() { tests::fixture() }");
        assert!(circles_of(&[lib, a, b, tested]).is_empty());
    }

    #[test]
    fn a_program_uses_its_library_by_name_and_makes_no_circle_with_it() {
        let main = ("src/main.rs", "mod a; use crate::a::A; fn main() { sealpost_keys::run() }");
        let files = [("src/lib.rs", "pub mod b; pub fn run() {}"), main, ("src/a.rs", "pub struct A;")];
        assert!(circles_of(&[files[0], files[1], files[2], ("src/b.rs", "use crate::run;")]).is_empty());
    }
}
