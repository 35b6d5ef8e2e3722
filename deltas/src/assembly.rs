//! Puts a delta together: the bodies of groups wait in an unnamed file, since the head stands before them and names their
//! lengths.
//!
//! Invariant: a group is applied once before it is taken, so its chunks stand in the order in which a reader asks
//! for them, and it leads to its target.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use crate::apply::maker::proof;
use crate::container::HEAD_CAP;
use crate::container::layout::{Codec, Group, Head, Image, Streams, Subject};
use crate::container::write::{write_head, write_streams};
use crate::digest::Sha256;
use crate::encode::pack_few;
use crate::make::error::MakeError;
use crate::read_at::{FromBeginning, ReadAt};
use crate::spool::{Scratch, Spool};

/// A delta that is being put together.
pub(crate) struct Assembly {
    head: Head,
    bodies: File,
}

/// The files that a delta leads from and to, or their lists.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) base: (u64, Sha256),
    pub(crate) target: (u64, Sha256),
}

/// A group that was applied once, and led to its target.
pub(crate) struct Proven {
    group: Group,
    streams: Vec<Spool>,
    order: Vec<usize>,
}

impl Proven {
    /// Applies a group. `streams` are the packed bytes: one by one where the codec has them apart, else one.
    /// `base` is the base space, and `target` length and digest of the target space.
    pub(crate) fn new(
        group: Group,
        streams: Vec<Spool>,
        base: &dyn ReadAt,
        target: (u64, Sha256),
    ) -> Result<Self, MakeError> {
        let (order, digest) = proof(&group.codec, &streams, base, target.0).map_err(MakeError::of)?;
        if digest == target.1 { Ok(Self { group, streams, order }) } else { Err(MakeError::Wrong) }
    }
}

impl Proven {
    /// What a reader keeps of its images: see [`crate::container::MAX_IMAGE_PARTS`].
    pub(crate) fn image_parts(&self) -> usize {
        let Codec::Covers(head) = &self.group.codec else { return 0 };
        let parts = |image: &Image| 1 + image.segments.len() + image.pairs.len() + image.tables.len();
        head.images.iter().map(parts).sum()
    }
}

impl Assembly {
    pub(crate) fn new(subject: Subject, ends: Ends, scratch: &Scratch) -> io::Result<Self> {
        let head = Head {
            subject,
            base_check: ends.base.1.0.first_chunk().copied().unwrap_or_default(),
            base_length: ends.base.0,
            target_length: ends.target.0,
            target_check: ends.target.1.0.first_chunk().copied().unwrap_or_default(),
            groups: Vec::new(),
        };
        Ok(Self { head, bodies: scratch.file()? })
    }

    /// Adds the next group.
    pub(crate) fn add(&mut self, proven: Proven) -> Result<(), MakeError> {
        let Proven { group, streams, order } = proven;
        match &group.codec {
            Codec::Covers(covers) if matches!(covers.streams, Streams::Apart(_)) => {
                write_streams(&streams, &order, &mut self.bodies).map_err(MakeError::Write)?;
            }
            Codec::Covers(_) | Codec::Whole(_) | Codec::Prefix { .. } => {
                for stream in &streams {
                    io::copy(&mut FromBeginning::new(stream), &mut self.bodies).map_err(MakeError::Write)?;
                }
            }
        }
        self.head.groups.push(group);
        Ok(())
    }

    /// Writes head and bodies, and gives the length of the whole.
    pub(crate) fn finish(mut self, mut out: impl Write) -> io::Result<u64> {
        let mut begin = Vec::new();
        let packed = |bytes: &[u8]| pack_few(bytes, HEAD_CAP).map(|(how, packed)| (how.packing, packed));
        write_head(&self.head, packed, &mut begin)?;
        out.write_all(&begin)?;
        self.bodies.seek(SeekFrom::Start(0))?;
        let bodies = io::copy(&mut self.bodies, &mut out)?;
        out.flush()?;
        Ok(bodies.saturating_add(u64::try_from(begin.len()).unwrap_or(u64::MAX)))
    }
}
