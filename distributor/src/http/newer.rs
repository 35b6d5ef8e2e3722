//! Whether the vendor offers a newer version of this program: releases of the package `distributor`, of kind `server`.
//!
//! Left out on purpose: installing it. The server is the admin's to replace; it says that there is something, and where.

use sealpost_admin_api::status::NewerServer;
use sealpost_files::with_causes;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::version::Version;
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::release::ReleaseState;

use super::Site;
use super::payload::payload;

/// The package of this program.
const PACKAGE: &str = "distributor";
/// The version that runs.
const OWN: &str = env!("CARGO_PKG_VERSION");

/// The newest approved or staged release of this program that is newer than the running one, out of `releases`.
/// One damaged manifest hides nothing else: the release is named without its payload, and the log says why.
pub(crate) async fn newer(site: &Site, releases: &[ReleaseRow]) -> Option<NewerServer> {
    let row = newest(releases)?;
    let payload = payload(site, row.manifest).await.unwrap_or_else(|error| {
        let error = with_causes(&error);
        tracing::warn!(release = %row.release, error, "a newer version of this server is there, and its manifest cannot be read");
        None
    });
    Some(NewerServer {
        release: row.release.clone(),
        state: row.state.as_str().to_owned(),
        payload: payload.and_then(|payload| payload.place).map(|path| path.display().to_string()),
    })
}

/// Of two with the same version the approved one, since that one is decided.
fn newest(releases: &[ReleaseRow]) -> Option<&ReleaseRow> {
    let mut newest: Option<&ReleaseRow> = None;
    for state in [ReleaseState::Approved, ReleaseState::Staged] {
        for row in releases.iter().filter(|row| row.state == state) {
            let is_ours = row.kind == PackageKind::Server && row.release.package.as_str() == PACKAGE;
            if is_ours && is_newer(&row.release.version, newest.map(|best| &best.release.version)) {
                newest = Some(row);
            }
        }
    }
    newest
}

/// Whether a version is above the best one so far; above that of this program while there is none.
fn is_newer(version: &Version, best: Option<&Version>) -> bool {
    match best {
        Some(best) => version.precedence(best).is_gt(),
        None => Version::new(OWN).is_ok_and(|own| version.precedence(&own).is_gt()),
    }
}

#[cfg(test)]
mod tests {
    use super::{OWN, Version, is_newer};

    #[test]
    fn a_version_is_newer_as_people_read_it_also_than_its_own_candidates() {
        let version = |text: &str| Version::new(text).unwrap();
        for (newer, older) in [("0.10.0", "0.9.9"), ("1.0", "1.0-rc1"), ("1.0-rc.10", "1.0-rc.9")] {
            assert!(is_newer(&version(newer), Some(&version(older))), "{newer} {older}");
            assert!(!is_newer(&version(older), Some(&version(newer))), "{older} {newer}");
        }
        assert!(!is_newer(&version("1.0+build.2"), Some(&version("1.0"))), "builds say nothing");
        assert!(!is_newer(&version(OWN), None) && is_newer(&version("9999.0"), None));
    }
}
