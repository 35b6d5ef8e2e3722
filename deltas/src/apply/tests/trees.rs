use super::memory::{Files, Memory, Out, entries, files};
use crate::apply::target_list::read_list;
use crate::apply::tree::apply;
use crate::apply::{ApplyError, Base, Lists, Progress};
use crate::container::layout::{Codec, Group, Packed, Packing, Subject};
use crate::limits::Limits;
use crate::list::folder_list;
use crate::summary::Summary;
use crate::testing::encoder::{Encoded, covers, delta, find_covers, head_unpacked, prefix, whole};
use crate::testing::{noise, text};

fn base_files() -> Files {
    files(&[
        ("a/same", b"unchanged"),
        ("a/old-name", &text(3000, 9)),
        ("b/program", &noise(200_000, 1)),
        ("b/text", &text(20_000, 2)),
        ("b/text2", &text(20_000, 3)),
        ("gone", b"not in the target"),
        ("link", b"->a/same"),
    ])
}

fn target_files() -> Files {
    let base = base_files();
    let mut program = base["b/program"].clone();
    program[77_000] ^= 1;
    program.splice(100_000..100_000, noise(300, 5));
    let new = text(700, 7);
    let text = [&base["b/text"][..10_000], b"a new line\n", &base["b/text"][10_000..]].concat();
    let text2 = [b"begins anew\n", &base["b/text2"][..]].concat();
    files(&[
        ("a/new-name", &base["a/old-name"]),
        ("a/same", b"unchanged"),
        ("b/link", b"->program"),
        ("b/program", &program),
        ("b/program.copy", &program),
        ("b/text", &text),
        ("b/text2", &text2),
        ("c/empty", b""),
        ("c/new", &new),
        ("link", b"->b/text"),
    ])
}

/// Numbers of open files, and of the base's files, and how the one comes of the other.
fn group(targets: &[u32], bases: &[u32], (codec, body): Encoded) -> (Group, Vec<u8>) {
    (Group { targets: targets.to_vec(), bases: bases.to_vec(), codec }, body)
}

/// The groups that lead from one to the other: open are program, text, text2 and new.
fn groups(base: &Files, target: &Files) -> Vec<(Group, Vec<u8>)> {
    let joined = |files: &Files, paths: &[&str]| {
        paths.iter().flat_map(|path| files[*path].clone()).collect::<Vec<u8>>()
    };
    let (old, new) = (joined(base, &["b/text2", "b/text"]), joined(target, &["b/text", "b/text2"]));
    let (program, changed) = (&base["b/program"], &target["b/program"]);
    vec![
        group(&[1, 2], &[4, 3], prefix(&old, &new)),
        group(&[0], &[2], covers(program, changed, &find_covers(program, changed), false, Packing::Zstd)),
        group(&[3], &[], whole(&target["c/new"], Packing::Lzma2)),
    ]
}

/// The delta of a tree; the list is made out of the other one.
fn tree_delta(base: &Files, target: &Files, subject: Subject, groups: Vec<(Group, Vec<u8>)>) -> Vec<u8> {
    let (old, new) = (folder_list(&entries(base)), folder_list(&entries(target)));
    let list = group(&[], &[], covers(&old, &new, &find_covers(&old, &new), true, Packing::Lzma2));
    let (groups, bodies): (Vec<Group>, Vec<Vec<u8>>) = std::iter::once(list).chain(groups).unzip();
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    delta(subject, &old, &new, groups, &bodies)
}

fn honest() -> Vec<u8> {
    let (base, target) = (base_files(), target_files());
    tree_delta(&base, &target, Subject::Folder, groups(&base, &target))
}

fn apply_with(
    files: &Files,
    list: &Files,
    delta: &[u8],
    lists: &mut Lists<'_>,
    out: &mut Out,
) -> Result<Summary, ApplyError> {
    let entries = entries(list);
    let base = Base { files: &Memory(files), list: &folder_list(&entries), entries: &entries };
    apply(&base, delta, lists, out, &Limits::default(), &mut |_: Progress| true)
}

fn applied(delta: &[u8], out: &mut Out) -> Result<Summary, ApplyError> {
    apply_with(&base_files(), &base_files(), delta, &mut Lists::Folder, out)
}

#[test]
fn base_and_delta_give_the_tree() {
    let delta = honest();
    let mut out = Out::new();
    let summary = applied(&delta, &mut out).unwrap();
    assert!(out.files == target_files());
    let target = target_files();
    let target_bytes = target.values().filter(|content| !content.starts_with(b"->"));
    let expected = Summary {
        unchanged: 3,
        patched: 3,
        whole: 2,
        links: 2,
        removed: 2,
        kept: 0,
        bytes: delta.len() as u64,
        target_bytes: target_bytes.map(|content| content.len() as u64).sum(),
    };
    assert_eq!(summary, expected);
}

#[test]
fn a_kill_at_any_file_is_gone_on_from_there() {
    let delta = honest();
    for most in 0..=target_files().len() {
        let mut out = Out { most, ..Out::new() };
        let first = applied(&delta, &mut out);
        assert_eq!(first.is_ok(), most == target_files().len());
        if let Err(error) = first {
            assert!(matches!(error, ApplyError::Target { .. }), "{error}");
        }
        out.most = usize::MAX;
        let kept = out.files.keys().filter(|path| !out.files[*path].starts_with(b"->")).count();
        let summary = applied(&delta, &mut out).unwrap();
        assert_eq!(summary.kept, kept as u64);
        assert_eq!(out.made, target_files().len(), "nothing is made twice");
        assert!(out.files == target_files());
    }
}

#[test]
fn a_group_whose_files_are_all_there_is_not_decoded() {
    let (base, target) = (base_files(), target_files());
    let mut broken = groups(&base, &target);
    for (_, body) in &mut broken {
        body.iter_mut().for_each(|byte| *byte ^= 0x55);
    }
    let delta = tree_delta(&base, &target, Subject::Folder, broken);
    assert!(applied(&delta, &mut Out::new()).is_err());
    let mut out = Out { files: target, ..Out::new() };
    let summary = applied(&delta, &mut out).unwrap();
    assert_eq!((out.made, summary.kept), (0, 8));
}

#[test]
fn the_manifest_is_verified_before_anything_is_written() {
    let (base, target) = (base_files(), target_files());
    let delta = tree_delta(&base, &target, Subject::Manifest, groups(&base, &target));
    let mut seen = Vec::new();
    let mut accept = |bytes: &[u8]| {
        seen = bytes.to_vec();
        Ok(entries(&target))
    };
    let mut out = Out::new();
    apply_with(&base, &base, &delta, &mut Lists::Manifest(&mut accept), &mut out).unwrap();
    assert_eq!(seen, folder_list(&entries(&target)));
    assert!(out.files == target);
    let mut refuse = |_: &[u8]| Err("not signed".into());
    let mut out = Out::new();
    let refused = apply_with(&base, &base, &delta, &mut Lists::Manifest(&mut refuse), &mut out);
    assert!(matches!(refused, Err(ApplyError::List(source)) if source.to_string() == "not signed"));
    assert_eq!(out.made, 0);
    assert!(matches!(applied(&delta, &mut out), Err(ApplyError::AnotherSubject { .. })));
    let mut any = |_: &[u8]| Ok(Vec::new());
    let refused = apply_with(&base, &base, &honest(), &mut Lists::Manifest(&mut any), &mut out);
    assert!(matches!(refused, Err(ApplyError::AnotherSubject { .. })));
}

#[test]
fn the_list_of_a_release_is_read_out_of_the_beginning_of_a_delta_alone() {
    let (base, target) = (base_files(), target_files());
    let delta = tree_delta(&base, &target, Subject::Manifest, groups(&base, &target));
    let list = folder_list(&entries(&base));
    let read = |list: &[u8], delta: &[u8], limits: &Limits| read_list(list, delta, limits, &mut |_| true);
    let expected = folder_list(&entries(&target));
    let limits = Limits::default();
    assert_eq!(read(&list, &delta, &limits).unwrap(), expected);
    let enough = (0..delta.len()).find(|length| read(&list, &delta[..*length], &limits).is_ok()).unwrap();
    assert!(enough < delta.len(), "the bodies of the files are not needed");
    assert_eq!(read(&list, &delta[..enough], &limits).unwrap(), expected);
    assert!(matches!(read(&expected, &delta, &limits), Err(ApplyError::AnotherBase { .. })));
    assert!(matches!(read(&list, &honest(), &limits), Err(ApplyError::AnotherSubject { .. })));
    let short = Limits { list_bytes: expected.len() as u64 - 1, ..limits };
    assert!(matches!(read(&list, &delta, &short), Err(ApplyError::TooLarge { .. })));
    let stopped = read_list(&list, delta.as_slice(), &limits, &mut |_| false);
    assert!(matches!(stopped, Err(ApplyError::Cancelled)));
}

#[test]
fn a_list_that_leads_out_of_the_tree_is_refused_before_anything_is_written() {
    for (path, content) in [("../x", b"x".as_slice()), ("/x", b"x"), ("x", b"->/etc/passwd"), ("a", b"x")] {
        let base = base_files();
        let mut target = target_files();
        target.insert(path.to_owned(), content.to_vec());
        let delta = tree_delta(&base, &target, Subject::Folder, vec![]);
        let mut out = Out::new();
        let refused = applied(&delta, &mut out);
        assert!(matches!(refused, Err(ApplyError::UnsafeTree(_))), "{path}: {refused:?}");
        assert_eq!(out.made, 0);
    }
}

#[test]
fn groups_that_make_an_open_file_twice_or_not_or_name_others_are_refused() {
    let (base, target) = (base_files(), target_files());
    type Change = fn(&mut Vec<(Group, Vec<u8>)>);
    let changes: [Change; 7] = [
        |groups| drop(groups.pop()),
        |groups| groups[2].0.targets = vec![0],
        |groups| groups[0].0.targets = vec![1, 1],
        |groups| groups[2].0.targets = vec![4],
        |groups| groups[0].0.bases = vec![4, 6],
        |groups| groups[0].0.bases = vec![4, u32::MAX],
        |groups| groups.push(groups[2].clone()),
    ];
    for change in changes {
        let mut changed = groups(&base, &target);
        change(&mut changed);
        let delta = tree_delta(&base, &target, Subject::Folder, changed);
        let mut out = Out::new();
        assert!(matches!(applied(&delta, &mut out), Err(ApplyError::Damaged)));
        assert_eq!(out.made, 0);
    }
}

#[test]
fn a_file_of_the_base_that_differs_is_named() {
    for (path, expected) in
        [("a/same", true), ("a/old-name", true), ("b/program", true), ("b/text2", true), ("gone", false)]
    {
        let mut changed = base_files();
        let content = changed.get_mut(path).unwrap();
        content.iter_mut().for_each(|byte| *byte ^= 1);
        let result = apply_with(&changed, &base_files(), &honest(), &mut Lists::Folder, &mut Out::new());
        let named = matches!(&result, Err(ApplyError::BaseDiffers { path: named }) if named == path);
        assert_eq!(named, expected, "{path}: {result:?}");
        assert_eq!(result.is_ok(), !expected);
        changed.get_mut(path).unwrap().push(0);
        let result = apply_with(&changed, &base_files(), &honest(), &mut Lists::Folder, &mut Out::new());
        let named = matches!(&result, Err(ApplyError::BaseDiffers { path: named }) if named == path);
        assert_eq!(named, expected, "{path}: {result:?}");
        changed.remove(path);
        let result = apply_with(&changed, &base_files(), &honest(), &mut Lists::Folder, &mut Out::new());
        let named = matches!(&result, Err(ApplyError::Base { path: named, .. }) if named == path);
        assert_eq!(named, expected, "{path}: {result:?}");
    }
}

#[test]
fn a_delta_for_another_base_is_refused_by_name() {
    let mut other = base_files();
    other.insert("one more".to_owned(), vec![]);
    let result = apply_with(&other, &other, &honest(), &mut Lists::Folder, &mut Out::new());
    assert!(matches!(result, Err(ApplyError::AnotherBase { .. })), "{result:?}");
}

#[test]
fn a_flipped_byte_is_refused_or_harmless() {
    let base = files(&[("a", &text(300, 1)), ("b", &text(200, 2))]);
    let target = files(&[("a", &[text(150, 1), text(90, 3)].concat()), ("b", &text(220, 2)), ("c", b"")]);
    let (old, new) = (&base["a"], &target["a"]);
    let groups = vec![
        group(&[0], &[0], covers(old, new, &find_covers(old, new), true, Packing::Zstd)),
        group(&[1], &[1], prefix(&base["b"], &target["b"])),
    ];
    let delta = tree_delta(&base, &target, Subject::Folder, groups);
    for at in 0..delta.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = delta.clone();
            changed[at] ^= flip;
            let mut out = Out::new();
            if apply_with(&base, &base, &changed, &mut Lists::Folder, &mut out).is_ok() {
                assert!(out.files == target, "{at}");
            }
        }
        let cut = apply_with(&base, &base, &delta[..at], &mut Lists::Folder, &mut Out::new());
        assert!(cut.is_err(), "cut at {at}");
    }
}

#[test]
fn more_than_the_limits_is_refused_before_anything_is_written() {
    let entries = entries(&base_files());
    let files = base_files();
    let base = Base { files: &Memory(&files), list: &folder_list(&entries), entries: &entries };
    for limits in [
        Limits { entries: 9, ..Limits::default() },
        Limits { list_bytes: 100, ..Limits::default() },
        Limits { head_bytes: 20, ..Limits::default() },
        Limits { target_bytes: 400_000, ..Limits::default() },
    ] {
        let mut out = Out::new();
        let delta = honest();
        let refused =
            apply(&base, delta.as_slice(), &mut Lists::Folder, &mut out, &limits, &mut |_: Progress| true);
        assert!(matches!(refused, Err(ApplyError::TooLarge { .. })), "{limits:?}: {refused:?}");
        assert_eq!(out.made, 0);
    }
}

#[test]
fn it_can_be_cancelled_at_any_window() {
    let entries = entries(&base_files());
    let files = base_files();
    let base = Base { files: &Memory(&files), list: &folder_list(&entries), entries: &entries };
    let delta = honest();
    let mut asked = 0;
    let mut count = |_: Progress| {
        asked += 1;
        true
    };
    apply(&base, delta.as_slice(), &mut Lists::Folder, &mut Out::new(), &Limits::default(), &mut count)
        .unwrap();
    assert!(asked > 10, "{asked}");
    for stop in 0..asked {
        let mut left = stop;
        let mut go_on = |_: Progress| {
            left -= 1;
            left >= 0
        };
        let result = apply(
            &base,
            delta.as_slice(),
            &mut Lists::Folder,
            &mut Out::new(),
            &Limits::default(),
            &mut go_on,
        );
        assert!(matches!(result, Err(ApplyError::Cancelled)), "{stop}: {result:?}");
    }
}

#[test]
fn a_group_that_is_made_by_a_later_program_is_named_before_anything_is_written() {
    let (base, target) = (base_files(), target_files());
    let mut changed = groups(&base, &target);
    changed[2].0.codec = Codec::Whole(Packed { packing: Packing::Plain, length: 0 });
    let mut delta = head_unpacked(&tree_delta(&base, &target, Subject::Folder, changed));
    // The last group: its codec with the packing, one target, no base.
    let last = delta.windows(4).position(|bytes| bytes == [0, 1, 3, 0]).unwrap();
    delta[last] = 3;
    let mut out = Out::new();
    assert!(matches!(applied(&delta, &mut out), Err(ApplyError::UnknownPart { what: "a codec" })));
    assert_eq!(out.made, 0);
}
