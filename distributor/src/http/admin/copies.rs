//! `/api/v1/clients/{name}/resolve`: which of two computers with one identity goes on.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use sealpost_admin_api::copies::{CopyLine, ResolveRequest, Resolved};
use sealpost_ledger::LedgerError;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::ResolveCopies;
use sealpost_site::queries::CopiesOf;

use super::clients::{bad_name, reserved};
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

/// The computers that use the identity of a name's client; none where there is one.
pub(super) async fn copies(site: &Site, name: &ComputerName) -> Result<Vec<CopyLine>, LedgerError> {
    let row = site.parts.ledger.query(CopiesOf { name: name.clone() }).await?;
    Ok(row.filter(|row| row.forked).map(CopyLine::of).unwrap_or_default())
}
