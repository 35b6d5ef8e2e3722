//! zstd with the base as its prefix: for texts of which many short pieces come from anywhere.

use std::io;

/// Most bytes of base and target together.
pub(crate) const MOST_BYTES: u64 = 16 << 20;
/// Level of zstd.
const LEVEL: i32 = 22;

/// Packs a target with its base as prefix.
pub(super) fn pack(base: &[u8], target: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = zstd::stream::Encoder::with_ref_prefix(Vec::new(), LEVEL, base)?;
    packer.include_checksum(false)?;
    packer.include_contentsize(false)?;
    packer.include_magicbytes(false)?;
    packer.set_parameter(zstd::zstd_safe::CParameter::EnableLongDistanceMatching(true))?;
    packer.window_log(window(base.len() + target.len()))?;
    packer.set_pledged_src_size(Some(target.len() as u64))?;
    io::Write::write_all(&mut packer, target)?;
    packer.finish()
}

/// Logarithm of the window that reaches over so many bytes.
fn window(bytes: usize) -> u32 {
    bytes.max(1024).next_power_of_two().ilog2()
}
