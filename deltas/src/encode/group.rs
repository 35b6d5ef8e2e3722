//! Makes the group that leads from a base space to a target space.

use std::io;

use super::find::Both;
use super::images::{Hints, read};
use super::pack::pack;
use super::prefix;
use super::streams::{Raw, streams};
use crate::apply::Ticker;
use crate::container::layout::{Codec, Cover, CoversHead, Image, Packed, STREAMS, Streams};
use crate::container::stream::EQUAL_RUNS;
use crate::container::{Flaw, JOINED_CAP, MAX_JOINED_BYTES, STREAM_CAPS, WHOLE_CAP, varint};
use crate::image::Predictor;
use crate::read_at::ReadAt;

/// Bytes of base and target up to which zstd is tried with the base as prefix: it takes long, and loses on larger ones.
const MOST_PREFIX: u64 = 2 << 20;
/// Bytes of a target up to which it is tried without its base.
const MOST_WHOLE: u64 = 4 << 10;

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

    /// Itself, if it is shorter than what it makes.
    fn filtered(self, target: usize) -> Option<Self> {
        (self.cost() < target).then_some(self)
    }
}

/// Makes the group.
///
/// # Errors
/// When a space cannot be read, or it was stopped.
pub(crate) fn encode(
    base: &dyn ReadAt,
    target: &dyn ReadAt,
    hints: &Hints,
    ticker: &mut Ticker<'_>,
) -> Result<Encoded, Flaw> {
    let spaces = Both { base, target };
    let (images, ways) = spaces.covers(hints, ticker)?;
    let mut best = None;
    for (own, covers) in ways {
        consider(&mut best, Some(by_covers(base, target, &images, own, &covers)?));
    }
    let both = base.length() + target.length();
    if !images.is_empty() && both <= MOST_PREFIX {
        // Where functions resemble each other, labels can mislead: beside the addresses, the bytes as they are.
        let plain = Hints { programs: Vec::new(), ..*hints };
        let (_, ways) = spaces.covers(&plain, &mut ticker.aside())?;
        for (own, covers) in ways {
            consider(&mut best, Some(by_covers(base, target, &[], own, &covers)?));
        }
    }
    if images.is_empty() && both <= MOST_PREFIX {
        let (old, new) = (read(base, (0, base.length())), read(target, (0, target.length())));
        let (old, new) = (old.map_err(Flaw::Read)?, new.map_err(Flaw::Read)?);
        let packed = prefix::pack(&old, &new).map_err(Flaw::Read)?;
        let head = Codec::Prefix { packed: packed.len() as u64 };
        consider(&mut best, Encoded { codec: head, bodies: vec![packed] }.filtered(new.len()));
    }
    let least = best.as_ref().map_or(usize::MAX, Encoded::cost);
    let little = least as u64 <= target.length() / 2;
    if best.is_none()
        || base.length() == 0
        || target.length() <= if little { MOST_WHOLE } else { MOST_PREFIX }
    {
        let new = read(target, (0, target.length())).map_err(Flaw::Read)?;
        let (packed, body) = pack(&new, WHOLE_CAP).map_err(Flaw::Read)?;
        consider(&mut best, Some(Encoded { codec: Codec::Whole(packed), bodies: vec![body] }));
    }
    best.ok_or(Flaw::Damaged)
}

fn consider(best: &mut Option<Encoded>, made: Option<Encoded>) {
    if let Some(made) = made
        && best.as_ref().is_none_or(|best| made.cost() < best.cost())
    {
        *best = Some(made);
    }
}

/// A group of these covers.
fn by_covers(
    base: &dyn ReadAt,
    target: &dyn ReadAt,
    images: &[Image],
    own: bool,
    covers: &[Cover],
) -> Result<Encoded, Flaw> {
    let count = covers.len() as u64;
    let predictor = Predictor::new(images, covers, base).map_err(Flaw::Read)?;
    let raw = if own {
        streams(covers, &Both { base, target }, target, &predictor)
    } else {
        streams(covers, base, target, &predictor)
    };
    let (streams, bodies) = pack_streams(&raw.map_err(Flaw::Read)?).map_err(Flaw::Read)?;
    let head = CoversHead { own_copies: own, images: images.to_vec(), covers: count, streams };
    Ok(Encoded { codec: Codec::Covers(head), bodies })
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
