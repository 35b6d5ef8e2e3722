//! Whether the vendor offers a newer version of this program: releases of the package `distributor`, of kind `server`.
//!
//! Left out on purpose: installing it. The server is the admin's to replace; it says that there is something, and where.

use std::sync::Arc;

use sealpost_admin_api::status::NewerServer;
use sealpost_manifests::release::{Encoding, PackageKind};
use sealpost_site::queries::{MAX_PAGE, Releases};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::release::ReleaseState;

use super::Site;
use super::problem::ApiError;

/// The package of this program.
const PACKAGE: &str = "distributor";

/// The newest approved or staged release of this program that is newer than the running one.
pub(crate) async fn newer(site: &Arc<Site>) -> Result<Option<NewerServer>, ApiError> {
    let mut newest: Option<ReleaseRow> = None;
    for state in [ReleaseState::Approved, ReleaseState::Staged] {
        let query = Releases { state: Some(state), after: None, limit: MAX_PAGE };
        for row in site.parts.ledger.query(query).await? {
            let is_ours = row.kind == PackageKind::Server && row.release.package.as_str() == PACKAGE;
            let version = row.release.version.as_str();
            let best =
                newest.as_ref().map_or(env!("CARGO_PKG_VERSION"), |best| best.release.version.as_str());
            if is_ours && is_newer(version, best) {
                newest = Some(row);
            }
        }
    }
    let Some(row) = newest else { return Ok(None) };
    let review = site.parts.staging.review(row.manifest).await;
    let review = review.map_err(|error| ApiError::internal("read a staged release", &error))?;
    let payload = review.and_then(|review| review.manifest.payload.encoding(Encoding::Gzip).copied());
    let payload = payload.and_then(|blob| site.parts.blobs.place(&blob.sha256));
    Ok(Some(NewerServer {
        release: row.release,
        state: row.state.as_str().to_owned(),
        payload: payload.map(|path| path.display().to_string()),
    }))
}

/// Whether a version is above another: number by number, text by text; a version with something behind its numbers is a
/// test version, and below the same numbers alone.
fn is_newer(version: &str, than: &str) -> bool {
    let parts = |text: &str| -> (Vec<u64>, bool, String) {
        let (numbers, rest) = text.split_once(['-', '+', '~']).unwrap_or((text, ""));
        let numbers = numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        (numbers, rest.is_empty(), rest.to_owned())
    };
    let ((mut one, one_final, one_rest), (mut other, other_final, other_rest)) =
        (parts(version), parts(than));
    let length = one.len().max(other.len());
    one.resize(length, 0);
    other.resize(length, 0);
    (one, one_final, one_rest) > (other, other_final, other_rest)
}

#[cfg(test)]
mod tests {
    use super::is_newer;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (newer, older) in [("0.10.0", "0.9.9"), ("1.0", "0.1.0"), ("1.0.1", "1.0"), ("1.0", "1.0-rc1")] {
            assert!(is_newer(newer, older), "{newer} {older}");
            assert!(!is_newer(older, newer), "{older} {newer}");
        }
        assert!(!is_newer("1.0", "1.0.0") && !is_newer("1.0.0", "1.0"));
    }
}
