//! `POST /api/v1/updates/test-load`: a release is loaded on the server again, or let through without that.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::updates::{TestLoadRequest, TestLoadView};
use sealpost_site::changes::Actor;
use sealpost_site::commands::test_loads::OverrideTestLoad;
use sealpost_site::queries::{KnownReleaseOf, TestLoadOf};

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

pub(crate) async fn test(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<TestLoadRequest>,
) -> Result<Json<TestLoadView>, ApiError> {
    let TestLoadRequest { manifest, override_why } = request;
    let ledger = &site.parts.ledger;
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
        None => site.parts.tests.run(manifest, known.release.package.clone()).await?,
    }
    let unread = |error| ApiError::done_but_unread(&error, "it is done", "distributor updates show");
    let test = ledger.query(TestLoadOf { manifest }).await.map_err(unread)?;
    let test = test.ok_or_else(|| {
        ApiError::not_found("the release was not loaded", "look into the server's log, then try again")
    })?;
    Ok(Json(TestLoadView::new(known.release, &test)))
}
