//! What a repository says already, and which keys have signed it.
//!
//! The folder of a repository, and the root beside it, may be in the hands of somebody who has none of the keys that are kept
//! elsewhere; he can put a repository of his own there that names such a key beside his. Invariant: a key is taken for one
//! that has signed only if its own public half verifies a signature over the document. Key ids are names that anybody can
//! give, and thresholds are what the document itself says, so neither proves anything.
//! Left out on purpose: snapshot and timestamp, whose keys lie with the folder and which say nothing of their own.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use sealpost_keys::PublicKey;

use crate::writing::metadata::{Envelope, canonical};
use crate::writing::role::RoleName;

/// Documents as they lie in the folder, by the role that signed them. Of the root each one from the pinned root to the
/// newest: what follows a root was signed by as many of its keys as it asks for, so a key that signed an older one of them
/// has agreed to all.
#[derive(Debug, Default)]
pub(crate) struct SignedBefore(BTreeMap<RoleName, Vec<Vec<u8>>>);

impl SignedBefore {
    pub(crate) fn add(&mut self, role: RoleName, document: Vec<u8>) {
        self.0.entry(role).or_default().push(document);
    }

    /// Other keys than before speak for a role now, because whoever names them said so.
    pub(crate) fn forget(&mut self, role: &RoleName) {
        self.0.remove(role);
    }

    /// Whether this key may go on from what is there: it has signed that, or the role has said nothing yet.
    pub(crate) fn may_be_followed_by(&self, role: &RoleName, key: &PublicKey) -> bool {
        match self.0.get(role) {
            None => true,
            Some(documents) => documents.iter().any(|document| is_signed_by(document, key)),
        }
    }
}

fn is_signed_by(document: &[u8], key: &PublicKey) -> bool {
    let Ok(envelope) = serde_json::from_slice::<Envelope<serde_json::Value>>(document) else { return false };
    let Ok(signed) = canonical(&envelope.signed) else { return false };
    let public = key.ed25519_bytes();
    let public = UnparsedPublicKey::new(&ED25519, &public);
    let signatures = envelope.signatures.iter();
    let mut signatures = signatures.filter_map(|one| data_encoding::HEXLOWER.decode(one.sig.as_bytes()).ok());
    signatures.any(|signature| public.verify(&signed, &signature).is_ok())
}
