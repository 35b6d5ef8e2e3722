//! The plain codec: the whole file, deflated.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Deflates everything a reader yields.
pub(crate) fn pack(mut content: impl Read, out: impl Write) -> io::Result<()> {
    let mut encoder = DeflateEncoder::new(out, Compression::best());
    io::copy(&mut content, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
