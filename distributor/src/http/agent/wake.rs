//! `GET /agent/v1/wake`: a held stream of server-sent events. Its one event, `contact`, says only "contact now".

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::WAKE_MESSAGE;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{ClientByName, ExplainClient};
use sealpost_site::rules::rollouts::waking::Call;

use crate::http::Site;
use crate::http::admission::Caller;
use crate::http::problem::ApiError;
use crate::http::token::TokenOrigin;
use crate::ports::wakes::{HeldStream, Listener};

/// A comment this often keeps proxies and NAT tables from forgetting the connection, and finds a dead client.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

const HELLO: &[u8] = b": hello\n\n";
const STILL_HERE: &[u8] = b":\n\n";

/// Holds the stream until the client goes, a newer stream of the client comes, or the server stops. A token that came with
/// a repeated answer takes no stream's place.
pub(crate) async fn wake(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let held = match caller {
        // Whoever recorded a request must not end the stream of the computer that made it.
        Caller::Client(row, TokenOrigin::Repeated) if site.parts.push.is_connected(&row.client_id) => {
            return Err(ApiError::new(
                ProblemCode::Busy,
                "this computer holds a stream already, and the token is from an answer that was repeated",
                "make another contact, and use the token in its answer",
            ));
        }
        Caller::Client(row, _) => {
            let client = site.parts.ledger.query(ClientByName { name: row.name.clone() }).await?;
            let last_contact = client.and_then(|client| client.last_contact);
            let hears_news = !site.parts.push.has_missed_news(&row.channel, last_contact)
                || hears_news(&site, &row.name).await?;
            site.parts.push.hold(Listener {
                client: row.client_id.clone(),
                name: row.name.clone(),
                channel: row.channel.clone(),
                last_contact,
                hears_news,
            })
        }
        Caller::Unnamed => None,
    };
    let held = held.ok_or_else(|| {
        ApiError::new(
            ProblemCode::Busy,
            "the server holds no more streams",
            "poll as usual, and try again later",
        )
    })?;
    // The first comment goes out at once, so that the client knows that it is heard.
    let events = stream::unfold((held, true), |(held, first)| async move {
        if first {
            return Some((Ok::<_, Infallible>(Bytes::from_static(HELLO)), (held, false)));
        }
        let (event, held) = next(held).await?;
        Some((Ok(Bytes::from_static(event)), (held, false)))
    });
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Whether the computer is told of news at once, by its method of delivery.
async fn hears_news(site: &Site, name: &ComputerName) -> Result<bool, ApiError> {
    let plan = site.parts.ledger.query(LoadPlan {}).await?;
    if Call::News.reaches_all(&plan.settings) {
        return Ok(true);
    }
    let facts = site.parts.ledger.query(ExplainClient { name: name.clone() }).await?;
    Ok(facts.is_none_or(|facts| Call::News.reaches(facts.delivery())))
}

async fn next(mut held: Box<dyn HeldStream>) -> Option<(&'static [u8], Box<dyn HeldStream>)> {
    match tokio::time::timeout(KEEP_ALIVE, held.woken()).await {
        Ok(true) => Some((WAKE_MESSAGE, held)),
        Ok(false) => None,
        Err(_elapsed) => Some((STILL_HERE, held)),
    }
}
