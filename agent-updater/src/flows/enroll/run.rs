//! The flow of an enrollment; see [`super`] for its order and invariants.

use std::path::Path;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::ids::{ComputerName, ServerId};
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::wire::enroll::EnrollAnswer;

use crate::domain::floors::Floors;
use crate::download::{Place, VendorMetadata};
use crate::flows::context::Context;
use crate::flows::origin::origin_of;
use crate::home::Home;
use crate::records::server::{Enrollment, ServerRecords};
use crate::records::servers;
use crate::records::vendor::VendorRecord;
use crate::server::{AccessToken, Endpoint};

use super::answer::{Accepted, Applicant, judge_answer, request_body};
use super::before::identity_before;
use super::error::EnrollError;
use super::inputs::{client_key, pin_root, read_setup, sealing_key};
use super::keep::keep;

/// The result of an enrollment.
#[derive(Debug)]
pub struct EnrolledAs {
    pub enrollment: Enrollment,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What happens when this computer is enrolled with the same server under another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherName {
    /// The setup file is most likely that of another computer.
    Refuse,
    /// A person said that this computer takes the other name from now on, and that it costs a seat.
    Replace,
}

/// Enrolls this computer.
///
/// # Errors
/// [`EnrollError`].
pub fn enroll(
    context: &Context,
    setup_path: &Path,
    root_path: Option<&Path>,
    other_name: OtherName,
) -> Result<EnrolledAs, EnrollError> {
    let home = &context.host.home;
    home.prepare()?;
    let _lock = home.lock_cycle()?;
    let mut warnings = Vec::new();
    let setup = read_setup(setup_path, &mut warnings)?;
    let other_kind = |why| EnrollError::OtherKind { path: setup_path.to_owned(), why };
    let name = setup.reserved_name().map_err(other_kind)?;
    if other_name == OtherName::Refuse {
        ensure_same_name(home, &setup, setup_path, name)?;
    }
    let root = pin_root(home, &setup, root_path)?;
    let mut failures = Vec::new();
    for server in &setup.servers {
        if let Some(problem) = server.server.problem() {
            failures.push(format!("skipped: {problem}"));
            continue;
        }
        let client_key = client_key(home, &server.server.server_id)?;
        let applicant = Applicant {
            name,
            client_key: &client_key,
            sealing_key: sealing_key(home)?,
            setup_issued_at: setup.issued_at,
        };
        match enroll_with(context, server, &applicant, &root) {
            Ok((accepted, trust)) => {
                let vendor = VendorRecord { root_sha256: setup.root_sha256, trust };
                warnings.extend(other_servers(context, &accepted.enrollment.server.server_id));
                keep(&context.host, &accepted, &vendor)?;
                return Ok(EnrolledAs { enrollment: accepted.enrollment, warnings });
            }
            // A wrong answer is reported, and not hidden by asking the next server.
            Err(EnrollError::AllFailed(more)) => failures.extend(more),
            Err(error) => return Err(error),
        }
    }
    if failures.is_empty() {
        failures.push("it lists no server".to_owned());
    }
    Err(EnrollError::AllFailed(failures))
}

/// The accepted answer of a server, and the verified text of the vendor's trust document.
fn enroll_with(
    context: &Context,
    server: &SetupServer,
    applicant: &Applicant<'_>,
    root: &[u8],
) -> Result<(Accepted, String), EnrollError> {
    let floors = Floors::from_setup(applicant.setup_issued_at);
    let times = context.host.tls_times(applicant.setup_issued_at, &floors);
    let endpoints = || {
        Endpoint::of_server(&server.server, &times)
            .map_err(|error| EnrollError::AllFailed(vec![with_causes(&error)]))
    };
    let body = request_body(server, applicant)?;
    let mut failures = Vec::new();
    // The metadata is read by clients of their own, on another thread.
    for (endpoint, reader) in endpoints()?.iter().zip(endpoints()?) {
        let answer: EnrollAnswer = match context.network.wait(endpoint.post("enroll", body.clone()))? {
            Ok(answer) => answer,
            Err(error) => {
                failures.push(with_causes(&error));
                if error.try_elsewhere() {
                    continue;
                }
                break;
            }
        };
        let refused = |why: String| EnrollError::Answer { server: endpoint.address().to_owned(), why };
        let token = AccessToken::new(&answer.access_token)
            .ok_or_else(|| refused("its access token cannot be used".to_owned()))?;
        let trust = read_trust(context, root, Place::Server(origin_of(context, &reader, &token)))?;
        let accepted = judge_answer(server, applicant, &answer, &trust).map_err(refused)?;
        return Ok((accepted, trust));
    }
    Err(EnrollError::AllFailed(failures))
}

/// The vendor's trust document, verified through the metadata.
pub(super) fn read_trust(context: &Context, root: &[u8], place: Place) -> Result<String, EnrollError> {
    let host = &context.host;
    // Nobody has signed yet how fresh the metadata is, and an earlier floor may be what enrolling is to repair. The
    // pinned server judges freshness; the metadata is verified all the same, versions never go back, and nothing is
    // installed before an assignment names a time.
    let as_of = Timestamp::UNIX_EPOCH;
    let read = async {
        let metadata = VendorMetadata::open(root.to_vec(), host.home.tuf(), place, as_of).await?;
        metadata.trust().await
    };
    context.network.wait(read)?.map(|(text, _)| text).map_err(EnrollError::Metadata)
}

/// Refuses a setup file of a server that knows this computer by another name: a seat that was named once is never freed,
/// so the mistake of copying the wrong file would cost one for good.
pub(super) fn ensure_same_name(
    home: &Home,
    setup: &SetupFile,
    path: &Path,
    name: &ComputerName,
) -> Result<(), EnrollError> {
    for listed in &setup.servers {
        let server = &listed.server.server_id;
        let Some(before) = identity_before(ServerRecords::of(home, server)) else { continue };
        if before.computer_name != *name {
            return Err(EnrollError::OtherName {
                path: path.to_owned(),
                server: server.clone(),
                enrolled: before.computer_name,
                asked: name.clone(),
            });
        }
    }
    Ok(())
}

/// What a person should know about servers that this computer was enrolled with before.
pub(super) fn other_servers(context: &Context, enrolled: &ServerId) -> Option<String> {
    let known = servers::load(&context.host.home).unwrap_or_default();
    let others: Vec<&str> = known.iter().filter(|server| *server != enrolled).map(ServerId::as_str).collect();
    (!others.is_empty()).then(|| {
        format!(
            "this computer works with the server {enrolled} from now on; what it holds from {} is kept",
            others.join(", ")
        )
    })
}
