//! The contact: shows that this computer is there, reports, and receives lease and assignment.
//!
//! Invariants: the request is on disk before it is sent, and until it is answered it is sent again byte by byte, so a
//! lost answer costs nothing; the parts of an answer are on disk before the nonce moves on; each part is verified with
//! the site key that the vendor's grant names, and judged, before it is kept. A refused part never replaces a held one.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sealpost_files::{escape, with_causes};
use sealpost_keys::key_file::read_secret;
use sealpost_keys::token::random_bytes;
use sealpost_keys::{KeyError, KeyFileError, PassphraseSource, SigningKey};
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
use crate::platform::network::WaitInterrupted;
use crate::platform::store::StoreError;
use crate::records::holdings::Holdings;
use crate::records::packages;
use crate::records::progress::Progress;
use crate::records::server::{ContactState, OutstandingContact, ServerRecords};
use crate::server::{Credential, Endpoint};
use crate::spool::Spool;

use super::context::{Context, Host};

/// Longest notice of a server that is kept, in characters.
const MAX_NOTICE_CHARS: usize = 500;

/// Why a contact was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error("the client key cannot be read; enroll this computer again")]
    Key(#[from] KeyFileError),
    #[error("the contact cannot be signed")]
    Sign(#[from] DocumentError),
    /// There is no randomness.
    #[error("the contact cannot be made")]
    Random(#[from] KeyError),
    #[error(transparent)]
    Interrupted(#[from] WaitInterrupted),
    /// Every address failed or refused.
    #[error("no server answered: {}", .0.join("; "))]
    AllFailed(Vec<String>),
}

/// The right to read from a server for a while.
#[derive(Clone)]
pub struct Access {
    /// The address that answered.
    pub endpoint: Endpoint,
    pub token: String,
    pub until: Timestamp,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("endpoint", &self.endpoint.address()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Answered {
    pub(super) access: Access,
    /// Whether it was an earlier contact, sent again: then reports that were added since are not in it.
    pub(super) was_retry: bool,
    /// What of the answer was refused, and what the server wants a person to know.
    pub(super) notices: Vec<String>,
}

/// One contact, with as many addresses as it needs.
///
/// # Errors
/// [`ContactError`].
pub(super) fn contact(
    context: &Context,
    holdings: &mut Holdings,
    progress: &mut Progress,
    spool: &mut Spool,
) -> Result<Answered, ContactError> {
    let host = &context.host;
    let records = ServerRecords::of(&host.home);
    let mut state = records.contact_state()?;
    let (outstanding, was_retry) = match state.outstanding.clone() {
        Some(outstanding) => (outstanding, true),
        None => {
            let outstanding = new_contact(host, holdings, state.previous.clone(), spool)?;
            state.outstanding = Some(outstanding.clone());
            records.save_contact_state(&state)?;
            (outstanding, false)
        }
    };
    let (endpoint, answer) = send(context, holdings, progress, &outstanding.body)?;
    let mut notices = accept(host, &answer, holdings, progress)?;
    if let Some(notice) = &answer.notice {
        notices.push(escape(notice).chars().take(MAX_NOTICE_CHARS).collect());
    }
    progress.save(&host.home)?;
    spool.acknowledge(answer.acknowledged_report)?;
    records.save_contact_state(&ContactState { previous: Some(outstanding.next), outstanding: None })?;
    let until = host.now().saturating_add(SignedDuration::from_secs(i64::from(answer.token_valid_secs)));
    let until = until.unwrap_or(Timestamp::MAX);
    Ok(Answered { access: Access { endpoint, token: answer.access_token, until }, was_retry, notices })
}

fn new_contact(
    host: &Host,
    holdings: &Holdings,
    previous: Option<Nonce>,
    spool: &Spool,
) -> Result<OutstandingContact, ContactError> {
    let key: SigningKey = read_secret(&host.home.client_key(), &PassphraseSource::None)?;
    let next = Nonce::from_random(random_bytes::<16>()?);
    let contact = Contact {
        client_id: holdings.identity.client_id.clone(),
        server_id: holdings.identity.server_id.clone(),
        previous,
        next: next.clone(),
        sent_at: host.now(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        platform: Platform::current(),
        lease: holdings.lease_place(),
        assignment: holdings.assignment_place(),
        grant: Some(holdings.enrollment.grant.digest()),
        packages: installed_packages(&host.home)?,
        reports: spool.batch(),
    };
    let contact = SignedDocument::sign(&contact, &key)?;
    let request = ContactRequest { client_id: holdings.identity.client_id.clone(), contact };
    let body = serde_json::to_string(&request)
        .map_err(|source| DocumentError::Malformed { document: "contact", source })?;
    Ok(OutstandingContact { next, body })
}

fn send(
    context: &Context,
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
            match context.network.wait(endpoint.post("contact", body.to_owned()))? {
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

/// Keeps the parts of an answer that are good; returns what was wrong with the others.
fn accept(
    host: &Host,
    answer: &ContactAnswer,
    holdings: &mut Holdings,
    progress: &mut Progress,
) -> Result<Vec<String>, ContactError> {
    let records = ServerRecords::of(&host.home);
    let mut refused = Vec::new();
    if let Some(signed) = &answer.grant {
        match verified_grant(signed, holdings) {
            Ok(grant) => {
                holdings.grant = grant;
                holdings.enrollment.grant = signed.clone();
                records.save_enrollment(&holdings.enrollment)?;
            }
            Err(why) => refused.push(format!("a grant of the server was refused: {why}")),
        }
    }
    let time = progress.license_time(host.now());
    if let Some(signed) = &answer.lease {
        match verified_lease(signed, holdings, progress, time) {
            Ok(lease) => {
                records.save_lease(signed)?;
                progress.highest.lease = Some(lease_place(&lease));
                progress.raise_time(lease.issued_at);
            }
            Err(why) => refused.push(format!("a lease of the server was refused: {why}")),
        }
    }
    if let Some(signed) = &answer.assignment {
        match verified_assignment(signed, holdings, progress, time) {
            Ok(assignment) => {
                records.save_assignment(signed)?;
                progress.highest.assignment = Some(assignment_place(&assignment));
                progress.raise_time(assignment.issued_at);
            }
            Err(why) => refused.push(format!("an assignment of the server was refused: {why}")),
        }
    }
    Ok(refused)
}

fn verified_grant(signed: &SignedDocument, holdings: &Holdings) -> Result<Grant, String> {
    let grant = signed
        .verify::<Grant>(&holdings.trust.license_keys())
        .map_err(|error| with_causes(&error))?
        .into_inner();
    judge_grant(&grant, &holdings.identity.server_id, &holdings.grant).map_err(|error| error.to_string())?;
    Ok(grant)
}

fn verified_lease(
    signed: &SignedDocument,
    holdings: &Holdings,
    progress: &Progress,
    time: Timestamp,
) -> Result<Lease, String> {
    let site_key = std::slice::from_ref(&holdings.grant.site_key);
    let lease = signed.verify::<Lease>(site_key).map_err(|error| with_causes(&error))?.into_inner();
    judge_lease(&lease, &holdings.identity, progress.highest.lease, time)
        .map_err(|error| error.to_string())?;
    Ok(lease)
}

fn verified_assignment(
    signed: &SignedDocument,
    holdings: &Holdings,
    progress: &Progress,
    time: Timestamp,
) -> Result<Assignment, String> {
    let site_key = std::slice::from_ref(&holdings.grant.site_key);
    let assignment = signed.verify::<Assignment>(site_key).map_err(|error| with_causes(&error))?.into_inner();
    judge_assignment(&assignment, &holdings.identity, progress.highest.assignment, time)
        .map_err(|error| error.to_string())?;
    Ok(assignment)
}

fn installed_packages(home: &Home) -> Result<Vec<InstalledPackage>, StoreError> {
    let records = packages::load_all(home)?;
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
