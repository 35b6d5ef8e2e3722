//! Signing keys: made here, held in memory, wiped when dropped.
//!
//! Signatures come from aws-lc-rs and have minisign's prehashed format byte for byte. A trusted
//! comment is checked before anything is signed ([`TrustedComment`]). Left out on purpose: minisign's
//! older format without the prehash, which no reader of ours accepts.

use std::fmt;
use std::io::{self, Read};

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use blake2::{Blake2b512, Digest};
use zeroize::Zeroizing;

use crate::key_id::KeyId;
use crate::minisig::{Minisig, TrustedComment, covered_by_global};
use crate::public_key::PublicKey;

/// An Ed25519 key pair with its id. The seed is wiped on drop, and aws-lc wipes the pair when it frees
/// it; `Debug` shows only the id.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

/// Why a key could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system gave no randomness.
    #[error("cannot make random bytes: the operating system's generator failed; try again")]
    Randomness,
    /// The seed does not make a key.
    #[error("cannot build a signing key from its seed")]
    Seed,
    /// The public half that was stored is not the one that belongs to the seed.
    #[error(
        "the secret half and the public half of the key do not belong together; restore it from a backup"
    )]
    HalvesDiffer,
}

impl SigningKey {
    /// A new key with a random id.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(&mut *seed).map_err(|_| KeyError::Randomness)?;
        let mut id = [0; 8];
        rand::fill(&mut id).map_err(|_| KeyError::Randomness)?;
        Self::from_seed(KeyId::from_bytes(id), seed)
    }

    /// The key of this seed; the id is the caller's choice, as it is when a key is made.
    ///
    /// # Errors
    /// When the library refuses the seed.
    pub(crate) fn from_seed(id: KeyId, seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| KeyError::Seed)?;
        let ed25519 = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Seed)?;
        Ok(Self { pair, seed, public: PublicKey::new(id, ed25519) })
    }

    /// The public key, under the id of this key.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// Signs bytes, and the comment with them.
    pub fn sign(&self, bytes: &[u8], comment: &TrustedComment) -> Minisig {
        self.sign_prehashed(&Blake2b512::digest(bytes).into(), comment)
    }

    /// Signs everything that a reader yields, and the comment with it, in constant memory.
    ///
    /// # Errors
    /// What the reader fails with.
    pub fn sign_reader(&self, mut reader: impl Read, comment: &TrustedComment) -> io::Result<Minisig> {
        let mut hasher = Blake2b512::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.sign_prehashed(&hasher.finalize().into(), comment))
    }

    /// A plain Ed25519 signature, without prehash and comment: for update metadata, whose format is
    /// another one.
    pub fn sign_raw(&self, bytes: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(bytes);
        let mut out = [0; 64];
        out.copy_from_slice(signature.as_ref());
        out
    }

    fn sign_prehashed(&self, prehash: &[u8; 64], comment: &TrustedComment) -> Minisig {
        let signature = self.sign_raw(prehash);
        let global_signature = self.sign_raw(&covered_by_global(&signature, comment.as_str()));
        Minisig::new(self.public.id(), signature, comment, global_signature)
    }

    /// The 64 bytes that a minisign key file holds: seed, then public key.
    pub(crate) fn secret_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0; 64]);
        let (seed, public) = bytes.split_at_mut(32);
        seed.copy_from_slice(&*self.seed);
        public.copy_from_slice(&self.public.ed25519_bytes());
        bytes
    }

    /// The reverse of [`SigningKey::secret_bytes`].
    ///
    /// # Errors
    /// When the two halves do not belong together.
    pub(crate) fn from_secret_bytes(id: KeyId, bytes: &[u8; 64]) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        let (stored_seed, stored_public) = bytes.split_at(32);
        seed.copy_from_slice(stored_seed);
        let key = Self::from_seed(id, seed)?;
        if key.public.ed25519_bytes() != stored_public {
            return Err(KeyError::HalvesDiffer);
        }
        Ok(key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret not shown)", self.public.id())
    }
}
