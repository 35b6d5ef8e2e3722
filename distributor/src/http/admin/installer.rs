//! `POST /api/v1/clients/{name}/installer`: an install file for a computer.
//!
//! Invariants: nothing is issued for which no file can be made: the release is looked for first. The answer is the signature's
//! four lines and then the file.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use sealpost_admin_api::setups::{InstallerRequest, SITE_KEY_HEADER};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::IssueSetup;
use sealpost_site::queries::ApprovedReleases;
use sealpost_site::rules::installer::{agent_for, hooks_problem};
use sealpost_site::rules::setups::{days, role};
use tokio::io::AsyncReadExt;

use super::clients::{bad_name, reserved};
use super::setups::{Files, NO_STORE, new_setup};
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::payload::payload;
use crate::http::problem::ApiError;
use crate::ports::installers::{Installer, InstallerOrder};

/// Bytes that are sent at once.
const PART: usize = 64 * 1024;

/// Makes an install file with a new enrollment code; codes that were issued for the name before are void.
pub(crate) async fn make(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<InstallerRequest>,
) -> Result<Response, ApiError> {
    let InstallerRequest { platform, valid_days, role: wanted_role, not_before, config, hooks } = request;
    let name = ComputerName::new(name).map_err(bad_name)?;
    let (valid_days, role) = (days(valid_days)?, role(wanted_role)?);
    if let Some(problem) = hooks_problem(hooks.iter().map(|hook| hook.name.as_str())) {
        return Err(problem.into());
    }
    let row = reserved(&site, name).await?;
    let ledger = &site.parts.ledger;
    let approved = ledger.query(ApprovedReleases {}).await?;
    let agent = agent_for(&approved, &row.channel, platform.as_ref())?;
    let payload = payload(&site, agent.manifest).await;
    let payload = payload.map_err(|error| ApiError::internal("look for the agent's release", &error))?;
    if payload.and_then(|payload| payload.place).is_none() {
        return Err(ApiError::new(
            ProblemCode::WrongState,
            format!("no install file can be made: {} is not stored here", agent.release),
            "run `distributor pull`",
        ));
    }
    let files = Files::new(&site, role)?;
    let setup = new_setup()?;
    let command = IssueSetup { actor, name: row.name.clone(), setup: setup.clone(), valid_days };
    let expires_at = ledger.execute(files.now, command).await?;
    let order = InstallerOrder {
        name: row.name.clone(),
        server: ledger.server_id(),
        agent: agent.manifest,
        platform: agent.release.platform.clone(),
        setup: files.text(&site, row.name, &setup, expires_at)?,
        config,
        hooks,
        not_before,
        made_at: files.now,
    };
    let installer = site.parts.installers.make(order).await;
    let Installer { file, signature } =
        installer.map_err(|error| ApiError::internal("make an install file", &error))?;
    let length = file.metadata().map_err(|error| ApiError::internal("read an install file", &error))?.len();
    let signature = signature.as_str().to_owned();
    let whole = length.saturating_add(u64::try_from(signature.len()).unwrap_or(u64::MAX));
    let file = tokio::fs::File::from_std(file);
    let parts = stream::try_unfold(file, async |mut file| {
        let mut part = vec![0; PART];
        let read = file.read(&mut part).await?;
        part.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(part), file)))
    });
    let body = stream::once(async { Ok(Bytes::from(signature)) }).chain(parts);
    let key = HeaderValue::from_str(&site.parts.site_key.public().to_string())
        .map_err(|error| ApiError::internal("name the site's key", &error))?;
    let headers = [
        (HeaderName::from_static(SITE_KEY_HEADER), key),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(whole)),
        NO_STORE,
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}
