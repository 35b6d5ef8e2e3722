//! The server's HTTP floor: what it answers to clients (`/agent/v1`), to admins (`/api/v1`) and to monitors.
//!
//! [`router`] is the table of contents. In front of everything that a client may reach stands one layer, `admission`;
//! in front of everything that an admin may reach stands `admin::auth`. Handlers are thin: extract → domain → one
//! ledger change → respond. Every error is a `Problem`.
//! Left out on purpose: rules (they are in `domain/`), and HTML (a console comes later).

pub mod admin_tokens;
pub mod limits;
pub mod token;
pub mod views;

mod admin;
mod admission;
mod agent;
mod body;
mod health;
mod metrics;
mod problem;
mod router;
mod send;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_serving::FailedAttempts;

use self::admin_tokens::AdminTokens;
use self::limits::{ContactBudgets, InFlight, RequestLimits, contact_budgets, failed_attempts};
use self::metrics::Metrics;
use self::token::AccessTokens;
use crate::ports::authority::LicenseAuthority;
use crate::ports::blobs::BlobStore;
use crate::ports::clock::Clock;
use sealpost_ledger::Ledger;
use crate::ports::staging::Staging;
use crate::ports::upstream::Upstream;
use crate::ports::wakes::Wakes;

pub use self::router::{admin_router, router};

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
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The vendor's repository.
    pub upstream: Arc<dyn Upstream>,
    /// Stored bytes.
    pub blobs: Arc<dyn BlobStore>,
    /// Reviews and deltas.
    pub staging: Arc<dyn Staging>,
    /// The vendor's license authority.
    pub authority: Arc<dyn LicenseAuthority>,
    /// License time.
    pub clock: Arc<dyn Clock>,
    /// Held streams.
    pub push: Arc<dyn Wakes>,
    /// Signs leases, assignments, enrollments and registrations.
    pub site_key: SigningKey,
    /// Access tokens of clients.
    pub access_tokens: AccessTokens,
    /// Tokens of admins.
    pub admin_tokens: AdminTokens,
    /// For setup files.
    pub addresses: Addresses,
    /// Bounds.
    pub limits: RequestLimits,
    /// Expiry dates of things outside of the ledger, for warnings: what it is, and when it ends.
    pub expiries: Vec<(String, Timestamp)>,
}

/// The state behind every handler.
pub struct Site {
    ledger: Arc<Ledger>,
    upstream: Arc<dyn Upstream>,
    blobs: Arc<dyn BlobStore>,
    staging: Arc<dyn Staging>,
    authority: Arc<dyn LicenseAuthority>,
    clock: Arc<dyn Clock>,
    push: Arc<dyn Wakes>,
    site_key: SigningKey,
    access_tokens: AccessTokens,
    admin_tokens: AdminTokens,
    addresses: Addresses,
    limits: RequestLimits,
    expiries: Vec<(String, Timestamp)>,
    metrics: Metrics,
    failed_attempts: FailedAttempts,
    contact_budgets: ContactBudgets,
    in_flight: InFlight,
}

impl Site {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: SiteParts) -> Arc<Self> {
        let in_flight = InFlight::new(parts.limits.in_flight);
        Arc::new(Self {
            ledger: parts.ledger,
            upstream: parts.upstream,
            blobs: parts.blobs,
            staging: parts.staging,
            authority: parts.authority,
            clock: parts.clock,
            push: parts.push,
            site_key: parts.site_key,
            access_tokens: parts.access_tokens,
            admin_tokens: parts.admin_tokens,
            addresses: parts.addresses,
            limits: parts.limits,
            expiries: parts.expiries,
            metrics: Metrics::new(),
            failed_attempts: failed_attempts(),
            contact_budgets: contact_budgets(),
            in_flight,
        })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
