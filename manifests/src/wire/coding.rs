//! The one content coding between our programs: gzip (RFC 1952), of bodies that are read whole.
//!
//! Invariants: what comes out is bounded by whoever reads, before it is allocated; a body is one stream that ends where the
//! bytes end. Digests and signatures are of the plain bytes. Left out on purpose: when a body is packed, which the two sides
//! agree on by `Accept-Encoding` (RFC 9110, section 12.5.3, and of a server's answer RFC 7694).

use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

/// What the coding is called in `Accept-Encoding` and `Content-Encoding`.
pub const GZIP: &str = "gzip";
/// A shorter body gains nothing.
const MIN_BYTES: usize = 200;

/// Why a packed body cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodingError {
    /// More bytes would come out than the reader takes.
    #[error("the packed body has more than {limit} bytes when it is unpacked; send less at once")]
    TooLong {
        /// Most bytes that the reader takes.
        limit: usize,
    },
    /// It is no gzip stream, or one that is cut or damaged.
    #[error("the body says that it is packed with gzip and cannot be unpacked ({what}); send it again")]
    Damaged {
        /// What the reader of the format says.
        what: String,
    },
    /// Something lies behind the end of the stream.
    #[error("bytes lie behind the end of the packed body; send one stream")]
    BytesBehind,
}

/// Whether a value of `Accept-Encoding` names the coding, and does not forbid it.
#[must_use]
pub fn is_accepted(value: &str) -> bool {
    value.split(',').any(|part| {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let forbidden = weight.trim().strip_prefix("q=").is_some_and(|q| {
            let digits = q.trim().trim_start_matches('0').trim_start_matches('.');
            digits.bytes().all(|byte| byte == b'0')
        });
        name.trim().eq_ignore_ascii_case(GZIP) && !forbidden
    })
}

/// The body packed; `None` if that makes it no shorter.
#[must_use]
pub fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() < MIN_BYTES {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail.
    let packed = encoder.write_all(plain).and_then(|()| encoder.finish()).ok()?;
    (packed.len() < plain.len()).then_some(packed)
}

/// The plain body, of at most `limit` bytes.
///
/// # Errors
/// [`CodingError`].
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut decoder = GzDecoder::new(packed);
    let mut plain = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .by_ref()
        .take(most)
        .read_to_end(&mut plain)
        .map_err(|error| CodingError::Damaged { what: error.to_string() })?;
    if plain.len() > limit {
        return Err(CodingError::TooLong { limit });
    }
    if decoder.into_inner().is_empty() { Ok(plain) } else { Err(CodingError::BytesBehind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Vec<u8> {
        "one line as another\n".repeat(50).into_bytes()
    }

    #[test]
    fn a_body_comes_back_and_a_short_or_random_one_is_sent_as_it_is() {
        let packed = pack(&text()).unwrap();
        assert!(packed.len() < 100);
        assert_eq!(unpack(&packed, text().len()), Ok(text()));
        assert_eq!(pack(b"short"), None);
    }

    #[test]
    fn a_bomb_is_refused_at_the_readers_bound() {
        let bomb = pack(&vec![0; 64 * 1024 * 1024]).unwrap();
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack(&bomb, 256 * 1024), Err(CodingError::TooLong { limit: 256 * 1024 }));
        let one_more = pack(&text()).unwrap();
        let limit = text().len() - 1;
        assert_eq!(unpack(&one_more, limit), Err(CodingError::TooLong { limit }));
    }

    #[test]
    fn what_is_no_stream_is_cut_or_changed_or_has_bytes_or_another_stream_behind_is_refused() {
        let packed = pack(&text()).unwrap();
        let refused = |bytes: &[u8]| unpack(bytes, 1_000_000).unwrap_err();
        for bad in [&b""[..], b"{}", &packed[..packed.len() - 1], &text()] {
            assert!(matches!(refused(bad), CodingError::Damaged { .. }));
        }
        for at in 0..packed.len() {
            let mut changed = packed.clone();
            changed[at] ^= 0x10;
            // Some bits of the head say nothing about the content.
            assert!(unpack(&changed, 1_000_000).is_err() || unpack(&changed, 1_000_000) == Ok(text()));
        }
        assert_eq!(refused(&[packed.as_slice(), b"x"].concat()), CodingError::BytesBehind);
        assert_eq!(refused(&[packed.as_slice(), &packed].concat()), CodingError::BytesBehind);
    }

    #[test]
    fn the_coding_is_accepted_where_it_is_named_and_not_forbidden() {
        for yes in ["gzip", "GZIP", "br, gzip;q=0.5", "identity,gzip", "gzip;q=1"] {
            assert!(is_accepted(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "gzip; q=0.000", "x-gzip", "*"] {
            assert!(!is_accepted(no), "{no}");
        }
    }
}
