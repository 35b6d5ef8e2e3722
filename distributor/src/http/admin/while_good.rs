//! Answers that go on end with the token that asked for them.
//!
//! Invariant: no part of an answer is sent after the token was revoked, has ended, or was taken out of its file; and the
//! answer then breaks off, so that nobody takes it for a whole one. What was there as a whole when the token was good is
//! sent as it is. Left out on purpose: accounts of the admin socket, which have no end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use sealpost_site::rules::account::{Account, TokenId};

use crate::http::Site;

/// How often an answer with nothing to say looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// An answer under way, and whose it is.
struct Held {
    site: Arc<Site>,
    token: TokenId,
    rest: BodyDataStream,
}

/// The answer, for as long as its token is good.
pub(super) fn while_good(site: &Arc<Site>, account: Account, response: Response) -> Response {
    let Some(token) = account.token.filter(|_| response.body().size_hint().exact().is_none()) else {
        return response;
    };
    let site = Arc::clone(site);
    response.map(|body| {
        let held = Held { site, token, rest: body.into_data_stream() };
        Body::from_stream(stream::unfold(Some(held), |held| async move { next(held?).await }))
    })
}

/// The next part; nothing comes after an error.
async fn next(mut held: Held) -> Option<(io::Result<Bytes>, Option<Held>)> {
    loop {
        let part = tokio::time::timeout(LOOK_EVERY, held.rest.next()).await;
        // After the wait, and before anything of what came is sent.
        if !held.site.parts.admin_tokens.is_still_good(&held.token, held.site.now()).await {
            let error = io::Error::new(io::ErrorKind::PermissionDenied, "the admin token is no longer good");
            return Some((Err(error), None));
        }
        match part {
            Ok(Some(Ok(bytes))) => return Some((Ok(bytes), Some(held))),
            Ok(Some(Err(error))) => return Some((Err(io::Error::other(error)), None)),
            Ok(None) => return None,
            Err(_elapsed) => {}
        }
    }
}
