//! `/api/v1/clients`: who holds a seat.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::setup_info::{copies, setup_info};
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::content;
use crate::http::leaving::stopped;
use crate::http::problem::{ApiError, bad_query};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use sealpost_admin_api::clients::{ChannelRequest, Client, ClientsPage, ClientsQuery, MAX_CLIENTS};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, NameError};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::ChangeChannel;
use sealpost_site::queries::{ClientByName, Clients, ExplainClient};
use sealpost_site::rows::ClientRow;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::content_age::Contents;
use sealpost_site::rules::explain::{AtLink, Explanation, explain_client};
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::troubles::Bounds;

/// A page of the list.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    query: Result<Query<ClientsQuery>, QueryRejection>,
) -> Result<Json<ClientsPage>, ApiError> {
    let Query(query) = query.map_err(|error| bad_query(&error.body_text()))?;
    let limit = query.limit.unwrap_or(MAX_CLIENTS).clamp(1, MAX_CLIENTS);
    let (with, bounds) = (query.with(), Bounds::at(site.now()));
    let rows = site.parts.ledger.query(Clients { after: query.after, with, bounds, limit }).await?;
    let more = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| more).map(|row| row.name.clone());
    let stopped = stopped(&site.parts.ledger).await?;
    let contents = site.content.look(&site.parts.ledger).await?;
    let clients = rows.into_iter().map(|row| shown(&site, row, Vec::new(), &stopped, &contents)).collect();
    Ok(Json(ClientsPage { clients, next }))
}

pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Json<Client>, ApiError> {
    let name = ComputerName::new(name).map_err(bad_name)?;
    let name = reserved(&site, name).await?.name;
    let found = explained(&site, &name).await?;
    let (row, explanations) = found.ok_or_else(|| not_reserved(&name))?;
    let setup_info = setup_info(&site, &name, row.before.clone()).await?;
    let copies = copies(&site, &name).await?;
    let forked = row.client_id.as_ref().filter(|_| row.state == ClientState::Forked);
    let third = forked.and_then(|id| site.third_computers.of(id));
    Ok(Json(Client { setup_info, copies, third, ..client(&site, row, explanations).await? }))
}

/// A reservation, and a sentence for each package of its computer.
pub(super) async fn explained(
    site: &Site,
    name: &ComputerName,
) -> Result<Option<(ClientRow, Vec<Explanation>)>, ApiError> {
    let Some(facts) = site.parts.ledger.query(ExplainClient { name: name.clone() }).await? else {
        return Ok(None);
    };
    let at_link = at_link(site, &facts.client).await?;
    let explanations = explain_client(&facts, at_link.as_ref(), site.now());
    Ok(Some((facts.client, explanations)))
}

/// Where a computer stands at the link that it is behind, if it downloads or waits for that.
async fn at_link(site: &Site, row: &ClientRow) -> Result<Option<AtLink>, ApiError> {
    let (Some(client), Some(address)) = (&row.client_id, row.came_by.and_then(CameBy::address)) else {
        return Ok(None);
    };
    let stands = site.links.standing(address, client).await?;
    Ok(stands.and_then(|stands| Some(AtLink::new(stands.name, &stands.link, stands.standing?))))
}

/// Moves a computer to another channel.
pub(crate) async fn channel(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<ChannelRequest>,
) -> Result<Json<Client>, ApiError> {
    let name = ComputerName::new(name).map_err(bad_name)?;
    let row = reserved(&site, name).await?;
    let (name, channel) = (row.name, request.channel);
    site.parts.ledger.execute(site.now(), ChangeChannel { actor, name: name.clone(), channel }).await?;
    let row = site.parts.ledger.query(ClientByName { name: name.clone() }).await.map_err(|error| {
        ApiError::done_but_unread(&error, "the computer is moved", "distributor clients show")
    })?;
    Ok(Json(client(&site, row.ok_or_else(|| not_reserved(&name))?, Vec::new()).await?))
}

/// The reservation of a name, in whatever spelling.
pub(super) async fn reserved(site: &Site, name: ComputerName) -> Result<ClientRow, ApiError> {
    let ledger = &site.parts.ledger;
    if let Some(row) = ledger.query(ClientByName { name: name.clone() }).await? {
        return Ok(row);
    }
    // A dot at the end is the same name; an older ledger may hold a name with one.
    let plain = canonical(&name);
    ledger.query(ClientByName { name: plain }).await?.ok_or_else(|| not_reserved(&name))
}

pub(super) async fn client(
    site: &Site,
    row: ClientRow,
    explanations: Vec<Explanation>,
) -> Result<Client, ApiError> {
    let runs_nothing = row.installed.is_empty();
    let stopped = if runs_nothing { BTreeMap::new() } else { stopped(&site.parts.ledger).await? };
    Ok(shown(site, row, explanations, &stopped, &*site.content.look(&site.parts.ledger).await?))
}

fn shown(
    site: &Site,
    row: ClientRow,
    explanations: Vec<Explanation>,
    stopped: &BTreeMap<Sha256Digest, ReleaseState>,
    contents: &Contents,
) -> Client {
    let content = content::of(contents, &row.installed, site.now());
    let connected = row.client_id.as_ref().is_some_and(|id| site.parts.push.is_connected(id));
    Client::new(row, connected, explanations, stopped, content)
}

pub(super) fn bad_name(error: NameError) -> ApiError {
    ApiError::new(ProblemCode::BadRequest, error.to_string(), "check the spelling")
}

pub(super) fn not_reserved(name: &ComputerName) -> ApiError {
    ApiError::new(
        ProblemCode::NotReserved,
        format!("no seat is reserved for the computer {name}"),
        format!("reserve one with `distributor clients reserve {name}`"),
    )
    .with_status(axum::http::StatusCode::NOT_FOUND)
}
