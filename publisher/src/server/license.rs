//! `POST /license/v1/register`: a registration in, a grant out. The page for people ([`page`](super::page)) asks the same way.
//!
//! The database is asked on a blocking thread, one registration at a time. A serial number is worth money, so it is
//! answered only where nobody can read it on its way: over TLS, on this computer, or behind a reverse proxy on this
//! computer which says that its own connection is HTTPS.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::Request;
use axum::response::Json;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealpost_files::with_causes;
use sealpost_keys::{SigningKey, Verified};
use sealpost_manifests::document::DocumentError;
use sealpost_manifests::grant::Registration;
use sealpost_manifests::wire::MAX_REQUEST_BYTES;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};
use sealpost_serving::{FailedAttempts, Peer};
use tokio::sync::Mutex;

use super::limits::wrong_registrations;
use super::proxy::{Way, caller, way_to_here};
use super::refused::Refused;
use crate::authority::{
    Answer, Authority, Issuer, Outcome, RegisterError, RegistrationError, verify_registration,
};

/// Time for a whole request to arrive; it is a few hundred bytes.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What grants are made of.
#[derive(Debug)]
pub struct Licensing {
    /// The vendor's name, for the grants.
    pub vendor: String,
    pub key: SigningKey,
    pub authority: Authority,
    /// Days that a grant is valid, and then until the end of the day.
    pub grant_days: u32,
    /// Where that day ends.
    pub time_zone: TimeZone,
}

/// What carries requests to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    PlainHttp,
    Tls,
}

/// The license endpoint; what grants are made of can be replaced while it answers.
#[derive(Debug, Clone)]
pub struct Licenses(Arc<Endpoint>);

impl Licenses {
    #[must_use]
    pub fn new(licensing: Licensing, carrier: Carrier) -> Self {
        let licensing = Arc::new(Mutex::new(licensing));
        Self(Arc::new(Endpoint { licensing, wrong: wrong_registrations(), carrier }))
    }

    /// Answers with these from the next registration on.
    pub async fn replace(&self, licensing: Licensing) {
        *self.0.licensing.lock().await = licensing;
    }

    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.0)
    }
}

/// The state of the license endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Waited for without holding a thread, so that registrations never keep downloads from the blocking threads.
    licensing: Arc<Mutex<Licensing>>,
    wrong: FailedAttempts,
    carrier: Carrier,
}

impl Licensing {
    fn register(
        &mut self,
        registration: &Verified<Registration>,
        now: Timestamp,
    ) -> Result<Answer, RegisterError> {
        let Self { vendor, key, authority, grant_days, time_zone } = self;
        let issuer = Issuer { vendor, key, grant_days: *grant_days, time_zone };
        authority.register(registration, &issuer, now)
    }
}

/// The endpoint of servers.
pub(super) async fn register(
    State(endpoint): State<Arc<Endpoint>>,
    request: Request<Body>,
) -> Result<Json<RegisterAnswer>, Refused> {
    check_secrecy(&endpoint, &request)?;
    let caller = caller(&request);
    let body = body(request).await?;
    let request = serde_json::from_slice(&body).map_err(|error| {
        Refused(Problem::new(
            ProblemCode::BadRequest,
            format!("cannot read the registration: {error}"),
            "update the Primary Server, or send the registration code by hand",
        ))
    })?;
    let answer = register_request(&endpoint, caller.as_ref(), &request).await?;
    let renewable_from = answer.last.is_none().then_some(answer.renewable_from);
    Ok(Json(RegisterAnswer { grant: answer.grant, renewable_from }))
}

/// The body of a registration, in whatever form it comes.
pub(super) async fn body(request: Request<Body>) -> Result<Bytes, Refused> {
    let body = tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MAX_REQUEST_BYTES)).await;
    body.ok().and_then(Result::ok).ok_or_else(|| {
        Refused(Problem::new(
            ProblemCode::TooLarge,
            format!(
                "cannot read the registration: it is cut, too slow, or longer than {MAX_REQUEST_BYTES} bytes"
            ),
            "send the registration as the Primary Server made it",
        ))
    })
}

/// Answers a registration. Only wrong ones count against a source, so that a site which retries a good one is never held up;
/// what could not be read as one at all tells nobody anything, and does not count either: who mistypes a code is told where.
pub(super) async fn register_request(
    endpoint: &Endpoint,
    caller: Option<&Peer>,
    request: &RegisterRequest,
) -> Result<Answer, Refused> {
    // Only a wrong registration waits: nobody guesses a serial number, and a stranger behind the same address must keep no
    // site from its license.
    let waits = caller.map_or(Ok(()), |caller| check_wait(endpoint, caller));
    let answer = answer(endpoint, request, &waits).await;
    if let (Err(refused), Some(caller)) = (&answer, caller)
        && counts_as_wrong(refused.0.code)
    {
        waits?;
        endpoint.wrong.note(caller, Timestamp::now());
    }
    answer
}

/// Why a registration is not one, for its sender.
pub(super) fn unreadable(error: &RegistrationError) -> Refused {
    let code = match error {
        RegistrationError::Document(DocumentError::Signature { .. }) | RegistrationError::OtherKey => {
            ProblemCode::BadSignature
        }
        _ => ProblemCode::BadRequest,
    };
    let hint = match error {
        RegistrationError::UnlockCode => {
            "a registration code is what `distributor register - --offline` prints"
        }
        RegistrationError::Code(_) => "compare it with the code that the server printed, or copy it again",
        _ => "make a new registration on the server",
    };
    Refused(Problem::new(code, with_causes(error), hint))
}

/// Answers, and logs a refusal if its sender need not wait anyway.
async fn answer(
    endpoint: &Endpoint,
    request: &RegisterRequest,
    waits: &Result<(), Refused>,
) -> Result<Answer, Refused> {
    let registration = verify_registration(request).map_err(|error| unreadable(&error))?;
    let (serial, server) = (registration.serial.clone(), registration.server_id.clone());
    let reason = registration.reason;
    // A panic while it is held rolls the transaction back, so the authority is still whole.
    let mut licensing = Arc::clone(&endpoint.licensing).lock_owned().await;
    let result =
        tokio::task::spawn_blocking(move || licensing.register(&registration, Timestamp::now())).await;
    match result {
        Ok(Ok(answer)) => {
            let (serial, repeated) = (masked(serial.as_str()), answer.outcome == Outcome::Repeated);
            tracing::info!(%server, %serial, %reason, repeated, "registration answered");
            for remark in &answer.remarks {
                tracing::warn!(%server, %serial, "{remark}; see `publisher serial show`");
            }
            Ok(answer)
        }
        Ok(Err(error)) => Err(refusal(&error, server.as_str(), serial.as_str(), waits.is_ok())),
        Err(error) => {
            tracing::error!(%error, "the license authority stopped");
            Err(internal())
        }
    }
}

fn refusal(error: &RegisterError, server: &str, serial: &str, is_logged: bool) -> Refused {
    let (code, hint) = match error {
        RegisterError::UnknownSerial => (ProblemCode::SerialUnknown, "ask the vendor if it is the one there"),
        RegisterError::BoundToOtherServer | RegisterError::OtherSiteKey => {
            (ProblemCode::SerialBound, "use the server that registered first, or ask the vendor")
        }
        RegisterError::SerialEnded { .. } => {
            (ProblemCode::SerialEnded, "computers that have a license of this serial number go on running")
        }
        RegisterError::RefusedKey => (
            ProblemCode::Forbidden,
            "a backup of the stolen server brings the refused key back: set up a new one",
        ),
        RegisterError::NotItsOwnId
        | RegisterError::UnknownReason { .. }
        | RegisterError::RequestIdUsed
        | RegisterError::NoHigherEpoch { .. }
        | RegisterError::EpochNotGranted { .. }
        | RegisterError::Head { .. } => (ProblemCode::BadRequest, "ask the vendor, and name this message"),
        RegisterError::TooMany => (ProblemCode::Busy, "the same registration will get the same answer"),
        RegisterError::Sign(_) | RegisterError::Storage(_) => {
            tracing::error!(error = %with_causes(error), "cannot answer a registration");
            return internal();
        }
    };
    if is_logged {
        tracing::warn!(%server, serial = %masked(serial), %code, "registration refused");
    }
    Refused(Problem::new(code, error.to_string(), hint))
}

/// A serial number, and a grant, cross no network where others can read them.
pub(super) fn check_secrecy(endpoint: &Endpoint, request: &Request<Body>) -> Result<(), Refused> {
    let hint = match way_to_here(request) {
        Way::Direct { local: true } | Way::Proxied { https: true } => return Ok(()),
        Way::Direct { local: false } if endpoint.carrier == Carrier::Tls => return Ok(()),
        Way::Direct { local: false } => "register over HTTPS; the vendor's server needs a certificate for it",
        Way::Proxied { https: false } => {
            "register over HTTPS; the vendor's reverse proxy has to say so with X-Forwarded-Proto: https, and who sits at the \
             vendor's server names it localhost or 127.0.0.1"
        }
    };
    let message = "cannot register over plain HTTP: others could read the serial number on its way";
    Err(Refused(Problem::new(ProblemCode::Forbidden, message, hint)))
}

fn check_wait(endpoint: &Endpoint, caller: &Peer) -> Result<(), Refused> {
    match endpoint.wrong.must_wait(caller, Timestamp::now()) {
        None => Ok(()),
        Some(wait) => Err(Refused(Problem::new(
            ProblemCode::Busy,
            "too many wrong registrations came from this address",
            format!("check the serial number and try again in {wait} s"),
        ))),
    }
}

const fn counts_as_wrong(code: ProblemCode) -> bool {
    matches!(
        code,
        ProblemCode::BadRequest
            | ProblemCode::BadSignature
            | ProblemCode::SerialUnknown
            | ProblemCode::SerialBound
            | ProblemCode::SerialEnded
    )
}

fn internal() -> Refused {
    Refused(Problem::new(
        ProblemCode::Internal,
        "the vendor's server could not answer the registration",
        "try again later; the same registration will get the same answer",
    ))
}

/// A serial number is worth money: logs show its first group only.
fn masked(serial: &str) -> String {
    format!("{}-…", serial.split('-').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn over_plain_http_only_this_computer_and_a_proxy_that_says_https_may_register() {
        let folder = tempfile::tempdir().unwrap();
        let licensing = |name: &str| Licensing {
            vendor: "Acme".to_owned(),
            key: SigningKey::generate().unwrap(),
            authority: Authority::create(&folder.path().join(name)).unwrap(),
            grant_days: 366,
            time_zone: TimeZone::UTC,
        };
        let plain = Licenses::new(licensing("plain"), Carrier::PlainHttp).endpoint();
        let tls = Licenses::new(licensing("tls"), Carrier::Tls).endpoint();
        let from = |peer: &str, proto: Option<&str>| {
            let mut request = Request::new(Body::empty());
            let address: IpAddr = peer.parse().unwrap();
            request.extensions_mut().insert(Peer::Network(address));
            request.headers_mut().insert("host", "127.0.0.1:8080".parse().unwrap());
            if let Some(proto) = proto {
                request.headers_mut().insert("x-forwarded-proto", proto.parse().unwrap());
            }
            request
        };
        for (peer, proto, over_plain, over_tls) in [
            ("127.0.0.1", None, true, true),
            ("::1", Some("https"), true, true),
            ("::1", Some("http"), false, false),
            ("192.0.2.1", None, false, true),
            ("192.0.2.1", Some("https"), false, true),
        ] {
            assert_eq!(check_secrecy(&plain, &from(peer, proto)).is_ok(), over_plain, "{peer} {proto:?}");
            assert_eq!(check_secrecy(&tls, &from(peer, proto)).is_ok(), over_tls, "{peer} {proto:?}");
        }
    }
}
