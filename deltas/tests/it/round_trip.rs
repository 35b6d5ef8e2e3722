//! Base and delta give the target, and the delta is as small as its parts allow.

use std::fs;

use sealpost_deltas::{Limits, MakeError};

use crate::{applied, folder, golden, listing, made, make_of, small_pair, tree};

#[test]
fn base_and_delta_give_the_target_with_every_kind_of_step() {
    let (base, target) = small_pair();
    let (delta, summary) = made(base.path(), target.path());
    assert_eq!((summary.unchanged, summary.patched, summary.whole), (2, 2, 1));
    assert_eq!((summary.links, summary.removed), (1, 2));
    assert_eq!(summary.bytes, delta.len() as u64);
    let (result, again) = applied(base.path(), delta.as_slice(), &Limits::default()).unwrap();
    assert_eq!(result, listing(target.path()));
    assert_eq!(again, summary);
}

#[test]
fn the_same_trees_give_the_same_delta() {
    let (base, target) = small_pair();
    assert_eq!(made(base.path(), target.path()).0, made(base.path(), target.path()).0);
}

#[test]
fn the_frozen_delta_stays_applicable() {
    let (base, target) = small_pair();
    let frozen = golden("delta-v1.bin");
    let (result, _) = applied(base.path(), frozen.as_slice(), &Limits::default()).unwrap();
    assert_eq!(result, listing(target.path()));
}

#[test]
fn a_small_change_in_a_large_file_makes_a_small_delta() {
    let mut number = 1u32;
    let mut next = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        number.to_be_bytes()[0]
    };
    let old: Vec<u8> = std::iter::repeat_with(&mut next).take(300_000).collect();
    let mut new = old.clone();
    new.splice(150_000..150_010, b"a few other bytes".iter().copied());
    let (base, target) = (folder(&[("f", &old)]), folder(&[("f", &new)]));
    let (delta, summary) = made(base.path(), target.path());
    assert_eq!(summary.patched, 1);
    assert!(delta.len() < 3000, "{} bytes", delta.len());
    let (result, _) = applied(base.path(), delta.as_slice(), &Limits::default()).unwrap();
    assert_eq!(result, listing(target.path()));
}

#[test]
fn a_link_that_replaces_a_file_and_a_folder_that_replaces_a_link_go_through() {
    let base = folder(&[("a", b"file"), ("b", b"->a"), ("c/d", b"x")]);
    let target = folder(&[("a", b"->c"), ("b/a", b"file"), ("c", b"x")]);
    let (delta, _) = made(base.path(), target.path());
    let (result, _) = applied(base.path(), delta.as_slice(), &Limits::default()).unwrap();
    assert_eq!(result, listing(target.path()));
}

#[test]
fn a_disk_that_changed_beneath_its_list_is_found_when_the_delta_is_made() {
    for changed in ["bin/program", "data/new"] {
        let (base, target) = small_pair();
        let lists = (tree(base.path()), tree(target.path()));
        fs::write(target.path().join(changed), b"other").unwrap();
        let refused = make_of(&lists.0, &lists.1, &mut Vec::new()).unwrap_err();
        assert!(matches!(refused, MakeError::Differs { path } if path == changed));
    }
    let (base, target) = small_pair();
    let lists = (tree(base.path()), tree(target.path()));
    fs::write(base.path().join("bin/program"), b"other").unwrap();
    let refused = make_of(&lists.0, &lists.1, &mut Vec::new()).unwrap_err();
    assert!(matches!(refused, MakeError::Differs { .. }));
}

#[test]
fn a_target_with_an_escaping_link_is_refused_when_the_delta_is_made() {
    let base = folder(&[]);
    let target = folder(&[("a", b"->../outside")]);
    let refused = make_of(&tree(base.path()), &tree(target.path()), &mut Vec::new());
    assert!(matches!(refused, Err(MakeError::UnsafeTree(_))));
}
