use super::applied;
use crate::apply::ApplyError;
use crate::container::layout::{
    Codec, Cover, CoversHead, Group, Head, Packed, Packing, STREAMS, Streams, Subject,
};
use crate::container::varint;
use crate::container::write::{write_head, write_streams};
use crate::digest::sha256;
use crate::testing::encoder::{
    all_ways, covers, covers_of_streams, delta, file_delta, find_covers, prefix, streams, whole,
};
use crate::testing::{noise, text};

fn small_pair() -> (Vec<u8>, Vec<u8>) {
    let base = text(600, 1);
    let mut target = base.clone();
    target[100] ^= 1;
    target[400] ^= 5;
    target.splice(300..310, noise(20, 3));
    (base, target)
}

/// Covers out of streams that are changed by hand.
fn by_hand(change: impl FnOnce(&mut [Vec<u8>; STREAMS]), count: usize, own: bool) -> (Vec<u8>, Vec<u8>) {
    let (base, target) = small_pair();
    let found = find_covers(&base, &target);
    let mut streams = streams(&base, &target, &found);
    change(&mut streams);
    let (head, bodies) = covers_of_streams(&streams, count, own, false, Packing::Plain);
    let mut body = Vec::new();
    write_streams(&bodies, &[], &mut body).unwrap();
    (base.clone(), file_delta(&base, &target, &(Codec::Covers(head), body)))
}

fn is_damaged(base: &[u8], delta: &[u8]) -> bool {
    matches!(applied(base, delta), Err(ApplyError::Damaged))
}

#[test]
fn streams_as_they_are_lead_to_the_target() {
    let (base, target) = small_pair();
    let count = find_covers(&base, &target).len();
    let (base, delta) = by_hand(|_| (), count, false);
    assert_eq!(applied(&base, &delta).unwrap().0, target);
}

#[test]
fn a_delta_cut_at_any_byte_or_with_more_behind_it_is_refused() {
    let (base, target) = small_pair();
    for way in all_ways(&base, &target) {
        let delta = file_delta(&base, &target, &way);
        for end in 0..delta.len() {
            assert!(applied(&base, &delta[..end]).is_err(), "{:?} cut at {end}", way.0);
        }
        assert!(is_damaged(&base, &[delta.as_slice(), b"x"].concat()));
    }
}

#[test]
fn a_flipped_byte_is_refused_or_harmless() {
    let (base, target) = small_pair();
    for way in all_ways(&base, &target) {
        let delta = file_delta(&base, &target, &way);
        for at in 0..delta.len() {
            for flip in [1, 2, 0x40, 0x80, 0xff] {
                let mut changed = delta.clone();
                changed[at] ^= flip;
                if let Ok((result, _)) = applied(&base, &changed) {
                    assert!(result == target, "{:?} flipped at {at}", way.0);
                }
            }
        }
    }
}

#[test]
fn covers_beyond_the_base_or_the_target_are_refused() {
    let (base, target) = small_pair();
    let count = find_covers(&base, &target).len();
    for (stream, number) in
        [(0, 10_000), (0, u64::MAX), (1, 0), (1, 700), (1, u64::MAX), (2, 8 + 4000), (2, u64::MAX)]
    {
        let change = |streams: &mut [Vec<u8>; STREAMS]| {
            let mut changed = Vec::new();
            varint::write(number, &mut changed);
            let first = streams[stream].iter().position(|byte| byte & 0x80 == 0).unwrap();
            changed.extend_from_slice(&streams[stream][first + 1..]);
            streams[stream] = changed;
        };
        let (base, delta) = by_hand(change, count, false);
        assert!(is_damaged(&base, &delta), "{stream} {number}");
    }
}

#[test]
fn own_copies_that_point_forward_or_are_not_announced_are_refused() {
    let target = text(500, 1);
    for (from, own, good) in
        [(0usize, true, true), (0, false, false), (99, true, true), (100, true, false), (150, true, false)]
    {
        let cover = Cover { base: from as u64, target: 100, length: 50 };
        let mut real = target.clone();
        real.copy_within(from..(from + 50).min(100).max(from), 100);
        let streams = streams(b"", &real, &[cover]);
        let (head, bodies) = covers_of_streams(&streams, 1, own, false, Packing::Plain);
        let way = (Codec::Covers(head), bodies.concat());
        let result = applied(b"", &file_delta(b"", &real, &way));
        assert_eq!(result.is_ok(), good, "{from} {own}: {result:?}");
    }
}

#[test]
fn runs_of_nothing_are_refused() {
    let (base, target) = small_pair();
    let count = find_covers(&base, &target).len();
    for (stream, place) in [(3, 1), (4, 0), (4, 1)] {
        let change = |streams: &mut [Vec<u8>; STREAMS]| streams[stream][place] = 0;
        let (base, delta) = by_hand(change, count, false);
        assert!(is_damaged(&base, &delta), "{stream} {place}");
    }
}

#[test]
fn bytes_that_are_left_over_in_a_stream_are_refused() {
    let (base, target) = small_pair();
    let count = find_covers(&base, &target).len();
    for stream in 0..STREAMS {
        let (base, delta) = by_hand(|streams| streams[stream].push(1), count, false);
        assert!(is_damaged(&base, &delta), "{stream}");
        let (base, delta) =
            by_hand(|streams| streams[stream].truncate(streams[stream].len() - 1), count, false);
        assert!(is_damaged(&base, &delta), "{stream}");
    }
}

#[test]
fn lengths_that_lie_take_no_memory() {
    let plain = |length| Packed { packing: Packing::Plain, length };
    let lzma = |length| Packed { packing: Packing::Lzma2, length };
    let covers =
        |streams| Codec::Covers(CoversHead { own_copies: false, images: vec![], covers: 0, streams });
    let large = |packed| {
        let mut streams = [(0, plain(0)); STREAMS];
        streams[6] = (1 << 60, packed);
        covers(Streams::Apart(streams))
    };
    let codecs = [
        Codec::Whole(plain(0)),
        Codec::Whole(lzma((1 << 60) - 1)),
        large(plain(1 << 60)),
        large(lzma(1 << 59)),
        Codec::Prefix { packed: 5 },
    ];
    for codec in codecs {
        let head = Head {
            subject: Subject::File,
            base_check: *sha256(b"").0.first_chunk().unwrap(),
            base_length: 0,
            target_length: 1 << 60,
            target_check: [0; 4],
            groups: vec![Group { targets: vec![], bases: vec![], codec }],
        };
        let mut lying = Vec::new();
        write_head(&head, |_| Ok((Packing::Plain, vec![])), &mut lying).unwrap();
        lying.extend_from_slice(b"body");
        let limits = crate::limits::Limits { target_bytes: u64::MAX, ..Default::default() };
        let mut go_on = |_: crate::apply::Progress| true;
        let result = crate::apply::file::apply_file(
            &b"".as_slice(),
            lying.as_slice(),
            &mut std::io::sink(),
            &limits,
            &mut go_on,
        );
        assert!(matches!(result, Err(ApplyError::Damaged)), "{head:?}: {result:?}");
    }
}

#[test]
fn a_prefix_beyond_its_bound_is_refused() {
    let target = text(10_000, 1);
    let base = vec![0; (16 << 20) - 10_000];
    let delta = file_delta(&base, &target, &prefix(&base, &target));
    assert!(applied(&base, &delta).is_ok());
    let base = vec![0; (16 << 20) - 9_999];
    let delta = file_delta(&base, &target, &prefix(&base, &target));
    assert!(is_damaged(&base, &delta));
}

#[test]
fn a_prefix_with_a_larger_window_or_more_than_its_target_is_refused() {
    let (base, target) = (text(10_000, 1), text(12_000, 1));
    let (codec, body) = prefix(&base, &target);
    for log in [24, 25, 31] {
        let mut body = body.clone();
        body[1] = (log - 10) << 3;
        let result = applied(&base, &file_delta(&base, &target, &(codec.clone(), body)));
        assert_eq!(result.is_ok(), log == 24, "{log}: {result:?}");
    }
    for made in [&target[..11_999], &[target.as_slice(), b"x"].concat()] {
        assert!(is_damaged(&base, &file_delta(&base, made, &(codec.clone(), body.clone()))));
    }
}

#[test]
fn own_copies_reach_eight_mib_back_and_no_further() {
    let base = noise(100, 1);
    for (distance, allowed) in [(8u64 << 20, true), ((8 << 20) + 1, false)] {
        let mut target = noise(usize::try_from(distance).unwrap(), 2);
        let copied = target[..100_000].to_vec();
        target.extend_from_slice(&copied);
        let found = [Cover { base: 100, target: distance, length: 100_000 }];
        let streams = streams(&base, &target, &found);
        let (head, bodies) = covers_of_streams(&streams, 1, true, false, Packing::Plain);
        let order = vec![6; bodies[6].len().div_ceil(65_536)];
        let mut body = Vec::new();
        write_streams(&bodies, &order, &mut body).unwrap();
        let delta = file_delta(&base, &target, &(Codec::Covers(head), body));
        assert_eq!(applied(&base, &delta).is_ok_and(|(made, _)| made == target), allowed, "{distance}");
        assert_eq!(is_damaged(&base, &delta), !allowed);
    }
}

#[test]
fn a_tree_is_no_file_and_a_wrong_check_is_no_success() {
    let target = text(100, 1);
    let (codec, body) = whole(&target, Packing::Plain);
    let group = |codec| Group { targets: vec![], bases: vec![], codec };
    let tree = delta(Subject::Folder, b"", &target, vec![group(codec.clone())], &[&body]);
    let first_version = include_bytes!("../../../tests/golden/delta-v1.bin");
    for tree in [tree.as_slice(), first_version] {
        assert!(matches!(applied(b"", tree), Err(ApplyError::AnotherSubject { .. })));
    }
    let mut other = body.clone();
    other[5] ^= 1;
    let wrong = delta(Subject::File, b"", &target, vec![group(codec)], &[&other]);
    assert!(is_damaged(b"", &wrong));
}

#[test]
fn bombs_write_no_more_than_announced() {
    let zeros = vec![0; 4 << 20];
    for packing in [Packing::Zstd, Packing::Lzma2] {
        let (_, body) = whole(&zeros, packing);
        let target = vec![0; 5000];
        let way = (Codec::Whole(Packed { packing, length: body.len() as u64 }), body);
        let mut out = Vec::new();
        let delta = file_delta(b"", &target, &way);
        let mut go_on = |_: crate::apply::Progress| true;
        let result = crate::apply::file::apply_file(
            &b"".as_slice(),
            delta.as_slice(),
            &mut out,
            &crate::limits::Limits::default(),
            &mut go_on,
        );
        assert!(result.is_err() && out.len() <= 5000);
    }
    let (base, target) = small_pair();
    let way = covers(&base, &target, &find_covers(&base, &target), true, Packing::Zstd);
    assert!(applied(&base, &file_delta(&base, &target, &way)).is_ok());
}
