//! What every handler works with: the rooms of the server, and what the HTTP floor counts itself.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_serving::FailedAttempts;
use sealpost_site::rules::warnings::Expiry;

use super::admin_tokens::AdminTokens;
use super::limits::{ContactBudgets, InFlight, RequestLimits, contact_budgets, failed_attempts};
use super::metrics::Metrics;
use super::token::AccessTokens;
use crate::ports::authority::LicenseAuthority;
use crate::ports::blobs::BlobStore;
use crate::ports::clock::Clock;
use crate::ports::staging::Staging;
use crate::ports::upstream::Upstream;
use crate::ports::wakes::Wakes;

/// What setup files say of this server, besides its keys.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Host names and IP addresses under which computers reach it, best first.
    pub addresses: Vec<String>,
    /// The TCP port that it really listens on.
    pub port: u16,
    /// SHA-256 of the site CA's public key (SubjectPublicKeyInfo, DER).
    pub ca_spki_sha256: Sha256Digest,
    /// SHA-256 of the pinned `root.json`.
    pub root_sha256: Sha256Digest,
}

/// What the site is made of: everything that [`Site::new`] needs.
pub struct SiteParts {
    pub ledger: Arc<Ledger>,
    pub upstream: Arc<dyn Upstream>,
    pub blobs: Arc<dyn BlobStore>,
    pub staging: Arc<dyn Staging>,
    /// The vendor's license authority.
    pub authority: Arc<dyn LicenseAuthority>,
    pub clock: Arc<dyn Clock>,
    pub push: Arc<dyn Wakes>,
    /// Signs leases, assignments, enrollments and registrations.
    pub site_key: Arc<SigningKey>,
    /// Access tokens of clients.
    pub access_tokens: AccessTokens,
    pub admin_tokens: AdminTokens,
    pub addresses: Addresses,
    pub limits: RequestLimits,
    /// Things outside of the ledger that end, for warnings.
    pub expiries: Vec<Expiry>,
}

/// The state behind every handler.
pub struct Site {
    pub(crate) parts: SiteParts,
    pub(crate) metrics: Metrics,
    pub(crate) failed_attempts: FailedAttempts,
    pub(crate) contact_budgets: ContactBudgets,
    pub(crate) in_flight: InFlight,
}

impl Site {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: SiteParts) -> Arc<Self> {
        let in_flight = InFlight::new(parts.limits.in_flight);
        Arc::new(Self {
            parts,
            metrics: Metrics::new(),
            failed_attempts: failed_attempts(),
            contact_budgets: contact_budgets(),
            in_flight,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("addresses", &self.parts.addresses).finish_non_exhaustive()
    }
}
