//! The vendor's metadata for a round of installs: verified from the pinned root, and the trust document that it lists.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sealpost_files::with_causes;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::order::Ordered;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::refresh::Route;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::release::Refusal;
use crate::download::{Expected, VendorMetadata, interrupted};
use crate::flows::context::{Context, Host};
use crate::flows::linked;
use crate::flows::origin::Reads;
use crate::records::holdings::{Holdings, verified_grants};
use crate::records::progress::Progress;
use crate::records::root;
use crate::records::server::ServerRecords;

use super::withdrawn;

/// How far apart two clocks may be that are both right: a server's that is a little ahead raises the floor above this
/// computer's at each contact, and that is nothing to ask the vendor about.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(1);

/// Opens and refreshes the metadata, and keeps a new trust document.
///
/// # Errors
/// [`Refusal`].
pub(super) fn open(
    context: &Context,
    holdings: &mut Holdings,
    progress: &mut Progress,
    access: &Reads,
    as_of: Timestamp,
) -> Result<VendorMetadata, Refusal> {
    let host = &context.host;
    let metadata = vouched(context, holdings, access, as_of)?;
    let (text, trust) = context.network.wait(metadata.trust()).map_err(interrupted)??;
    if text != holdings.vendor.trust {
        keep_trust(host, holdings, text, trust)?;
    }
    accept_statement(host, holdings, progress, &metadata);
    progress.computer.floors.raise_metadata(as_of, host.boot().as_ref());
    Ok(metadata)
}

/// Hears the vendor's newest statement of the time, if this computer's clock is behind its floor: the floor may rest on a
/// statement that the vendor made by a wrong clock, and then nothing that the server signs counts until the floor goes
/// back. `true` if it did.
pub(super) fn correct_time(
    context: &Context,
    holdings: &Holdings,
    progress: &mut Progress,
    access: &Reads,
) -> bool {
    let host = &context.host;
    let (now, before) = (host.now(), progress.computer.floors.license());
    if before.duration_since(now) <= CLOCKS_APART {
        return false;
    }
    match vouched(context, holdings, access, now) {
        Ok(metadata) => accept_statement(host, holdings, progress, &metadata),
        Err(refusal) => {
            tracing::debug!(%refusal, "the vendor's newest statement of the time could not be read")
        }
    }
    let after = progress.computer.floors.license();
    if after < before {
        tracing::warn!(%before, now = %after, "the vendor's newest statement says that its clock was ahead");
    }
    after < before
}

/// The refreshed metadata, verified from the pinned root, as of a time.
fn vouched(
    context: &Context,
    holdings: &Holdings,
    access: &Reads,
    as_of: Timestamp,
) -> Result<VendorMetadata, Refusal> {
    let host = &context.host;
    let root = pinned_root(context, holdings)?;
    let place = access.place(context);
    let opened = VendorMetadata::open(root, host.home.tuf(), place, as_of, expected(host, holdings));
    context.network.wait(opened).map_err(interrupted)?
}

/// What the round will read: of each assigned release that does not run here its channels and its signature, the channels of
/// what is looked up because it may be withdrawn, and the trust document.
fn expected(host: &Host, holdings: &Holdings) -> Expected {
    let mut expected = Expected::trust();
    let trust = &holdings.vendor.trust;
    expected.held = expected.documents.iter().map(|name| (name.clone(), trust.clone())).collect();
    let Some(assignment) = holdings.assignment.good() else { return expected };
    // Of a record that cannot be read nothing is known; what is read is asked for all the same.
    let runs = |wanted: &PackageAssignment| {
        let record = linked::load(host, &wanted.release.package).ok();
        record.and_then(|record| record.current).map(|current| current.manifest)
    };
    let mut new: Vec<&ReleaseId> = Vec::new();
    for wanted in &assignment.packages {
        let from = runs(wanted);
        if from != Some(wanted.manifest) {
            new.push(&wanted.release);
            expected.routes.push(Route { from, to: wanted.manifest });
        }
    }
    let looked_up = withdrawn::to_look_up(host, assignment.order(), host.now());
    let packages: BTreeSet<&PackageName> =
        new.iter().copied().chain(&looked_up).map(|release| &release.package).collect();
    expected.roles.extend(packages.iter().map(ToString::to_string));
    expected
        .documents
        .extend(packages.into_iter().filter_map(|package| ChannelsDocument::target(package).ok()));
    expected.documents.extend(new.into_iter().filter_map(|release| release.minisig_target().ok()));
    expected
}

fn accept_statement(host: &Host, holdings: &Holdings, progress: &mut Progress, metadata: &VendorMetadata) {
    let (version, signed_at) = metadata.statement();
    if let Some(signed_at) = signed_at {
        let vouched_until = holdings.grants.latest_end();
        progress.computer.floors.accept_metadata(version, signed_at, vouched_until, host.boot().as_ref());
    }
}

/// Keeps a new trust document, and of the grants those that it still vouches for. If it vouches for none, the vendor
/// does not know this site any more, and nothing changes here.
fn keep_trust(
    host: &Host,
    holdings: &mut Holdings,
    text: String,
    trust: TrustDocument,
) -> Result<(), Refusal> {
    let signed = &mut holdings.enrollment.grants;
    let grants = verified_grants(signed, &trust, &holdings.identity.server_id).map_err(|why| {
        let detail = format!("the vendor revoked the key of this site's grant: {why}");
        Refusal::new(ReasonCode::LeaseInvalid, detail)
    })?;
    signed.retain(|signed| grants.iter().any(|held| held.digest == signed.digest()));
    let is_same_site_key = grants.site_key() == holdings.grants.site_key();
    holdings.grants = grants;
    holdings.vendor.trust = text;
    holdings.trust = trust;
    let records = ServerRecords::of(&host.home, &holdings.identity.server_id);
    holdings
        .vendor
        .save(&host.home)
        .and_then(|()| records.save_enrollment(&holdings.enrollment))
        .map_err(|error| local(with_causes(&error)))?;
    if is_same_site_key {
        return Ok(());
    }
    // Lease and assignment were verified with a key that the vendor does not vouch for any more.
    let detail = "the vendor revoked the grant that names the key of this site's server; what it signed does not count";
    Err(Refusal::new(ReasonCode::LeaseInvalid, detail))
}

fn pinned_root(context: &Context, holdings: &Holdings) -> Result<Vec<u8>, Refusal> {
    let root = root::read(&context.host.home)
        .map_err(|error| local(format!("the pinned root cannot be read: {error}")))?
        .ok_or_else(|| {
            local("the pinned root is missing; enroll this computer again with --root".to_owned())
        })?;
    if Sha256Digest::of(&root) == holdings.vendor.root_sha256 {
        return Ok(root);
    }
    let detail = "the pinned root was changed on this computer; restore root.json from the vendor's package";
    Err(Refusal::new(ReasonCode::MetadataInvalid, detail))
}

fn local(detail: String) -> Refusal {
    Refusal::new(ReasonCode::LocalFault, detail)
}
