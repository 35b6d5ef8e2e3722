//! A consistency proof as it travels: all its hashes in one base64 text, a third shorter than in hex.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::ids::NameError;

use super::verify::{MAX_PROOF_HASHES, ProofError};

/// Bytes of one hash.
const HASH_BYTES: usize = 32;
/// Longest text: base64 of the most hashes.
const MAX_TEXT_BYTES: usize = (MAX_PROOF_HASHES * HASH_BYTES).div_ceil(3) * 4;

/// The hashes of a consistency proof, from the older root upwards. Unverified: see
/// [`verify_consistency`](super::verify_consistency).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConsistencyProof(Vec<Sha256Digest>);

impl ConsistencyProof {
    /// A proof of these hashes, as [`ProofPlan::assemble`](super::ProofPlan::assemble) made it.
    ///
    /// # Errors
    /// More hashes than any proof has.
    pub fn new(hashes: Vec<Sha256Digest>) -> Result<Self, ProofError> {
        let found = hashes.len();
        if found > MAX_PROOF_HASHES { Err(ProofError::TooLong { found }) } else { Ok(Self(hashes)) }
    }

    /// The hashes, for [`verify_consistency`](super::verify_consistency).
    #[must_use]
    pub fn hashes(&self) -> &[Sha256Digest] {
        &self.0
    }
}

impl fmt::Display for ConsistencyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.0.iter().flat_map(|hash| hash.as_bytes()).copied().collect();
        f.write_str(&BASE64.encode(&bytes))
    }
}

impl FromStr for ConsistencyProof {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const RULE: &str = "at most 65 hashes of 32 bytes, in one base64 text";
        let fail = || NameError::new("consistency proof", text, RULE);
        if text.len() > MAX_TEXT_BYTES {
            return Err(fail());
        }
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| fail())?;
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || hashes.len() > MAX_PROOF_HASHES {
            return Err(fail());
        }
        Ok(Self(hashes.iter().copied().map(Sha256Digest::from_bytes).collect()))
    }
}

impl TryFrom<String> for ConsistencyProof {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ConsistencyProof> for String {
    fn from(proof: ConsistencyProof) -> Self {
        proof.to_string()
    }
}
