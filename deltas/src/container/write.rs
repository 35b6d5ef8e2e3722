//! Writes the head of a delta, and the bodies behind it.
//!
//! The head is trusted here: it comes from the encoder. What it says wrongly is found by applying the delta.

use std::io::{self, Read, Write};

use super::layout::{Codec, CoversHead, Head, Image, Packed, Packing, Streams, Subject, Table, TableKind};
use super::read::images::table_end;
use super::{CHUNK_BYTES, MAGIC, VERSION, varint};
use crate::read_at::{FromBeginning, ReadAt};

/// How a head is packed: the packing, and the packed bytes if they are fewer.
pub(crate) type PackedHead = (Packing, Vec<u8>);

/// Writes magic, version and head; `pack` packs the head, or gives it back.
pub(crate) fn write_head(
    head: &Head,
    pack: impl FnOnce(&[u8]) -> io::Result<PackedHead>,
    out: &mut impl Write,
) -> io::Result<()> {
    let plain = head_bytes(head);
    let mut begin = Vec::from(MAGIC);
    let (packing, packed) = pack(&plain)?;
    let fewer = packing != Packing::Plain && packed.len() < plain.len();
    let subject = match head.subject {
        Subject::File => 0,
        Subject::Folder => 1,
        Subject::Manifest => 2,
    };
    let kind = subject | packing_byte(if fewer { packing } else { Packing::Plain }) << 2;
    begin.push(VERSION | kind << 4);
    if fewer {
        varint::write(length(&plain), &mut begin);
        varint::write(length(&packed), &mut begin);
    }
    out.write_all(&begin)?;
    out.write_all(if fewer { &packed } else { &plain })
}

/// Writes the body of a group of covers whose streams are packed one by one. `order` has the numbers of streams 3 to 6
/// as the reader asked for them, one for each chunk; it is not used where no chunks are needed.
pub(crate) fn write_streams(
    streams: &[impl ReadAt],
    order: &[usize],
    out: &mut impl Write,
) -> io::Result<()> {
    let (control, others) = streams.split_at_checked(3).ok_or(io::ErrorKind::InvalidInput)?;
    for stream in control {
        io::copy(&mut FromBeginning::new(stream), out)?;
    }
    if others.iter().map(ReadAt::length).sum::<u64>() <= CHUNK_BYTES {
        return others.iter().try_for_each(|stream| io::copy(&mut FromBeginning::new(stream), out).map(drop));
    }
    let mut left: Vec<_> = streams.iter().map(FromBeginning::new).collect();
    for number in order {
        let rest = left.get_mut(*number).ok_or(io::ErrorKind::InvalidInput)?;
        out.write_all(&[u8::try_from(*number).map_err(|_| io::ErrorKind::InvalidInput)?])?;
        io::copy(&mut rest.take(CHUNK_BYTES), out)?;
    }
    if left.iter().skip(3).all(|rest| rest.left() == 0) {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// The head, not yet packed.
pub(crate) fn head_bytes(head: &Head) -> Vec<u8> {
    let mut out = Vec::from(head.base_check);
    varint::write(head.base_length, &mut out);
    write_step(head.base_length, head.target_length, &mut out);
    out.extend_from_slice(&head.target_check);
    if head.subject != Subject::File {
        varint::write(count(&head.groups), &mut out);
    }
    for (number, group) in head.groups.iter().enumerate() {
        out.push(match &group.codec {
            Codec::Whole(packed) => packing_byte(packed.packing) << 2,
            Codec::Covers(covers) => 1 | flags(covers) << 2,
            Codec::Prefix { .. } => 2,
        });
        if number > 0 {
            write_indices(&group.targets, &mut out);
            write_indices(&group.bases, &mut out);
        }
        match &group.codec {
            Codec::Whole(packed) => write_length(*packed, &mut out),
            Codec::Covers(covers) => write_covers(covers, &mut out),
            Codec::Prefix { packed } => varint::write(*packed, &mut out),
        }
    }
    out
}

/// Own copies, images, and how the streams are packed together, if they are.
fn flags(head: &CoversHead) -> u8 {
    let joined = match &head.streams {
        Streams::Joined { packed, .. } => packing_byte(packed.packing) + 1,
        Streams::Apart(_) => 0,
    };
    u8::from(head.own_copies) | u8::from(!head.images.is_empty()) << 1 | joined << 2
}

fn write_covers(head: &CoversHead, out: &mut Vec<u8>) {
    if !head.images.is_empty() {
        varint::write(count(&head.images), out);
        head.images.iter().for_each(|image| write_image(image, out));
    }
    varint::write(head.covers, out);
    match &head.streams {
        Streams::Joined { runs, length, packed } => {
            varint::write(*runs, out);
            varint::write(*length, out);
            write_length(*packed, out);
        }
        Streams::Apart(streams) => {
            streams.iter().for_each(|(length, _)| varint::write(*length, out));
            let full = streams.iter().filter(|(length, _)| *length > 0);
            full.for_each(|(_, packed)| write_packed(*packed, out));
        }
    }
}

fn write_image(image: &Image, out: &mut Vec<u8>) {
    out.push(match image.machine {
        super::layout::Machine::X86_64 => 1,
        super::layout::Machine::AArch64 => 2,
    });
    varint::write(image.base_at, out);
    varint::write(image.target_at, out);
    varint::write(count(&image.segments), out);
    for segment in &image.segments {
        out.push(u8::from(segment.executable));
        let fields =
            |extent: &super::layout::Extent| [extent.offset, extent.address, extent.stored, extent.loaded];
        let (base, target) = (fields(&segment.base), fields(&segment.target));
        base.iter().for_each(|number| varint::write(*number, out));
        for (base, target) in base.iter().zip(target) {
            write_step(*base, target, out);
        }
    }
    varint::write(count(&image.pairs), out);
    for pair in &image.pairs {
        varint::write(pair.base, out);
        write_step(pair.base, pair.target, out);
    }
    varint::write(count(&image.tables), out);
    let mut end = 0;
    for table in &image.tables {
        write_table(table, end, out);
        end = table_end(table).unwrap_or(u64::MAX);
    }
}

fn write_table(table: &Table, end: u64, out: &mut Vec<u8>) {
    let (kind, numbers) = match table.kind {
        TableKind::Words { count, pair } => (1, vec![count, pair.into()]),
        TableKind::PlausibleWords { count, pair, limit } => (2, vec![count, pair.into(), limit.into()]),
        TableKind::GoFunctions { functions, length, first_pair } => {
            (3, vec![functions, length, first_pair.into()])
        }
        TableKind::Frames { length } => (4, vec![length]),
    };
    out.push(kind);
    varint::write(table.at.saturating_sub(end), out);
    numbers.iter().for_each(|number| varint::write(*number, out));
}

fn write_indices(indices: &[u32], out: &mut Vec<u8>) {
    varint::write(count(indices), out);
    let mut expected = None;
    for index in indices.iter().copied().map(u64::from) {
        match expected {
            None => varint::write(index, out),
            Some(expected) => write_step(expected, index, out),
        }
        expected = Some(index.saturating_add(1));
    }
}

fn write_packed(packed: Packed, out: &mut Vec<u8>) {
    out.push(packing_byte(packed.packing));
    write_length(packed, out);
}

fn write_length(packed: Packed, out: &mut Vec<u8>) {
    if packed.packing != Packing::Plain {
        varint::write(packed.length, out);
    }
}

const fn packing_byte(packing: Packing) -> u8 {
    match packing {
        Packing::Plain => 0,
        Packing::Zstd => 1,
        Packing::Lzma2 => 2,
    }
}

fn write_step(from: u64, to: u64, out: &mut Vec<u8>) {
    varint::write(varint::unsigned(varint::step(from, to)), out);
}

fn length(bytes: &[u8]) -> u64 {
    count(bytes)
}

fn count<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}
