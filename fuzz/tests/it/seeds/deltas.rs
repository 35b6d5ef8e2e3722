//! Deltas of version 2, put together by hand: nothing is packed, so that a fuzzer reaches every number.

use sealpost_deltas::{Entry, EntryKind, folder_list};
use sealpost_fuzz::BASE_FILES;
use sealpost_manifests::digest::Sha256Digest;

use super::golden::Seeds;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn length(bytes: &[u8]) -> Vec<u8> {
    varint(bytes.len() as u64)
}

/// A delta from `base` to `target`, which are the files or the lists, with the descriptions of its groups and their bodies.
fn delta(subject: u8, base: &[u8], target: &[u8], groups: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let check = |bytes: &[u8], length: usize| Sha256Digest::of(bytes).as_bytes()[..length].to_vec();
    let mut head = [vec![subject], check(base, 4), length(base), length(target), check(target, 8)].concat();
    head.extend(varint(groups.len() as u64));
    groups.iter().for_each(|(description, _)| head.extend_from_slice(description));
    let bodies = groups.iter().flat_map(|(_, body)| body.clone());
    let begin = [b"\xd5SL\x02\x00".to_vec(), length(&head), head].concat();
    begin.into_iter().chain(bodies).collect()
}

/// Covers, one by one or joined: flags, their number, lengths of the streams, packings; and the streams.
fn covers(flags: u8, count: u8, streams: [&[u8]; 7]) -> (Vec<u8>, Vec<u8>) {
    let lengths = streams.map(length).concat();
    let packings =
        if flags & 2 == 0 { streams.iter().filter(|stream| !stream.is_empty()).count() } else { 1 };
    ([vec![flags, count], lengths, vec![0; packings]].concat(), streams.concat())
}

/// The program with an insertion and another byte, and the streams that lead to it.
fn next_program(flags: u8) -> (Vec<u8>, (Vec<u8>, Vec<u8>)) {
    let (_, base) = BASE_FILES[0];
    let mut target = base.to_vec();
    target.splice(20..25, b"an insertion".iter().copied());
    target[200] ^= 1;
    let rest = target.len() as u64 - 32;
    let lengths = [vec![20], varint(rest)].concat();
    let value = [target[200].wrapping_sub(base[193])];
    let equal = varint(188);
    let group = covers(flags, 2, [&[0, 12], &lengths, &[0, 21], &equal, &[1], &value, b"an insertion"]);
    (target, group)
}

fn described(codec: u8, (description, body): (Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    ([vec![codec], description].concat(), body)
}

pub(super) fn delta_of_file() -> Seeds {
    let (_, base) = BASE_FILES[0];
    let of_covers = |flags| {
        let (target, group) = next_program(flags);
        delta(0, base, &target, &[described(1, group)])
    };
    // Ten bytes, and what was made from its second byte on, which goes on into itself.
    let own = [b"repetition".as_slice(), &b"epetition".repeat(9)].concat();
    let diagonal = base.len() as u64 + 1 - 10;
    let seek = varint(8 + 2 * diagonal);
    let own_copies = covers(3, 1, [&[10], &[81], &seek, &[], &[], &[], b"repetition"]);
    let whole = delta(0, base, b"all of it", &[(vec![0, 0], b"all of it".to_vec())]);
    vec![
        ("covers", of_covers(0)),
        ("joined", of_covers(2)),
        ("own_copies", delta(0, base, &own, &[described(1, own_copies)])),
        ("whole", whole),
    ]
}

/// The tree of the seeds of version 1, in the second version.
pub(super) fn second_version() -> Vec<u8> {
    let entry = |path: &str, content: &[u8], mode| Entry {
        path: path.to_owned(),
        kind: EntryKind::File {
            length: content.len() as u64,
            sha256: *Sha256Digest::of(content).as_bytes(),
            mode,
        },
    };
    let mode = |path: &str| if path.starts_with("bin/") { 0o755 } else { 0o644 };
    let base: Vec<Entry> =
        BASE_FILES.iter().map(|(path, content)| entry(path, content, mode(path))).collect();
    let (program, group) = next_program(0);
    let new = b"new content".as_slice();
    let target = [
        Entry { path: "bin/link".to_owned(), kind: EntryKind::Symlink { target: "program".to_owned() } },
        entry("bin/program", &program, 0o755),
        entry("data/new", new, 0o644),
        entry("data/new-copy", new, 0o644),
        entry("data/new-name", BASE_FILES[1].1, 0o644),
        entry("data/same", BASE_FILES[2].1, 0o644),
        entry("empty", b"", 0o644),
    ];
    let (old, list) = (folder_list(&base), folder_list(&target));
    let of_program = ([vec![1, 1, 0, 1, 0], group.0].concat(), group.1);
    delta(1, &old, &list, &[(vec![0, 0], list.clone()), of_program, (vec![0, 1, 1, 0, 0], new.to_vec())])
}
