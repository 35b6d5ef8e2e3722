//! Payloads. The input is a manifest on the first line, and the bytes of a payload behind it.
//!
//! The bytes are read in two ways: as the compressed file that the manifest signs, and as the tar inside of one, by a
//! vendor who signs whatever this tar is. The second way reaches what a checksum would hide from a fuzzer.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::RelativePath;
use sealpost_manifests::payload::{PayloadSink, ReadError, read_gzip};
use sealpost_manifests::release::{Blob, Encoding, FileEntry, FileKind, ReleaseManifest};

/// Reads a payload; what comes out is what the manifest lists.
pub(crate) fn payloads(data: &[u8]) -> bool {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return false };
    let (line, rest) = data.split_at(end);
    let Ok(manifest) = document::read::<ReleaseManifest>(line) else { return false };
    let bytes = rest.get(1..).unwrap_or_default();
    let as_signed = unpack(bytes, &manifest);
    let packed = gzip(bytes).expect("memory takes all writes");
    let mut resigned = manifest.clone();
    resigned.payload.tar = blob(bytes);
    resigned.payload.encodings.insert("gzip".to_owned(), blob(&packed));
    unpack(&packed, &resigned) || as_signed
}

/// Whether the payload is the one of the manifest.
fn unpack(compressed: &[u8], manifest: &ReleaseManifest) -> bool {
    let mut sink = Memory { files: manifest.files.iter(), bytes: 0 };
    match read_gzip(compressed, manifest, &mut sink) {
        Ok(()) => {
            assert!(manifest.check().is_empty(), "an unsound manifest is followed");
            assert!(sink.files.next().is_none(), "a file is missing");
            assert_eq!(sink.bytes, manifest.installed_bytes());
            assert_eq!(manifest.payload.encoding(Encoding::Gzip), Some(&blob(compressed)));
            let (sha256, length) = Sha256Digest::of_reader(GzDecoder::new(compressed)).expect("it was read");
            assert_eq!(manifest.payload.tar, Blob { sha256, length }, "another tar than the signed one");
            true
        }
        Err(ReadError::Sink { path, source }) => panic!("the sink takes everything, but {path}: {source}"),
        Err(_) => false,
    }
}

/// Expects the files of a manifest, in its order, and counts what is read of them.
struct Memory<'a> {
    files: std::slice::Iter<'a, FileEntry>,
    bytes: u64,
}

impl PayloadSink for Memory<'_> {
    fn create_file(
        &mut self,
        path: &RelativePath,
        mode: u32,
        length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let expected = self.files.next().expect("no more files than the manifest lists");
        let FileKind::File { executable, length: listed, sha256 } = &expected.kind else {
            panic!("{path} is a link");
        };
        assert_eq!((path, mode, length), (&expected.path, if *executable { 0o755 } else { 0o644 }, *listed));
        let mut counted = Counted { inner: content, bytes: 0, bound: length };
        let (digest, read) = Sha256Digest::of_reader(&mut counted)?;
        assert_eq!((digest, read), (*sha256, length), "the content of {path} ends well, and is another one");
        self.bytes += read;
        Ok(())
    }

    fn create_symlink(&mut self, path: &RelativePath, target: &str) -> io::Result<()> {
        let expected = self.files.next().expect("no more files than the manifest lists");
        assert_eq!(
            (path, &expected.kind),
            (&expected.path, &FileKind::Symlink { target: target.to_owned() })
        );
        Ok(())
    }
}

/// Stops at once when more is yielded than was announced.
struct Counted<'a> {
    inner: &'a mut dyn Read,
    bytes: u64,
    bound: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        assert!(self.bytes <= self.bound, "more bytes than were announced");
        Ok(count)
    }
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { sha256: Sha256Digest::of(bytes), length: bytes.len() as u64 }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(bytes)?;
    encoder.finish()
}
