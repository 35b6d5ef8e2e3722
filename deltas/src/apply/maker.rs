//! The codecs behind one face: what each needs, how long its body is, and its target space, window by window.

use std::io::Read;

use super::group::{CoversMaker, Held, streams_of};
use super::prefix::PrefixMaker;
use super::whole::WholeMaker;
use super::window::Maker;
use crate::container::chunks::{Recorded, Several, Single};
use crate::container::layout::{Codec, CoversHead, Packing, STREAMS, Streams};
use crate::container::read::checked_packed;
use crate::container::read::images::image_fits;
use crate::container::{CHUNK_BYTES, Flaw, MAX_OWN_BYTES, MAX_PREFIX_BYTES};
use crate::digest::{Hasher, Sha256};
use crate::read_at::ReadAt;

/// Refuses what the lengths of the spaces do not allow.
pub(crate) fn check(codec: &Codec, base_length: u64, target_length: u64) -> Result<(), Flaw> {
    let fits = match codec {
        Codec::Whole(packed) => return checked_packed(*packed, target_length).map(drop),
        Codec::Prefix { packed } => {
            *packed < target_length
                && base_length.checked_add(target_length).is_some_and(|both| both <= MAX_PREFIX_BYTES)
        }
        Codec::Covers(head) => {
            (!head.own_copies || target_length <= MAX_OWN_BYTES)
                && head.covers <= target_length
                && head.images.iter().all(|image| image_fits(image, base_length))
        }
    };
    if fits { Ok(()) } else { Err(Flaw::Damaged) }
}

/// Bytes of a group's body.
pub(crate) fn body_length(codec: &Codec, target_length: u64) -> u64 {
    match codec {
        Codec::Whole(packed) if packed.packing == Packing::Plain => target_length,
        Codec::Whole(packed) => packed.length,
        Codec::Prefix { packed } => *packed,
        Codec::Covers(CoversHead { streams: Streams::Joined { packed, .. }, .. }) => packed.length,
        Codec::Covers(CoversHead { streams: Streams::Apart(streams), .. }) => {
            let length = |from: usize| {
                streams.iter().skip(from).fold(0u64, |sum, (_, packed)| sum.saturating_add(packed.length))
            };
            let chunks = streams.iter().skip(3).map(|(_, packed)| packed.length.div_ceil(CHUNK_BYTES));
            let marks = if length(3) > CHUNK_BYTES { chunks.fold(0, u64::saturating_add) } else { 0 };
            length(0).saturating_add(marks)
        }
    }
}

/// Begins a group's target space; its body stands next in the delta.
pub(crate) fn begin<'a, R: Read>(
    codec: &Codec,
    base: &'a dyn ReadAt,
    target_length: u64,
    delta: &'a mut R,
) -> Result<Box<dyn Maker + 'a>, Flaw> {
    check(codec, base.length(), target_length)?;
    Ok(match codec {
        Codec::Whole(packed) => {
            let source = Single::new(delta, body_length(codec, target_length));
            Box::new(WholeMaker::new(*packed, source, target_length)?)
        }
        Codec::Prefix { packed } => {
            Box::new(PrefixMaker::new(&mut Single::new(delta, *packed), base, target_length)?)
        }
        Codec::Covers(head) => match &head.streams {
            Streams::Joined { lengths, packed } => {
                let held = Held::read(lengths, *packed, &mut Single::new(delta, packed.length))?;
                Box::new(CoversMaker::new(head, held, base, target_length)?)
            }
            Streams::Apart(_) => {
                let source = Several::new(delta, packed_lengths(head));
                Box::new(CoversMaker::new(head, source, base, target_length)?)
            }
        },
    })
}

fn packed_lengths(head: &CoversHead) -> [u64; STREAMS] {
    streams_of(head).map(|(_, packed)| packed.length)
}

/// The order in which a reader asks for chunks of streams that are packed one by one, and the digest of what it makes:
/// the writer's chunks stand in this order, and it sees that the group leads to the target.
pub(crate) fn order_of_chunks(
    head: &CoversHead,
    streams: &[Vec<u8>],
    base: &dyn ReadAt,
    target_length: u64,
) -> Result<(Vec<usize>, Sha256), Flaw> {
    let mut maker = CoversMaker::new(head, Recorded::new(streams), base, target_length)?;
    let mut hasher = Hasher::new();
    let mut window = Vec::new();
    loop {
        maker.fill(&mut window)?;
        if window.is_empty() {
            break;
        }
        hasher.update(&window);
    }
    maker.finish()?;
    Ok((maker.source.order, hasher.finish()))
}
