//! What this computer holds from its server, verified at the moment of reading: enrollment, trust, grant, lease and
//! assignment.

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::trust::TrustDocument;

use crate::domain::license::{
    Identity, LicenseRefusal, assignment_place, judge_assignment, judge_lease, lease_place,
};
use crate::home::Home;
use crate::platform::store::StoreError;

use super::progress::Progress;
use super::server::{Enrollment, ServerRecords};

/// A signed document on disk, as far as it counts.
#[derive(Debug, Clone)]
pub enum HeldDocument<T> {
    None,
    /// Verified and judged just now.
    Good(T),
    /// There is one, and it does not count.
    Refused(String),
}

impl<T> HeldDocument<T> {
    /// The document, if it counts.
    #[must_use]
    pub const fn good(&self) -> Option<&T> {
        match self {
            Self::Good(document) => Some(document),
            Self::None | Self::Refused(_) => None,
        }
    }

    /// Why it does not count; `what` names the document.
    #[must_use]
    pub fn problem(&self, what: &str) -> Option<String> {
        match self {
            Self::Good(_) => None,
            Self::None => Some(format!("this computer holds no {what} yet")),
            Self::Refused(why) => Some(format!("the {what} that this computer holds does not count: {why}")),
        }
    }
}

/// Everything that a decision needs.
#[derive(Debug, Clone)]
pub struct Holdings {
    pub enrollment: Enrollment,
    /// Who this computer is, for the domain.
    pub identity: Identity,
    pub trust: TrustDocument,
    pub grant: Grant,
    pub lease: HeldDocument<Lease>,
    pub assignment: HeldDocument<Assignment>,
}

/// Why the holdings cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum HoldingsError {
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error(
        "this computer is not enrolled; run `agent-updater enroll --setup FILE` with a setup file from the administrator"
    )]
    NotEnrolled,
    /// The trust document or the grant no longer verifies.
    #[error("the vendor's grant for this site does not verify any more: {0}; enroll this computer again")]
    Grant(String),
}

impl Holdings {
    /// Reads and verifies.
    ///
    /// # Errors
    /// [`HoldingsError`].
    pub fn load(home: &Home, progress: &Progress, now: Timestamp) -> Result<Self, HoldingsError> {
        let records = ServerRecords::of(home);
        let enrollment = records.enrollment()?.ok_or(HoldingsError::NotEnrolled)?;
        let trust: TrustDocument = document::read(enrollment.trust.as_bytes())
            .map_err(|error| HoldingsError::Grant(with_causes(&error)))?;
        let grant: Grant = enrollment
            .grant
            .verify::<Grant>(&trust.license_keys())
            .map_err(|error| HoldingsError::Grant(with_causes(&error)))?
            .into_inner();
        if grant.server_id != enrollment.server_id {
            return Err(HoldingsError::Grant("it is for another server".to_owned()));
        }
        let identity = Identity {
            client_id: enrollment.client_id.clone(),
            client_key: enrollment.client_key.clone(),
            computer_name: enrollment.computer_name.clone(),
            server_id: enrollment.server_id.clone(),
        };
        let time = progress.license_time(now);
        let lease = held(records.lease(), &grant.site_key, |lease: &Lease| {
            judge_lease(lease, &identity, progress.highest.lease, time)
        });
        let assignment = held(records.assignment(), &grant.site_key, |assignment: &Assignment| {
            judge_assignment(assignment, &identity, progress.highest.assignment, time)
        });
        Ok(Self { enrollment, identity, trust, grant, lease, assignment })
    }

    /// (epoch, sequence) of the lease that counts.
    #[must_use]
    pub fn lease_place(&self) -> Option<(u64, u64)> {
        self.lease.good().map(lease_place).map(|place| (place.epoch, place.sequence))
    }

    /// (epoch, sequence) of the assignment that counts.
    #[must_use]
    pub fn assignment_place(&self) -> Option<(u64, u64)> {
        self.assignment.good().map(assignment_place).map(|place| (place.epoch, place.sequence))
    }
}

fn held<T: Document>(
    loaded: Result<Option<SignedDocument>, StoreError>,
    site_key: &PublicKey,
    judge: impl FnOnce(&T) -> Result<(), LicenseRefusal>,
) -> HeldDocument<T> {
    let signed = match loaded {
        Ok(Some(signed)) => signed,
        Ok(None) => return HeldDocument::None,
        Err(error) => return HeldDocument::Refused(with_causes(&error)),
    };
    match signed.verify::<T>(std::slice::from_ref(site_key)) {
        Err(error) => HeldDocument::Refused(with_causes(&error)),
        Ok(document) => match judge(&document) {
            Ok(()) => HeldDocument::Good(document.into_inner()),
            Err(refusal) => HeldDocument::Refused(refusal.to_string()),
        },
    }
}
