//! `/api/v1/setups` and `/api/v1/clients/{name}/setup`: setup files for computers.
//!
//! Invariant: a code leaves the server once, in the answer to whoever issues it, and never into a log or a cache.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::Timestamp;
use sealpost_admin_api::setups::{
    HasSetup, MAX_SETUPS, SetupAnswer, SetupLine, SetupRequest, SetupWanted, SetupsIssued, SetupsPage,
    SetupsQuery, SetupsRequest,
};
use sealpost_keys::token::random_bytes;
use sealpost_manifests::document;
use sealpost_manifests::ids::{ComputerName, EnrollmentCode, SerialNumber, SetupId};
use sealpost_manifests::setup::{ServerEntry, ServerRole, SetupFile, SetupKind, SetupServer};
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{self, IssueSetup, IssueSetups, Issued};
use sealpost_site::queries::{ClientLineByName, Licenses, Setups};
use sealpost_site::rules::seats::all_ended;
use sealpost_site::rules::setups::{days, no_floating_seats, role};

use super::clients::{bad_name, reserved};
use crate::http::Site;
use crate::http::body::JsonBody;
use crate::http::problem::{ApiError, bad_query};
use crate::ports::presence::Addresses;

/// Issues an enrollment code and answers the setup file; codes that were issued for the name before are void.
pub(crate) async fn one(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    JsonBody(request): JsonBody<SetupRequest>,
) -> Result<Response, ApiError> {
    let name = ComputerName::new(name).map_err(bad_name)?;
    let (valid_days, role) = (days(request.valid_days)?, role(request.role)?);
    let name = reserved(&site, name).await?.name;
    let setup = new_setup()?;
    let files = Files::new(&site, role)?;
    let command = IssueSetup { actor, name: name.clone(), setup: setup.clone(), valid_days };
    let expires_at = site.parts.ledger.execute(files.now, command).await?;
    let text = files.text(&site, name, &setup, expires_at)?;
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(([kind, NO_STORE], text).into_response())
}

/// Issues setup files for many computers in one transaction, and answers what became of each, in their order.
pub(crate) async fn many(
    State(site): State<Arc<Site>>,
    Extension(actor): Extension<Actor>,
    JsonBody(request): JsonBody<SetupsRequest>,
) -> Result<Response, ApiError> {
    let SetupsRequest { wanted, valid_days, role: wanted_role, again, ephemeral } = request;
    if ephemeral.is_some() {
        return Err(no_floating_seats().into());
    }
    let (valid_days, role) = (days(valid_days)?, role(wanted_role)?);
    let files = Files::new(&site, role)?;
    let wanted = wanted.into_iter().map(|SetupWanted { name, has }| {
        let has = has.map(|HasSetup { server, expires_at }| clients::HasSetup { server, expires_at });
        Ok(clients::SetupWanted { name, setup: new_setup()?, has })
    });
    let wanted = wanted.collect::<Result<_, ApiError>>()?;
    let command = IssueSetups { actor, wanted, valid_days, again };
    let issued = site.parts.ledger.execute(files.now, command).await?;
    let answers = issued.into_iter().map(|issued| {
        Ok(match issued {
            Issued::New { name, setup, expires_at, voids } => {
                let setup = files.text(&site, name.clone(), &setup, expires_at)?;
                SetupAnswer::Issued { name, setup, expires_at, voids }
            }
            Issued::Good { name, expires_at } => SetupAnswer::Good { name, expires_at },
            Issued::Enrolled { name } => SetupAnswer::Enrolled { name },
            Issued::Refused { name, problem } => SetupAnswer::Refused { name, problem },
        })
    });
    let answers = answers.collect::<Result<Vec<_>, ApiError>>()?;
    let notice = without_license(&site, &answers).await?;
    Ok(([NO_STORE], Json(SetupsIssued { answers, notice })).into_response())
}

/// Says so if computers that got a file hold seats of ended serial numbers alone: they enroll, and get no license.
async fn without_license(site: &Site, answers: &[SetupAnswer]) -> Result<Option<String>, ApiError> {
    let ledger = &site.parts.ledger;
    let now = site.now();
    let licenses = ledger.query(Licenses {}).await?;
    let ended = |serial: &SerialNumber| {
        let license = licenses.iter().find(|license| license.serial == *serial)?;
        license.ends_at.filter(|end| *end < now)
    };
    if !licenses.iter().any(|license| ended(&license.serial).is_some()) {
        return Ok(None);
    }
    let (mut count, mut first) = (0_u64, None);
    for answer in answers {
        let SetupAnswer::Issued { name, .. } = answer else { continue };
        let line = ledger.query(ClientLineByName { name: name.clone() }).await?;
        if line.is_some_and(|line| all_ended(&line.serials, ended).is_some()) {
            count += 1;
            first.get_or_insert(name);
        }
    }
    Ok(first.map(|first| {
        let who = match count {
            1 => format!("{first} holds a seat of an ended serial number alone"),
            count => format!("{count} of these computers (first {first}) hold seats of ended serial numbers alone"),
        };
        format!(
            "{who}: enrolling gives no license; first reserve a seat of another one: `distributor clients reserve {first} --serial SERIAL`"
        )
    }))
}

/// A page of the newest setup files, by name.
pub(crate) async fn list(
    State(site): State<Arc<Site>>,
    query: Result<Query<SetupsQuery>, QueryRejection>,
) -> Result<Json<SetupsPage>, ApiError> {
    let Query(SetupsQuery { state, after, limit }) = query.map_err(|error| bad_query(&error.body_text()))?;
    let limit = limit.unwrap_or(MAX_SETUPS).clamp(1, MAX_SETUPS);
    let now = site.now();
    let rows = site.parts.ledger.query(Setups { state, now, after, limit }).await?;
    let more = rows.len() >= limit as usize;
    let next = rows.last().filter(|_| more).map(|row| row.name.clone());
    Ok(Json(SetupsPage { setups: rows.into_iter().map(|row| SetupLine::new(row, now)).collect(), next }))
}

/// The setup file with which any computer asks, and waits until it is admitted by its key. Nothing is noted: it gives nothing.
pub(crate) async fn knock(State(site): State<Arc<Site>>) -> Result<Response, ApiError> {
    let files = Files::new(&site, ServerRole::Primary)?;
    let text = files.write(&site, SetupKind::Knock, None, None)?;
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(([kind, NO_STORE], text).into_response())
}

pub(super) const NO_STORE: (header::HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

pub(super) fn new_setup() -> Result<SetupId, ApiError> {
    let random = random_bytes::<16>().map_err(|error| ApiError::internal("draw a setup", &error))?;
    Ok(SetupId::from_random(random))
}

/// What the setup files of one request have in common.
pub(super) struct Files {
    pub(super) now: Timestamp,
    role: ServerRole,
    addresses: Addresses,
}

impl Files {
    pub(super) fn new(site: &Site, role: ServerRole) -> Result<Self, ApiError> {
        Ok(Self { now: site.now(), role, addresses: site.parts.presence.checked_addresses()? })
    }

    pub(super) fn text(
        &self,
        site: &Site,
        name: ComputerName,
        setup: &SetupId,
        expires_at: Timestamp,
    ) -> Result<String, ApiError> {
        let code = (site.parts.enrollment_codes.of(setup), expires_at);
        self.write(site, SetupKind::Reserved, Some(name), Some(code))
    }

    fn write(
        &self,
        site: &Site,
        kind: SetupKind,
        computer_name: Option<ComputerName>,
        code: Option<(EnrollmentCode, Timestamp)>,
    ) -> Result<String, ApiError> {
        let Self { now, role, addresses } = self;
        let (enrollment_code, code_expires_at) = code.unzip();
        let file = SetupFile {
            kind,
            computer_name,
            issued_at: *now,
            servers: vec![SetupServer {
                server: ServerEntry {
                    role: *role,
                    addresses: addresses.addresses.clone(),
                    port: addresses.port,
                    server_id: site.parts.ledger.server_id(),
                    site_key: site.parts.site_key.public(),
                    ca_spki_sha256: addresses.ca_spki_sha256.clone(),
                },
                enrollment_code,
                code_expires_at,
            }],
            root_sha256: addresses.root_sha256,
        };
        document::write(&file).map_err(|error| ApiError::internal("write a setup file", &error))
    }
}
