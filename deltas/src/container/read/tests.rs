use super::*;
use crate::container::layout::{Extent, Image, Machine, Pair, Segment, Table, TableKind};
use crate::container::write::{head_bytes, write_head};
use crate::testing::pack;

const MOST: u64 = 1 << 20;

fn plain(length: u64) -> Packed {
    Packed { packing: Packing::Plain, length }
}

fn image() -> Image {
    let base = Extent { offset: 0, address: 0x40_0000, stored: 900, loaded: 1000 };
    let target = Extent { offset: 4, address: 0x3f_0000, stored: 910, loaded: 900 };
    Image {
        machine: Machine::X86_64,
        base_at: 5,
        target_at: 7,
        segments: vec![Segment { executable: true, base, target }],
        pairs: (0..6).map(|n| Pair { base: 100 + n, target: 90 }).collect(),
        tables: vec![
            Table { at: 8, kind: TableKind::Words { count: 10, pair: 5 } },
            Table { at: 48, kind: TableKind::PlausibleWords { count: 2, pair: 0, limit: 5000 } },
            Table { at: 60, kind: TableKind::GoFunctions { functions: 2, length: 30, first_pair: 1 } },
            Table { at: 100, kind: TableKind::Frames { length: 40 } },
        ],
    }
}

fn covers(streams: Streams, images: Vec<Image>, own_copies: bool) -> Codec {
    Codec::Covers(CoversHead { own_copies, images, covers: 3, streams })
}

fn apart() -> Streams {
    Streams::Apart([
        (3, plain(3)),
        (5, plain(5)),
        (30, Packed { packing: Packing::Lzma2, length: 12 }),
        (0, plain(0)),
        (0, plain(0)),
        (99, Packed { packing: Packing::Zstd, length: 90 }),
        (7_000_000_000, Packed { packing: Packing::Lzma2, length: 6_000_000_000 }),
    ])
}

fn tree() -> Head {
    let group = |targets: &[u32], bases: &[u32], codec| Group {
        targets: targets.to_vec(),
        bases: bases.to_vec(),
        codec,
    };
    Head {
        subject: Subject::Folder,
        base_check: [1, 2],
        base_length: 1000,
        target_length: 500,
        target_check: [9; 4],
        groups: vec![
            group(&[], &[], Codec::Whole(plain(500))),
            group(&[0, 1, 5], &[7, 3, 4_000_000_000], covers(apart(), vec![image()], false)),
            group(
                &[4],
                &[],
                covers(Streams::Joined { runs: 1, length: 13, packed: plain(13) }, vec![], true),
            ),
            group(&[3, 2], &[9, 3], Codec::Prefix { packed: 77 }),
            group(&[6], &[], Codec::Whole(Packed { packing: Packing::Lzma2, length: 5 })),
            group(&[7], &[], Codec::Whole(plain(0))),
        ],
    }
}

fn written(head: &Head) -> Vec<u8> {
    let mut out = Vec::new();
    let packed = |bytes: &[u8]| {
        let (how, packed) = pack(bytes, Packing::Lzma2, HEAD_CAP);
        Ok((how.packing, packed))
    };
    write_head(head, packed, &mut out).unwrap();
    out
}

fn written_plain(head: &Head) -> Vec<u8> {
    let mut out = Vec::new();
    write_head(head, |_| Ok((Packing::Plain, vec![])), &mut out).unwrap();
    out
}

/// A head without what stands before it.
fn parse(bytes: &[u8]) -> Result<Head, Flaw> {
    parse_whole(Subject::Folder, bytes)
}

fn parse_file(bytes: &[u8]) -> Result<Head, Flaw> {
    parse_whole(Subject::File, bytes)
}

fn read(bytes: &[u8]) -> Result<Head, Flaw> {
    read_head(&mut &bytes[..], MOST)
}

#[test]
fn what_is_written_is_read() {
    let file = Head {
        subject: Subject::File,
        groups: vec![Group {
            targets: vec![],
            bases: vec![],
            codec: Codec::Whole(Packed { packing: Packing::Zstd, length: 499 }),
        }],
        ..tree()
    };
    for head in [tree(), file] {
        assert_eq!(read(&written(&head)).unwrap(), head);
        assert_eq!(parse_whole(head.subject, &head_bytes(&head)).unwrap(), head);
    }
}

#[test]
fn a_head_that_is_cut_or_goes_on_is_refused() {
    let bytes = head_bytes(&tree());
    for end in 0..bytes.len() {
        assert!(matches!(parse(&bytes[..end]), Err(Flaw::Damaged)), "cut at {end}");
    }
    assert!(matches!(parse(&[bytes.as_slice(), b"\0"].concat()), Err(Flaw::Damaged)));
    let whole = written(&tree());
    for end in 0..whole.len() {
        assert!(matches!(read(&whole[..end]), Err(Flaw::Damaged)), "cut at {end}");
    }
}

#[test]
fn a_flipped_byte_gives_an_error_or_another_head_that_is_written_the_same_way() {
    let bytes = head_bytes(&tree());
    for at in 0..bytes.len() {
        for flip in 1..=255 {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            if let Ok(head) = parse(&changed) {
                assert_eq!(head_bytes(&head), changed, "{at} {flip}");
            }
        }
    }
}

#[test]
fn what_a_later_program_made_is_named() {
    let bytes = head_bytes(&tree());
    for codec in [3, 12, 6, 0x41] {
        let mut changed = bytes.clone();
        // Behind the checks, two lengths, and the number of groups.
        changed[11] = codec;
        assert!(matches!(parse(&changed), Err(Flaw::Later(_))), "{codec}: {:?}", parse(&changed));
    }
    let mut later = written(&tree());
    later[2] = 3;
    assert!(matches!(read(&later), Err(Flaw::Version(3))));
    later[2] = 2 | 3 << 6;
    assert!(matches!(read(&later), Err(Flaw::Later("a packing"))));
    later[2] = 2 | 3 << 4;
    assert!(matches!(read(&later), Err(Flaw::Later("a subject"))));
    later[0] = b'P';
    assert!(matches!(read(&later), Err(Flaw::NotADelta)));
}

#[test]
fn a_head_that_declares_too_much_is_refused_by_its_number() {
    let mut bytes = [MAGIC.as_slice(), &[VERSION | 1 << 6]].concat();
    varint::write(1 << 60, &mut bytes);
    varint::write(1, &mut bytes);
    assert!(matches!(read(&bytes), Err(Flaw::TooLarge { .. })));
    let plain_head = written_plain(&tree());
    let whole = head_bytes(&tree()).len() as u64;
    assert!(read_head(&mut plain_head.as_slice(), whole).is_ok());
    let refused = read_head(&mut plain_head.as_slice(), whole - 1);
    assert!(matches!(refused, Err(Flaw::TooLarge { what: "bytes in its head", .. })));
    let mut many = head_bytes(&tree());
    many.truncate(10);
    varint::write(1 << 60, &mut many);
    assert!(matches!(parse(&many), Err(Flaw::TooLarge { what: "groups", .. })), "{:?}", parse(&many));
    let head = |covers, total| Head {
        groups: vec![Group {
            targets: vec![],
            bases: vec![],
            codec: Codec::Covers(CoversHead {
                own_copies: false,
                images: vec![],
                covers,
                streams: Streams::Joined { runs: 1, length: total, packed: plain(0) },
            }),
        }],
        subject: Subject::File,
        ..tree()
    };
    let refused = parse_file(&head_bytes(&head(200_001, 0)));
    assert!(matches!(refused, Err(Flaw::TooLarge { what: "covers in a group", .. })));
    assert!(matches!(parse_file(&head_bytes(&head(1, 65_537))), Err(Flaw::Damaged)));
    assert!(parse_file(&head_bytes(&head(1, 65_536))).is_ok());
    assert!(matches!(parse_file(&head_bytes(&head(1, 5))), Err(Flaw::Damaged)), "fewer bytes than numbers");
    assert!(matches!(parse_file(&head_bytes(&head(1, u64::MAX))), Err(Flaw::Damaged)));
}

#[test]
fn a_base_file_stands_in_a_group_once_and_images_are_counted() {
    let mut twice = tree();
    twice.groups[3].bases = vec![3, 9, 3];
    assert!(matches!(parse(&head_bytes(&twice)), Err(Flaw::Damaged)));
    let empty = Image { segments: vec![], pairs: vec![], tables: vec![], ..image() };
    let group = |number| Group {
        targets: vec![number],
        bases: vec![],
        codec: covers(apart(), vec![empty.clone(); MAX_IMAGES], false),
    };
    let head = |count| {
        let list = Group { targets: vec![], bases: vec![], codec: Codec::Whole(plain(500)) };
        Head { groups: [list].into_iter().chain((0..count).map(group)).collect(), ..tree() }
    };
    assert!(parse(&head_bytes(&head(256))).is_ok());
    assert!(matches!(parse(&head_bytes(&head(257))), Err(Flaw::TooLarge { what: "parts of images", .. })));
}

#[test]
fn packed_bytes_are_fewer_than_the_bytes() {
    assert!(checked_packed(Packed { packing: Packing::Zstd, length: 5 }, 6).is_ok());
    assert!(checked_packed(Packed { packing: Packing::Zstd, length: 5 }, 5).is_err());
}

#[test]
fn images_with_sums_beyond_64_bits_or_tables_without_pairs_are_refused() {
    let refused = |change: &dyn Fn(&mut Image)| {
        let mut changed = image();
        change(&mut changed);
        let head = Head {
            groups: vec![Group {
                targets: vec![],
                bases: vec![],
                codec: covers(apart(), vec![changed], false),
            }],
            subject: Subject::File,
            ..tree()
        };
        parse_file(&head_bytes(&head)).is_err()
    };
    assert!(!refused(&|_| ()));
    assert!(refused(&|image| image.segments[0].base.offset = u64::MAX));
    assert!(refused(&|image| image.segments[0].target.loaded = u64::MAX));
    assert!(refused(&|image| image.pairs.truncate(5)));
    assert!(refused(&|image| image.tables[3].at = u64::MAX));
    assert!(refused(&|image| {
        image.tables[2].kind = TableKind::GoFunctions { functions: 4, length: 30, first_pair: 1 };
    }));
    let fits = |length| images::image_fits(&image(), length);
    assert!(fits(905) && !fits(904));
}

#[test]
fn own_copies_and_images_exclude_each_other() {
    let head = Head {
        groups: vec![Group { targets: vec![], bases: vec![], codec: covers(apart(), vec![image()], true) }],
        subject: Subject::File,
        ..tree()
    };
    assert!(matches!(parse_file(&head_bytes(&head)), Err(Flaw::Damaged)));
}
