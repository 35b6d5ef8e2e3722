//! `/api/v1/clients`: reservations, and the setup files for their computers.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use sealpost_keys::token::random_bytes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::{ChannelName, ComputerName, EnrollmentCode, NameError};
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::wire::problem::ProblemCode;
use serde::Deserialize;

use crate::domain::activity::Actor;
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;
use crate::http::views::{ClientView, ClientsView, ReserveRequest};
use crate::ports::ledger::ClientRow;

/// The channel of a reservation that names none.
const DEFAULT_CHANNEL: &str = "stable";
/// Clients in one answer.
const MAX_PAGE: u32 = 500;

/// Which page.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    after: Option<ComputerName>,
    limit: Option<u32>,
}

/// A page of the list.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<ClientsView>, ApiError> {
    let Query(page) = page.map_err(|error| bad_query(&error.body_text()))?;
    let limit = page.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let rows = site.ledger.clients(page.after, limit).await?;
    let more = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| more).map(|row| row.name.clone());
    Ok(Json(ClientsView { clients: rows.into_iter().map(|row| view(&site, row)).collect(), next }))
}

/// One.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Json<ClientView>, ApiError> {
    let name = ComputerName::new(name).map_err(bad_name)?;
    let row = site.ledger.client(name.clone()).await?.ok_or_else(|| not_reserved(&name))?;
    let explanations = site.ledger.explain(site.now(), name).await?;
    Ok(Json(ClientView { explanations, ..view(&site, row) }))
}

/// Takes a seat, for good; the same name again answers the same.
pub(crate) async fn reserve(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<ReserveRequest>,
) -> Result<Json<ClientView>, ApiError> {
    let channel = match request.channel {
        Some(channel) => channel,
        None => ChannelName::new(DEFAULT_CHANNEL).map_err(bad_name)?,
    };
    let row = site.ledger.reserve(actor, site.now(), request.name, channel).await?;
    Ok(Json(view(&site, row)))
}

/// Issues an enrollment code and answers the setup file; codes that were issued for the name before are void.
pub(crate) async fn setup(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let name = ComputerName::new(name).map_err(bad_name)?;
    let row = site.ledger.client(name.clone()).await?.ok_or_else(|| not_reserved(&name))?;
    let random =
        random_bytes::<24>().map_err(|error| ApiError::internal("make an enrollment code", &error))?;
    let code = EnrollmentCode::from_random(random);
    let digest = Sha256Digest::of(code.as_str().as_bytes());
    site.ledger.issue_setup(actor, site.now(), row.name.clone(), digest).await?;
    let setup = SetupFile {
        computer_name: row.name,
        enrollment_code: code,
        servers: vec![SetupServer {
            addresses: site.addresses.addresses.clone(),
            port: site.addresses.port,
            server_id: site.ledger.server_id(),
            site_key: site.site_key.public(),
            ca_spki_sha256: site.addresses.ca_spki_sha256,
        }],
        root_sha256: site.addresses.root_sha256,
    };
    let text = document::write(&setup).map_err(|error| ApiError::internal("write a setup file", &error))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}

fn view(site: &Site, client: ClientRow) -> ClientView {
    let connected = client.client_id.as_ref().is_some_and(|id| site.push.is_connected(id));
    ClientView { client, connected, explanations: Vec::new() }
}

pub(super) fn bad_query(why: &str) -> ApiError {
    ApiError::new(
        ProblemCode::BadRequest,
        format!("cannot read the query: {why}"),
        "see `--help` for the values",
    )
}

fn bad_name(error: NameError) -> ApiError {
    ApiError::new(ProblemCode::BadRequest, error.to_string(), "check the spelling")
}

fn not_reserved(name: &ComputerName) -> ApiError {
    ApiError::new(
        ProblemCode::NotReserved,
        format!("no seat is reserved for the computer {name}"),
        format!("reserve one with `distributor clients reserve {name}`"),
    )
    .with_status(axum::http::StatusCode::NOT_FOUND)
}
