//! The admission layer: the one door in front of everything that a client may reach.
//!
//! Invariants: a route without a class here is refused (default deny); whoever is refused reaches no handler; every
//! refusal, also one that a handler or the ledger answers, is counted under its stable code and logged; a body is there
//! before the request takes a place of work. What is decided is decided by `rules::admission`; this module finds out who asks and for what.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_serving::{Peer, Standing};

use super::Site;
use super::asker::{Asker, Shown};
use super::body;
use super::problem::{ApiError, RefusedComputer, RefusedWith};
use super::token::{Access, TokenOrigin, TokenRefusal};
use crate::ports::staging::{NOTHING, release_of};
use crate::ports::upstream::{TargetClass, TargetEntry};
use sealpost_site::queries::{HolderById, KnownReleaseOf};
use sealpost_site::rows::HolderRow;
use sealpost_site::rules::admission::{Admission, Holder, Identity, Resource, decide, not_assigned};
use sealpost_site::rules::passing::may_pass;

/// What a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Enroll,
    Contact,
    /// What is newer of the metadata, and documents.
    Refresh,
    Metadata,
    Target,
    Delta,
    Wake,
}

/// Every route that clients may reach, by its path in the router.
const CLASSES: &[(Method, &str, Class)] = &[
    (Method::POST, "/agent/v1/enroll", Class::Enroll),
    (Method::POST, "/agent/v1/contact", Class::Contact),
    (Method::POST, "/agent/v1/tuf/refresh", Class::Refresh),
    (Method::GET, "/agent/v1/tuf/metadata/{file}", Class::Metadata),
    (Method::GET, "/agent/v1/tuf/targets/{file}", Class::Target),
    (Method::GET, "/agent/v1/deltas/{base}/{target}", Class::Delta),
    (Method::GET, "/agent/v1/wake", Class::Wake),
];

/// What stands in a path for the base of a delta that needs none.
const FROM_NOTHING: &str = "nothing";

/// Who was admitted; for the handlers.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Nobody in particular: the request carries its own signature.
    Unnamed,
    /// A client with its reservation, and what its token came with.
    Client(Arc<HolderRow>, TokenOrigin),
}

impl Caller {
    /// The client, if it is known who asks, and what its token came with.
    pub(crate) fn client(&self) -> Option<(&ClientId, TokenOrigin)> {
        match self {
            Self::Client(row, origin) => Some((&row.client_id, *origin)),
            Self::Unnamed => None,
        }
    }
}

/// The delta that was admitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WantedDelta {
    pub(crate) base: Sha256Digest,
    pub(crate) target: Sha256Digest,
    /// The release that it leads to in the end, by further deltas.
    last: Sha256Digest,
}

/// The target that was admitted.
#[derive(Debug, Clone)]
pub(crate) struct WantedTarget(pub(crate) Arc<TargetEntry>);

/// What is wanted, as far as the path says it.
enum Wanted {
    Plain(Class),
    Target(Arc<TargetEntry>),
    Delta(WantedDelta),
    Absent,
}

pub(crate) async fn admit(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let now = site.now();
    let (mut parts, body) = request.into_parts();
    let Some(peer) = parts.extensions.get::<Peer>().cloned() else {
        return refuse_unknown_peer();
    };
    let standing = parts.extensions.get::<Standing>().cloned();
    let arrived = match class_of(&parts) {
        Ok(Class::Enroll | Class::Contact | Class::Refresh) => {
            body::arrive(&site, &peer, standing.as_ref(), &mut parts, body).await
        }
        Ok(_) => Ok((body, None)),
        Err(error) => Err(error),
    };
    // The body is there, or there is none: from here on it is the server that takes time.
    let (body, _memory) = match arrived {
        Ok(arrived) => arrived,
        Err(error) => return counted(&site, now, &peer.source(), None, error.into_response()),
    };
    let shown = match token_of(&parts.headers).map(|token| site.parts.access_tokens.check(token, now)) {
        Some(Ok(Access { origin: TokenOrigin::First, .. })) => Shown::Token,
        Some(Ok(Access { origin: TokenOrigin::Repeated, .. }) | Err(_)) | None => Shown::Nothing,
    };
    let asker = match Asker::enter(&site, &peer, standing, shown).await {
        Ok(asker) => asker,
        Err(error) => return counted(&site, now, &peer.source(), None, error.into_response()),
    };
    match examine(&site, &mut parts, now).await {
        Ok(caller) => {
            if let Caller::Client(row, TokenOrigin::First) = &caller {
                asker.is_accepted(row.client_id.as_str());
            }
            parts.extensions.insert(asker);
            let name = match &caller {
                Caller::Client(row, _) => Some(row.name.clone()),
                Caller::Unnamed => None,
            };
            let source = name.as_ref().map_or_else(|| peer.source(), ToString::to_string);
            parts.extensions.insert(caller);
            let answer = tokio::time::timeout(
                site.parts.limits.answer_within,
                next.run(Request::from_parts(parts, body)),
            );
            let response = answer.await.unwrap_or_else(|_elapsed| {
                let late = ApiError::new(
                    ProblemCode::Busy,
                    "the server could not answer in time",
                    "try again in a minute; a contact may be repeated as it is",
                );
                late.into_response()
            });
            counted(&site, now, &source, name, response)
        }
        Err(error) => counted(&site, now, &peer.source(), None, error.into_response()),
    }
}

fn refuse_unknown_peer() -> Response {
    // A connection always says who is there; without it nothing is answered.
    ApiError::new(ProblemCode::Forbidden, "it is not known where this request comes from", "report this")
        .into_response()
}

/// Counts and logs an answer that is a refusal. "Not there" is none: it ends every walk along the roots.
fn counted(
    site: &Site,
    now: Timestamp,
    source: &str,
    name: Option<ComputerName>,
    response: Response,
) -> Response {
    if let Some(RefusedWith(code)) = response.extensions().get::<RefusedWith>().copied()
        && !matches!(code, ProblemCode::NotFound | ProblemCode::Internal)
    {
        site.metrics.count_refusal(code);
        // Whoever waits, for a link or to be admitted, asks again and again, as it was told to: nothing is wrong.
        if matches!(code, ProblemCode::LinkBusy | ProblemCode::WaitsForAdmission) {
            return response;
        }
        let said = response.extensions().get::<RefusedComputer>().map(|said| said.0.clone());
        site.parts.ledger.count_refusal_of(now, code, source, name.or(said).as_ref());
        // The ledger says it once a minute; a line for each would let strangers fill the disk.
        tracing::debug!(%code, source, "a request was refused");
    }
    response
}

async fn examine(site: &Site, parts: &mut Parts, now: Timestamp) -> Result<Caller, ApiError> {
    let class = class_of(parts)?;
    let wanted = wanted(site, class, parts).await?;
    let (holder, presented) = identify(site, &parts.headers, now).await?;
    let (identity, origin) = (presented.with(holder.as_deref()), presented.origin());
    let resource = match &wanted {
        Wanted::Plain(Class::Enroll) => Resource::Enroll,
        Wanted::Plain(Class::Contact) => Resource::Contact,
        Wanted::Plain(Class::Wake) => Resource::Wake,
        // What is not there is told apart only for those who may ask at all.
        // The documents of a refresh are judged one by one.
        Wanted::Plain(Class::Metadata | Class::Refresh | Class::Target | Class::Delta) | Wanted::Absent => {
            Resource::Metadata
        }
        Wanted::Delta(delta) => Resource::Delta(&delta.last),
        Wanted::Target(entry) => resource_of(entry),
    };
    if let Admission::Refused(problem) = decide(identity, resource, now) {
        return Err(problem.into());
    }
    match wanted {
        Wanted::Absent => {
            return Err(ApiError::not_found(
                "there is no such file",
                "refresh the metadata; it names what there is",
            ));
        }
        Wanted::Target(entry) => drop(parts.extensions.insert(WantedTarget(entry))),
        Wanted::Delta(delta) => {
            is_passed(site, &delta, holder.as_deref()).await?;
            parts.extensions.insert(delta);
        }
        Wanted::Plain(_) => {}
    }
    let caller = holder.zip(origin).map(|(row, origin)| Caller::Client(row, origin));
    Ok(caller.unwrap_or(Caller::Unnamed))
}

/// What is wanted with a target.
pub(crate) const fn resource_of(entry: &TargetEntry) -> Resource<'_> {
    match &entry.class {
        TargetClass::Trust => Resource::TrustTarget,
        TargetClass::Channels { .. } => Resource::Channels,
        TargetClass::Release { manifest, .. } => Resource::Target(manifest),
    }
}

/// The client behind a row, for the decision.
pub(crate) fn holder_of(row: &HolderRow) -> Holder<'_> {
    Holder { lease_until: row.lease_until, forked: row.forked, assigned: &row.assigned }
}

pub(crate) fn too_many_failures(wait: i64) -> ApiError {
    ApiError::new(
        ProblemCode::Busy,
        "too many failed attempts came from this address",
        format!("check the setup file or token, then try again in {wait} seconds"),
    )
    .with_status(StatusCode::TOO_MANY_REQUESTS)
}

/// The class of a route, by method and path of the router; refused when there is none.
fn class_of(parts: &Parts) -> Result<Class, ApiError> {
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    let of_path = || CLASSES.iter().filter(|(_, known, _)| *known == path);
    match of_path().find(|(known, _, _)| known == method) {
        Some((_, _, class)) => Ok(*class),
        None if of_path().next().is_some() => Err(ApiError::new(
            ProblemCode::BadRequest,
            "this path does not take this method",
            "see the documentation of the API for its methods",
        )
        .with_status(StatusCode::METHOD_NOT_ALLOWED)),
        None => Err(ApiError::new(
            ProblemCode::Forbidden,
            "clients may not reach this path",
            "see the documentation of the API for what they may",
        )),
    }
}

async fn wanted(site: &Site, class: Class, parts: &mut Parts) -> Result<Wanted, ApiError> {
    if !matches!(class, Class::Target | Class::Delta) {
        return Ok(Wanted::Plain(class));
    }
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| {
        ApiError::new(ProblemCode::BadRequest, "the path cannot be read", "percent-encode UTF-8 in paths")
    })?;
    let value = |name: &str| params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    if class == Class::Target {
        let entry = site.parts.upstream.find_target(value("file"));
        return Ok(entry.map_or(Wanted::Absent, |entry| Wanted::Target(Arc::new(entry))));
    }
    let delta = wanted_delta(value("base"), value("target"), parts.uri.query().unwrap_or_default());
    Ok(delta.map_or(Wanted::Absent, Wanted::Delta))
}

/// The delta that a path and a query name: `for` says where it leads to in the end, where that is not its target.
fn wanted_delta(base: &str, target: &str, query: &str) -> Option<WantedDelta> {
    let base = if base == FROM_NOTHING { NOTHING } else { base.parse().ok()? };
    let target = target.parse().ok()?;
    let mut said = query.split('&').filter_map(|pair| pair.strip_prefix("for="));
    let last = said.next().map_or(Ok(target), str::parse).ok()?;
    said.next().is_none().then_some(WantedDelta { base, target, last })
}

/// Refuses a delta to a release that its asker may not pass on its way; refused as any other that it may not have.
async fn is_passed(site: &Site, delta: &WantedDelta, asker: Option<&HolderRow>) -> Result<(), ApiError> {
    if delta.target == delta.last {
        return Ok(());
    }
    let known = |manifest| site.parts.ledger.query(KnownReleaseOf { manifest });
    let (passed, last) = (known(delta.target).await?, known(delta.last).await?);
    match (passed, last, asker) {
        (Some(passed), Some(last), Some(asker))
            if may_pass(release_of(&delta.base), &passed, &last, &asker.channel) =>
        {
            Ok(())
        }
        _ => Err(not_assigned().into()),
    }
}

/// What was presented, before the reservation behind it is borrowed.
#[derive(Clone, Copy)]
enum Presented {
    Nothing,
    Foreign,
    Expired,
    Replaced,
    Known(TokenOrigin),
}

impl Presented {
    const fn origin(self) -> Option<TokenOrigin> {
        match self {
            Self::Known(origin) => Some(origin),
            Self::Nothing | Self::Foreign | Self::Expired | Self::Replaced => None,
        }
    }

    fn with(self, holder: Option<&HolderRow>) -> Identity<'_> {
        match (self, holder) {
            (Self::Nothing, _) => Identity::None,
            (Self::Foreign, _) => Identity::ForeignToken,
            (Self::Expired, _) => Identity::ExpiredToken,
            (Self::Known(_), Some(row)) => Identity::Client(holder_of(row)),
            (Self::Replaced | Self::Known(_), _) => Identity::ReplacedClient,
        }
    }
}

async fn identify(
    site: &Site,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(Option<Arc<HolderRow>>, Presented), ApiError> {
    let Some(token) = token_of(headers) else { return Ok((None, Presented::Nothing)) };
    match site.parts.access_tokens.check(token, now) {
        Err(TokenRefusal::Unknown) => Ok((None, Presented::Foreign)),
        Err(TokenRefusal::Expired { .. }) => Ok((None, Presented::Expired)),
        Ok(Access { client, origin }) => {
            match site.parts.ledger.query(HolderById { client_id: client }).await? {
                Some(row) => Ok((Some(Arc::new(row)), Presented::Known(origin))),
                None => Ok((None, Presented::Replaced)),
            }
        }
    }
}

/// The token that was sent, empty if something else was.
fn token_of(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(header::AUTHORIZATION)?;
    Some(authorization.to_str().ok().and_then(bearer).unwrap_or_default())
}

/// The token of an `Authorization: Bearer …` value.
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
