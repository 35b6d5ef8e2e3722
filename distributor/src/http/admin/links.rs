//! `/api/v1/links`: what goes over each link now, and what waits for it. Links are made and removed as settings.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use sealpost_admin_api::links::{Downloading, LinkDetail, LinksView, MAX_NAMED, Waits};
use sealpost_ledger::LedgerError;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_site::queries::HolderById;

use crate::http::Site;
use crate::http::links::Seen;
use crate::http::problem::ApiError;

pub(crate) async fn list(State(site): State<Arc<Site>>) -> Result<Json<LinksView>, ApiError> {
    let links = site.links.see(0).await?;
    Ok(Json(LinksView { links: links.into_iter().map(|seen| seen.link).collect() }))
}

/// One link, with the names of the computers that use it.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Json<LinkDetail>, ApiError> {
    let links = site.links.see(MAX_NAMED).await?;
    let found = links.into_iter().find(|seen| seen.link.name.as_str() == name);
    let Some(Seen { link, downloads, line }) = found else {
        return Err(ApiError::not_found("there is no link of this name", "see `distributor links list`"));
    };
    let mut detail = LinkDetail { link, downloads: Vec::new(), line: Vec::new() };
    for (client, bytes, left_bytes, age) in downloads {
        let computer = name_of(&site, client).await?;
        detail.downloads.push(Downloading { computer, bytes, left_bytes, for_secs: age.as_secs() });
    }
    for (client, bytes) in line {
        detail.line.push(Waits { computer: name_of(&site, client).await?, bytes });
    }
    Ok(Json(detail))
}

async fn name_of(site: &Site, client_id: ClientId) -> Result<Option<ComputerName>, LedgerError> {
    Ok(site.parts.ledger.query(HolderById { client_id }).await?.map(|holder| holder.name))
}
