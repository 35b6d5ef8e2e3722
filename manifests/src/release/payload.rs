//! What a manifest says of the payload: the tar, and its compressed forms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// How a payload tar is compressed. `zstd` comes later; readers skip encodings that they do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// gzip, as RFC 1952 defines it.
    Gzip,
}

impl Encoding {
    /// The suffix of the payload's target name.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => "tar.gz",
        }
    }
}

/// Digest and length of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blob {
    /// SHA-256 of the bytes.
    pub sha256: Sha256Digest,
    /// How many bytes there are.
    pub length: u64,
}

/// The payload: one tar, in one or more encodings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The tar before compression.
    pub tar: Blob,
    /// The compressed forms, by encoding name.
    pub encodings: BTreeMap<String, Blob>,
}

impl Payload {
    /// The blob of an encoding, if the release has it.
    #[must_use]
    pub fn encoding(&self, encoding: Encoding) -> Option<&Blob> {
        let Encoding::Gzip = encoding;
        self.encodings.get("gzip")
    }
}
