//! Makes the group that leads from a base space to a target space.

use std::io;

use super::find::{Both, Covers};
use super::images::{Hints, read};
use super::pack::{memory_of, pack};
use super::prefix;
use super::streams::{Raw, streams};
use crate::apply::Ticker;
use crate::container::layout::{Codec, Cover, CoversHead, Image, Packed, STREAMS, Streams};
use crate::container::stream::EQUAL_RUNS;
use crate::container::{Flaw, JOINED_CAP, MAX_JOINED_BYTES, STREAM_CAPS, WHOLE_CAP, varint};
use crate::image::Predictor;
use crate::read_at::{FromBeginning, ReadAt, Space};
use crate::spool::Spool;

/// Bytes of base and target up to which zstd is tried with the base as prefix: it takes long, and loses on larger ones.
const MOST_PREFIX: u64 = 2 << 20;
/// Bytes of a target up to which it is tried without its base.
const MOST_WHOLE: u64 = 4 << 10;

/// Bytes of memory that a cover takes while streams are made of it.
const MEMORY_OF_COVER: u64 = 64;

/// A group as it is sent: its head, and the packed bytes of its streams in their order.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) codec: Codec,
    pub(crate) bodies: Vec<Spool>,
}

impl Encoded {
    /// Bytes of it, nearly.
    fn cost(&self) -> u64 {
        self.bodies.iter().map(ReadAt::length).sum()
    }

    /// Itself, if it is shorter than what it makes.
    fn filtered(self, target: u64) -> Option<Self> {
        (self.cost() < target).then_some(self)
    }
}

/// Makes the group.
///
/// # Errors
/// When a space cannot be read, or it was stopped.
pub(crate) fn encode(
    base: &Space<'_>,
    target: &Space<'_>,
    hints: &Hints<'_>,
    ticker: &mut Ticker<'_>,
) -> Result<Encoded, Flaw> {
    let spaces = Both { base, target };
    let (images, ways) = spaces.covers(hints, ticker)?;
    let mut best = None;
    for made in by_ways(&spaces, &images, &ways, hints, ticker)? {
        consider(&mut best, Some(made));
    }
    drop(ways);
    let both = base.length() + target.length();
    if !images.is_empty() && both <= MOST_PREFIX {
        // Where functions resemble each other, labels can mislead: beside the addresses, the bytes as they are.
        let plain = Hints { programs: Vec::new(), ..*hints };
        let mut aside = ticker.aside();
        let (_, ways) = spaces.covers(&plain, &mut aside)?;
        for made in by_ways(&spaces, &[], &ways, hints, &mut aside)? {
            consider(&mut best, Some(made));
        }
    }
    if images.is_empty() && both <= MOST_PREFIX {
        let (old, new) = (read(base, (0, base.length())), read(target, (0, target.length())));
        let (old, new) = (old.map_err(Flaw::Read)?, new.map_err(Flaw::Read)?);
        let packed = prefix::pack(&old, &new).map_err(Flaw::Read)?;
        let head = Codec::Prefix { packed: packed.len() as u64 };
        consider(&mut best, Encoded { codec: head, bodies: vec![packed.into()] }.filtered(target.length()));
    }
    let little = best.as_ref().is_some_and(|best| best.cost() <= target.length() / 2);
    if best.is_none()
        || base.length() == 0
        || target.length() <= if little { MOST_WHOLE } else { MOST_PREFIX }
    {
        consider(&mut best, Some(whole(target, hints)?));
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

/// The target alone.
fn whole(target: &Space<'_>, hints: &Hints<'_>) -> Result<Encoded, Flaw> {
    let (packed, body) = pack(target, WHOLE_CAP, hints).map_err(Flaw::Read)?;
    let plain = || {
        let mut plain = Spool::new(hints.scratch);
        io::copy(&mut FromBeginning::new(target), &mut plain).map_err(Flaw::Read)?;
        Ok(plain)
    };
    let body = body.map_or_else(plain, Ok)?;
    Ok(Encoded { codec: Codec::Whole(packed), bodies: vec![body] })
}

/// A group for each set of covers.
fn by_ways(
    spaces: &Both<'_>,
    images: &[Image],
    ways: &[Covers],
    hints: &Hints<'_>,
    ticker: &mut Ticker<'_>,
) -> Result<Vec<Encoded>, Flaw> {
    // What is long lies in files; what is packed at once is bounded by itself.
    let need = |(_, covers): &Covers| covers.len() as u64 * MEMORY_OF_COVER;
    let by_covers = |(own, covers): &Covers, ticker: &mut Ticker<'_>| {
        by_covers(spaces, images, *own, covers, hints, ticker)
    };
    hints.crew.all(ways, (hints.memory_bytes / 2, need), ticker, by_covers)
}

/// A group of these covers.
fn by_covers(
    spaces: &Both<'_>,
    images: &[Image],
    own: bool,
    covers: &[Cover],
    hints: &Hints<'_>,
    ticker: &mut Ticker<'_>,
) -> Result<Encoded, Flaw> {
    let Both { base, target } = *spaces;
    let count = covers.len() as u64;
    let predictor = Predictor::new(images, covers, base).map_err(Flaw::Read)?;
    let raw = if own {
        streams(covers, spaces, target, &predictor, hints.scratch)
    } else {
        streams(covers, base, target, &predictor, hints.scratch)
    };
    let (streams, bodies) = pack_streams(raw.map_err(Flaw::Read)?, hints, ticker)?;
    let head = CoversHead { own_copies: own, images: images.to_vec(), covers: count, streams };
    Ok(Encoded { codec: Codec::Covers(head), bodies })
}

/// Packs the streams together or one by one, whichever is smaller.
fn pack_streams(raw: Raw, hints: &Hints<'_>, ticker: &mut Ticker<'_>) -> Result<(Streams, Vec<Spool>), Flaw> {
    let bytes: u64 = raw.iter().map(ReadAt::length).sum();
    let together: Option<Vec<&[u8]>> = raw.iter().map(Spool::in_memory).collect();
    let together = together.filter(|_| bytes <= MAX_JOINED_BYTES).map(|parts| Spool::from(parts.concat()));
    let mut jobs: Vec<(&Spool, u64)> = raw.iter().zip(STREAM_CAPS).collect();
    jobs.extend(together.iter().map(|together| (together, JOINED_CAP)));
    let most = hints.memory_bytes / 2;
    let packed = hints.crew.all(
        &jobs,
        (most, |(bytes, cap): &(&Spool, u64)| memory_of(bytes.length(), *cap)),
        ticker,
        |(bytes, cap), ticker| {
            ticker.made(0)?;
            pack(*bytes, *cap, hints).map_err(Flaw::Read)
        },
    )?;
    let mut packed = packed.into_iter();
    let (mut heads, mut bodies) = (Vec::new(), Vec::new());
    // The joined one comes last.
    for (stream, (head, body)) in raw.iter().zip(&mut packed) {
        heads.push((stream.length(), head));
        bodies.push(body);
    }
    let apart: [(u64, Packed); STREAMS] = heads.try_into().map_err(|_| Flaw::Damaged)?;
    if let Some((joined, (packed, body))) = together.zip(packed.next()) {
        // What each stream has for its own head, and for its last bytes.
        let full = apart.iter().filter(|(length, _)| *length > 0);
        let most: u64 = full.map(|(_, packed)| packed.length + 2).sum();
        if packed.length < most {
            let runs = varint::count(raw[EQUAL_RUNS].in_memory().unwrap_or_default());
            let streams = Streams::Joined { runs, length: joined.length(), packed };
            return Ok((streams, vec![body.unwrap_or(joined)]));
        }
    }
    let bodies = raw.into_iter().zip(bodies).map(|(plain, packed)| packed.unwrap_or(plain));
    Ok((Streams::Apart(apart), bodies.collect()))
}
