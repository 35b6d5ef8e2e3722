//! The flow of an enrollment; see [`super`] for its order and invariants.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::ids::{ComputerName, ServerId};
use sealpost_manifests::setup::{ServerEntry, ServerRole, SetupFile, SetupServer};
use sealpost_manifests::wire::enroll::EnrollAnswer;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::domain::floors::Floors;
use crate::download::{Expected, Place, VendorMetadata};
use crate::flows::context::Context;
use crate::flows::origin::origin_of;
use crate::home::Home;
use crate::records::server::{Enrollment, ServerRecords};
use crate::records::servers;
use crate::records::vendor::VendorRecord;
use crate::server::AccessToken;

use super::answer::{Accepted, Applicant, judge_answer, request_body};
use super::before::identity_before;
use super::error::EnrollError;
use super::inputs::{client_key, pin_root, read_setup, sealing_key};
use super::keep::{keep, keep_beside};

/// For how long the ways of a setup file are tried, one after the other; the last one may take until it fails by itself.
const TRIED_FOR: Duration = Duration::from_secs(180);

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

/// Which place a server takes among those of this computer.
#[derive(Debug, Clone, Copy)]
pub(super) enum As<'p> {
    /// The first, which decides about updates. The root is pinned if none is.
    First { root: Option<&'p Path> },
    /// One beside the first.
    Beside { role: Option<ServerRole> },
}

/// The tries with the ways of one setup file.
struct Tries {
    /// After it no further way is tried.
    until: Instant,
    /// Whether the server that was tried last may have seen the key.
    may_be_known: bool,
}

/// Enrolls this computer with a further server, which serves when the first does not: as a secondary, unless `role` says
/// otherwise. It must be of the same vendor, by what the first server brought of the vendor; nothing that is held from the
/// first changes.
///
/// # Errors
/// [`EnrollError`].
pub fn add(
    context: &Context,
    setup_path: &Path,
    role: Option<ServerRole>,
    other_name: OtherName,
) -> Result<EnrolledAs, EnrollError> {
    let home = &context.host.home;
    home.prepare()?;
    let _lock = home.lock_cycle()?;
    let mut warnings = Vec::new();
    let setup = read_setup(setup_path, &mut warnings)?;
    enroll_as(context, (&setup, setup_path), As::Beside { role }, None, other_name, warnings)
}

/// Enrolls with a setup file that names this computer, which was read from this path; `warnings` are about that. The caller
/// holds the lock of the cycle.
pub(super) fn enroll_as(
    context: &Context,
    (setup, setup_path): (&SetupFile, &Path),
    place: As<'_>,
    given: Option<&ComputerName>,
    other_name: OtherName,
    warnings: Vec<String>,
) -> Result<EnrolledAs, EnrollError> {
    let home = &context.host.home;
    let other_kind = |why| EnrollError::OtherKind { path: setup_path.to_owned(), why };
    let name = setup.reserved_name().map_err(other_kind)?;
    if given.is_some_and(|given| given != name) {
        return Err(EnrollError::Named { path: setup_path.to_owned(), named: name.clone() });
    }
    if other_name == OtherName::Refuse {
        ensure_same_name(home, setup, setup_path, name)?;
    }
    let (root, held) = match place {
        As::First { root } => (pin_root(home, setup, root)?, None),
        As::Beside { .. } => {
            let first = first_server(home)?;
            if other_name == OtherName::Refuse && first.computer_name != *name {
                return Err(EnrollError::OtherNameBeside {
                    path: setup_path.to_owned(),
                    enrolled: first.computer_name,
                    asked: name.clone(),
                });
            }
            let held = VendorRecord::load(home)?.ok_or(EnrollError::NoFirstServer)?;
            (pin_root(home, setup, None)?, Some(held))
        }
    };
    let mut enrolled = ask(context, setup, name, place, &root, held.as_ref())?;
    enrolled.warnings.splice(0..0, warnings);
    Ok(enrolled)
}

/// Asks the servers of a setup file in their order, and keeps the answer of the first. The caller holds the lock of the cycle.
pub(super) fn ask(
    context: &Context,
    setup: &SetupFile,
    name: &ComputerName,
    place: As<'_>,
    root: &[u8],
    held: Option<&VendorRecord>,
) -> Result<EnrolledAs, EnrollError> {
    let home = &context.host.home;
    let mut warnings = Vec::new();
    let mut failures = Vec::new();
    let mut tries = Tries { until: Instant::now() + TRIED_FOR, may_be_known: false };
    for server in &setup.servers {
        let wrong_place = match place {
            As::First { .. } => not_the_first(home, &server.server),
            As::Beside { .. } => not_beside(home, &server.server),
        };
        if let Some(problem) = server.server.problem().or(wrong_place) {
            failures.push(format!("skipped: {problem}"));
            continue;
        }
        let client_key = client_key(home, &server.server.server_id)?;
        let applicant = Applicant {
            name,
            client_key: &client_key.key,
            sealing_key: sealing_key(home)?,
            setup_issued_at: setup.issued_at,
        };
        let held = held.map(|held| held.trust.as_str());
        tries.may_be_known = false;
        match enroll_with(context, server, &applicant, root, held, &mut tries) {
            Ok((mut accepted, trust)) => {
                match place {
                    As::First { .. } => {
                        let vendor = VendorRecord { root_sha256: setup.root_sha256, trust };
                        warnings.extend(other_servers(context, &accepted.enrollment.server.server_id));
                        keep(&context.host, &mut accepted, &vendor)?;
                    }
                    As::Beside { role } => keep_beside(&context.host, &mut accepted, role)?,
                }
                return Ok(EnrolledAs { enrollment: accepted.enrollment, warnings });
            }
            // A wrong answer is reported, and not hidden by asking the next server.
            Err(EnrollError::AllFailed(more)) => {
                failures.extend(more);
                if !tries.may_be_known {
                    client_key.was_not_shown()?;
                }
            }
            Err(error) => return Err(error),
        }
    }
    if failures.is_empty() {
        failures.push("it lists no server".to_owned());
    }
    Err(EnrollError::AllFailed(failures))
}

/// The accepted answer of a server, and the verified text of the vendor's trust document: the held one, if there is one.
fn enroll_with(
    context: &Context,
    server: &SetupServer,
    applicant: &Applicant<'_>,
    root: &[u8],
    held: Option<&str>,
    tries: &mut Tries,
) -> Result<(Accepted, String), EnrollError> {
    let floors = Floors::from_setup(applicant.setup_issued_at);
    let times = context.host.tls_times(applicant.setup_issued_at, &floors);
    let endpoints = context
        .connections
        .of_server(&server.server, &times)
        .map_err(|error| EnrollError::AllFailed(vec![with_causes(&error)]))?;
    let body = request_body(server, applicant)?;
    let mut failures = Vec::new();
    for endpoint in &endpoints {
        if Instant::now() >= tries.until {
            failures.push(format!("{} was not tried: {}", endpoint.address(), too_long()));
            break;
        }
        let answer: EnrollAnswer = match context.network.wait(endpoint.post("enroll", body.clone()))? {
            Ok(answer) => answer,
            Err(error) => {
                let problem = error.problem();
                if let Some(problem) = problem.filter(|said| said.code == ProblemCode::WaitsForAdmission) {
                    return Err(EnrollError::NotAdmitted(problem.clone()));
                }
                tries.may_be_known |= error.may_have_come();
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
        let trust = match held {
            Some(held) => held.to_owned(),
            None => read_trust(context, root, Place::Server(origin_of(context, endpoint, &token)))?,
        };
        let accepted = judge_answer(server, applicant, &answer, &trust).map_err(refused)?;
        return Ok((accepted, trust));
    }
    Err(EnrollError::AllFailed(failures))
}

fn too_long() -> String {
    format!("the ways of this setup file were tried for {} s; try again", TRIED_FOR.as_secs())
}

/// The enrollment with the server that decides about updates.
fn first_server(home: &Home) -> Result<Enrollment, EnrollError> {
    let first = servers::load(home)?.into_iter().next().ok_or(EnrollError::NoFirstServer)?;
    ServerRecords::of(home, &first).enrollment()?.ok_or(EnrollError::NoFirstServer)
}

/// Why a server does not become the first by enrolling: who decides about updates is not changed by a setup file that
/// says otherwise.
pub(super) fn not_the_first(home: &Home, server: &ServerEntry) -> Option<String> {
    let known = servers::load(home).unwrap_or_default();
    let is_other = known.first().is_some_and(|first| *first != server.server_id);
    let enrolled = ServerRecords::of(home, &server.server_id).enrollment().ok().flatten();
    let was_added = enrolled.is_some_and(|enrolled| enrolled.server.role == ServerRole::Secondary);
    (is_other && (was_added || server.role == ServerRole::Secondary)).then(|| {
        format!(
            "the server {} is a secondary server; enroll with it with `agent-updater servers add --setup FILE`, and if it is \
             to decide about updates, `agent-updater servers prefer SERVER` says so",
            server.server_id
        )
    })
}

/// Why a server is not put beside the first.
fn not_beside(home: &Home, server: &ServerEntry) -> Option<String> {
    let known = servers::load(home).unwrap_or_default();
    (known.first() == Some(&server.server_id)).then(|| {
        format!(
            "the server {} is the one that decides about the updates of this computer; enroll with it again with \
             `agent-updater enroll --setup FILE`",
            server.server_id
        )
    })
}

/// The vendor's trust document, verified through the metadata.
pub(super) fn read_trust(context: &Context, root: &[u8], place: Place) -> Result<String, EnrollError> {
    let host = &context.host;
    // Nobody has signed yet how fresh the metadata is, and an earlier floor may be what enrolling is to repair. The
    // pinned server judges freshness; the metadata is verified all the same, versions never go back, and nothing is
    // installed before an assignment names a time.
    let as_of = Timestamp::UNIX_EPOCH;
    let read = async {
        let metadata =
            VendorMetadata::open(root.to_vec(), host.home.tuf(), place, as_of, Expected::trust()).await?;
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
            "the server {enrolled} decides about updates from now on; what this computer holds from {} is kept, and counts when \
             that one does not answer (`agent-updater servers list`, `agent-updater servers remove SERVER`)",
            others.join(", ")
        )
    })
}
