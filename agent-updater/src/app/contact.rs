//! The contact: shows that this computer is there, reports, and hears what to run.
//!
//! Invariants: the request is on disk before it is sent, and until it is answered it is sent again byte by byte, so a
//! lost answer costs nothing; an answer's parts are on disk before the nonce moves on; each part is verified with the
//! site key that the vendor's grant names, and judged, before it is kept. A refused part never undoes a held one.

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::key_file::read_secret;
use sealpost_keys::{KeyFileError, PassphraseSource, SigningKey};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::{DocumentError, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{Nonce, Platform};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::contact::{
    Contact, ContactAnswer, ContactRequest, InstalledPackage, MAX_PACKAGES,
};

use crate::domain::license::{assignment_place, judge_assignment, judge_grant, judge_lease, lease_place};
use crate::domain::record::Installed;
use crate::home::Home;
use crate::platform::files::PUBLIC;
use crate::platform::network::GaveWay;
use crate::platform::store::{self, StoreError};
use crate::server::{Credential, Endpoint};
use crate::spool::Spool;

use super::agent::{Access, Agent};
use super::state::{ContactState, Holdings, Outstanding, Progress, package_records};
use super::{one_line, with_causes};

/// Longest notice of a server that is kept, in characters.
const MAX_NOTICE_CHARS: usize = 500;

/// Why a contact was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    /// A record.
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    /// The client key.
    #[error("the client key cannot be read; enroll this computer again")]
    Key(#[from] KeyFileError),
    /// The request cannot be made.
    #[error("the contact cannot be signed")]
    Sign(#[from] DocumentError),
    /// No randomness.
    #[error("the contact cannot be made")]
    Random(#[from] sealpost_keys::KeyError),
    /// Something else came first.
    #[error(transparent)]
    GaveWay(#[from] GaveWay),
    /// Every address failed or refused.
    #[error("no server answered: {}", .0.join("; "))]
    AllFailed(Vec<String>),
}

/// An answered contact.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) access: Access,
    /// Whether it was an earlier contact, sent again: what is new since then is still to be told.
    pub(super) was_retry: bool,
    /// What of the answer was refused, and what the server wants a person to know.
    pub(super) notices: Vec<String>,
}

impl Agent {
    /// One contact, with as many addresses as it needs.
    pub(super) fn contact(
        &self,
        holdings: &mut Holdings,
        progress: &mut Progress,
        spool: &mut Spool,
    ) -> Result<Answered, ContactError> {
        let mut state = ContactState::load(&self.home)?;
        let (outstanding, was_retry) = match state.outstanding.clone() {
            Some(outstanding) => (outstanding, true),
            None => {
                let outstanding = self.new_contact(holdings, state.previous.clone(), spool)?;
                state.outstanding = Some(outstanding.clone());
                state.save(&self.home)?;
                (outstanding, false)
            }
        };
        let (endpoint, answer) = self.send(holdings, progress, &outstanding.body)?;
        let mut notices = self.accept(&answer, holdings, progress)?;
        if let Some(notice) = &answer.notice {
            notices.push(one_line(notice).chars().take(MAX_NOTICE_CHARS).collect());
        }
        progress.save(&self.home)?;
        spool.acknowledge(answer.acknowledged_report)?;
        ContactState { previous: Some(outstanding.next), outstanding: None }.save(&self.home)?;
        let until = self.now().saturating_add(SignedDuration::from_secs(i64::from(answer.token_valid_secs)));
        let until = until.unwrap_or(Timestamp::MAX);
        Ok(Answered { access: Access { endpoint, token: answer.access_token, until }, was_retry, notices })
    }

    fn new_contact(
        &self,
        holdings: &Holdings,
        previous: Option<Nonce>,
        spool: &Spool,
    ) -> Result<Outstanding, ContactError> {
        let key: SigningKey = read_secret(&self.home.client_key(), &PassphraseSource::None)?;
        let next = Nonce::from_random(sealpost_keys::token::random_bytes::<16>()?);
        let contact = Contact {
            client_id: holdings.identity.client_id.clone(),
            server_id: holdings.identity.server_id.clone(),
            previous,
            next: next.clone(),
            sent_at: self.now(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            platform: Platform::current(),
            lease: holdings.lease_place(),
            assignment: holdings.assignment_place(),
            grant: Some(holdings.enrollment.grant.digest()),
            packages: installed_packages(&self.home)?,
            reports: spool.batch(),
        };
        let contact = SignedDocument::sign(&contact, &key)?;
        let request = ContactRequest { client_id: holdings.identity.client_id.clone(), contact };
        let body = serde_json::to_string(&request)
            .map_err(|source| DocumentError::Malformed { document: "contact", source })?;
        Ok(Outstanding { next, body })
    }

    fn send(
        &self,
        holdings: &Holdings,
        progress: &Progress,
        body: &str,
    ) -> Result<(Endpoint, ContactAnswer), ContactError> {
        let mut failures = Vec::new();
        for server in &holdings.enrollment.servers {
            let endpoints = match Endpoint::of_server(server, progress.time_floor, &Credential::None) {
                Ok(endpoints) => endpoints,
                Err(error) => {
                    failures.push(with_causes(&error));
                    continue;
                }
            };
            for endpoint in endpoints {
                match self.network.wait(endpoint.post("contact", body.to_owned()))? {
                    Ok(answer) => return Ok((endpoint, answer)),
                    Err(error) => {
                        failures.push(with_causes(&error));
                        if !error.try_elsewhere() {
                            break;
                        }
                    }
                }
            }
        }
        if failures.is_empty() {
            failures.push("the setup file lists no server; enroll this computer again".to_owned());
        }
        Err(ContactError::AllFailed(failures))
    }

    /// Keeps the parts of an answer that are good, and says what was wrong with the others.
    fn accept(
        &self,
        answer: &ContactAnswer,
        holdings: &mut Holdings,
        progress: &mut Progress,
    ) -> Result<Vec<String>, ContactError> {
        let mut refused = Vec::new();
        if let Some(signed) = &answer.grant {
            match accepted_grant(signed, holdings) {
                Ok(()) => {
                    holdings.enrollment.grant = signed.clone();
                    store::save(&self.home.state("enrollment"), &holdings.enrollment, PUBLIC)?;
                }
                Err(why) => refused.push(format!("a grant of the server was refused: {why}")),
            }
        }
        let keys = [holdings.grant.site_key.clone()];
        let time = progress.time(self.now());
        if let Some(signed) = &answer.lease {
            let judged =
                signed.verify::<Lease>(&keys).map_err(|error| with_causes(&error)).and_then(|lease| {
                    judge_lease(&lease, &holdings.identity, progress.lease_place, time)
                        .map_err(|error| error.to_string())?;
                    Ok(lease)
                });
            match judged {
                Ok(lease) => {
                    store::save(&self.home.state("lease"), signed, PUBLIC)?;
                    progress.lease_place = Some(lease_place(&lease));
                    progress.raise_time(lease.issued_at);
                }
                Err(why) => refused.push(format!("a lease of the server was refused: {why}")),
            }
        }
        if let Some(signed) = &answer.assignment {
            let judged = signed.verify::<Assignment>(&keys).map_err(|error| with_causes(&error)).and_then(
                |assignment| {
                    judge_assignment(&assignment, &holdings.identity, progress.assignment_place, time)
                        .map_err(|error| error.to_string())?;
                    Ok(assignment)
                },
            );
            match judged {
                Ok(assignment) => {
                    store::save(&self.home.state("assignment"), signed, PUBLIC)?;
                    progress.assignment_place = Some(assignment_place(&assignment));
                    progress.raise_time(assignment.issued_at);
                }
                Err(why) => refused.push(format!("an assignment of the server was refused: {why}")),
            }
        }
        Ok(refused)
    }
}

fn accepted_grant(signed: &SignedDocument, holdings: &mut Holdings) -> Result<(), String> {
    let grant = signed
        .verify::<Grant>(&holdings.trust.license_keys())
        .map_err(|error| with_causes(&error))?
        .into_inner();
    judge_grant(&grant, &holdings.identity.server_id, &holdings.grant).map_err(|error| error.to_string())?;
    holdings.grant = grant;
    Ok(())
}

fn installed_packages(home: &Home) -> Result<Vec<InstalledPackage>, StoreError> {
    let records = package_records(home)?;
    let current = records.into_values().filter_map(Result::ok).filter_map(|record| record.current);
    Ok(current.map(reported).take(MAX_PACKAGES).collect())
}

fn reported(installed: Installed) -> InstalledPackage {
    InstalledPackage {
        release: installed.release,
        kind: installed.kind,
        counter: installed.counter,
        manifest: installed.manifest,
    }
}
