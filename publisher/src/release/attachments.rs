//! Documents beside a release: copied into a private folder, so that what is signed is what is published, whatever happens
//! to the vendor's files meanwhile. Invariant: the digest is of what was read from the vendor's file, not of the copy, which
//! whoever owns the home could change.
//!
//! Left out on purpose: what is in them. Sites list them; nobody judges them yet.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sealpost_files::open_regular;
use sealpost_manifests::digest::Sha256Hasher;
use sealpost_manifests::release::{Attachment, Blob, MAX_ATTACHMENT_BYTES};
use tempfile::NamedTempFile;

use super::error::ReleaseError;
use super::order::Order;

/// A copy of a document. Its file is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) attachment: Attachment,
    pub(super) file: NamedTempFile,
}

/// Copies every document of an order, sorted by target.
///
/// # Errors
/// [`ReleaseError`] for the first that cannot be read, or is too large.
pub(super) fn copy_all(order: &Order, staging: &Path) -> Result<Vec<Attached>, ReleaseError> {
    let refused = |problem| ReleaseError::Refused { release: order.release.clone(), problems: vec![problem] };
    let mut all = Vec::new();
    for wanted in &order.attachments {
        let path = &wanted.file;
        let failed = |source| ReleaseError::Attachment { path: path.clone(), source };
        let target = wanted.target(&order.release).map_err(refused)?;
        let mut file = NamedTempFile::new_in(staging).map_err(failed)?;
        let blob = copy(path, file.as_file_mut()).map_err(failed)?;
        if blob.length > MAX_ATTACHMENT_BYTES {
            return Err(refused(format!(
                "the attachment {} has more than {MAX_ATTACHMENT_BYTES} bytes; shorten it, or publish it elsewhere and \
                 name it in the notes",
                path.display()
            )));
        }
        all.push(Attached { attachment: Attachment { kind: wanted.kind, target, blob }, file });
    }
    all.sort_by(|one, other| one.attachment.target.cmp(&other.attachment.target));
    Ok(all)
}

/// Copies at most one byte more than is allowed.
fn copy(from: &Path, to: &mut File) -> io::Result<Blob> {
    let mut from = open_regular(from)?.take(MAX_ATTACHMENT_BYTES.saturating_add(1));
    let (mut hasher, mut length, mut buffer) = (Sha256Hasher::new(), 0, vec![0; 64 * 1024]);
    loop {
        let count = from.read(&mut buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        if read.is_empty() {
            return Ok(Blob { sha256: hasher.finish(), length });
        }
        hasher.update(read);
        to.write_all(read)?;
        length += read.len() as u64;
    }
}
