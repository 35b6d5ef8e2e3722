//! Keys, signatures, sealed documents and tokens: who said it, was it changed on the way, and who may read it.
//!
//! Documents are signed in minisign's prehashed format and log heads as signed notes, so that anyone
//! can check them with a tool that is not ours. This crate keeps three invariants:
//!
//! - bytes count as verified only inside a [`Verified`], which nothing outside this crate can make;
//! - one loop counts signers, and [`verify::verify`] and [`verify::verify_threshold`] both call it;
//! - a secret never shows in `Debug`, in an error or in a file that others can read.
//!
//! Left out on purpose: what a signed document says (the documents' crate), which keys are trusted
//! for what (trust documents), and the signatures of update metadata, which have their own types.

#![warn(missing_docs)]

mod ed25519;
mod fingerprint;
pub mod key_file;
mod key_id;
mod minisig;
pub mod note;
mod passphrase;
mod private_file;
mod prompt;
mod public_key;
pub mod sealed;
mod serde_text;
mod signer;
pub mod token;
mod verified;
pub mod verify;

pub use fingerprint::{Fingerprint, FingerprintError};
pub use key_file::KeyFileError;
pub use key_id::{KeyId, KeyIdError};
pub use minisig::{MAX_MINISIG_BYTES, Minisig, MinisigError, TrustedComment, TrustedCommentError};
pub use passphrase::{Passphrase, PassphraseError, PassphraseSource};
pub use public_key::{PublicKey, PublicKeyError};
pub use sealed::{SealingKey, SealingKeyId, SealingPublicKey};
pub use signer::{KeyError, SigningKey};
pub use token::{Token, TokenDigest};
pub use verified::Verified;
pub use verify::{Signed, VerifyError};
