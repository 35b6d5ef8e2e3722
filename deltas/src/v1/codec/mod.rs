//! How the content of one file is packed: one file per codec.
//!
//! Every body is a raw deflate stream. Compression is not part of the patch format, so that another
//! compressor is another step in the container and leaves the codecs alone.

pub(crate) mod bsdiff;
