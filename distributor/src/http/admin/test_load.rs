//! `POST /api/v1/updates/test-load`: a release is loaded on the server again, or let through without that.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::updates::{TestLoadRequest, TestLoadView};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::changes::Actor;
use sealpost_site::commands::test_loads::OverrideTestLoad;
use sealpost_site::queries::{KnownReleaseOf, ReleaseByManifest};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::test_load::Wanted;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

/// How long an answer waits for the end of a load; who asked looks again then.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Whether the site wants a release to be loaded first. One that is not known is refused as such.
pub(crate) async fn wanted(site: &Site, manifest: Sha256Digest) -> Result<Wanted, ApiError> {
    let known = site.parts.ledger.query(KnownReleaseOf { manifest }).await?;
    Ok(known.map_or(Wanted::Nothing, |known| site.parts.tests.wanted(&known.release.package)))
}

/// What is shown of the test-load of a release.
pub(crate) fn shown(site: &Site, row: &ReleaseRow) -> Option<TestLoadView> {
    let wanted = site.parts.tests.wanted(&row.release.package);
    let is_under_way = site.parts.tests.is_under_way(&row.manifest);
    TestLoadView::of(wanted, row.state, row.test_load.as_ref(), is_under_way)
}

pub(crate) async fn test(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<TestLoadRequest>,
) -> Result<Json<TestLoadView>, ApiError> {
    let TestLoadRequest { manifest, override_why } = request;
    let (ledger, tests) = (&site.parts.ledger, &site.parts.tests);
    let known = ledger.query(KnownReleaseOf { manifest }).await?;
    let known = known.ok_or_else(|| {
        ApiError::not_found(
            "no release with this manifest is known here",
            "`distributor updates list` shows all",
        )
    })?;
    match override_why {
        Some(comment) => {
            ledger.execute(site.now(), OverrideTestLoad { actor, manifest, comment }).await?;
        }
        None => {
            tests.ask(manifest, &known.release.package)?;
            tests.settled(&manifest, ANSWERED_WITHIN).await;
        }
    }
    let unread = |error| ApiError::done_but_unread(&error, "it is done", "distributor updates show");
    let row = ledger.query(ReleaseByManifest { manifest }).await.map_err(unread)?;
    let view = row.as_ref().and_then(|row| shown(&site, row));
    let view = view.ok_or_else(|| {
        ApiError::not_found("the release was not loaded", "look into the server's log, then try again")
    })?;
    Ok(Json(view))
}
