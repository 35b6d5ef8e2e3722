//! The vendor's server: the repository's files, and the license endpoint.
//!
//! The files are plain; any web server could serve them. They are read for each request, so that a release made by
//! another process is served at once. Everything from outside is bounded: connections, header time, bodies, names.
//!
//! Left out on purpose: TLS (a reverse proxy's business; what is served is signed) and any way to change the
//! repository over the network.

mod connections;
mod files;
mod license;
mod limiter;
mod sources;
mod stall;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use sealpost_keys::SigningKey;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::{LICENSE_API, MAX_REQUEST_BYTES};

use crate::authority::Authority;

pub use connections::{Limits, serve};
pub use limiter::{Allowance, Limiter};

/// What the handlers share.
#[derive(Debug)]
pub struct Shared {
    metadata: files::Folder,
    targets: files::Folder,
    /// Waited for without holding a thread, so that registrations never keep downloads from the blocking threads.
    license: Arc<tokio::sync::Mutex<license::Desk>>,
    limiter: Mutex<Limiter>,
}

/// What the license endpoint needs.
#[derive(Debug)]
pub struct Licensing {
    /// The vendor's name, for the grants.
    pub vendor: String,
    /// The license-signing key.
    pub key: SigningKey,
    /// Serial numbers and grants.
    pub authority: Authority,
    /// Days that a grant is valid.
    pub grant_days: u32,
}

impl Shared {
    /// Serves the repository in this folder, and grants with this license desk.
    #[must_use]
    pub fn new(repository: &Path, licensing: Licensing) -> Arc<Self> {
        Arc::new(Self {
            metadata: files::Folder::metadata(repository.join("metadata")),
            targets: files::Folder::targets(repository.join("targets")),
            license: Arc::new(tokio::sync::Mutex::new(license::Desk::new(licensing))),
            limiter: Mutex::new(Limiter::default()),
        })
    }
}

/// Every route.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/metadata/{name}", get(files::metadata))
        .route("/targets/{name}", get(files::target))
        .route(&format!("{LICENSE_API}/register"), post(license::register))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(shared)
}

/// The address that a connection came from; put into each of its requests.
#[derive(Debug, Clone, Copy)]
struct Source(SocketAddr);

/// The source of a request: the address of the connection, or whom a reverse proxy on this computer speaks for.
fn source_of<B>(request: &Request<B>) -> Option<IpAddr> {
    let peer = request.extensions().get::<Source>()?.0.ip();
    Some(sources::source(peer, request.headers()))
}

async fn nothing_here() -> Refused {
    Refused(Problem::new(
        ProblemCode::NotFound,
        "nothing is served under this address",
        "the repository is under /metadata/ and /targets/, the license endpoint under /license/v1/",
    ))
}

async fn wrong_method(method: Method) -> Response {
    let problem = Problem::new(
        ProblemCode::BadRequest,
        format!("{method} is not possible here"),
        "files are read with GET or HEAD, registrations are sent with POST",
    );
    (StatusCode::METHOD_NOT_ALLOWED, Json(problem)).into_response()
}

/// A refusal as an HTTP answer.
#[derive(Debug)]
struct Refused(Problem);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0.code {
            ProblemCode::BadRequest | ProblemCode::BadSignature => StatusCode::BAD_REQUEST,
            ProblemCode::NotFound | ProblemCode::SerialUnknown => StatusCode::NOT_FOUND,
            ProblemCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ProblemCode::Busy => StatusCode::TOO_MANY_REQUESTS,
            ProblemCode::SerialBound => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}
