//! Reads the head of a delta.
//!
//! Invariant: memory is taken for what has come, never for what is claimed; counts have bounds of their own beside it.
//! What depends on the files (lengths of spaces, which files are open) is checked when they are known.

pub(crate) mod images;

use std::io::Read;

use super::chunks::{Single, read_array};
use super::layout::{Codec, CoversHead, Group, Head, Packed, Packing, STREAMS, Streams, Subject};
use super::{
    CHUNK_BYTES, Flaw, HEAD_CAP, MAGIC, MAX_COVERS, MAX_GROUPS, MAX_IMAGES, MAX_JOINED_BYTES,
    MAX_NAMED_FILES, MAX_PREFIX_BYTES, VERSION, varint,
};
use crate::apply::unpack::Unpacker;

/// Bytes of the head that are unpacked at once.
const PIECE_BYTES: u64 = CHUNK_BYTES;

/// Reads magic, version and head.
pub(crate) fn read_head(delta: &mut impl Read, most_bytes: u64) -> Result<Head, Flaw> {
    if read_array(delta)? != MAGIC {
        return Err(Flaw::NotADelta);
    }
    read_head_after_magic(delta, most_bytes)
}

/// Reads version and head; magic was read before.
pub(crate) fn read_head_after_magic(delta: &mut impl Read, most_bytes: u64) -> Result<Head, Flaw> {
    let [begin] = read_array(delta)?;
    if begin & 0x0f != VERSION {
        return Err(Flaw::Version(u16::from(begin & 0x0f)));
    }
    let kind = begin >> 4;
    let subject = match kind & 3 {
        0 => Subject::File,
        1 => Subject::Folder,
        2 => Subject::Manifest,
        _ => return Err(Flaw::Later("a subject")),
    };
    let packing = read_packing(kind >> 2)?;
    let too_large = Flaw::TooLarge { what: "bytes in its head", limit: most_bytes };
    if packing == Packing::Plain {
        let mut bytes = Bytes { source: delta, left: most_bytes, at_end: too_large };
        return parse(subject, &mut bytes);
    }
    let mut number = || varint::read(|| read_array::<1>(delta).map(|[byte]| byte));
    let (length, packed) = (number()?, number()?);
    if length > most_bytes {
        return Err(too_large);
    }
    let packed = checked_packed(Packed { packing, length: packed }, length)?;
    let mut source = Single::new(delta, packed.length);
    let mut unpacker = Unpacker::new(0, packed, length, HEAD_CAP)?;
    let mut bytes = Vec::new();
    // Grows with what really comes.
    while unpacker.left() > 0 {
        let piece = usize::try_from(unpacker.left().min(PIECE_BYTES)).map_err(|_| Flaw::Damaged)?;
        let begin = bytes.len();
        bytes.resize(begin.saturating_add(piece), 0);
        unpacker.read(&mut source, bytes.get_mut(begin..).unwrap_or_default())?;
    }
    unpacker.finish(&mut source)?;
    parse_whole(subject, &bytes)
}

/// The head out of all of its bytes.
fn parse_whole(subject: Subject, bytes: &[u8]) -> Result<Head, Flaw> {
    let mut bytes = Bytes { source: bytes, left: length_of(bytes), at_end: Flaw::Damaged };
    let head = parse(subject, &mut bytes)?;
    if bytes.left == 0 { Ok(head) } else { Err(Flaw::Damaged) }
}

fn length_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The head, which ends where its last group does.
fn parse(subject: Subject, bytes: &mut Bytes<impl Read>) -> Result<Head, Flaw> {
    let base_check = bytes.array()?;
    let base_length = bytes.number()?;
    let target_length = bytes.number_from(base_length)?;
    let target_check = bytes.array()?;
    // A file has one.
    let count = if subject == Subject::File { 1 } else { bytes.count(MAX_GROUPS, "groups")? };
    if count == 0 {
        return Err(Flaw::Damaged);
    }
    let mut head = Head { subject, base_check, base_length, target_length, target_check, groups: Vec::new() };
    let mut named_files = 0usize;
    let mut image_parts = 0usize;
    for number in 0..count {
        let first = number == 0;
        let codec = bytes.byte()?;
        let (mut targets, mut bases) = (Vec::new(), Vec::new());
        if !first {
            targets = bytes.indices(&mut named_files)?;
            bases = bytes.indices(&mut named_files)?;
            // A file that stands in a base space twice brings nothing but work.
            if targets.is_empty() || has_doubles(&bases) {
                return Err(Flaw::Damaged);
            }
        }
        let codec = match (codec & 3, codec >> 2) {
            (0, packing) => {
                Codec::Whole(bytes.whole(read_packing(packing)?, first.then_some(target_length))?)
            }
            (1, flags) => Codec::Covers(bytes.covers(flags, &mut image_parts)?),
            (2, 0) => Codec::Prefix { packed: bytes.prefix()? },
            _ => return Err(Flaw::Later("a codec")),
        };
        head.groups.push(Group { targets, bases, codec });
    }
    Ok(head)
}

fn has_doubles(numbers: &[u32]) -> bool {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
}

fn read_packing(byte: u8) -> Result<Packing, Flaw> {
    match byte {
        0 => Ok(Packing::Plain),
        1 => Ok(Packing::Zstd),
        2 => Ok(Packing::Lzma2),
        _ => Err(Flaw::Later("a packing")),
    }
}

/// Packed bytes are fewer than the bytes: so the work of unpacking has a bound.
pub(crate) const fn checked_packed(packed: Packed, length: u64) -> Result<Packed, Flaw> {
    match packed.packing {
        Packing::Plain => Ok(Packed { packing: Packing::Plain, length }),
        Packing::Zstd | Packing::Lzma2 if packed.length < length => Ok(packed),
        Packing::Zstd | Packing::Lzma2 => Err(Flaw::Damaged),
    }
}

/// What is left of a head, or may come of it.
struct Bytes<R> {
    source: R,
    left: u64,
    /// What it is when more is read.
    at_end: Flaw,
}

impl<R: Read> Bytes<R> {
    fn byte(&mut self) -> Result<u8, Flaw> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let count = u64::try_from(N).unwrap_or(u64::MAX);
        match self.left.checked_sub(count) {
            Some(left) => self.left = left,
            None => return Err(std::mem::replace(&mut self.at_end, Flaw::Damaged)),
        }
        read_array(&mut self.source)
    }

    fn number(&mut self) -> Result<u64, Flaw> {
        varint::read(|| self.byte())
    }

    fn signed(&mut self) -> Result<i64, Flaw> {
        self.number().map(varint::signed)
    }

    /// The number that a signed distance from this one leads to.
    fn number_from(&mut self, from: u64) -> Result<u64, Flaw> {
        from.checked_add_signed(self.signed()?).ok_or(Flaw::Damaged)
    }

    fn count(&mut self, most: usize, what: &'static str) -> Result<usize, Flaw> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > most {
            return Err(Flaw::TooLarge { what, limit: u64::try_from(most).unwrap_or(u64::MAX) });
        }
        Ok(count)
    }

    /// A list of indices; all lists together have a bound.
    fn indices(&mut self, named: &mut usize) -> Result<Vec<u32>, Flaw> {
        let count = self.count(MAX_NAMED_FILES.saturating_sub(*named), "files named by its groups")?;
        *named = named.saturating_add(count);
        let mut indices: Vec<u32> = Vec::new();
        for _ in 0..count {
            let index = match indices.last() {
                None => self.number()?,
                Some(last) => self.number_from(u64::from(*last).saturating_add(1))?,
            };
            indices.push(u32::try_from(index).map_err(|_| Flaw::Damaged)?);
        }
        Ok(indices)
    }

    /// How so many bytes are packed.
    fn packed(&mut self, length: u64) -> Result<Packed, Flaw> {
        let packing = read_packing(self.byte()?)?;
        self.packed_so(packing, length)
    }

    /// How many bytes they are then.
    fn packed_so(&mut self, packing: Packing, length: u64) -> Result<Packed, Flaw> {
        let packed = if packing == Packing::Plain { length } else { self.number()? };
        checked_packed(Packed { packing, length: packed }, length)
    }

    /// How a target space is packed; its length is known later, unless it is the first one's.
    fn whole(&mut self, packing: Packing, length: Option<u64>) -> Result<Packed, Flaw> {
        match (length, packing) {
            (Some(length), _) => self.packed_so(packing, length),
            (None, Packing::Plain) => Ok(Packed { packing, length: 0 }),
            (None, _) => Ok(Packed { packing, length: self.number()? }),
        }
    }

    fn prefix(&mut self) -> Result<u64, Flaw> {
        let packed = self.number()?;
        if packed >= MAX_PREFIX_BYTES { Err(Flaw::Damaged) } else { Ok(packed) }
    }

    fn covers(&mut self, flags: u8, image_parts: &mut usize) -> Result<CoversHead, Flaw> {
        let (own_copies, has_images, joined) = (flags & 1 != 0, flags & 2 != 0, flags >> 2);
        if joined > 3 {
            return Err(Flaw::Later("a flag of covers"));
        }
        let mut images = Vec::new();
        if has_images {
            let count = self.count(MAX_IMAGES, "images in a group")?;
            if own_copies || count == 0 {
                return Err(Flaw::Damaged);
            }
            for _ in 0..count {
                *image_parts = image_parts.saturating_add(1);
                images.push(self.image(image_parts)?);
            }
        }
        let covers = self.number()?;
        if covers > MAX_COVERS {
            return Err(Flaw::TooLarge { what: "covers in a group", limit: MAX_COVERS });
        }
        let streams = match joined.checked_sub(1) {
            Some(packing) => self.joined(read_packing(packing)?, covers)?,
            None => self.apart(covers)?,
        };
        Ok(CoversHead { own_copies, images, covers, streams })
    }

    fn joined(&mut self, packing: Packing, covers: u64) -> Result<Streams, Flaw> {
        let (runs, length) = (self.number()?, self.number()?);
        // Every cover has three numbers, every pair of runs two and a value.
        let least = covers.saturating_add(runs).saturating_mul(3);
        if !(least..=MAX_JOINED_BYTES).contains(&length) {
            return Err(Flaw::Damaged);
        }
        Ok(Streams::Joined { runs, length, packed: self.packed_so(packing, length)? })
    }

    fn apart(&mut self, covers: u64) -> Result<Streams, Flaw> {
        let mut lengths = [0; STREAMS];
        for length in &mut lengths {
            *length = self.number()?;
        }
        // Every cover has one number in each of the first three streams.
        let control_fits =
            |length: &u64| (covers..=covers.saturating_mul(varint::MAX_BYTES)).contains(length);
        if !lengths.iter().take(3).all(control_fits) {
            return Err(Flaw::Damaged);
        }
        lengths.iter().try_fold(0u64, |sum, length| sum.checked_add(*length)).ok_or(Flaw::Damaged)?;
        let mut apart = lengths.map(|length| (length, Packed { packing: Packing::Plain, length: 0 }));
        for (length, packed) in apart.iter_mut().filter(|(length, _)| *length > 0) {
            *packed = self.packed(*length)?;
        }
        Ok(Streams::Apart(apart))
    }
}

#[cfg(test)]
mod tests;
