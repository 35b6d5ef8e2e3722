//! Makes a delta from one tree to another.
//!
//! Deterministic: the same two trees give the same bytes. Both lists come out of signed manifests that
//! were checked. Every byte that goes into the delta is checked against them, so that a damaged or
//! changed file is found here and not on a thousand computers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::digest::{CheckedReader, Sha256, sha256};
use crate::limits::Limits;
use crate::summary::Summary;
use crate::tree::{self, CheckKind, Entry, EntryKind, Tree, TreeProblem};
use crate::v1::codec::{bsdiff, store};
use crate::v1::container::{
    BaseContent, Content, Header, HeaderError, Make, PATCHED_FILE_BYTES, Step, write_header,
};

/// Why a delta could not be made. The whole payload is always there instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The target's list is not a tree.
    #[error("cannot make the delta: the list of files is not a tree; publish the release again")]
    UnsafeTree(#[source] TreeProblem),
    /// More than is allowed.
    #[error("cannot make the delta: more than {limit} {what}; deliver the whole payload")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// A file could not be read.
    #[error("cannot make the delta: {path} cannot be read")]
    Read {
        /// The path in its tree.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what its list says.
    #[error("cannot make the delta: {path} is not what its list says; unpack the release again")]
    Differs {
        /// The path in its tree.
        path: String,
    },
    /// The delta could not be written.
    #[error("cannot write the delta: check the disk")]
    Write(#[source] io::Error),
}

impl From<HeaderError> for MakeError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::TooLarge { what, limit } => Self::TooLarge { what, limit },
            HeaderError::Tree(problem) => Self::UnsafeTree(problem),
            HeaderError::Read(error) => Self::Write(error),
            HeaderError::NotADelta | HeaderError::Version(_) | HeaderError::Damaged => {
                Self::Write(io::ErrorKind::InvalidData.into())
            }
        }
    }
}

/// Writes the delta that leads from `base` to `target`. The order of the entries does not matter.
///
/// # Errors
/// When a tree is not what its list says, exceeds the limits, or the delta cannot be written.
pub fn make(base: &Tree, target: &Tree, out: impl Write, limits: &Limits) -> Result<Summary, MakeError> {
    let base = Base::new(base);
    let mut entries: Vec<&Entry> = target.entries.iter().collect();
    entries.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    check_target(&entries, limits)?;
    // Bodies wait in an unnamed file, since the header stands before them and names their lengths.
    let mut maker = Maker {
        base: &base,
        target,
        bodies: tempfile::tempfile().map_err(MakeError::Write)?,
        summary: Summary::default(),
    };
    let steps = entries.iter().map(|entry| maker.step(entry)).collect::<Result<Vec<_>, _>>()?;
    let Maker { mut bodies, mut summary, .. } = maker;
    summary.removed = base.paths_without(&entries);
    let header = Header { removed: summary.removed, steps };
    summary.target_bytes = header.target_bytes();

    let mut out = CountedWriter { inner: out, bytes: 0 };
    write_header(&header, limits, &mut out)?;
    bodies.seek(SeekFrom::Start(0)).map_err(MakeError::Write)?;
    io::copy(&mut bodies, &mut out).map_err(MakeError::Write)?;
    out.flush().map_err(MakeError::Write)?;
    summary.bytes = out.bytes;
    Ok(summary)
}

/// Refuses a bad list before time is spent on it.
fn check_target(entries: &[&Entry], limits: &Limits) -> Result<(), MakeError> {
    if entries.len() > limits.entries {
        return Err(MakeError::TooLarge { what: "files", limit: limits.entries as u64 });
    }
    let list = entries.iter().map(|entry| {
        let kind = match &entry.kind {
            EntryKind::File { mode, .. } => CheckKind::File(*mode),
            EntryKind::Symlink { target } => CheckKind::Link(target),
        };
        (entry.path.as_str(), kind)
    });
    tree::check(list).map_err(MakeError::UnsafeTree)
}

/// The base, to be found by path and by content.
struct Base<'a> {
    tree: &'a Tree,
    by_path: BTreeMap<&'a str, (u64, Sha256)>,
    by_content: BTreeMap<(u64, Sha256), &'a str>,
}

impl<'a> Base<'a> {
    fn new(tree: &'a Tree) -> Self {
        let mut base = Self { tree, by_path: BTreeMap::new(), by_content: BTreeMap::new() };
        for entry in &tree.entries {
            if let EntryKind::File { length, sha256, .. } = &entry.kind {
                let content = (*length, Sha256(*sha256));
                base.by_path.insert(&entry.path, content);
                let first = base.by_content.entry(content).or_insert(&entry.path);
                *first = (*first).min(&entry.path);
            }
        }
        base
    }

    fn paths_without(&self, target: &[&Entry]) -> u64 {
        let gone = self.tree.entries.iter().filter(|old| {
            target.binary_search_by(|new| new.path.as_bytes().cmp(old.path.as_bytes())).is_err()
        });
        gone.count() as u64
    }
}

struct Maker<'a> {
    base: &'a Base<'a>,
    target: &'a Tree,
    bodies: File,
    summary: Summary,
}

impl Maker<'_> {
    fn step(&mut self, entry: &Entry) -> Result<Step, MakeError> {
        let make = match &entry.kind {
            EntryKind::Symlink { target } => {
                self.summary.links += 1;
                Make::Link { target: target.clone() }
            }
            EntryKind::File { length, sha256, mode } => {
                let file = Content { mode: *mode, length: *length, sha256: Sha256(*sha256) };
                self.file(&entry.path, file)?
            }
        };
        Ok(Step { path: entry.path.clone(), make })
    }

    fn file(&mut self, path: &str, file: Content) -> Result<Make, MakeError> {
        let old = self.base.by_path.get(path).copied();
        if old == Some((file.length, file.sha256)) {
            self.summary.unchanged += 1;
            return Ok(Make::Same { file, base: None });
        }
        if let Some(other) = self.base.by_content.get(&(file.length, file.sha256)) {
            self.summary.unchanged += 1;
            return Ok(Make::Same { file, base: Some((*other).to_owned()) });
        }
        if file.length > PATCHED_FILE_BYTES {
            return self.large(path, file);
        }
        let content = read_whole(self.target, path, file.length, file.sha256)?;
        let mut whole = Vec::new();
        store::pack(content.as_slice(), &mut whole).map_err(MakeError::Write)?;
        let patched = match old {
            Some((length, digest)) if length <= PATCHED_FILE_BYTES => self
                .patch(path, length, digest, &content, whole.len())?
                .filter(|(_, body)| body.len() < whole.len()),
            _ => None,
        };
        let (make, body) = match patched {
            Some((base, body)) => {
                self.summary.patched += 1;
                (Make::Bsdiff { file, base, body: body.len() as u64 }, body)
            }
            None => {
                self.summary.whole += 1;
                (Make::Whole { file, body: whole.len() as u64 }, whole)
            }
        };
        self.bodies.write_all(&body).map_err(MakeError::Write)?;
        Ok(make)
    }

    /// A file too large to be held: deflated as it is read.
    fn large(&mut self, path: &str, file: Content) -> Result<Make, MakeError> {
        let begin = self.bodies.stream_position().map_err(MakeError::Write)?;
        let mut content = CheckedReader::new(open(self.target, path)?, file.length, file.sha256);
        let packed = store::pack(&mut content, &mut self.bodies);
        if content.broken().is_none() {
            packed.map_err(MakeError::Write)?;
        }
        content.finish().map_err(|_| MakeError::Differs { path: path.to_owned() })?;
        let end = self.bodies.stream_position().map_err(MakeError::Write)?;
        self.summary.whole += 1;
        Ok(Make::Whole { file, body: end.saturating_sub(begin) })
    }

    /// The deflated patch from the base file at this path, if a patch is any good. It is tried at once:
    /// a patch that does not lead to the target is not sent.
    fn patch(
        &self,
        path: &str,
        length: u64,
        digest: Sha256,
        content: &[u8],
        deflated: usize,
    ) -> Result<Option<(BaseContent, Vec<u8>)>, MakeError> {
        let old = read_whole(self.base.tree, path, length, digest)?;
        if !bsdiff::is_affordable(&old, content, deflated) {
            return Ok(None);
        }
        let patch = bsdiff::make(&old, content).map_err(MakeError::Write)?;
        let mut rebuilt = Vec::with_capacity(content.len());
        let outcome =
            bsdiff::PatchReader::new(old, patch.as_slice(), content.len() as u64).read_to_end(&mut rebuilt);
        if outcome.is_err() || rebuilt != content {
            return Ok(None);
        }
        let mut body = Vec::new();
        store::pack(patch.as_slice(), &mut body).map_err(MakeError::Write)?;
        Ok(Some((BaseContent { path: path.to_owned(), length, sha256: digest }, body)))
    }
}

fn open(tree: &Tree, path: &str) -> Result<File, MakeError> {
    File::open(tree.root.join(path)).map_err(|source| MakeError::Read { path: path.to_owned(), source })
}

fn read_whole(tree: &Tree, path: &str, length: u64, digest: Sha256) -> Result<Vec<u8>, MakeError> {
    let mut bytes = Vec::new();
    open(tree, path)?
        .take(length.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| MakeError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 != length || sha256(&bytes) != digest {
        return Err(MakeError::Differs { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Counts what was written.
struct CountedWriter<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for CountedWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.bytes = self.bytes.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
