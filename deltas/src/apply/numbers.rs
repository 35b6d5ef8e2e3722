//! Reads a stream of numbers.

use super::unpack::Unpacker;
use crate::container::chunks::Source;
use crate::container::{Flaw, varint};

/// Bytes that are unpacked ahead.
const AHEAD_BYTES: u64 = 4096;

/// A stream of numbers.
pub(crate) struct Numbers {
    unpacker: Unpacker,
    bytes: Vec<u8>,
    at: usize,
}

impl Numbers {
    pub(crate) const fn new(unpacker: Unpacker) -> Self {
        Self { unpacker, bytes: Vec::new(), at: 0 }
    }

    /// Whether all numbers were read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len() && self.unpacker.left() == 0
    }

    /// The next number.
    pub(crate) fn next(&mut self, source: &mut dyn Source) -> Result<u64, Flaw> {
        varint::read(|| {
            if self.at >= self.bytes.len() {
                let ahead = usize::try_from(self.unpacker.left().min(AHEAD_BYTES)).unwrap_or_default();
                self.bytes.resize(ahead, 0);
                self.unpacker.read(source, &mut self.bytes)?;
                self.at = 0;
            }
            let byte = self.bytes.get(self.at).copied().ok_or(Flaw::Damaged)?;
            self.at = self.at.saturating_add(1);
            Ok(byte)
        })
    }

    /// Checks that all numbers were read, and that the stream ends here.
    pub(crate) fn finish(&mut self, source: &mut dyn Source) -> Result<(), Flaw> {
        if !self.is_at_end() {
            return Err(Flaw::Damaged);
        }
        self.unpacker.finish(source)
    }
}
