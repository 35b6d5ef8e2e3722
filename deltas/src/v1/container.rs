//! What a delta file is, byte by byte.
//!
//! ```text
//! magic            8 bytes   "slpdelta"
//! version          u16       1
//! packed header    u32       length in bytes
//! header           u32       length in bytes, uncompressed
//! digest           32 bytes  SHA-256 of the packed header
//! packed header              JSON, raw deflate
//! bodies                     in the order of the header's steps, each as long as its step says
//! ```
//!
//! Numbers are little-endian. The header comes first and whole, so that every limit is checked before
//! the first byte is written. Its digest finds accidents, not attacks: a delta is not signed.

use std::io::{self, Read};

use flate2::read::DeflateDecoder;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::digest::{Sha256, sha256};
use crate::limits::Limits;
use crate::tree::{self, CheckKind};

/// What a delta begins with; the version follows.
pub(crate) const MAGIC: &[u8; 8] = b"slpdelta";
const VERSION: u16 = 1;
/// What a deflated header can be longer than a plain one by, generously.
const PACKING_OVERHEAD_BYTES: u32 = 64 * 1024;
/// Most bytes of the header, uncompressed.
const HEADER_BYTES: u32 = 32 * 1024 * 1024;
/// Largest file that is patched, old or new: the old side is held in memory.
pub(crate) const PATCHED_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// How the whole target comes about.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// Paths of the base that the target does not have: for people.
    pub(crate) removed: u64,
    /// The target's entries, sorted by path.
    pub(crate) steps: Vec<Step>,
}

/// How one entry of the target comes about.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) path: String,
    pub(crate) make: Make,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Make {
    /// The content of a base file.
    Same {
        file: Content,
        /// Its path in the base, if it is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<String>,
    },
    /// A bsdiff patch on a base file; the body is the patch, deflated.
    Bsdiff { file: Content, base: BaseContent, body: u64 },
    /// The body is the file, deflated.
    Whole { file: Content, body: u64 },
    /// A symbolic link with this text.
    Link { target: String },
}

/// What a target file will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    pub(crate) mode: u32,
    pub(crate) length: u64,
    pub(crate) sha256: Sha256,
}

/// What a base file has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BaseContent {
    pub(crate) path: String,
    pub(crate) length: u64,
    pub(crate) sha256: Sha256,
}

impl Header {
    pub(crate) fn target_bytes(&self) -> u64 {
        let lengths = self.steps.iter().map(|step| match &step.make {
            Make::Same { file, .. } | Make::Bsdiff { file, .. } | Make::Whole { file, .. } => file.length,
            Make::Link { .. } => 0,
        });
        lengths.fold(0, u64::saturating_add)
    }

    /// Whether everything that the header asks for is allowed. Called before anything is written.
    fn check(&self, limits: &Limits) -> Result<(), HeaderError> {
        if self.steps.len() > limits.entries {
            return Err(HeaderError::TooLarge { what: "files", limit: limits.entries as u64 });
        }
        if self.target_bytes() > limits.target_bytes {
            return Err(HeaderError::TooLarge { what: "target bytes", limit: limits.target_bytes });
        }
        let list = self.steps.iter().map(|step| {
            let kind = match &step.make {
                Make::Same { file, .. } | Make::Bsdiff { file, .. } | Make::Whole { file, .. } => {
                    CheckKind::File(file.mode)
                }
                Make::Link { target } => CheckKind::Link(target),
            };
            (step.path.as_str(), kind)
        });
        tree::check(list).map_err(HeaderError::Tree)?;
        for step in &self.steps {
            match &step.make {
                Make::Bsdiff { file, base, .. } => {
                    if file.length.max(base.length) > PATCHED_FILE_BYTES {
                        let limit = PATCHED_FILE_BYTES;
                        return Err(HeaderError::TooLarge { what: "bytes in a patched file", limit });
                    }
                    plain_base(&base.path)?;
                }
                Make::Same { base: Some(base), .. } => plain_base(base)?,
                Make::Same { base: None, .. } | Make::Whole { .. } | Make::Link { .. } => {}
            }
        }
        Ok(())
    }
}

fn plain_base(path: &str) -> Result<(), HeaderError> {
    if tree::is_plain(path) {
        return Ok(());
    }
    Err(HeaderError::Tree(tree::TreeProblem::UnsafePath { path: path.chars().take(200).collect() }))
}

/// Why the head of a delta cannot be used.
#[derive(Debug)]
pub(crate) enum HeaderError {
    Read(io::Error),
    NotADelta,
    Version(u16),
    Damaged,
    TooLarge { what: &'static str, limit: u64 },
    Tree(tree::TreeProblem),
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged,
            _ => Self::Read(error),
        }
    }
}

/// Reads and checks everything that stands before the bodies.
pub(crate) fn read_header(delta: &mut impl Read, limits: &Limits) -> Result<Header, HeaderError> {
    if &read_array::<8>(delta)? != MAGIC {
        return Err(HeaderError::NotADelta);
    }
    let version = u16::from_le_bytes(read_array(delta)?);
    if version != VERSION {
        return Err(HeaderError::Version(version));
    }
    let packed_length = u32::from_le_bytes(read_array(delta)?);
    let length = u32::from_le_bytes(read_array(delta)?);
    let digest = Sha256(read_array(delta)?);
    if length > HEADER_BYTES || packed_length > HEADER_BYTES.saturating_add(PACKING_OVERHEAD_BYTES) {
        return Err(HeaderError::TooLarge { what: "header bytes", limit: u64::from(HEADER_BYTES) });
    }
    // Grows with what really comes, so a lie about the length costs the liar.
    let mut packed = Vec::new();
    delta.by_ref().take(u64::from(packed_length)).read_to_end(&mut packed)?;
    if packed.len() as u64 != u64::from(packed_length) || sha256(&packed) != digest {
        return Err(HeaderError::Damaged);
    }
    let mut json = Vec::new();
    let unpacked = DeflateDecoder::new(packed.as_slice()).take(u64::from(length) + 1).read_to_end(&mut json);
    if unpacked.is_err() || json.len() as u64 != u64::from(length) {
        return Err(HeaderError::Damaged);
    }
    check_count(&json, limits)?;
    let header: Header = serde_json::from_slice(&json).map_err(|_| HeaderError::Damaged)?;
    header.check(limits)?;
    Ok(header)
}

/// Counts the entries before memory is taken for them: a step takes several times the memory of its text, and a
/// header of repetitions packs a thousandfold.
fn check_count(json: &[u8], limits: &Limits) -> Result<(), HeaderError> {
    #[derive(Deserialize)]
    struct Counted {
        // Of size zero, so a list of them takes no memory.
        steps: Vec<IgnoredAny>,
    }
    let counted: Counted = serde_json::from_slice(json).map_err(|_| HeaderError::Damaged)?;
    if counted.steps.len() > limits.entries {
        return Err(HeaderError::TooLarge { what: "files", limit: limits.entries as u64 });
    }
    Ok(())
}

fn read_array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}
