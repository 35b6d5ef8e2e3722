//! Packs bytes, as [`apply::unpack`](crate::apply::unpack) unpacks them.

use std::io::{self, Read};

use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};
use zstd::zstd_safe::{CCtx, CParameter, FrameFormat, compress_bound, get_error_name};

/// Bytes that are read and taken at a time.
const WINDOW: usize = 64 * 1024;

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

/// What LZMA2 is told of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lzma2 {
    pub(crate) dictionary: u32,
    pub(crate) literal_context: u32,
    pub(crate) preset: u32,
}

impl Lzma2 {
    /// Packs bytes, which are read to their end; `take` gets the packed ones. Raw: without a header.
    pub(crate) fn pack(
        self,
        mut bytes: impl Read,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut options = LzmaOptions::new_preset(self.preset).map_err(io::Error::from)?;
        let options = options.dict_size(self.dictionary).literal_context_bits(self.literal_context);
        let mut filters = Filters::new();
        filters.lzma2(options.position_bits(0));
        let mut stream = Stream::new_raw_encoder(&filters).map_err(io::Error::from)?;
        let mut packed = Vec::with_capacity(WINDOW);
        let mut window = Vec::new();
        let mut rest: &[u8] = &[];
        let mut goes_on = true;
        loop {
            if rest.is_empty() && goes_on {
                window.clear();
                bytes.by_ref().take(WINDOW as u64).read_to_end(&mut window)?;
                rest = &window;
                goes_on = window.len() == WINDOW;
            }
            let before = stream.total_in();
            let action = if goes_on { Action::Run } else { Action::Finish };
            let status = stream.process_vec(rest, &mut packed, action).map_err(io::Error::from)?;
            let taken = usize::try_from(stream.total_in().saturating_sub(before)).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            if status == Status::StreamEnd || packed.len() == packed.capacity() {
                take(&packed)?;
                packed.clear();
            }
            if status == Status::StreamEnd {
                return Ok(());
            }
        }
    }
}

/// Raw LZMA2.
pub(crate) fn lzma2(bytes: &[u8], how: Lzma2) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    how.pack(bytes, |piece| {
        packed.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(packed)
}
