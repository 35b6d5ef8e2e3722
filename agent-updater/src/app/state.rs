//! What the agent knows across restarts: who it is, what it holds, how far it came with its server.
//!
//! Invariant: signed documents are verified again each time they are read; a record that is damaged, or a document
//! that no longer verifies, counts as refused with a reason, never as absent and never as good.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ClientId, ComputerName, Nonce, PackageName, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::setup::SetupServer;
use sealpost_manifests::trust::TrustDocument;
use serde::{Deserialize, Serialize};

use crate::domain::cadence::Standing;
use crate::domain::license::{Identity, Place, assignment_place, judge_assignment, judge_lease, lease_place};
use crate::domain::record::PackageRecord;
use crate::domain::time::{license_time, raised};
use crate::home::Home;
use crate::platform::files::{PRIVATE, PUBLIC};
use crate::platform::store::{self, StoreError};

use super::with_causes;

/// Who this computer is, and whom it trusts: written whole at enrollment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrollment {
    /// The name that holds the seat.
    pub computer_name: ComputerName,
    /// The key that this computer made.
    pub client_key: PublicKey,
    /// The id that the server gave.
    pub client_id: ClientId,
    /// The server.
    pub server_id: ServerId,
    /// The addresses and pins of that server.
    pub servers: Vec<SetupServer>,
    /// SHA-256 of the pinned `root.json`.
    pub root_sha256: Sha256Digest,
    /// The vendor's trust document as it was last verified through the TUF chain.
    pub trust: String,
    /// The grant that ties the site key to the vendor.
    pub grant: SignedDocument,
}

/// How the last contact went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastContact {
    /// When.
    pub at: Timestamp,
    /// Why it failed; `None` when it was answered.
    pub problem: Option<String>,
}

/// What only rises, and what is worth showing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How the agent stands with its server.
    pub standing: Standing,
    /// License time is never before it.
    #[serde(default)]
    pub time_floor: Option<Timestamp>,
    /// Metadata is never judged as of an earlier time.
    #[serde(default)]
    pub metadata_floor: Option<Timestamp>,
    /// The highest place of a lease that was held.
    #[serde(default)]
    pub lease_place: Option<Place>,
    /// The highest place of an assignment that was held.
    #[serde(default)]
    pub assignment_place: Option<Place>,
    /// The last contact that was answered.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
    /// The last contact.
    #[serde(default)]
    pub last_contact: Option<LastContact>,
    /// When the next one is due.
    #[serde(default)]
    pub next_contact: Option<Timestamp>,
    /// What the server wants a person to look at, and what of its answers was refused.
    #[serde(default)]
    pub notices: Vec<String>,
    /// Why a package was not installed, when it was last tried.
    #[serde(default)]
    pub refusals: BTreeMap<PackageName, String>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            standing: Standing::Unlicensed,
            time_floor: None,
            metadata_floor: None,
            lease_place: None,
            assignment_place: None,
            answered_at: None,
            last_contact: None,
            next_contact: None,
            notices: Vec::new(),
            refusals: BTreeMap::new(),
        }
    }
}

impl Progress {
    /// Reads it; the default if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(home: &Home) -> Result<Self, StoreError> {
        Ok(store::load(&home.state("progress"))?.unwrap_or_default())
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, home: &Home) -> Result<(), StoreError> {
        store::save(&home.state("progress"), self, PUBLIC)
    }

    /// Takes a time that the site signed.
    pub fn raise_time(&mut self, site_signed: Timestamp) {
        self.time_floor = Some(raised(self.time_floor, site_signed));
    }

    /// License time.
    #[must_use]
    pub fn time(&self, now: Timestamp) -> Timestamp {
        license_time(now, self.time_floor)
    }
}

/// The nonce pair of the contacts: on disk before a contact is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContactState {
    /// The `next` of the last answered contact.
    pub previous: Option<Nonce>,
    /// The contact that was not answered yet: to be sent again, byte by byte.
    pub outstanding: Option<Outstanding>,
}

/// A contact on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outstanding {
    /// Its `next` nonce.
    pub next: Nonce,
    /// The exact body.
    pub body: String,
}

impl ContactState {
    /// Reads it; the default if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(home: &Home) -> Result<Self, StoreError> {
        Ok(store::load(&home.state("contact"))?.unwrap_or_default())
    }

    /// Writes it; durable at return.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, home: &Home) -> Result<(), StoreError> {
        store::save(&home.state("contact"), self, PRIVATE)
    }
}

/// A document that is held, or why it does not count.
#[derive(Debug, Clone)]
pub enum HeldDocument<T> {
    /// There is none.
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

    /// Why it does not count.
    #[must_use]
    pub fn problem(&self, what: &str) -> Option<String> {
        match self {
            Self::Good(_) => None,
            Self::None => Some(format!("this computer holds no {what} yet")),
            Self::Refused(why) => Some(format!("the {what} that this computer holds does not count: {why}")),
        }
    }
}

/// Everything that a decision needs, verified at the moment of reading.
#[derive(Debug, Clone)]
pub struct Holdings {
    /// Who this computer is.
    pub enrollment: Enrollment,
    /// The same, for the domain.
    pub identity: Identity,
    /// The vendor's keys.
    pub trust: TrustDocument,
    /// The verified grant.
    pub grant: Grant,
    /// The lease.
    pub lease: HeldDocument<Lease>,
    /// The assignment.
    pub assignment: HeldDocument<Assignment>,
}

/// Why the holdings cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum HoldingsError {
    /// A record failed.
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    /// Not enrolled.
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
        let enrollment: Enrollment =
            store::load(&home.state("enrollment"))?.ok_or(HoldingsError::NotEnrolled)?;
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
        let time = progress.time(now);
        let lease = held(home, "lease", &grant.site_key, |lease: &Lease| {
            judge_lease(lease, &identity, progress.lease_place, time)
        });
        let assignment = held(home, "assignment", &grant.site_key, |assignment: &Assignment| {
            judge_assignment(assignment, &identity, progress.assignment_place, time)
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

fn held<T: document::Document>(
    home: &Home,
    name: &str,
    site_key: &PublicKey,
    judge: impl FnOnce(&T) -> Result<(), crate::domain::license::LicenseRefusal>,
) -> HeldDocument<T> {
    let signed: SignedDocument = match store::load(&home.state(name)) {
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

/// The records of all packages; a damaged one is an error of that package only.
///
/// # Errors
/// [`StoreError`] when the folder cannot be listed.
pub fn package_records(
    home: &Home,
) -> Result<BTreeMap<PackageName, Result<PackageRecord, StoreError>>, StoreError> {
    let mut records = BTreeMap::new();
    for name in store::names(&home.package_records())? {
        let Ok(package) = PackageName::new(&name) else { continue };
        let loaded = store::load(&home.package_record(&package)).map(Option::unwrap_or_default);
        records.insert(package, loaded);
    }
    Ok(records)
}
