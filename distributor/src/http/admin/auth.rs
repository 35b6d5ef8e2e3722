//! Who administers: on the Unix socket the account that the operating system names, over TLS the name of a token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::Peer;
use sealpost_site::changes::Actor;
use sealpost_site::rules::access::{Permission, permits};
use sealpost_site::rules::account::Account;

use super::while_good::while_good;
use crate::http::Site;
use crate::http::admission::{bearer, too_many_failures};
use crate::http::asker::{self, Asker};
use crate::http::problem::{ApiError, RefusedWith};
use crate::http::token_desk::{Admitted, to_its_end};

/// Lets admins through who have the permission, with their [`Actor`] in the request's extensions.
pub(crate) async fn authenticate(
    State((site, permission)): State<(Arc<Site>, Permission)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        let unknown = ApiError::new(
            ProblemCode::Forbidden,
            "it is not known where this request comes from",
            "report this",
        );
        return unknown.into_response();
    };
    let admitted = match account(&site, &peer, request.headers()).await {
        Ok(account) => permitted(account, permission),
        Err(error) => Err(error),
    };
    let response = match admitted {
        Ok(account) => {
            if let Some(asker) = request.extensions().get::<Asker>().cloned() {
                if let Err(error) = asker.has_shown(&site).await {
                    asker::count(&site, &peer, &error);
                    return error.into_response();
                }
                asker.is_accepted(&format!("admin {}", account.id));
            }
            request.extensions_mut().insert(Actor::Admin { account: account.clone() });
            while_good(&site, account, next.run(request).await)
        }
        Err(error) => {
            let response = error.into_response();
            if let Some(RefusedWith(code)) = response.extensions().get::<RefusedWith>() {
                site.parts.ledger.count_refusal(site.now(), *code, &peer.source());
                tracing::debug!(%code, source = peer.source(), "a stranger tried the admin API");
            }
            response
        }
    };
    if let Some(RefusedWith(code)) = response.extensions().get::<RefusedWith>() {
        site.metrics.count_refusal(*code);
    }
    response
}

/// Whether an account may do what it asks for.
pub(crate) fn permitted(account: Account, permission: Permission) -> Result<Account, ApiError> {
    if permits(account.kind, permission) {
        return Ok(account);
    }
    Err(ApiError::new(
        ProblemCode::Forbidden,
        "this account may not do that",
        "ask an administrator of this server for an account that may",
    ))
}

/// Whose account asks, or why it may not.
pub(crate) async fn account(site: &Arc<Site>, peer: &Peer, headers: &HeaderMap) -> Result<Account, ApiError> {
    if let Peer::Local { account } = peer {
        return Ok(Account::socket(account));
    }
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    let now = site.now();
    let admitted = match sent {
        None => Admitted::Unknown,
        Some(text) => {
            let (site, text, source) = (Arc::clone(site), text.to_owned(), peer.source());
            to_its_end(async move { site.parts.admin_tokens.admit(&text, &source, now).await }).await?
        }
    };
    match admitted {
        Admitted::Good(account) => return Ok(account),
        Admitted::Unlogged(name) => {
            return Err(ApiError::new(
                ProblemCode::Unauthenticated,
                format!(
                    "the admin token {name} is not one that the log tells of: its file was edited, or is from another time"
                ),
                format!(
                    "make another on the server: `distributor token revoke {name}`, then `distributor token new {name}`"
                ),
            ));
        }
        Admitted::Ended(name) => {
            return Err(ApiError::new(
                ProblemCode::TokenExpired,
                format!("the admin token {name} has ended"),
                format!(
                    "make another on the server: `distributor token revoke {name}`, then `distributor token new {name}`"
                ),
            ));
        }
        Admitted::Disabled(name, account) => {
            return Err(ApiError::new(
                ProblemCode::Forbidden,
                format!("the admin token {name} is refused: the account {account} is disabled"),
                "`distributor accounts list` on the server shows who disabled it and why",
            ));
        }
        Admitted::Damaged(name, damage) => {
            return Err(ApiError::new(
                ProblemCode::Unauthenticated,
                format!(
                    "the admin token {name} is not admitted: entry {} of the log is damaged",
                    damage.sequence
                ),
                "on the server, run `distributor log verify`, and restore a backup",
            ));
        }
        Admitted::Unknown => {}
    }
    // Only now: nobody guesses a token, and a stranger behind the same address must not lock an admin out.
    if let Some(wait) = site.failed_admins.must_wait(peer, now) {
        return Err(too_many_failures(wait));
    }
    site.failed_admins.note(peer, now);
    Err(ApiError::new(
        ProblemCode::Unauthenticated,
        "this is the admin API, and no admin token that is known was sent",
        "make one on the server with `distributor token new NAME`, and give it with --token-file",
    ))
}
