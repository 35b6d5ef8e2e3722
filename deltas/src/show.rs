//! What a delta is made of: what each group cost, and which files it makes.

use std::io::Read;

use serde::Serialize;

use crate::apply::ApplyError;
use crate::apply::file::Counted;
use crate::apply::maker::body_length;
use crate::apply::target_list::read_folder_list;
use crate::container::layout::{Codec, CoversHead, Group, Head, Packed, Packing, STREAMS, Streams, Subject};
use crate::container::read::read_head;
use crate::container::{Flaw, MAGIC};
use crate::limits::Limits;
use crate::plan::Plan;
use crate::tree::Entry;
use crate::v1;
use crate::v1::container::{Content, Make, read_header};

/// Names of the streams of covers, in their order.
const STREAM_NAMES: [&str; STREAMS] =
    ["gaps", "lengths", "seeks", "equal_runs", "unequal_runs", "values", "literals"];

/// What a delta is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Shown {
    /// Version of the format.
    pub version: u16,
    /// `file`, `folder` or `release`.
    pub subject: &'static str,
    /// Length of the whole delta.
    pub bytes: u64,
    /// Of it, what stands before the bodies of groups.
    pub head_bytes: u64,
    /// Length of the base file, or of the base's list of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_bytes: Option<u64>,
    /// First bytes of its SHA-256, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_check: Option<String>,
    /// The same of the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_bytes: Option<u64>,
    /// First bytes of its SHA-256, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_check: Option<String>,
    /// What makes the files, in order.
    pub groups: Vec<ShownGroup>,
}

/// A group of files that are made together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShownGroup {
    /// `whole`, `covers` or `prefix`; of version 1 `whole` or `bsdiff`.
    pub codec: &'static str,
    /// What it cost; not known of files that are stored as they are, if the base's list is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What it makes: paths, `the list of files`, or nothing for a file.
    pub makes: Vec<String>,
    /// How many files it makes.
    pub files: usize,
    /// How many files of the base it is made of.
    pub base_files: usize,
    /// Length of all that it makes, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_bytes: Option<u64>,
    /// Stretches that resemble the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<u64>,
    /// Programs whose addresses are corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Whether parts of the target are copied from the target itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_copies: Option<bool>,
    /// How it is packed.
    pub streams: Vec<ShownStream>,
}

/// A packed stream of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShownStream {
    /// What it holds.
    pub name: &'static str,
    /// `plain`, `zstd` or `lzma2`.
    pub packing: &'static str,
    /// Its length before it was packed, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Its length, packed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed_bytes: Option<u64>,
}

/// Shows a delta. With the entries of its base, which are of a folder, files have names.
///
/// # Errors
/// When it cannot be read, or the base is another one.
pub fn show(delta: impl Read, base: Option<&[Entry]>, limits: &Limits) -> Result<Shown, ApplyError> {
    let mut delta = Counted::new(delta);
    let mut magic = Vec::new();
    (&mut delta).take(2).read_to_end(&mut magic).map_err(ApplyError::Read)?;
    if magic.len() == 2 && v1::MAGIC.starts_with(&magic) {
        let groups = first_version(&mut magic.as_slice().chain(&mut delta), limits)?;
        let head_bytes = delta.bytes;
        return Ok(Shown {
            version: 1,
            subject: "release",
            bytes: rest_of(&mut delta)?,
            head_bytes,
            groups,
            ..Shown::default()
        });
    }
    if magic != MAGIC {
        return Err(ApplyError::NotADelta);
    }
    let head =
        read_head(&mut magic.as_slice().chain(&mut delta), limits.head_bytes).map_err(ApplyError::of)?;
    let head_bytes = delta.bytes;
    let entries = match (base, head.subject) {
        (Some(base), Subject::Folder) => Some((base, read_folder_list(base, &head, &mut delta, limits)?)),
        _ => None,
    };
    let plan = entries.as_ref().map(|(base, target)| Plan::new(base, target));
    let mut groups = Vec::new();
    for (number, group) in head.groups.iter().enumerate() {
        groups.push(shown_group(&head, number, group, plan.as_ref()).ok_or(ApplyError::of(Flaw::Damaged))?);
    }
    let hex = |bytes: &[u8]| Some(data_encoding::HEXLOWER.encode(bytes));
    Ok(Shown {
        version: 2,
        subject: match head.subject {
            Subject::File => "file",
            Subject::Folder => "folder",
            Subject::Manifest => "release",
        },
        bytes: rest_of(&mut delta)?,
        head_bytes,
        base_bytes: Some(head.base_length),
        base_check: hex(&head.base_check),
        target_bytes: Some(head.target_length),
        target_check: hex(&head.target_check),
        groups,
    })
}

/// What each file cost in version 1.
fn first_version(delta: &mut impl Read, limits: &Limits) -> Result<Vec<ShownGroup>, ApplyError> {
    let header = read_header(delta, limits).map_err(ApplyError::from)?;
    let shown = |path: &str, codec, file: &Content, body, base_files| ShownGroup {
        codec,
        bytes: Some(body),
        makes: vec![path.to_owned()],
        files: 1,
        base_files,
        target_bytes: Some(file.length),
        ..ShownGroup::default()
    };
    let groups = header.steps.iter().filter_map(|step| match &step.make {
        Make::Bsdiff { file, body, .. } => Some(shown(&step.path, "bsdiff", file, *body, 1)),
        Make::Whole { file, body } => Some(shown(&step.path, "whole", file, *body, 0)),
        Make::Same { .. } | Make::Link { .. } => None,
    });
    Ok(groups.collect())
}

/// Reads to the end, and gives the length of the whole.
fn rest_of(delta: &mut Counted<impl Read>) -> Result<u64, ApplyError> {
    std::io::copy(delta, &mut std::io::sink()).map_err(ApplyError::Read)?;
    Ok(delta.bytes)
}

fn shown_group(head: &Head, number: usize, group: &Group, plan: Option<&Plan<'_>>) -> Option<ShownGroup> {
    let is_list = number == 0 && head.subject != Subject::File;
    let mut makes = Vec::new();
    let mut target_bytes = (number == 0).then_some(head.target_length);
    if is_list {
        makes.push("the list of files".to_owned());
    } else if let Some(plan) = plan {
        let mut sum = 0u64;
        for target in &group.targets {
            let file = plan.open_file(*target)?;
            sum = sum.checked_add(file.length)?;
            makes.push(file.path.to_owned());
        }
        target_bytes = Some(sum);
    }
    let unknown = |packed: &Packed| packed.packing == Packing::Plain && target_bytes.is_none();
    let bytes = match &group.codec {
        Codec::Whole(packed) if unknown(packed) => None,
        codec => Some(body_length(codec, target_bytes.unwrap_or_default())),
    };
    let mut shown = ShownGroup {
        bytes,
        makes,
        files: if number == 0 { 1 } else { group.targets.len() },
        base_files: if number == 0 { 1 } else { group.bases.len() },
        target_bytes,
        ..ShownGroup::default()
    };
    match &group.codec {
        Codec::Whole(packed) => {
            shown.codec = "whole";
            let packed_bytes =
                if packed.packing == Packing::Plain { target_bytes } else { Some(packed.length) };
            shown.streams = vec![ShownStream {
                name: "content",
                packing: packing_name(packed.packing),
                bytes: target_bytes,
                packed_bytes,
            }];
        }
        Codec::Prefix { packed } => {
            shown.codec = "prefix";
            shown.streams = vec![stream("content", target_bytes, Packing::Zstd, *packed)];
        }
        Codec::Covers(covers) => {
            shown.codec = "covers";
            shown.covers = Some(covers.covers);
            shown.images = Some(covers.images.len());
            shown.own_copies = Some(covers.own_copies);
            shown.streams = streams(covers);
        }
    }
    Some(shown)
}

fn streams(covers: &CoversHead) -> Vec<ShownStream> {
    match &covers.streams {
        Streams::Joined { length, packed, .. } => {
            vec![stream("joined", Some(*length), packed.packing, packed.length)]
        }
        Streams::Apart(streams) => streams
            .iter()
            .zip(STREAM_NAMES)
            .filter(|((length, _), _)| *length > 0)
            .map(|((length, packed), name)| stream(name, Some(*length), packed.packing, packed.length))
            .collect(),
    }
}

const fn stream(name: &'static str, bytes: Option<u64>, packing: Packing, packed: u64) -> ShownStream {
    ShownStream { name, packing: packing_name(packing), bytes, packed_bytes: Some(packed) }
}

const fn packing_name(packing: Packing) -> &'static str {
    match packing {
        Packing::Plain => "plain",
        Packing::Zstd => "zstd",
        Packing::Lzma2 => "lzma2",
    }
}

#[cfg(test)]
mod tests;
