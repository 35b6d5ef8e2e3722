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

fn signed(from: usize, to: usize) -> Vec<u8> {
    let step = i64::try_from(to).unwrap() - i64::try_from(from).unwrap();
    varint(((step << 1) ^ (step >> 63)).cast_unsigned())
}

/// A group: its codec with flags, what follows the files in its description, and its body.
type Group = (u8, Vec<u8>, Vec<u8>);

/// A delta from `base` to `target`, which are the files or the lists, with the descriptions of its groups and their bodies.
fn delta(subject: u8, base: &[u8], target: &[u8], groups: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let check = |bytes: &[u8], length: usize| Sha256Digest::of(bytes).as_bytes()[..length].to_vec();
    let lengths = [length(base), signed(base.len(), target.len())].concat();
    let mut head = [check(base, 2), lengths, check(target, 4)].concat();
    if subject > 0 {
        head.extend(varint(groups.len() as u64));
    }
    groups.iter().for_each(|(description, _)| head.extend_from_slice(description));
    let bodies = groups.iter().flat_map(|(_, body)| body.clone());
    let begin = [b"\xd5S".to_vec(), vec![2 | subject << 4], head].concat();
    begin.into_iter().chain(bodies).collect()
}

/// A group as a head describes it; `files` are targets and bases, if it has them.
fn described((codec, description, body): Group, files: &[u8]) -> (Vec<u8>, Vec<u8>) {
    ([vec![codec], files.to_vec(), description].concat(), body)
}

fn whole(content: &[u8]) -> Group {
    (0, Vec::new(), content.to_vec())
}

/// Covers, whose streams are one by one or joined: their number, lengths of the streams, packings; and the streams.
fn covers(own: bool, joined: bool, count: u8, streams: [&[u8]; 7]) -> Group {
    let codec = 1 | u8::from(own) << 2 | u8::from(joined) << 4;
    let body = streams.concat();
    if joined {
        let runs = streams[3].iter().filter(|byte| **byte < 0x80).count() as u64;
        return (codec, [vec![count], varint(runs), length(&body)].concat(), body);
    }
    let packings = streams.iter().filter(|stream| !stream.is_empty()).count();
    (codec, [vec![count], streams.map(length).concat(), vec![0; packings]].concat(), body)
}

/// The program with an insertion and another byte, and the streams that lead to it.
fn next_program(joined: bool) -> (Vec<u8>, Group) {
    let (_, base) = BASE_FILES[0];
    let mut target = base.to_vec();
    target.splice(20..25, b"an insertion".iter().copied());
    target[200] ^= 1;
    let rest = target.len() as u64 - 32;
    let lengths = [vec![20], varint(rest)].concat();
    let value = [target[200].wrapping_sub(base[193])];
    let equal = varint(188);
    let group =
        covers(false, joined, 2, [&[0, 12], &lengths, &[0, 21], &equal, &[1], &value, b"an insertion"]);
    (target, group)
}

pub(super) fn delta_of_file() -> Seeds {
    let (_, base) = BASE_FILES[0];
    let of_covers = |joined| {
        let (target, group) = next_program(joined);
        delta(0, base, &target, &[described(group, &[])])
    };
    // Ten bytes, and what was made from its second byte on, which goes on into itself.
    let own = [b"repetition".as_slice(), &b"epetition".repeat(9)].concat();
    let diagonal = base.len() as u64 + 1 - 10;
    let seek = varint(8 + 2 * diagonal);
    let own_copies = covers(true, true, 1, [&[10], &[81], &seek, &[], &[], &[], b"repetition"]);
    let all = b"all of it".as_slice();
    vec![
        ("covers", of_covers(false)),
        ("joined", of_covers(true)),
        ("own_copies", delta(0, base, &own, &[described(own_copies, &[])])),
        ("whole", delta(0, base, all, &[described(whole(all), &[])])),
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
    let (program, group) = next_program(false);
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
    let groups = [
        described(whole(&list), &[]),
        // One target and one base, then one target and none.
        described(group, &[1, 0, 1, 0]),
        described(whole(new), &[1, 1, 0]),
    ];
    delta(1, &old, &list, &groups)
}

/// An ELF file of functions that call each other and load constants, behind a gap that moves them; and pointers to them.
fn program(gap: usize) -> Vec<u8> {
    const CODE: usize = 0xc0;
    const DATA: usize = 0x240;
    let mut bytes = vec![0; DATA + 80];
    let mut put = |at: usize, content: &[u8]| bytes[at..at + content.len()].copy_from_slice(content);
    put(0, b"\x7fELF\x02\x01");
    put(18, &62u16.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &[56, 0, 2, 0]);
    for (head, flags, at, length) in [(64, 5u32, CODE, DATA - CODE), (120, 6, DATA, 80)] {
        put(head, &1u32.to_le_bytes());
        put(head + 4, &flags.to_le_bytes());
        put(head + 8, &(at as u64).to_le_bytes());
        put(head + 16, &(at as u64 + 0x40_0000).to_le_bytes());
        put(head + 32, &(length as u64).to_le_bytes());
        put(head + 40, &(length as u64).to_le_bytes());
    }
    let start = |number: usize| CODE + gap + 32 * number;
    let distance = |from: usize, to: usize| (to as u64).wrapping_sub(from as u64).to_le_bytes();
    for number in 0..10usize {
        let at = start(number);
        put(at, &[0x50 + u8::try_from(number).unwrap(); 16]);
        put(at + 16, &[0xe8]);
        put(at + 17, &distance(at + 21, start((number * 7 + 3) % 10))[..4]);
        put(at + 21, &[0x48, 0x8b, 0x05]);
        put(at + 24, &distance(at + 28, DATA + 8 * number)[..4]);
        put(DATA + 8 * number, &(at as u64 + 0x40_0000).to_le_bytes());
    }
    bytes
}

pub(super) fn delta_made() -> Seeds {
    let pair = |base: &[u8], target: &[u8]| [base, b"\n====\n", target].concat();
    let (_, base) = BASE_FILES[0];
    let (target, _) = next_program(false);
    let lines = b"one line\nand another line\nand a third line\n".repeat(5);
    let more = [lines.as_slice(), b"one line\nmore of them\n", &lines[..60]].concat();
    vec![
        ("lines", pair(&lines, &more)),
        ("of_the_tree", pair(base, &target)),
        ("programs", pair(&program(0), &program(48))),
        ("without_base", pair(b"", b"all of it is new")),
    ]
}
