//! Target spaces are made window by window.

use crate::container::Flaw;

/// Bytes of a target that are made at once.
pub(crate) const WINDOW_BYTES: usize = 64 * 1024;

/// Makes a target space, from its beginning to its end.
pub(crate) trait Maker {
    /// Replaces the window by the next bytes, which are none at the end.
    fn fill(&mut self, window: &mut Vec<u8>) -> Result<(), Flaw>;

    /// Checks that nothing is left over, when all bytes were made.
    fn finish(&mut self) -> Result<(), Flaw>;
}
