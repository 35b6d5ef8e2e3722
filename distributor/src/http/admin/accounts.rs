//! `/api/v1/accounts`: the accounts of people. Adding, disabling and enabling come over the admin socket only.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use sealpost_admin_api::approvals::{AccountRequest, AccountsChanged, AccountsView};
use sealpost_site::changes::Actor;
use sealpost_site::commands::accounts::{AddAccount, DisableAccount, EnableAccount};
use sealpost_site::commands::second_eyes::Outcome;
use sealpost_site::commands::settings::LoadPlan;

use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

pub(crate) async fn list(State(site): State<Arc<Site>>) -> Result<Json<AccountsView>, ApiError> {
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    Ok(Json(AccountsView::new(&plan, site.now())))
}

pub(crate) async fn add(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<AccountRequest>,
) -> Result<Json<AccountsChanged>, ApiError> {
    let AccountRequest { account, comment } = request;
    let command = AddAccount { actor, account, comment, confirms: None };
    let outcome = site.parts.ledger.execute(site.now(), command).await?;
    changed(&site, outcome).await
}

pub(crate) async fn enable(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<AccountRequest>,
) -> Result<Json<AccountsChanged>, ApiError> {
    let AccountRequest { account, comment } = request;
    let command = EnableAccount { actor, account, comment, confirms: None };
    let outcome = site.parts.ledger.execute(site.now(), command).await?;
    changed(&site, outcome).await
}

pub(crate) async fn disable(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<AccountRequest>,
) -> Result<Json<AccountsChanged>, ApiError> {
    let AccountRequest { account, comment } = request;
    site.parts.ledger.execute(site.now(), DisableAccount { actor, account, comment }).await?;
    changed(&site, Outcome::Done(())).await
}

async fn changed(site: &Site, outcome: Outcome<()>) -> Result<Json<AccountsChanged>, ApiError> {
    let unread = |error| ApiError::done_but_unread(&error, "it is done", "distributor accounts list");
    let plan = site.parts.ledger.query(LoadPlan {}).await.map_err(unread)?;
    let waits = match outcome {
        Outcome::Done(()) => None,
        Outcome::Waits(number) => Some(number),
    };
    Ok(Json(AccountsChanged { view: AccountsView::new(&plan, site.now()), waits }))
}
