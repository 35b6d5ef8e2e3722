//! The one verification loop: bytes, signatures and trusted keys in, [`Verified`] out.
//!
//! Only minisign's prehashed format is accepted. A key counts once, however often it signed and under
//! however many ids it is listed. Nothing is decided on what a signature does not cover: the key id
//! only finds candidates, the untrusted comment is not read.
//!
//! Left out on purpose: what a trusted comment has to say. The caller compares it with the document
//! that it names.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use blake2::{Blake2b512, Digest};

use crate::ed25519::VerifyingKey;
use crate::key_id::KeyId;
use crate::minisig::{Minisig, covered_by_global};
use crate::public_key::PublicKey;
use crate::verified::Verified;

/// Most signatures looked at for one document, so that a hostile list costs little.
const MAX_SIGNATURES: usize = 32;

/// Bytes with one good signature by a trusted key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The bytes, exactly as they were signed.
    pub bytes: Vec<u8>,
    /// The trusted key that signed them.
    pub key: PublicKey,
    /// The comment that the signature covers.
    pub comment: String,
}

/// One trusted key that signed, and the comment it signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The trusted key that made the signature.
    pub key: PublicKey,
    /// The comment that its signature covers.
    pub comment: String,
}

/// Bytes with good signatures by at least as many distinct trusted keys as were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedByMany {
    /// The bytes, exactly as they were signed.
    pub bytes: Vec<u8>,
    /// The distinct keys that signed, in the order of their signatures.
    pub signers: Vec<Signer>,
}

/// Why bytes are not verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No trusted key has the id that the signature names.
    #[error("signed by key {key_id}, which is not trusted for this; compare it with the trust document")]
    UnknownKey {
        /// The id that the signature claims.
        key_id: KeyId,
    },
    /// The bytes, the comment or the signature were changed, or another key made it.
    #[error(
        "the signature by key {key_id} does not match: the bytes or the comment were changed; fetch both again"
    )]
    BadSignature {
        /// The id that the signature claims.
        key_id: KeyId,
    },
    /// minisign's format without prehash.
    #[error("the signature has minisign's legacy format; sign again with `minisign -S -H`")]
    LegacyAlgorithm,
    /// More signatures than are ever looked at.
    #[error("{found} signatures on one document: at most 32 are looked at; send only those of trusted keys")]
    TooManySignatures {
        /// How many there are.
        found: usize,
    },
    /// Not enough distinct trusted keys signed.
    #[error("signed by {found} trusted keys, but {needed} are needed; have the missing keys sign")]
    ThresholdNotMet {
        /// Distinct trusted keys with a good signature.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
}

/// Verifies one signature over the bytes.
///
/// # Errors
/// Why the signature does not count; the bytes are dropped.
pub fn verify(
    bytes: Vec<u8>,
    minisig: &Minisig,
    trusted: &[PublicKey],
) -> Result<Verified<Signed>, VerifyError> {
    let signers = count_signers([check(&bytes, minisig, trusted)], NonZeroUsize::MIN)?;
    match signers.into_iter().next() {
        Some(Signer { key, comment }) => Ok(Verified::new(Signed { bytes, key, comment })),
        None => Err(VerifyError::ThresholdNotMet { found: 0, needed: 1 }),
    }
}

/// Verifies that at least `threshold` distinct trusted keys signed the bytes. Signatures that do not
/// count are passed over.
///
/// # Errors
/// With a threshold of one, why the first signature does not count; else how many were found.
pub fn verify_threshold(
    bytes: Vec<u8>,
    minisigs: &[Minisig],
    trusted: &[PublicKey],
    threshold: NonZeroUsize,
) -> Result<Verified<SignedByMany>, VerifyError> {
    if minisigs.len() > MAX_SIGNATURES {
        return Err(VerifyError::TooManySignatures { found: minisigs.len() });
    }
    let signers = count_signers(minisigs.iter().map(|minisig| check(&bytes, minisig, trusted)), threshold)?;
    Ok(Verified::new(SignedByMany { bytes, signers }))
}

/// The loop that everybody calls.
fn count_signers(
    outcomes: impl IntoIterator<Item = Result<Signer, VerifyError>>,
    threshold: NonZeroUsize,
) -> Result<Vec<Signer>, VerifyError> {
    let mut seen = BTreeSet::new();
    let mut signers = Vec::new();
    let mut first_failure = None;
    for outcome in outcomes {
        match outcome {
            Ok(signer) => {
                if seen.insert(signer.key.ed25519_bytes()) {
                    signers.push(signer);
                }
            }
            Err(error) => {
                first_failure.get_or_insert(error);
            }
        }
    }
    if signers.len() >= threshold.get() {
        return Ok(signers);
    }
    match first_failure {
        Some(error) if threshold == NonZeroUsize::MIN => Err(error),
        _ => Err(VerifyError::ThresholdNotMet { found: signers.len(), needed: threshold.get() }),
    }
}

fn check(bytes: &[u8], minisig: &Minisig, trusted: &[PublicKey]) -> Result<Signer, VerifyError> {
    let mut verifier = StreamVerifier::new(minisig, trusted)?;
    verifier.update(bytes);
    verifier.check()
}

/// Verifies a body that is too large to hold: feed it with [`StreamVerifier::update`], and trust nothing of it before
/// [`StreamVerifier::finish`] has returned.
pub struct StreamVerifier<'a> {
    minisig: &'a Minisig,
    candidates: Vec<&'a PublicKey>,
    prehash: Blake2b512,
}

impl<'a> StreamVerifier<'a> {
    /// Finds the trusted keys that have the id which the signature names, and starts on an empty body. Several may
    /// have it: ids are chosen, not proven.
    ///
    /// # Errors
    /// When no trusted key has that id, or the signature has the legacy format.
    pub fn new(minisig: &'a Minisig, trusted: &'a [PublicKey]) -> Result<Self, VerifyError> {
        let key_id = minisig.claimed_key_id();
        let candidates: Vec<_> = trusted.iter().filter(|key| key.id() == key_id).collect();
        if candidates.is_empty() {
            return Err(VerifyError::UnknownKey { key_id });
        }
        if !minisig.is_prehashed() {
            return Err(VerifyError::LegacyAlgorithm);
        }
        Ok(Self { minisig, candidates, prehash: Blake2b512::new() })
    }

    /// The next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        self.prehash.update(bytes);
    }

    /// Ends the body: who signed it.
    ///
    /// # Errors
    /// When no candidate key made the signature over exactly this body.
    pub fn finish(self) -> Result<Verified<Signer>, VerifyError> {
        let signers = count_signers([self.check()], NonZeroUsize::MIN)?;
        signers
            .into_iter()
            .next()
            .map(Verified::new)
            .ok_or(VerifyError::ThresholdNotMet { found: 0, needed: 1 })
    }

    fn check(self) -> Result<Signer, VerifyError> {
        let prehash = self.prehash.finalize();
        let (comment, global_signature) = self.minisig.comment();
        let covered = covered_by_global(self.minisig.signature(), comment);
        let signed_both = |key: &VerifyingKey| {
            key.verifies(&prehash, self.minisig.signature()) && key.verifies(&covered, global_signature)
        };
        let mut candidates = self.candidates.into_iter();
        match candidates.find(|key| VerifyingKey::new(&key.ed25519_bytes()).as_ref().is_some_and(signed_both))
        {
            Some(key) => Ok(Signer { key: key.clone(), comment: comment.to_owned() }),
            None => Err(VerifyError::BadSignature { key_id: self.minisig.claimed_key_id() }),
        }
    }
}
