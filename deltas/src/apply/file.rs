//! Applies the delta of a file.

use std::io::{self, Read, Write};

use super::maker::begin;
use super::reader::SpaceReader;
use super::window::WINDOW_BYTES;
use super::{ApplyError, Control, Ticker};
use crate::container::Flaw;
use crate::container::chunks::read_array;
use crate::container::layout::{Codec, Head, Subject};
use crate::container::read::read_head;
use crate::digest::Hasher;
use crate::limits::Limits;
use crate::read_at::ReadAt;
use crate::summary::Summary;
use crate::v1;

/// Writes the target that a delta makes of a file. What was written counts only if this succeeds. The delta is
/// read in small pieces: buffer it.
///
/// # Errors
/// Why the delta does not lead from this base to the target that its head names.
pub fn apply_file(
    base: &dyn ReadAt,
    delta: impl Read,
    out: &mut dyn Write,
    limits: &Limits,
    control: &mut dyn Control,
) -> Result<Summary, ApplyError> {
    let mut delta = Counted::new(delta);
    let magic: [u8; 2] = read_array(&mut delta).map_err(ApplyError::of)?;
    if v1::MAGIC.starts_with(&magic) {
        return Err(ApplyError::AnotherSubject { made_for: "a tree of files", wanted: "a file" });
    }
    let head = read_head(&mut magic.as_slice().chain(&mut delta), limits.head_bytes);
    let head = head.map_err(ApplyError::of)?;
    let Head { subject: Subject::File, groups, .. } = &head else {
        return Err(ApplyError::AnotherSubject { made_for: "a tree of files", wanted: "a file" });
    };
    if head.target_length > limits.target_bytes {
        return Err(ApplyError::TooLarge { what: "target bytes", limit: limits.target_bytes });
    }
    if base.length() != head.base_length {
        return Err(another_base(&head, base)?);
    }
    let mut ticker = Ticker::new(control, head.target_length);
    let made = make(base, &head, &mut delta, out, &mut ticker);
    if let Err(error) = made {
        let by_base = matches!(error, ApplyError::Damaged | ApplyError::BaseUnreadable(_));
        return Err(if by_base { another_base(&head, base).unwrap_or(error) } else { error });
    }
    let whole = groups.iter().any(|group| matches!(group.codec, Codec::Whole(_)));
    Ok(Summary {
        patched: u64::from(!whole),
        whole: u64::from(whole),
        bytes: delta.bytes,
        target_bytes: head.target_length,
        ..Summary::default()
    })
}

fn make(
    base: &dyn ReadAt,
    head: &Head,
    delta: &mut Counted<impl Read>,
    out: &mut dyn Write,
    ticker: &mut Ticker<'_>,
) -> Result<(), ApplyError> {
    let target_failed = ApplyError::TargetUnwritable;
    let group = head.groups.first().ok_or(ApplyError::Damaged)?;
    let maker = begin(&group.codec, base, head.target_length, delta).map_err(ApplyError::of)?;
    let mut reader = SpaceReader::new(maker, ticker);
    let mut hasher = Hasher::new();
    let mut length = 0u64;
    let mut window = vec![0; WINDOW_BYTES];
    loop {
        let count = match reader.read(&mut window) {
            Ok(0) => break,
            Ok(count) => count,
            Err(_) => return Err(ApplyError::of(reader.take_flaw().unwrap_or(Flaw::Damaged))),
        };
        let made = window.get(..count).unwrap_or_default();
        hasher.update(made);
        length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        out.write_all(made).map_err(target_failed)?;
    }
    reader.finish().map_err(ApplyError::of)?;
    end_of(delta)?;
    out.flush().map_err(target_failed)?;
    if length != head.target_length || !hasher.finish().0.starts_with(&head.target_check) {
        return Err(ApplyError::Damaged);
    }
    Ok(())
}

/// Refuses bytes behind the end.
pub(crate) fn end_of(delta: &mut impl Read) -> Result<(), ApplyError> {
    match delta.read(&mut [0; 1]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(ApplyError::Damaged),
        Err(error) => Err(ApplyError::Read(error)),
    }
}

/// The error that names both bases, or nothing if they are the same.
fn another_base(head: &Head, base: &dyn ReadAt) -> Result<ApplyError, ApplyError> {
    let mut hasher = Hasher::new();
    let mut window = vec![0; WINDOW_BYTES];
    let mut at = 0u64;
    while at < base.length() {
        let count = usize::try_from(base.length().saturating_sub(at)).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        let bytes = window.get_mut(..count).unwrap_or_default();
        base.read_exact_at(at, bytes).map_err(ApplyError::BaseUnreadable)?;
        hasher.update(bytes);
        at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    other_base(head, &hasher.finish().0, base.length()).ok_or(ApplyError::Damaged)
}

/// The error that names both bases, if they differ.
pub(crate) fn other_base(head: &Head, digest: &[u8; 32], length: u64) -> Option<ApplyError> {
    let found: [u8; 2] = digest.first_chunk().copied().unwrap_or_default();
    let name =
        |check: &[u8; 2], length: u64| format!("{} ({length} bytes)", data_encoding::HEXLOWER.encode(check));
    (found != head.base_check || length != head.base_length).then(|| ApplyError::AnotherBase {
        made_for: name(&head.base_check, head.base_length),
        found: name(&found, length),
    })
}

/// Counts what was read.
pub(crate) struct Counted<R> {
    inner: io::BufReader<R>,
    pub(crate) bytes: u64,
}

impl<R: Read> Counted<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner: io::BufReader::new(inner), bytes: 0 }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}
