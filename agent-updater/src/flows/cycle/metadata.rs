//! The vendor's metadata for a round of installs: verified from the pinned root, and the trust document that it lists.

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::release::Refusal;
use crate::download::{VendorMetadata, interrupted};
use crate::flows::contact::Access;
use crate::flows::context::Context;
use crate::flows::origin::origin_of;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::records::root;
use crate::records::server::ServerRecords;
use crate::server::{Credential, Endpoint};

/// Opens and refreshes the metadata, and keeps a new trust document.
///
/// # Errors
/// [`Refusal`].
pub(super) fn open(
    context: &Context,
    holdings: &mut Holdings,
    progress: &Progress,
    access: &Access,
    as_of: Timestamp,
) -> Result<VendorMetadata, Refusal> {
    let home = &context.host.home;
    let root = pinned_root(context, holdings)?;
    // A client of its own, because the metadata is read on another thread.
    let endpoint = holdings
        .enrollment
        .servers
        .iter()
        .filter_map(|server| Endpoint::of_server(server, progress.time_floor, &Credential::None).ok())
        .flatten()
        .find(|endpoint| endpoint.address() == access.endpoint.address())
        .ok_or_else(|| local("the server that answered is not in the enrollment".to_owned()))?;
    let origin = origin_of(&endpoint, Some(access.token.clone()));
    let opened = VendorMetadata::open(root, home.tuf(), origin, as_of);
    let metadata = context.network.wait(opened).map_err(interrupted)??;
    let (text, trust) = context.network.wait(metadata.trust()).map_err(interrupted)??;
    if text != holdings.enrollment.trust {
        // The grant must verify under the new document too: else the vendor does not vouch for this site any more.
        holdings.enrollment.grant.verify::<Grant>(&trust.license_keys()).map_err(|error| {
            let detail = format!("the vendor revoked the key of this site's grant: {}", with_causes(&error));
            Refusal::new(ReasonCode::LeaseInvalid, detail)
        })?;
        holdings.enrollment.trust = text;
        holdings.trust = trust;
        ServerRecords::of(home)
            .save_enrollment(&holdings.enrollment)
            .map_err(|error| local(with_causes(&error)))?;
    }
    Ok(metadata)
}

fn pinned_root(context: &Context, holdings: &Holdings) -> Result<Vec<u8>, Refusal> {
    let root = root::read(&context.host.home)
        .map_err(|error| local(format!("the pinned root cannot be read: {error}")))?
        .ok_or_else(|| {
            local("the pinned root is missing; enroll this computer again with --root".to_owned())
        })?;
    if Sha256Digest::of(&root) == holdings.enrollment.root_sha256 {
        return Ok(root);
    }
    let detail = "the pinned root was changed on this computer; restore root.json from the vendor's package";
    Err(Refusal::new(ReasonCode::MetadataInvalid, detail))
}

fn local(detail: String) -> Refusal {
    Refusal::new(ReasonCode::LocalFault, detail)
}
