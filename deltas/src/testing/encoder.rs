//! Makes small deltas, in the simplest way.
#![expect(clippy::cast_possible_truncation, reason = "places in small buffers")]

use std::collections::HashMap;

use super::pack;
use crate::apply::maker::proof;
use crate::container::layout::{
    Codec, Cover, CoversHead, Group, Head, Packed, Packing, STREAMS, Streams, Subject,
};
use crate::container::read::read_head;
use crate::container::write::{write_head, write_streams};
use crate::container::{HEAD_CAP, JOINED_CAP, STREAM_CAPS, WHOLE_CAP, varint};
use crate::digest::sha256;

/// A codec and the body.
pub(crate) type Encoded = (Codec, Vec<u8>);

/// Stretches of at least 16 bytes that are the same, found by blocks, and joined where they differ by little.
pub(crate) fn find_covers(base: &[u8], target: &[u8]) -> Vec<Cover> {
    const BLOCK: usize = 16;
    let mut places = HashMap::new();
    for at in (0..base.len().saturating_sub(BLOCK - 1)).step_by(4) {
        places.entry(&base[at..at + BLOCK]).or_insert(at);
    }
    let mut covers: Vec<Cover> = Vec::new();
    let mut at = 0;
    while at + BLOCK <= target.len() {
        let Some(from) = places.get(&target[at..at + BLOCK]).copied() else {
            at += 1;
            continue;
        };
        let equal = base[from..].iter().zip(&target[at..]).take_while(|(a, b)| a == b).count();
        let joins = covers.last().is_some_and(|last| {
            let end = (last.target + last.length) as usize;
            last.base.wrapping_sub(last.target) == (from as u64).wrapping_sub(at as u64) && at - end < 32
        });
        match covers.last_mut() {
            Some(last) if joins => last.length = (at + equal) as u64 - last.target,
            _ => covers.push(Cover { base: from as u64, target: at as u64, length: equal as u64 }),
        }
        at += equal;
    }
    covers
}

/// The seven streams of covers. Covers from the end of the base on are own copies.
pub(crate) fn streams(base: &[u8], target: &[u8], covers: &[Cover]) -> [Vec<u8>; STREAMS] {
    let mut streams: [Vec<u8>; STREAMS] = Default::default();
    let mut kept = [0i64; 8];
    let mut end = 0;
    let mut differences = Vec::new();
    for cover in covers {
        varint::write(cover.target - end, &mut streams[0]);
        varint::write(cover.length, &mut streams[1]);
        let diagonal = varint::step(cover.target, cover.base);
        let place = kept.iter().position(|kept| *kept == diagonal);
        let seek = place.map_or_else(
            || 8 + varint::unsigned(diagonal.wrapping_sub(kept[0])),
            |place| u64::try_from(place).unwrap(),
        );
        varint::write(seek, &mut streams[2]);
        kept[..=place.unwrap_or(7)].rotate_right(1);
        kept[0] = diagonal;
        streams[6].extend_from_slice(&target[end as usize..cover.target as usize]);
        end = cover.target + cover.length;
        for done in 0..cover.length {
            let (from, to) = ((cover.base + done) as usize, (cover.target + done) as usize);
            let old = base.get(from).or_else(|| target.get(from - base.len())).unwrap();
            differences.push(target[to].wrapping_sub(*old));
        }
    }
    streams[6].extend_from_slice(&target[end as usize..]);
    let mut rest = differences.as_slice();
    while rest.iter().any(|value| *value != 0) {
        let equal = rest.iter().take_while(|value| **value == 0).count();
        let unequal = rest[equal..].iter().take_while(|value| **value != 0).count();
        varint::write(equal as u64, &mut streams[3]);
        varint::write(unequal as u64, &mut streams[4]);
        streams[5].extend_from_slice(&rest[equal..equal + unequal]);
        rest = &rest[equal + unequal..];
    }
    streams
}

/// A group of covers out of its streams.
pub(crate) fn covers_of_streams(
    streams: &[Vec<u8>; STREAMS],
    count: usize,
    own_copies: bool,
    joined: bool,
    packing: Packing,
) -> (CoversHead, Vec<Vec<u8>>) {
    let head = |streams| CoversHead { own_copies, images: vec![], covers: count as u64, streams };
    if joined {
        let (packed, body) = pack(&streams.concat(), packing, JOINED_CAP);
        let length = streams.iter().map(Vec::len).sum::<usize>() as u64;
        let runs = streams[3].iter().filter(|byte| **byte < 0x80).count() as u64;
        return (head(Streams::Joined { runs, length, packed }), vec![body]);
    }
    let mut bodies = Vec::new();
    let mut apart = [(0, Packed { packing: Packing::Plain, length: 0 }); STREAMS];
    for (number, stream) in streams.iter().enumerate() {
        let (packed, body) = pack(stream, packing, STREAM_CAPS[number]);
        apart[number] = (stream.len() as u64, packed);
        bodies.push(body);
    }
    (head(Streams::Apart(apart)), bodies)
}

pub(crate) fn covers(base: &[u8], target: &[u8], found: &[Cover], joined: bool, packing: Packing) -> Encoded {
    let own = found.iter().any(|cover| cover.base >= base.len() as u64);
    let streams = streams(base, target, found);
    let (head, bodies) = covers_of_streams(&streams, found.len(), own, joined, packing);
    if joined {
        return (Codec::Covers(head), bodies.concat());
    }
    let codec = Codec::Covers(head.clone());
    let (order, digest) = proof(&codec, &bodies, &base, target.len() as u64).unwrap();
    assert_eq!(digest, sha256(target));
    let mut body = Vec::new();
    write_streams(&bodies, &order, &mut body).unwrap();
    (Codec::Covers(head), body)
}

pub(crate) fn whole(target: &[u8], packing: Packing) -> Encoded {
    let (packed, body) = pack(target, packing, WHOLE_CAP);
    (Codec::Whole(packed), body)
}

pub(crate) fn prefix(base: &[u8], target: &[u8]) -> Encoded {
    let body = super::zstd_frame(target, 24, base);
    (Codec::Prefix { packed: body.len() as u64 }, body)
}

/// Every way to encode a target.
pub(crate) fn all_ways(base: &[u8], target: &[u8]) -> Vec<Encoded> {
    let found = find_covers(base, target);
    let mut ways =
        vec![whole(target, Packing::Plain), whole(target, Packing::Zstd), whole(target, Packing::Lzma2)];
    for packing in [Packing::Plain, Packing::Zstd, Packing::Lzma2] {
        ways.push(covers(base, target, &found, false, packing));
    }
    if streams(base, target, &found).concat().len() <= 65_536 {
        ways.push(covers(base, target, &found, true, Packing::Lzma2));
    }
    let (codec, body) = prefix(base, target);
    if body.len() < target.len() {
        ways.push((codec, body));
    }
    ways
}

/// The delta of a file.
pub(crate) fn file_delta(base: &[u8], target: &[u8], (codec, body): &Encoded) -> Vec<u8> {
    let group = Group { targets: vec![], bases: vec![], codec: codec.clone() };
    delta(Subject::File, base, target, vec![group], &[body.as_slice()])
}

/// A delta with these groups; base and target are the files, or the lists.
pub(crate) fn delta(
    subject: Subject,
    base: &[u8],
    target: &[u8],
    groups: Vec<Group>,
    bodies: &[&[u8]],
) -> Vec<u8> {
    let head = Head {
        subject,
        base_check: *sha256(base).0.first_chunk().unwrap(),
        base_length: base.len() as u64,
        target_length: target.len() as u64,
        target_check: *sha256(target).0.first_chunk().unwrap(),
        groups,
    };
    let mut out = Vec::new();
    let packed = |bytes: &[u8]| {
        let (how, packed) = pack(bytes, Packing::Lzma2, HEAD_CAP);
        Ok((how.packing, packed))
    };
    write_head(&head, packed, &mut out).unwrap();
    bodies.iter().for_each(|body| out.extend_from_slice(body));
    out
}

/// The same delta with its head as it is.
pub(crate) fn head_unpacked(delta: &[u8]) -> Vec<u8> {
    let mut rest = delta;
    let head = read_head(&mut rest, 1 << 20).unwrap();
    let mut out = Vec::new();
    write_head(&head, |_| Ok((Packing::Plain, vec![])), &mut out).unwrap();
    out.extend_from_slice(rest);
    out
}
