//! What this computer holds from a server, verified at the moment of reading: enrollment, trust,
//! grants, lease and assignment.

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{PackageName, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::order::{HighestOrders, Order, Ordered};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::contact::Evidence;
use sealpost_manifests::word::Word;

use crate::domain::grants::{Grants, HeldGrant};
use crate::domain::license::{
    Identity, LicenseRefusal, Standard, judge_assignment, judge_lease, judge_shown_assignment,
};
use crate::domain::policy::{Coverage, Entitlement};
use crate::domain::server_list::judge_server_list;
use crate::home::Home;
use crate::platform::store::StoreError;

use super::progress::Progress;
use super::server::{Enrollment, ServerRecords};
use super::standing::ServerStanding;
use super::vendor::VendorRecord;

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
    pub vendor: VendorRecord,
    pub trust: TrustDocument,
    pub grants: Grants,
    pub lease: HeldDocument<Lease>,
    pub assignment: HeldDocument<Assignment>,
    /// The ways to the server; without one that counts, the enrollment's is used.
    pub server_list: HeldDocument<ServerList>,
    /// What the server signed, to be shown to it if it does not know it any more.
    pub evidence: Option<Evidence>,
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
    /// The trust document or the grants no longer verify.
    #[error("the vendor's grant for this site does not verify any more: {0}; enroll this computer again")]
    Grant(String),
}

impl Holdings {
    /// Reads and verifies what is held from the authority.
    ///
    /// # Errors
    /// [`HoldingsError`].
    pub fn load(home: &Home, progress: &Progress, now: Timestamp) -> Result<Self, HoldingsError> {
        let authority = progress.authority().ok_or(HoldingsError::NotEnrolled)?;
        Self::of(home, authority, progress, now)
    }

    /// Reads and verifies what is held from a server.
    ///
    /// # Errors
    /// [`HoldingsError`].
    pub fn of(
        home: &Home,
        server_id: &ServerId,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<Self, HoldingsError> {
        let records = ServerRecords::of(home, server_id);
        if progress.is_damaged(server_id) {
            let _: ServerStanding = records.standing()?;
        }
        let standing = progress.of(server_id);
        let enrollment = records.enrollment()?.ok_or(HoldingsError::NotEnrolled)?;
        let vendor = VendorRecord::load(home)?.ok_or(HoldingsError::NotEnrolled)?;
        let trust: TrustDocument = document::read(vendor.trust.as_bytes())
            .map_err(|error| HoldingsError::Grant(with_causes(&error)))?;
        let grants = verified_grants(&enrollment.grants, &trust, server_id).map_err(HoldingsError::Grant)?;
        let identity = Identity {
            client_id: enrollment.client_id.clone(),
            client_key: enrollment.client_key.clone(),
            computer_name: enrollment.computer_name.clone(),
            server_id: server_id.clone(),
        };
        let standard = |document_type| Standard {
            identity: &identity,
            granted: grants.vendor_epoch(),
            highest: standing.highest_of(document_type),
            now: progress.license_time(now),
        };
        let held_head = standing.log.held.as_ref().map(|held| held.head);
        let witness = records.witness().ok().flatten().filter(|signed| {
            let verified = signed.verify::<Lease>(std::slice::from_ref(grants.site_key()));
            verified.is_ok_and(|lease| Some(lease.ledger_head) == held_head)
        });
        let (lease_text, assignment_text) = (records.lease(), records.assignment());
        let shown_lease = text(&lease_text);
        let shown_assignment = text(&assignment_text).filter(|signed| {
            let verified = signed.verify::<Assignment>(std::slice::from_ref(grants.site_key()));
            verified.is_ok_and(|shown| judge_shown_assignment(&shown, &standard(Assignment::TYPE)).is_ok())
        });
        let lease = held(lease_text, &grants, |lease: &Lease| {
            let standard = standard(Lease::TYPE);
            judge_lease(lease, &standard).and_then(|()| grants.judge_seats(lease, standard.now))
        });
        let assignment = held(assignment_text, &grants, |assignment: &Assignment| {
            judge_assignment(assignment, &standard(Assignment::TYPE))
        });
        let server_list =
            held_server_list(records.server_list(), &enrollment, &grants, &standard(ServerList::TYPE));
        let evidence = shown_lease.filter(|_| lease.good().is_some()).map(|lease| Evidence {
            lease,
            assignment: shown_assignment,
            witness,
        });
        Ok(Self { enrollment, identity, vendor, trust, grants, lease, assignment, server_list, evidence })
    }

    /// The highest orders of what counts: what does not, the server has to send again.
    #[must_use]
    pub fn highest(&self) -> HighestOrders {
        let lease = order_of(self.lease.good(), Lease::TYPE);
        let assignment = order_of(self.assignment.good(), Assignment::TYPE);
        let list =
            self.server_list.good().and_then(|list| Some((Word::new(ServerList::TYPE).ok()?, list.order())));
        lease.into_iter().chain(assignment).chain(list).collect()
    }

    /// Whether a grant of the vendor, for this server and its site key, covers a package.
    #[must_use]
    pub fn coverage(&self, package: &PackageName) -> Coverage {
        if self.grants.covers(package) { Coverage::Granted } else { Coverage::NotGranted }
    }

    /// Whether the license lets this computer install a package.
    #[must_use]
    pub fn entitlement(&self, package: &PackageName, license_time: Timestamp) -> Entitlement {
        let Some(lease) = self.lease.good() else { return Entitlement::NoLease };
        match self.grants.entitled_until(lease, package, license_time) {
            Some(until) => Entitlement::Until(until),
            None => Entitlement::NotCovered,
        }
    }
}

/// The server that lists are compared with: the enrollment's, with the site key of the grants.
#[must_use]
pub fn known_server(enrollment: &Enrollment, grants: &Grants) -> ServerEntry {
    ServerEntry { site_key: grants.site_key().clone(), ..enrollment.server.clone() }
}

fn held_server_list(
    read: Result<Option<SignedDocument>, StoreError>,
    enrollment: &Enrollment,
    grants: &Grants,
    standard: &Standard<'_>,
) -> HeldDocument<ServerList> {
    let signed = match read {
        Ok(Some(signed)) => signed,
        Ok(None) => return HeldDocument::None,
        Err(error) => return HeldDocument::Refused(with_causes(&error)),
    };
    let list = match signed.verify::<ServerList>(std::slice::from_ref(grants.site_key())) {
        Ok(list) => list.into_inner(),
        Err(error) => return HeldDocument::Refused(with_causes(&error)),
    };
    match judge_server_list(&list, standard, &known_server(enrollment, grants)) {
        Ok(()) => HeldDocument::Good(list),
        Err(why) => HeldDocument::Refused(why),
    }
}

/// The grants of a server that the vendor's trust document vouches for. One whose key was taken back does not count; at
/// least one must.
///
/// # Errors
/// Why the last one does not count, if none does.
pub fn verified_grants(
    signed: &[SignedDocument],
    trust: &TrustDocument,
    server_id: &ServerId,
) -> Result<Grants, String> {
    let mut refused = "there is none".to_owned();
    let mut verified = Vec::new();
    for signed in signed {
        match verified_grant(signed, trust) {
            Ok(grant) => verified.push(grant),
            Err(why) => refused = why,
        }
    }
    // A site key is replaced by one of a higher key epoch.
    verified.sort_by_key(|held| held.grant.key_epoch);
    let mut grants: Option<Grants> = None;
    for grant in verified {
        let taken = match &mut grants {
            Some(grants) => grants.accept(grant, server_id),
            None => Grants::begin(grant, server_id).map(|begun| grants = Some(begun)),
        };
        if let Err(refusal) = taken {
            refused = refusal.to_string();
        }
    }
    grants.ok_or(refused)
}

/// A grant that the vendor's trust document vouches for.
///
/// # Errors
/// Why it does not.
pub fn verified_grant(signed: &SignedDocument, trust: &TrustDocument) -> Result<HeldGrant, String> {
    let digest = signed.digest();
    let grant = signed.verify::<Grant>(&trust.license_keys(digest)).map_err(|error| with_causes(&error))?;
    Ok(HeldGrant { grant: grant.into_inner(), digest })
}

fn text(loaded: &Result<Option<SignedDocument>, StoreError>) -> Option<SignedDocument> {
    loaded.as_ref().ok().cloned().flatten()
}

fn order_of(document: Option<&impl Ordered>, document_type: &str) -> Option<(Word, Order)> {
    Some((Word::new(document_type).ok()?, document?.order()))
}

fn held<T: Document>(
    loaded: Result<Option<SignedDocument>, StoreError>,
    grants: &Grants,
    judge: impl FnOnce(&T) -> Result<(), LicenseRefusal>,
) -> HeldDocument<T> {
    let signed = match loaded {
        Ok(Some(signed)) => signed,
        Ok(None) => return HeldDocument::None,
        Err(error) => return HeldDocument::Refused(with_causes(&error)),
    };
    match signed.verify::<T>(std::slice::from_ref(grants.site_key())) {
        Err(error) => HeldDocument::Refused(with_causes(&error)),
        Ok(document) => match judge(&document) {
            Ok(()) => HeldDocument::Good(document.into_inner()),
            Err(refusal) => HeldDocument::Refused(refusal.to_string()),
        },
    }
}
