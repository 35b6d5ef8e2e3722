//! Which stored grants count: those that the vendor's license keys verify, for this server.
//!
//! Invariant: what a grant says is taken from its signed text and from nothing beside it. Without the vendor's trust
//! document none counts. Only what was verified is remembered, by the digest of its text, and only as long as the same
//! trust document is in force.
//! Left out on purpose: whether it is the newest grant of its serial number. An older one that the vendor signed too
//! verifies as well; `log verify` finds that it is not the one that the log accepted.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::trust::TrustDocument;
use sealpost_site::rows::ServerIdentity;
use sealpost_site::rules::grants::{GrantFlaw, judge_stored};

use crate::trusted_log::TrustedLog;

/// Most verified grants that are remembered: some for each serial number of the site.
const MAX_REMEMBERED: usize = 1_024;

/// A stored grant that counts.
#[derive(Debug, Clone)]
pub struct TrustedGrant {
    /// What it says.
    pub grant: Arc<Grant>,
    /// Its exact signed text.
    pub document: SignedDocument,
    /// Digest of that text.
    pub digest: Sha256Digest,
}

/// The check of stored grants, which a store is handed when it is taken apart.
#[derive(Default)]
pub struct TrustedGrants {
    state: RwLock<State>,
    log: TrustedLog,
}

#[derive(Default)]
struct State {
    server: Option<ServerIdentity>,
    trust: Option<Arc<TrustDocument>>,
    verified: HashMap<Sha256Digest, Arc<Grant>>,
}

impl TrustedGrants {
    /// What the log says, against which a store holds its tables too.
    #[must_use]
    pub const fn log(&self) -> &TrustedLog {
        &self.log
    }

    /// From now on grants count that are for this server.
    pub fn bind(&self, server: ServerIdentity) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).server = Some(server);
    }

    /// From now on grants count that the license keys in this trust document verify. It must be verified already.
    pub fn adopt(&self, trust: Arc<TrustDocument>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.trust.as_ref() != Some(&trust) {
            state.verified.clear();
            state.trust = Some(trust);
        }
    }

    /// Checks the stored text of the signed grant of a serial number.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn check_text(&self, serial: &str, text: &str) -> Result<TrustedGrant, GrantFlaw> {
        let document =
            serde_json::from_str(text).map_err(|error| GrantFlaw::Unreadable { why: error.to_string() })?;
        self.check(serial, document)
    }

    /// Checks the signed grant that is stored for a serial number.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn check(&self, serial: &str, document: SignedDocument) -> Result<TrustedGrant, GrantFlaw> {
        let digest = document.digest();
        let (server, trust, known) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let known = state.verified.get(&digest).cloned();
            (state.server.clone(), state.trust.clone(), known)
        };
        let trust = trust.ok_or(GrantFlaw::NoTrust)?;
        let server = server.ok_or(GrantFlaw::OtherServer)?;
        let grant = match known {
            Some(grant) => grant,
            None => self.verify(&document, digest, &trust)?,
        };
        judge_stored(&grant, serial, &server.server_id, &server.site_key)?;
        Ok(TrustedGrant { grant, document, digest })
    }

    fn verify(
        &self,
        document: &SignedDocument,
        digest: Sha256Digest,
        trust: &Arc<TrustDocument>,
    ) -> Result<Arc<Grant>, GrantFlaw> {
        let grant = document
            .verify::<Grant>(&trust.license_keys(digest))
            .map_err(|error| GrantFlaw::Unsigned { why: with_causes(&error) })?;
        let grant = Arc::new(grant.into_inner());
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Another trust document may be in force by now.
        if state.trust.as_ref().is_some_and(|in_force| Arc::ptr_eq(in_force, trust)) {
            if state.verified.len() >= MAX_REMEMBERED {
                state.verified.clear();
            }
            state.verified.insert(digest, Arc::clone(&grant));
        }
        Ok(grant)
    }
}

impl fmt::Debug for TrustedGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("TrustedGrants")
            .field("has_trust", &state.trust.is_some())
            .field("verified", &state.verified.len())
            .finish_non_exhaustive()
    }
}
