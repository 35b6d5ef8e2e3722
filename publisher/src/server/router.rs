//! The table of contents of every path that the vendor's server answers.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::{LICENSE_API, MAX_REQUEST_BYTES};

use super::files::{self, Folder};
use super::license::{self, Licenses};
use super::page;
use super::refused::Refused;

/// Every route, over the repository in this folder and the license endpoint.
pub fn router(repository: &Path, licenses: &Licenses) -> Router {
    let metadata = Arc::new(Folder::metadata(repository.join("metadata")));
    let targets = Arc::new(Folder::targets(repository.join("targets")));
    Router::new()
        .route("/metadata/{name}", get(files::file).with_state(metadata))
        .route("/targets/{name}", get(files::file).with_state(targets))
        .route(&format!("{LICENSE_API}/register"), post(license::register).with_state(licenses.endpoint()))
        .route("/register", get(page::show).post(page::submit).with_state(licenses.endpoint()))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
}

async fn nothing_here() -> Refused {
    Refused(Problem::new(
        ProblemCode::NotFound,
        "nothing is served under this address",
        "the repository is under /metadata/ and /targets/, the license endpoint under /license/v1/, and the page for \
         registration codes is /register",
    ))
}

async fn wrong_method(method: Method) -> Response {
    let problem = Problem::new(
        ProblemCode::BadRequest,
        format!("{method} is not possible here"),
        "files and pages are read with GET or HEAD, registrations are sent with POST",
    );
    (StatusCode::METHOD_NOT_ALLOWED, Json(problem)).into_response()
}
