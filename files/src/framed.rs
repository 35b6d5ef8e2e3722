//! Framed bytes: a label, the length and the SHA-256 stand in front, so that any changed, missing or added byte is
//! found. Finds damage, not malice: what has to withstand malice is signed inside.
//!
//! Form: `<label> <length in bytes> <SHA-256 in hex>\n`, then the bytes. The label names the format and its version,
//! and may name the record, so that one record is never taken for another.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

/// Why framed bytes are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unframed {
    /// There is no first line.
    #[error("its header is cut off")]
    NoHeader,
    /// Label, length or digest is another one.
    #[error("its checksum does not match")]
    Mismatch,
}

/// Puts the header in front of `bytes`. A label has no line break.
#[must_use]
pub fn frame(label: &str, bytes: &[u8]) -> Vec<u8> {
    let header = header(label, bytes);
    let mut framed = Vec::with_capacity(header.len() + 1 + bytes.len());
    framed.extend_from_slice(header.as_bytes());
    framed.push(b'\n');
    framed.extend_from_slice(bytes);
    framed
}

/// The bytes behind the header, if label, length and digest are those of the bytes.
///
/// # Errors
/// [`Unframed`].
pub fn unframe<'a>(label: &str, framed: &'a [u8]) -> Result<&'a [u8], Unframed> {
    let end = framed.iter().position(|byte| *byte == b'\n').ok_or(Unframed::NoHeader)?;
    let (found, rest) = framed.split_at(end);
    let bytes = rest.get(1..).unwrap_or_default();
    if found == header(label, bytes).as_bytes() { Ok(bytes) } else { Err(Unframed::Mismatch) }
}

fn header(label: &str, bytes: &[u8]) -> String {
    let sha256 = digest::digest(&digest::SHA256, bytes);
    format!("{label} {} {}", bytes.len(), HEXLOWER.encode(sha256.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_missing_or_added_byte_anywhere_is_found() {
        let framed = frame("test-record 1", b"some bytes");
        assert_eq!(unframe("test-record 1", &framed), Ok(&b"some bytes"[..]));
        for at in 0..framed.len() {
            let mut flipped = framed.clone();
            flipped[at] ^= 1;
            assert!(unframe("test-record 1", &flipped).is_err(), "byte {at}");
            assert!(unframe("test-record 1", &framed[..at]).is_err(), "length {at}");
        }
        let longer = [&framed[..], b"!"].concat();
        assert_eq!(unframe("test-record 1", &longer), Err(Unframed::Mismatch));
        assert_eq!(unframe("other-record 1", &framed), Err(Unframed::Mismatch));
        assert_eq!(unframe("test-record 1", b""), Err(Unframed::NoHeader));
    }

    #[test]
    fn no_bytes_can_be_framed_too() {
        assert_eq!(unframe("empty 1", &frame("empty 1", b"")), Ok(&b""[..]));
    }
}
