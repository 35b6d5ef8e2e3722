//! Puts a delta together: the bodies of groups wait in an unnamed file, since the head stands before them and names their
//! lengths.
//!
//! Invariant: a group is applied once before it is taken, so its chunks stand in the order in which a reader asks
//! for them, and it leads to its target.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use crate::apply::maker::proof;
use crate::container::HEAD_CAP;
use crate::container::layout::{Codec, Group, Head, Streams, Subject};
use crate::container::write::{write_head, write_streams};
use crate::digest::Sha256;
use crate::encode::pack;
use crate::make::error::MakeError;
use crate::read_at::ReadAt;

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

impl Assembly {
    pub(crate) fn new(subject: Subject, ends: Ends) -> io::Result<Self> {
        let head = Head {
            subject,
            base_check: ends.base.1.0.first_chunk().copied().unwrap_or_default(),
            base_length: ends.base.0,
            target_length: ends.target.0,
            target_check: ends.target.1.0.first_chunk().copied().unwrap_or_default(),
            groups: Vec::new(),
        };
        Ok(Self { head, bodies: tempfile::tempfile()? })
    }

    /// Adds the next group. `streams` are the packed bytes: one by one where the codec has them apart, else one.
    /// `base` is the base space, and `target` length and digest of the target space.
    pub(crate) fn add(
        &mut self,
        group: Group,
        streams: &[Vec<u8>],
        base: &dyn ReadAt,
        target: (u64, Sha256),
    ) -> Result<(), MakeError> {
        let (order, digest) = proof(&group.codec, streams, base, target.0).map_err(MakeError::of)?;
        if digest != target.1 {
            return Err(MakeError::Wrong);
        }
        match &group.codec {
            Codec::Covers(covers) if matches!(covers.streams, Streams::Apart(_)) => {
                write_streams(streams, &order, &mut self.bodies).map_err(MakeError::Write)?;
            }
            Codec::Covers(_) | Codec::Whole(_) | Codec::Prefix { .. } => {
                let mut streams = streams.iter();
                streams.try_for_each(|stream| self.bodies.write_all(stream)).map_err(MakeError::Write)?;
            }
        }
        self.head.groups.push(group);
        Ok(())
    }

    /// Writes head and bodies, and gives the length of the whole.
    pub(crate) fn finish(mut self, mut out: impl Write) -> io::Result<u64> {
        let mut begin = Vec::new();
        let packed = |bytes: &[u8]| pack(bytes, HEAD_CAP).map(|(how, packed)| (how.packing, packed));
        write_head(&self.head, packed, &mut begin)?;
        out.write_all(&begin)?;
        self.bodies.seek(SeekFrom::Start(0))?;
        let bodies = io::copy(&mut self.bodies, &mut out)?;
        out.flush()?;
        Ok(bodies.saturating_add(u64::try_from(begin.len()).unwrap_or(u64::MAX)))
    }
}
