//! Packs bytes, as [`apply::unpack`](crate::apply::unpack) unpacks them.

use std::io;

use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};
use zstd::zstd_safe::{CCtx, CParameter, FrameFormat, compress_bound, get_error_name};

/// A frame without magic number, content size and checksum; the prefix may be empty.
pub(crate) fn zstd_frame(bytes: &[u8], window_log: u32, prefix: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let failed = |code| io::Error::other(get_error_name(code));
    let mut context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::Format(FrameFormat::Magicless),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
        CParameter::DictIdFlag(false),
        CParameter::WindowLog(window_log),
    ] {
        context.set_parameter(parameter).map_err(failed)?;
    }
    if !prefix.is_empty() {
        context.set_parameter(CParameter::EnableLongDistanceMatching(true)).map_err(failed)?;
        context.ref_prefix(prefix).map_err(failed)?;
    }
    let mut packed = Vec::with_capacity(compress_bound(bytes.len()));
    context.compress2(&mut packed, bytes).map_err(failed)?;
    Ok(packed)
}

/// Raw LZMA2.
pub(crate) fn lzma2(bytes: &[u8], dictionary: u32, literal_context: u32, preset: u32) -> io::Result<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(preset).map_err(io::Error::from)?;
    options.dict_size(dictionary).literal_context_bits(literal_context).position_bits(0);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut stream = Stream::new_raw_encoder(&filters).map_err(io::Error::from)?;
    let mut packed = Vec::new();
    let mut rest = bytes;
    loop {
        packed.reserve(64 * 1024);
        let before = stream.total_in();
        let status = stream.process_vec(rest, &mut packed, Action::Finish).map_err(io::Error::from)?;
        let taken = usize::try_from(stream.total_in().saturating_sub(before)).unwrap_or(usize::MAX);
        rest = rest.get(taken..).unwrap_or_default();
        if status == Status::StreamEnd {
            return Ok(packed);
        }
    }
}
