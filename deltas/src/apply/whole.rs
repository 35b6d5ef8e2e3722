//! Makes a target space that is packed as it is.

use super::unpack::Unpacker;
use super::window::{Maker, WINDOW_BYTES};
use crate::container::chunks::Source;
use crate::container::layout::Packed;
use crate::container::read::checked_packed;
use crate::container::{Flaw, WHOLE_CAP};

/// A target space that is packed as it is.
pub(crate) struct WholeMaker<S> {
    source: S,
    unpacker: Unpacker,
}

impl<S: Source> WholeMaker<S> {
    pub(crate) fn new(packed: Packed, source: S, target_length: u64) -> Result<Self, Flaw> {
        let packed = checked_packed(packed, target_length)?;
        Ok(Self { source, unpacker: Unpacker::new(0, packed, target_length, WHOLE_CAP)? })
    }
}

impl<S: Source> Maker for WholeMaker<S> {
    fn fill(&mut self, window: &mut Vec<u8>) -> Result<(), Flaw> {
        let count = usize::try_from(self.unpacker.left()).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        window.resize(count, 0);
        self.unpacker.read(&mut self.source, window)
    }

    fn finish(&mut self) -> Result<(), Flaw> {
        self.unpacker.finish(&mut self.source)
    }
}
