//! `/api/v1/clients/{name}/resolve`: which of two computers with one identity goes on.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use sealpost_admin_api::copies::{ResolveRequest, Resolved};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::ResolveCopies;

use super::clients::{bad_name, reserved};
use super::setup_info::copies;
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

/// Notes which one goes on, and answers both.
pub(crate) async fn resolve(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<ResolveRequest>,
) -> Result<Json<Resolved>, ApiError> {
    let name = ComputerName::new(name).map_err(bad_name)?;
    let name = reserved(&site, name).await?.name;
    let ResolveRequest { keep, comment } = request;
    let command = ResolveCopies { actor, name: name.clone(), keep, comment };
    site.parts.ledger.execute(site.now(), command).await?;
    let copies = copies(&site, &name)
        .await
        .map_err(|error| ApiError::done_but_unread(&error, "it is decided", "distributor clients show"))?;
    Ok(Json(Resolved { copies }))
}
