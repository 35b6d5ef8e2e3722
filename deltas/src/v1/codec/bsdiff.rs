//! The patch codec: a bsdiff patch in the layout of the crate `bsdiff`, made by that crate.
//!
//! A patch is a row of records: three little-endian numbers (length to add onto old bytes, length to
//! copy, signed distance to move in the old file), then the bytes to add, then the bytes to copy. It is
//! read here rather than by the crate, so that lengths are checked before anything is done with them
//! and the new file streams through without being held.

use std::io::{self, Read};

/// Bytes of the three numbers of a record.
const RECORD_BYTES: usize = 24;
/// Records in a row that yield nothing. The maker writes one at a time; more is a way to waste time.
const MAX_IDLE_RECORDS: u32 = 16;

/// Yields the new content out of the old one and a patch.
pub(crate) struct PatchReader<R> {
    base: Vec<u8>,
    patch: R,
    /// Bytes of the new content that are still missing: no record may go beyond.
    remaining: u64,
    at: usize,
    adding: u64,
    copying: u64,
    moving: i64,
    idle: u32,
}

impl<R: Read> PatchReader<R> {
    pub(crate) fn new(base: Vec<u8>, patch: R, target_length: u64) -> Self {
        Self { base, patch, remaining: target_length, at: 0, adding: 0, copying: 0, moving: 0, idle: 0 }
    }

    pub(crate) fn into_inner(self) -> R {
        self.patch
    }

    /// Reads the next record's numbers; false at the end of the patch.
    fn next_record(&mut self) -> io::Result<bool> {
        let at = i64::try_from(self.at).ok().and_then(|at| at.checked_add(self.moving));
        let Some(record) = read_record(&mut self.patch)? else { return Ok(false) };
        self.at = at.and_then(|at| usize::try_from(at).ok()).ok_or_else(broken)?;
        let [adding, copying, moving] = record;
        let wanted =
            adding.checked_add(copying).filter(|&wanted| wanted <= self.remaining).ok_or_else(broken)?;
        let end =
            usize::try_from(adding).ok().and_then(|adding| self.at.checked_add(adding)).ok_or_else(broken)?;
        if adding > 0 && end > self.base.len() {
            return Err(broken());
        }
        self.idle = if wanted == 0 { self.idle + 1 } else { 0 };
        if self.idle > MAX_IDLE_RECORDS {
            return Err(broken());
        }
        (self.adding, self.copying, self.moving) = (adding, copying, signed(moving));
        Ok(true)
    }
}

impl<R: Read> Read for PatchReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.adding == 0 && self.copying == 0 {
            if !self.next_record()? {
                return Ok(0);
            }
        }
        let section = if self.adding > 0 { self.adding } else { self.copying };
        let wanted = usize::try_from(section).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..wanted).ok_or_else(broken)?;
        let count = self.patch.read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.remaining = self.remaining.saturating_sub(count as u64);
        if self.adding > 0 {
            let end = self.at.checked_add(count).ok_or_else(broken)?;
            let old = self.base.get(self.at..end).ok_or_else(broken)?;
            for (new, old) in buffer.iter_mut().zip(old) {
                *new = new.wrapping_add(*old);
            }
            self.at = end;
            self.adding -= count as u64;
        } else {
            self.copying -= count as u64;
        }
        Ok(count)
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the patch points outside its files")
}

/// The three numbers of a record, or nothing if the patch ends before the first byte.
fn read_record(patch: &mut impl Read) -> io::Result<Option<[u64; 3]>> {
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    patch.take(RECORD_BYTES as u64).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let (numbers, rest) = bytes.as_chunks::<8>();
    match (numbers, rest) {
        ([first, second, third], []) => Ok(Some([*first, *second, *third].map(u64::from_le_bytes))),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The third number: its highest bit is the sign, the others are the distance.
fn signed(number: u64) -> i64 {
    let distance = i64::try_from(number & !(1 << 63)).unwrap_or(i64::MAX);
    if number >> 63 == 0 { distance } else { -distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(base: &[u8], patch: &[u8], length: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        PatchReader::new(base.to_vec(), patch, length as u64).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn our_reader_understands_what_the_crate_writes() {
        let base: Vec<u8> = (0..5000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        let mut target = base.clone();
        target.drain(300..340);
        target.splice(9000..9000, b"something new".iter().copied());
        target.extend_from_slice(&base[4000..6000]);
        target[77] ^= 9;
        for (old, new) in [(&base, &target), (&target, &base), (&Vec::new(), &target), (&base, &Vec::new())] {
            let mut patch = Vec::new();
            bsdiff::diff(old, new, &mut patch).unwrap();
            assert_eq!(&patched(old, &patch, new.len()).unwrap(), new);
        }
    }

    #[test]
    fn records_that_point_outside_promise_too_much_or_do_nothing_are_refused() {
        let record = |adding: u64, copying: u64, moving: u64| {
            [adding, copying, moving].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>()
        };
        let sign = 1 << 63;
        assert!(patched(b"old", &record(4, 0, 0), 100).is_err());
        assert!(patched(b"old", &record(u64::MAX, 1, 0), 100).is_err());
        assert!(patched(b"old", &record(0, u64::MAX, 0), 100).is_err());
        assert!(patched(b"old", &record(0, 101, 0), 100).is_err());
        assert!(patched(b"old", &[record(0, 0, sign | 1), record(1, 0, 0), vec![0]].concat(), 100).is_err());
        assert!(patched(b"old", &[record(0, 0, sign - 1), record(1, 0, 0), vec![0]].concat(), 100).is_err());
        assert!(patched(b"old", &[record(0, 0, sign | (sign - 1)), record(0, 0, 0)].concat(), 100).is_err());
        assert!(patched(b"old", &record(0, 0, 0).repeat(1000), 100).is_err());
        assert!(patched(b"old", &record(1, 0, 0)[..23], 100).is_err());
    }
}
