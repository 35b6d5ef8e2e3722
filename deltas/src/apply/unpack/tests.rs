use super::*;
use crate::container::chunks::Single;
use crate::container::{HEAD_CAP, WHOLE_CAP};
use crate::testing::{lzma2, noise, pack, text, zstd_frame};

/// Unpacks in pieces of `step` bytes.
fn unpacked(packed: &[u8], how: Packed, length: u64, cap: u64, step: usize) -> Result<Vec<u8>, Flaw> {
    let mut delta = packed;
    let mut source = Single::new(&mut delta, how.length);
    let mut unpacker = Unpacker::new(0, how, length, cap)?;
    let mut bytes = Vec::new();
    while unpacker.left() > 0 {
        let mut piece = vec![0; step.min(usize::try_from(unpacker.left()).unwrap_or(step))];
        unpacker.read(&mut source, &mut piece)?;
        bytes.extend_from_slice(&piece);
    }
    unpacker.finish(&mut source)?;
    Ok(bytes)
}

const PACKINGS: [Packing; 3] = [Packing::Plain, Packing::Zstd, Packing::Lzma2];

#[test]
fn every_packing_gives_its_bytes_back_in_pieces_of_any_size() {
    for bytes in [Vec::new(), text(1, 1), text(5000, 2), text(700_000, 3), noise(200_000, 4)] {
        for packing in PACKINGS {
            let (how, packed) = pack(&bytes, packing, WHOLE_CAP);
            for step in [1 << 16, 777, 1_000_000] {
                let result = unpacked(&packed, how, bytes.len() as u64, WHOLE_CAP, step);
                assert_eq!(result.unwrap(), bytes, "{how:?}");
            }
        }
    }
}

#[test]
fn a_stream_that_is_longer_or_shorter_than_announced_is_refused() {
    let bytes = text(5000, 1);
    for packing in PACKINGS {
        let (how, packed) = pack(&bytes, packing, HEAD_CAP);
        for length in [4999, 5001, 100_000] {
            let result = unpacked(&packed, how, length, HEAD_CAP, 512);
            assert!(matches!(result, Err(Flaw::Damaged)), "{packing:?} {length}");
        }
        let cut = Packed { length: how.length - 1, ..how };
        let result = unpacked(&packed, cut, 5000, HEAD_CAP, 512);
        assert!(matches!(result, Err(Flaw::Damaged)), "{packing:?}");
        let longer = [packed.as_slice(), b"more"].concat();
        let more = Packed { length: how.length + 4, ..how };
        let result = unpacked(&longer, more, 5000, HEAD_CAP, 512);
        assert!(matches!(result, Err(Flaw::Damaged)), "{packing:?}");
        let result = unpacked(&packed[..packed.len() - 1], how, 5000, HEAD_CAP, 512);
        assert!(matches!(result, Err(Flaw::Damaged)), "{packing:?}");
    }
}

#[test]
fn a_window_beyond_the_cap_is_refused() {
    let bytes = text(100_000, 1);
    let mut packed = zstd_frame(&bytes, 17, &[]);
    let how = Packed { packing: Packing::Zstd, length: packed.len() as u64 };
    assert!(unpacked(&packed, how, 100_000, HEAD_CAP, 1 << 16).is_ok());
    assert!(unpacked(&packed, how, 100_000, 1 << 16, 1 << 16).is_err());
    // The frame may say that it needs more than it does.
    for log in [18, 23, 31] {
        packed[1] = (log - 10) << 3;
        assert!(matches!(unpacked(&packed, how, 100_000, WHOLE_CAP, 1 << 16), Err(Flaw::Damaged)), "{log}");
    }
}

#[test]
fn a_dictionary_beyond_the_cap_is_refused() {
    let mut bytes = noise(1 << 20, 7);
    bytes.extend(text(1 << 20, 1));
    bytes.extend_from_within(..1000);
    let large = lzma2(&bytes, 4 << 20, 3);
    let how = Packed { packing: Packing::Lzma2, length: large.len() as u64 };
    assert!(unpacked(&large, how, bytes.len() as u64, HEAD_CAP, 1 << 16).is_err());
    assert_eq!(unpacked(&large, how, bytes.len() as u64, WHOLE_CAP, 1 << 16).unwrap(), bytes);
}

#[test]
fn a_frame_with_its_content_size_or_a_magic_number_is_refused() {
    let bytes = text(5000, 1);
    let with_size = zstd::bulk::compress(&bytes, 3).unwrap();
    for packed in [&with_size[..], &with_size[4..]] {
        let how = Packed { packing: Packing::Zstd, length: packed.len() as u64 };
        assert!(matches!(unpacked(packed, how, 5000, HEAD_CAP, 512), Err(Flaw::Damaged)));
    }
}

#[test]
fn a_bomb_yields_no_more_than_announced() {
    let bytes = vec![0; 20 << 20];
    for packing in [Packing::Zstd, Packing::Lzma2] {
        let (how, packed) = pack(&bytes, packing, WHOLE_CAP);
        assert!(matches!(unpacked(&packed, how, 100_000, WHOLE_CAP, 1 << 16), Err(Flaw::Damaged)));
    }
}
