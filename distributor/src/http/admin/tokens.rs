//! `POST /api/v1/tokens` and `…/revoke`: tokens of admins, over the admin socket only; and `…/renew`, with a token only.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use jiff::SignedDuration;
use sealpost_admin_api::tokens::{
    MadeTokenView, MakeTokenRequest, RenewTokenRequest, RevokeTokenRequest, RevokedTokensView,
};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;

use crate::http::Site;
use crate::http::admin_tokens::AdminTokenError;
use crate::http::body::JsonBody;
use crate::http::problem::{ApiError, bad_query};
use crate::http::token_desk::{MadeToken, TokenDeskError, WantedToken, to_its_end};

/// Most days that a token can be good for.
const MAX_DAYS: u32 = 36_600;

pub(crate) async fn make(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<MakeTokenRequest>,
) -> Result<Json<MadeTokenView>, ApiError> {
    let now = site.now();
    if request.days.is_some_and(|days| days == 0 || days > MAX_DAYS) {
        return Err(bad_query(&format!("a token is good for 1 to {MAX_DAYS} days, or until it is revoked")));
    }
    let ends_at =
        request.days.and_then(|days| now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok());
    let wanted = WantedToken { name: request.name, account: request.account, ends_at };
    let made = to_its_end(async move { site.parts.admin_tokens.make(actor, wanted, now).await });
    let MadeToken { token, id, waits } = made.await?;
    Ok(Json(MadeTokenView { token, id, created_at: now, ends_at, waits }))
}

/// Another token in the place of the one that was sent: whoever sent it is the only one who knows the new one.
pub(crate) async fn renew(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(RenewTokenRequest {}): JsonBody<RenewTokenRequest>,
) -> Result<Json<MadeTokenView>, ApiError> {
    let now = site.now();
    let before = match &actor {
        Actor::Admin { account } => account.token.clone(),
        Actor::Client { .. } | Actor::Stranger { .. } | Actor::Server => None,
    };
    let before = before.ok_or_else(|| bad_query("a token is renewed by who sends it"))?;
    let renewed = to_its_end(async move { site.parts.admin_tokens.renew(actor, before, now).await });
    let (MadeToken { token, id, waits }, ends_at) = renewed.await?;
    Ok(Json(MadeTokenView { token, id, created_at: now, ends_at, waits }))
}

pub(crate) async fn revoke(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<RevokeTokenRequest>,
) -> Result<Json<RevokedTokensView>, ApiError> {
    let name = request.name.clone();
    let ids = to_its_end(async move { site.parts.admin_tokens.revoke(actor, &name, site.now()).await });
    let ids = ids.await?;
    if ids.is_empty() {
        return Err(ApiError::not_found(
            format!("there is no token named {:?}", request.name),
            "see `distributor token list`",
        ));
    }
    Ok(Json(RevokedTokensView { ids: ids.into_iter().collect() }))
}

impl From<TokenDeskError> for ApiError {
    fn from(error: TokenDeskError) -> Self {
        match error {
            TokenDeskError::File(AdminTokenError::Name { name, rule }) => {
                Self::new(ProblemCode::BadRequest, format!("cannot use {name:?} as a token's name"), rule)
            }
            TokenDeskError::File(error) => Self::internal("use its admin tokens", &error),
            TokenDeskError::Ledger(error) => error.into(),
            TokenDeskError::Damaged(_) => Self::new(
                ProblemCode::WrongState,
                error.to_string(),
                "run `distributor log verify`, and restore a backup",
            ),
            TokenDeskError::Cut(error) => Self::internal("use its admin tokens", &error),
        }
    }
}
