//! `POST /api/v1/folder/answer`: answers a computer's file; and `…/sync`: brings a folder up to date now.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use data_encoding::BASE64;
use sealpost_admin_api::folder::{AnsweredFile, SyncRequest, SyncSummary};
use sealpost_manifests::wire::by_file::FileRequest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::Peer;

use crate::http::Site;
use crate::http::agent::by_file::answer_file;
use crate::http::body::JsonBody;
use crate::http::problem::ApiError;

pub(crate) async fn answer(
    State(site): State<Arc<Site>>,
    JsonBody(request): JsonBody<FileRequest>,
) -> Result<Json<AnsweredFile>, ApiError> {
    let answered = answer_file(&site, request, None).await?;
    Ok(Json(AnsweredFile {
        computer: answered.computer,
        sealed: BASE64.encode(&answered.sealed),
        refused: answered.refused,
    }))
}

pub(crate) async fn sync(
    State(site): State<Arc<Site>>,
    Extension(peer): Extension<Peer>,
    JsonBody(request): JsonBody<SyncRequest>,
) -> Result<Json<SyncSummary>, ApiError> {
    // A folder of the server's own computer is nothing that a token may choose.
    if request.path.is_some() && peer.network().is_some() {
        return Err(ApiError::new(
            ProblemCode::Forbidden,
            "over the network only the configured folder can be brought up to date",
            "leave the folder out, or run the command on the server",
        ));
    }
    Ok(Json(site.parts.folders.sync(request.path).await?))
}
