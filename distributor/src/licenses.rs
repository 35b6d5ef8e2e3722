//! From a serial number to seats: the registration for the vendor, and the grant that comes back.
//!
//! Invariant: a grant counts when a license key of the vendor's TUF-verified trust document signed it, and it names
//! this server and this site key. It does not matter by which way it came.
//! Left out on purpose: who may ask. A running server asks through its admin API, `init` for the server that it made.

use std::sync::Arc;

use jiff::Timestamp;
use sealpost_admin_api::licenses::{License, RegisterRequest, RegisterWay, Registered, Unlocked};
use sealpost_files::with_causes;
use sealpost_keys::token::random_bytes;
use sealpost_keys::{SealingPublicKey, SigningKey, Verified};
use sealpost_ledger::Ledger;
use sealpost_manifests::document::{self, DocumentError, SignedDocument};
use sealpost_manifests::grant::{Grant, Registration, RegistrationReason};
use sealpost_manifests::ids::{RequestId, SerialNumber};
use sealpost_manifests::text_code;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync;
use sealpost_site::changes::Actor;
use sealpost_site::commands::licenses::{AcceptGrant, GrantAnswer, RegisterSerial};
use sealpost_site::queries::{LicenseTime, Licenses, Restores};
use sealpost_site::rules::grants::seats_said;

use crate::failures;
use crate::ports::authority::{AuthorityError, LicenseAuthority};
use crate::ports::clock::Clock;
use crate::ports::upstream::Upstream;

/// How license keys are learned that are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learning {
    /// By a pull, as a running server brings everything up to date.
    Pull,
    /// Without payloads, for which the first pull of a server has time: whoever makes a server waits for the answer.
    KeysAlone,
}

/// Registers serial numbers, and accepts what the vendor grants.
pub(crate) struct Registrar {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) authority: Arc<dyn LicenseAuthority>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Signs the registrations, by which the vendor knows this server.
    pub(crate) site_key: Arc<SigningKey>,
    /// The key to which the vendor seals what it sends to this server.
    pub(crate) sealing_key: SealingPublicKey,
    pub(crate) learning: Learning,
}

/// A grant that was accepted, and what there was before.
struct Accepted {
    license: License,
    answer: GrantAnswer,
    seats_before: Option<u32>,
}

impl Registrar {
    /// Makes a registration; online the vendor answers with the grant at once. A vendor that cannot be reached is an
    /// answer: the code to carry by hand, with the reason.
    ///
    /// # Errors
    /// The problem, for people: the vendor refused, its grant is none, or the ledger failed.
    pub(crate) async fn register(
        &self,
        actor: Actor,
        request: RegisterRequest,
    ) -> Result<Registered, Problem> {
        let serial = request.serial;
        let site_key = self.site_key.public();
        let registration = self.registration(serial.clone(), request.reason).await?;
        let (reason, request_id) = (registration.reason, registration.request_id.clone());
        let registration = SignedDocument::sign(&registration, &self.site_key)
            .map_err(|error| failures::internal("sign the registration", &error))?;
        let command = RegisterSerial { actor: actor.clone(), serial: serial.clone(), reason, request_id };
        self.ledger.execute(self.now(), command).await.map_err(failures::of_ledger)?;
        let code = text_code::encode(&registration);
        if request.way == RegisterWay::Offline {
            return Ok(Registered::Code { code, reason: None, page: self.authority.page() });
        }
        match self.authority.register(sync::RegisterRequest { site_key, registration }).await {
            Ok(answer) => {
                let Accepted { license, answer: accepted, seats_before } =
                    self.accept(actor, answer.grant, Some(serial)).await?;
                let ends = || accepted.came.said(Some(reason), answer.renewable_from, self.now());
                let ends = end_said(&license).or_else(ends);
                let seats = seats_said(seats_before, license.licenses, license.used, Some(reason));
                let (unconfirmed, notice) = (accepted.unconfirmed, both(seats, ends));
                Ok(Registered::Granted { license, unconfirmed, notice, seats_before })
            }
            Err(error @ AuthorityError::Unreachable { .. }) => {
                let page = self.authority.page();
                Ok(Registered::Code { code, reason: Some(error.to_string()), page })
            }
            Err(AuthorityError::Refused(problem)) => Err(problem),
        }
    }

    /// Accepts an unlock code, or a grant file.
    ///
    /// # Errors
    /// The problem, for people.
    pub(crate) async fn unlock(&self, actor: Actor, code: &str) -> Result<Unlocked, Problem> {
        let grant = read(code)?;
        if document::read::<Registration>(grant.document.as_bytes()).is_ok() {
            return Err(refused(
                "cannot unlock: this is a registration code, which goes to the vendor",
                "give the unlock code that the vendor sends back for it",
            ));
        }
        let Accepted { license, answer, seats_before } = self.accept(actor, grant, None).await?;
        let ends = end_said(&license).or_else(|| answer.came.said(None, None, self.now()));
        let seats = seats_said(seats_before, license.licenses, license.used, None);
        let (unconfirmed, notice) = (answer.unconfirmed, both(seats, ends));
        Ok(Unlocked { license, unconfirmed, notice, seats_before })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the vendor is told: who asks, why, how many seats are in use, and the head of the log, which it witnesses.
    async fn registration(
        &self,
        serial: SerialNumber,
        reason: Option<RegistrationReason>,
    ) -> Result<Registration, Problem> {
        let ledger = &self.ledger;
        if let Err(damage) = ledger.token_changes() {
            return Err(Problem::new(
                ProblemCode::WrongState,
                format!("the log is damaged at entry {}: no grant can confirm it", damage.sequence),
                "run `distributor log verify`, and restore a backup",
            ));
        }
        let licenses = ledger.query(Licenses {}).await.map_err(failures::of_ledger)?;
        let restore = ledger.query(Restores {}).await.map_err(failures::of_ledger)?;
        let known = licenses.iter().any(|license| license.serial == serial);
        let reason = match reason {
            _ if restore.unconfirmed().is_some() => RegistrationReason::Restored,
            Some(RegistrationReason::Restored) => {
                return Err(Problem::new(
                    ProblemCode::WrongState,
                    "there is no restore that the vendor has to confirm",
                    "register without a reason",
                ));
            }
            Some(reason) => reason,
            None if known => RegistrationReason::Renew,
            None => RegistrationReason::First,
        };
        let granted = licenses.iter().map(|license| license.epoch).max().unwrap_or_default();
        let epoch = restore.restored.map_or(granted, |restored| granted.max(restored.epoch));
        let random = random_bytes::<16>().map_err(|error| failures::internal("draw a request id", &error))?;
        Ok(Registration {
            request_id: RequestId::from_random(random),
            serial,
            server_id: ledger.server_id(),
            site_key: self.site_key.public(),
            sealing_key: self.sealing_key,
            reason,
            epoch,
            ledger_head: ledger.head(),
            used: licenses.into_iter().map(|license| (license.serial, license.used)).collect(),
        })
    }

    async fn accept(
        &self,
        actor: Actor,
        document: SignedDocument,
        asked_for: Option<SerialNumber>,
    ) -> Result<Accepted, Problem> {
        let grant = self.verified(&document).await?.into_inner();
        let serial = grant.serial.clone();
        let ledger = &self.ledger;
        let before = ledger.query(Licenses {}).await.map_err(failures::of_ledger)?;
        let seats_before = before.iter().find(|row| row.serial == serial).map(|row| row.licenses);
        let answer = ledger
            .execute(self.now(), AcceptGrant { actor, grant, document, asked_for })
            .await
            .map_err(failures::of_ledger)?;
        self.adopt_time().await;
        let licenses = ledger.query(Licenses {}).await.map_err(|error| {
            failures::done_but_unread(&error, "the grant is accepted", "distributor status")
        })?;
        let license = licenses.into_iter().find(|row| row.serial == serial);
        license
            .map(|license| Accepted { license: License::of(license, None, self.now()), answer, seats_before })
            .ok_or_else(|| {
                Problem::new(
                    ProblemCode::Internal,
                    "the accepted grant is not in the ledger",
                    "run `distributor log verify`",
                )
            })
    }

    /// Verified with the license keys that the vendor's trust document lists. They may be newer than the last pull, so
    /// they are learned once more before a signature is refused.
    async fn verified(&self, document: &SignedDocument) -> Result<Verified<Grant>, Problem> {
        if let Some(trust) = self.upstream.trust()
            && let Ok(grant) = document.verify::<Grant>(&trust.license_keys(document.digest()))
        {
            return Ok(grant);
        }
        let learned = match self.learning {
            Learning::Pull => self.upstream.pull_now().await.map(drop),
            Learning::KeysAlone => self.upstream.learn_keys().await,
        };
        let Some(trust) = self.upstream.trust() else {
            return Err(match learned {
                Err(problem) => {
                    let message = format!(
                        "cannot check the grant, because the vendor's list of license keys was never pulled: {}",
                        problem.message
                    );
                    Problem::new(problem.code, message, problem.hint)
                }
                Ok(()) => refused("the vendor publishes no trust document", "ask the vendor"),
            });
        };
        document.verify::<Grant>(&trust.license_keys(document.digest())).map_err(|error| match error {
            DocumentError::Signature { source, .. } => refused(
                &format!("no license key of the vendor signed the grant: {source}"),
                "ask the vendor for a new unlock code; if keys were renewed, pull first",
            ),
            other => refused(
                &format!("the grant cannot be accepted: {other}"),
                "ask the vendor for a new unlock code",
            ),
        })
    }

    /// Takes what the ledger noted of license time into the clock: a statement of the vendor may have lowered it.
    async fn adopt_time(&self) {
        match self.ledger.query(LicenseTime {}).await {
            Ok(noted) => self.clock.adopt(&noted),
            Err(error) => tracing::warn!(error = with_causes(&error), "cannot read the noted license time"),
        }
    }
}

/// What a grant says of the end of its serial number: it is the news of the grant, whatever else it changes.
fn end_said(license: &License) -> Option<String> {
    let end = license.ends_at?;
    let said =
        license.standing.iter().find(|standing| matches!(standing.code.as_str(), "ended" | "ends_soon"));
    Some(said.map_or_else(
        || format!("the vendor ends the serial number at {end}"),
        |standing| format!("the serial number: {}", standing.message),
    ))
}

/// Two notices in one line.
fn both(seats: Option<String>, ends: Option<String>) -> Option<String> {
    match (seats, ends) {
        (Some(seats), Some(ends)) => Some(format!("{seats}; {ends}")),
        (seats, ends) => seats.or(ends),
    }
}

fn read(code: &str) -> Result<SignedDocument, Problem> {
    let bad = |why: String| {
        Problem::new(
            ProblemCode::BadRequest,
            format!("cannot read the unlock code: {why}"),
            "copy the whole code again",
        )
    };
    if code.trim_start().starts_with('{') {
        return serde_json::from_str(code).map_err(|error| bad(error.to_string()));
    }
    text_code::decode(code).map_err(|error| bad(error.to_string()))
}

fn refused(message: &str, hint: &str) -> Problem {
    Problem::new(ProblemCode::GrantRefused, message, hint)
}
