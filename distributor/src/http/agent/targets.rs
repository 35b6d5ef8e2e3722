//! `GET /agent/v1/tuf/targets/{sha256}.{name}`: targets out of the blobs, also in part.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sealpost_manifests::ids::TargetName;
use sealpost_serving::Peer;

use crate::http::Site;
use crate::http::admission::{Caller, WantedTarget};
use crate::http::problem::ApiError;
use crate::http::send;
use crate::ports::upstream::{TargetClass, TargetEntry};

/// Sends the target that was admitted.
pub(crate) async fn target(
    State(site): State<Arc<Site>>,
    Extension(WantedTarget(entry)): Extension<WantedTarget>,
    Extension(peer): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let blobs = Arc::clone(&site.parts.blobs);
    let sha256 = entry.sha256;
    let open = tokio::task::spawn_blocking(move || blobs.open(&sha256))
        .await
        .map_err(|error| ApiError::internal("open a stored file", &error))?
        .map_err(|error| ApiError::internal("open a stored file", &error))?;
    match open {
        // Shorter or longer than it is listed: nobody could use it.
        Some(blob) if blob.length != entry.length => {
            site.parts.upstream.suspect(sha256);
            Err(damaged(&entry.name))
        }
        Some(blob) => {
            let upstream = Arc::clone(&site.parts.upstream);
            let damaged = Box::new(move || upstream.suspect(sha256));
            let passage = match waits_for_link(&entry) {
                true => {
                    let wanted = send::wanted(blob.length, &headers);
                    site.links.pass(&peer, caller.client(), wanted).await?
                }
                false => None,
            };
            let expected = Some(send::Expected { sha256, damaged });
            send::file(blob.file, blob.length, expected, passage, &headers).await
        }
        None => Err(ApiError::not_found(
            format!("the server has not stored {}", entry.name),
            "ask the server's admin to pull again",
        )),
    }
}

/// Whether it goes over a link in its turn: everything of a release but what says what the release is.
pub(super) fn waits_for_link(entry: &TargetEntry) -> bool {
    let TargetClass::Release { release, .. } = &entry.class else { return false };
    let says = [release.manifest_target(), release.minisig_target()];
    !says.iter().flatten().any(|name| *name == entry.name)
}

fn damaged(name: &TargetName) -> ApiError {
    ApiError::not_found(
        format!("the server's copy of {name} is damaged"),
        "ask the server's admin to look at its status, and to pull again",
    )
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::release::ReleaseId;

    use super::*;

    #[test]
    fn payloads_and_attachments_wait_for_a_link_and_what_says_what_they_are_does_not() {
        let sha256 = Sha256Digest::of(b"x");
        let release = ReleaseId::from_manifest_target("acme-av_1.0_any.manifest").unwrap();
        let of_release = TargetClass::Release { release, manifest: sha256 };
        for (name, class, waits) in [
            ("acme-av_1.0_any.manifest", &of_release, false),
            ("acme-av_1.0_any.manifest.minisig", &of_release, false),
            ("acme-av_1.0_any.tar.gz", &of_release, true),
            ("acme-av_1.0_any.attachment.sbom.json", &of_release, true),
            ("trust.json", &TargetClass::Trust, false),
        ] {
            let name = TargetName::new(name).unwrap();
            let entry = TargetEntry { name, sha256, length: 1, class: class.clone() };
            assert_eq!(waits_for_link(&entry), waits, "{}", entry.name);
        }
    }
}
