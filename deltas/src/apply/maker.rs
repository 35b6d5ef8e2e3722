//! The codecs behind one face: what each needs, how long its body is, and its target space, window by window.

use std::io::Read;

use super::group::{CoversMaker, Held};
use super::prefix::PrefixMaker;
use super::whole::WholeMaker;
use super::window::Maker;
use crate::container::chunks::{Recorded, Several, Single};
use crate::container::layout::{Codec, CoversHead, Packing, Streams};
use crate::container::read::checked_packed;
use crate::container::read::images::image_fits;
use crate::container::{CHUNK_BYTES, Flaw, MAX_PREFIX_BYTES};
use crate::digest::{Hasher, Sha256};
use crate::read_at::{FromBeginning, ReadAt};

/// Refuses what the lengths of the spaces do not allow.
pub(crate) fn check(codec: &Codec, base_length: u64, target_length: u64) -> Result<(), Flaw> {
    let fits = match codec {
        Codec::Whole(packed) => return checked_packed(*packed, target_length).map(drop),
        Codec::Prefix { packed } => {
            *packed < target_length
                && base_length.checked_add(target_length).is_some_and(|both| both <= MAX_PREFIX_BYTES)
        }
        Codec::Covers(head) => {
            head.covers <= target_length && head.images.iter().all(|image| image_fits(image, base_length))
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
            Streams::Joined { runs, length, packed } => {
                let mut source = Single::new(delta, packed.length);
                let held = Held::read(head.covers, *runs, *length, *packed, &mut source)?;
                Box::new(CoversMaker::new(head, held.lengths(), held, base, target_length)?)
            }
            Streams::Apart(streams) => {
                let source = Several::new(delta, streams.map(|(_, packed)| packed.length));
                Box::new(CoversMaker::new(head, *streams, source, base, target_length)?)
            }
        },
    })
}

/// Makes a group's target space out of its packed streams: the order in which the reader asks for chunks of streams that are
/// packed one by one, in which the writer's chunks stand; and the digest of what is made, so that the writer sees that the group
/// leads to its target.
pub(crate) fn proof(
    codec: &Codec,
    streams: &[impl ReadAt],
    base: &dyn ReadAt,
    target_length: u64,
) -> Result<(Vec<usize>, Sha256), Flaw> {
    if let Codec::Covers(head) = codec
        && let Streams::Apart(lengths) = &head.streams
    {
        check(codec, base.length(), target_length)?;
        let mut maker = CoversMaker::new(head, *lengths, Recorded::new(streams), base, target_length)?;
        let digest = digest_of(&mut maker)?;
        return Ok((maker.source.order, digest));
    }
    let mut body = FromBeginning::new(streams.first().ok_or(Flaw::Damaged)?);
    let digest = digest_of(begin(codec, base, target_length, &mut body)?.as_mut())?;
    if body.left() == 0 { Ok((Vec::new(), digest)) } else { Err(Flaw::Damaged) }
}

fn digest_of(maker: &mut (dyn Maker + '_)) -> Result<Sha256, Flaw> {
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
    Ok(hasher.finish())
}
