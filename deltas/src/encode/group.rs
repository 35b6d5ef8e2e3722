//! Makes the group that leads from a base space to a target space.

use std::io;

use super::pack::pack;
use super::streams::{Raw, streams};
use super::prefix;
use crate::container::layout::{Codec, Cover, CoversHead, Image, Packed, STREAMS, Streams};
use crate::container::stream::EQUAL_RUNS;
use crate::container::{JOINED_CAP, MAX_JOINED_BYTES, STREAM_CAPS, varint};
use crate::image::{Parsed, Predictor, pair_up, parse, put_labels};
use crate::matching::{Costs, Found, Pair};
use crate::read_at::ReadAt;

/// A program in the base and its next release in the target: places and lengths in the spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProgramPair {
    pub(crate) base: (u64, u64),
    pub(crate) target: (u64, u64),
}

/// What is known of the spaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints {
    pub(crate) programs: Vec<ProgramPair>,
}

/// A group as it is sent: its head, and the packed bytes of its streams in their order.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) codec: Codec,
    pub(crate) bodies: Vec<Vec<u8>>,
}

impl Encoded {
    /// Bytes of it, nearly.
    fn cost(&self) -> usize {
        self.bodies.iter().map(Vec::len).sum()
    }
}


/// Makes the group.
///
/// # Errors
/// When a space cannot be read.
pub(crate) fn encode(base: &dyn ReadAt, target: &dyn ReadAt, hints: &Hints) -> io::Result<Encoded> {
    let images = images(base, target, hints)?;
    let found = if images.is_empty() { text_covers(base, target)? } else { vec![program_covers(base, target, &images)?] };
    let images: Vec<Image> = images.into_iter().map(|image| image.image).collect();
    let mut best: Option<Encoded> = None;
    for (own, covers) in found {
        let predictor = Predictor::new(&images, &covers, base)?;
        let raw = if own {
            streams(&covers, &Both { base, target }, target, &predictor)?
        } else {
            streams(&covers, base, target, &predictor)?
        };
        let (streams, bodies) = pack_streams(&raw)?;
        let head = CoversHead { own_copies: own, images: images.clone(), covers: covers.len() as u64, streams };
        let made = Encoded { codec: Codec::Covers(head), bodies };
        if best.as_ref().is_none_or(|best| made.cost() < best.cost()) {
            best = Some(made);
        }
    }
    best.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A program in both spaces.
struct Pairing {
    pair: ProgramPair,
    base: Parsed,
    target: Parsed,
    image: Image,
}

fn images(base: &dyn ReadAt, target: &dyn ReadAt, hints: &Hints) -> io::Result<Vec<Pairing>> {
    let mut images = Vec::new();
    for pair in &hints.programs {
        let (Some(old), Some(new)) = (parse(&read(base, pair.base)?), parse(&read(target, pair.target)?)) else { continue };
        if let Some(image) = pair_up(&old, pair.base.0, &new, pair.target.0) {
            images.push(Pairing { pair: *pair, base: old, target: new, image });
        }
    }
    Ok(images)
}

fn read(space: &dyn ReadAt, (at, length): (u64, u64)) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?];
    space.read_exact_at(at, &mut bytes)?;
    Ok(bytes)
}

fn within(bytes: &mut [u8], (at, length): (u64, u64)) -> &mut [u8] {
    let (at, length) = (usize::try_from(at).unwrap_or(0), usize::try_from(length).unwrap_or(0));
    &mut bytes[at..at + length]
}

type Covers = (bool, Vec<Cover>);

fn program_covers(base: &dyn ReadAt, target: &dyn ReadAt, images: &[Pairing]) -> io::Result<Covers> {
    let mut both = both(base, target)?;
    let length = usize::try_from(base.length()).unwrap_or(usize::MAX);
    let (old, new) = both.split_at_mut(length);
    for image in images {
        put_labels(&image.base, within(old, image.pair.base))?;
        put_labels(&image.target, within(new, image.pair.target))?;
    }
    let costs = Costs::of_programs(new.len());
    let pair = Pair { both: &both, base: length, own: std::env::var("OWNP").is_ok(), programs: true };
    let mut found = pair.covers(&[costs]).ok_or(io::ErrorKind::OutOfMemory)?;
    Ok((false, spread(&found.pop().unwrap_or_default())))
}

fn text_covers(base: &dyn ReadAt, target: &dyn ReadAt) -> io::Result<Vec<Covers>> {
    let own = true;
    let both = both(base, target)?;
    let length = usize::try_from(base.length()).unwrap_or(usize::MAX);
    let pair = Pair { both: &both, base: length, own, programs: false };
    let found = pair.covers(&[Costs::of_data(), Costs::of_text()]).ok_or(io::ErrorKind::OutOfMemory)?;
    Ok(found.iter().map(|found| (own, spread(found))).collect())
}

/// The base, and the target behind it.
fn both(base: &dyn ReadAt, target: &dyn ReadAt) -> io::Result<Vec<u8>> {
    let both = Both { base, target };
    read(&both, (0, both.length()))
}

fn spread(found: &[Found]) -> Vec<Cover> {
    let cover = |found: &Found| Cover {
        base: found.base as u64,
        target: found.target as u64,
        length: found.length as u64,
    };
    found.iter().map(cover).collect()
}

/// The base, and the target behind it.
struct Both<'a> {
    base: &'a dyn ReadAt,
    target: &'a dyn ReadAt,
}

impl ReadAt for Both<'_> {
    fn length(&self) -> u64 {
        self.base.length() + self.target.length()
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let before = self.base.length().saturating_sub(at).min(buffer.len() as u64);
        let (of_base, of_target) = buffer.split_at_mut(usize::try_from(before).unwrap_or(0));
        if !of_base.is_empty() {
            self.base.read_exact_at(at, of_base)?;
        }
        if !of_target.is_empty() {
            self.target.read_exact_at((at + before) - self.base.length(), of_target)?;
        }
        Ok(())
    }
}

/// Packs the streams together or one by one, whichever is smaller.
fn pack_streams(raw: &Raw) -> io::Result<(Streams, Vec<Vec<u8>>)> {
    let mut heads = Vec::new();
    let mut bodies = Vec::new();
    for (bytes, cap) in raw.iter().zip(STREAM_CAPS) {
        let (packed, body) = pack(bytes, cap)?;
        heads.push((bytes.len() as u64, packed));
        bodies.push(body);
    }
    let apart: [(u64, Packed); STREAMS] = heads.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    let together: Vec<u8> = raw.concat();
    if together.len() as u64 <= MAX_JOINED_BYTES {
        let (packed, body) = pack(&together, JOINED_CAP)?;
        // What each stream has for its own head, and for its last bytes.
        let heads = apart.iter().filter(|(length, _)| *length > 0).count() * 2;
        if body.len() < bodies.iter().map(Vec::len).sum::<usize>() + heads {
            let (runs, length) = (varint::count(&raw[EQUAL_RUNS]), together.len() as u64);
            return Ok((Streams::Joined { runs, length, packed }, vec![body]));
        }
    }
    Ok((Streams::Apart(apart), bodies))
}
