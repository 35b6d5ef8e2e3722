//! Bytes at any place: what the files of a base, and the spaces made of them, are to the engine.

use std::io;

/// Content of a known length that can be read at any place.
pub trait ReadAt {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Fills the buffer with the bytes from this place on.
    ///
    /// # Errors
    /// When they cannot be read, or end before the buffer is full (`UnexpectedEof`).
    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for &[u8] {
    fn length(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let found = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
