use super::*;
use crate::container::layout::Cover;
use crate::list::folder_list;
use crate::testing::encoder::{covers, delta, file_delta, find_covers, prefix, whole};
use crate::testing::text;
use crate::tree::EntryKind;

#[test]
fn a_file_is_shown_with_what_each_stream_cost() {
    let base = text(9000, 1);
    let target = [&base[..4000], &text(500, 2), &base[4000..]].concat();
    let found =
        [Cover { base: 0, target: 0, length: 4000 }, Cover { base: 4000, target: 4500, length: 5000 }];
    let bytes = file_delta(&base, &target, &covers(&base, &target, &found, false, Packing::Zstd));
    let shown = show(bytes.as_slice(), None, &Limits::default()).unwrap();
    assert_eq!((shown.version, shown.subject, shown.bytes), (2, "file", bytes.len() as u64));
    assert_eq!((shown.base_bytes, shown.target_bytes), (Some(9000), Some(9500)));
    let [group] = shown.groups.as_slice() else { panic!() };
    assert_eq!((group.codec, group.covers, group.images), ("covers", Some(2), Some(0)));
    assert_eq!(group.bytes, Some(shown.bytes - shown.head_bytes));
    let names: Vec<&str> = group.streams.iter().map(|stream| stream.name).collect();
    assert_eq!(names, ["gaps", "lengths", "seeks", "literals"]);
    assert_eq!(group.streams[3].bytes, Some(500));
    assert_eq!(
        group.streams.iter().filter_map(|stream| stream.packed_bytes).sum::<u64>(),
        group.bytes.unwrap()
    );
}

#[test]
fn a_tree_is_shown_with_names_if_its_base_is_known() {
    let entry = |path: &str, content: &[u8]| Entry {
        path: path.to_owned(),
        kind: EntryKind::File {
            length: content.len() as u64,
            sha256: crate::digest::sha256(content).0,
            mode: 0o644,
        },
    };
    let (a, b, c) = (text(3000, 1), text(3100, 1), text(90, 3));
    let (base, target) = (vec![entry("a", &a)], vec![entry("a", &b), entry("c", &c)]);
    let (old, new) = (folder_list(&base), folder_list(&target));
    let encoded = [
        (vec![], vec![], covers(&old, &new, &find_covers(&old, &new), true, Packing::Zstd)),
        (vec![0], vec![0], prefix(&a, &b)),
        (vec![1], vec![], whole(&c, Packing::Plain)),
    ];
    let groups = encoded.clone().map(|(targets, bases, (codec, _))| Group { targets, bases, codec });
    let bodies: Vec<&[u8]> = encoded.iter().map(|(_, _, (_, body))| body.as_slice()).collect();
    let bytes = delta(Subject::Folder, &old, &new, groups.to_vec(), &bodies);
    let shown = show(bytes.as_slice(), Some(&base), &Limits::default()).unwrap();
    let made: Vec<(&str, &[String])> =
        shown.groups.iter().map(|group| (group.codec, group.makes.as_slice())).collect();
    assert_eq!(
        made,
        [
            ("covers", ["the list of files".to_owned()].as_slice()),
            ("prefix", &["a".to_owned()]),
            ("whole", &["c".to_owned()])
        ]
    );
    let cost: u64 = shown.groups.iter().filter_map(|group| group.bytes).sum();
    assert_eq!(cost + shown.head_bytes, shown.bytes);
    let nameless = show(bytes.as_slice(), None, &Limits::default()).unwrap();
    assert_eq!((nameless.groups[2].bytes, nameless.groups[2].files), (None, 1));
    assert_eq!(nameless.groups[1].bytes, shown.groups[1].bytes);
    let other = show(bytes.as_slice(), Some(&target), &Limits::default());
    assert!(matches!(other, Err(ApplyError::AnotherBase { .. })));
}

#[test]
fn the_first_version_and_other_files_are_told() {
    let golden = include_bytes!("../../tests/golden/delta-v1.bin");
    let shown = show(golden.as_slice(), None, &Limits::default()).unwrap();
    assert_eq!((shown.version, shown.bytes), (1, golden.len() as u64));
    let made: Vec<(&str, &str)> =
        shown.groups.iter().map(|group| (group.codec, group.makes[0].as_str())).collect();
    assert_eq!(made, [("bsdiff", "bin/program"), ("whole", "data/new"), ("whole", "empty")]);
    let cost: u64 = shown.groups.iter().filter_map(|group| group.bytes).sum();
    assert_eq!(cost + shown.head_bytes, shown.bytes);
    assert!(matches!(show(b"PK\x03\x04".as_slice(), None, &Limits::default()), Err(ApplyError::NotADelta)));
    assert!(matches!(show(b"".as_slice(), None, &Limits::default()), Err(ApplyError::NotADelta)));
}
