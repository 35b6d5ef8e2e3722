//! Telling a delta and its version by its first bytes.

use super::MAGIC;
use crate::v1;

/// So many bytes of the beginning are enough for [`container_version`].
pub const BEGIN_BYTES: usize = 8;

/// The version of the container that begins with these bytes, if they are a delta's. A reader of today knows 1 and 2.
#[must_use]
pub fn container_version(begin: &[u8]) -> Option<u16> {
    if begin.starts_with(v1::MAGIC) {
        return Some(1);
    }
    let (version, _) = begin.strip_prefix(&MAGIC)?.split_first()?;
    Some(u16::from(version & 0x0f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_of_each_version_are_told_from_other_files() {
        assert_eq!(container_version(b"slpdelta"), Some(1));
        assert_eq!(container_version(b"slpdelt"), None);
        assert_eq!(container_version(&[0xd5, b'S', 0x22]), Some(2));
        assert_eq!(container_version(&[0xd5, b'S', 0x93, 7]), Some(3));
        assert_eq!(container_version(&[0xd5, b'S']), None);
        assert_eq!(container_version(b"PK\x03\x04"), None);
        assert_eq!(container_version(b""), None);
    }
}
