//! The flow of an enrollment; see [`super`] for its order and invariants.

use std::path::Path;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::SigningKey;
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::wire::enroll::EnrollAnswer;

use crate::domain::cadence::Standing;
use crate::download::{Origin, VendorMetadata};
use crate::flows::context::Context;
use crate::flows::origin::origin_of;
use crate::home::Home;
use crate::platform::store::StoreError;
use crate::records::progress::{HighestPlaces, Progress};
use crate::records::server::{Enrollment, ServerRecords};
use crate::server::{Credential, Endpoint, ServerError};

use super::answer::{judge_answer, request_body};
use super::error::EnrollError;
use super::inputs::{client_key, pin_root, read_setup};

/// The result of an enrollment.
#[derive(Debug)]
pub struct EnrolledAs {
    pub enrollment: Enrollment,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Enrolls this computer.
///
/// # Errors
/// [`EnrollError`].
pub fn enroll(
    context: &Context,
    setup_path: &Path,
    root_path: Option<&Path>,
) -> Result<EnrolledAs, EnrollError> {
    let home = &context.host.home;
    home.prepare()?;
    let _lock = home.lock_cycle()?;
    let mut warnings = Vec::new();
    let setup = read_setup(setup_path, &mut warnings)?;
    let root = pin_root(home, &setup, root_path)?;
    let key = client_key(home)?;
    let mut failures = Vec::new();
    for server in &setup.servers {
        match enroll_with(context, server, &setup, &key, &root) {
            Ok(enrollment) => {
                keep(home, &enrollment)?;
                return Ok(EnrolledAs { enrollment, warnings });
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

fn enroll_with(
    context: &Context,
    server: &SetupServer,
    setup: &SetupFile,
    key: &SigningKey,
    root: &[u8],
) -> Result<Enrollment, EnrollError> {
    let time_floor = progress(&context.host.home)?.time_floor;
    let credential = Credential::EnrollmentCode(setup.computer_name.clone(), setup.enrollment_code.clone());
    let setup_failed = |error: ServerError| EnrollError::AllFailed(vec![with_causes(&error)]);
    let endpoints = Endpoint::of_server(server, time_floor, &Credential::None).map_err(setup_failed)?;
    // The metadata is read by clients of their own, on another thread; only they send the enrollment code.
    let readers = Endpoint::of_server(server, time_floor, &credential).map_err(setup_failed)?;
    let body = request_body(setup, server, key)?;
    let mut failures = Vec::new();
    for (endpoint, reader) in endpoints.iter().zip(readers) {
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
        let trust = read_trust(context, root, origin_of(&reader, None))?;
        return judge_answer(setup, server, &key.public(), &answer, trust)
            .map_err(|why| EnrollError::Answer { server: endpoint.address().to_owned(), why });
    }
    Err(EnrollError::AllFailed(failures))
}

/// The vendor's trust document, verified through the metadata.
fn read_trust(context: &Context, root: &[u8], origin: Origin) -> Result<String, EnrollError> {
    let home = &context.host.home;
    // Before the first assignment nobody has signed how fresh the metadata is. The pinned server judges that; the
    // metadata is verified all the same, and nothing is installed before an assignment names a time.
    let as_of = progress(home)?.metadata_floor.unwrap_or(Timestamp::UNIX_EPOCH);
    let read = async {
        let metadata = VendorMetadata::open(root.to_vec(), home.tuf(), origin, as_of).await?;
        metadata.trust().await
    };
    context.network.wait(read)?.map(|(text, _)| text).map_err(EnrollError::Metadata)
}

/// The progress so far. A damaged record is replaced by an empty one: enrolling is how a person repairs it. What keeps
/// old releases out, the trusted metadata and the counters of the packages, has records of its own.
fn progress(home: &Home) -> Result<Progress, StoreError> {
    match Progress::load(home) {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!("{}; starting with an empty one", with_causes(&error));
            Ok(Progress::default())
        }
        other => other,
    }
}

fn keep(home: &Home, enrollment: &Enrollment) -> Result<(), EnrollError> {
    let records = ServerRecords::of(home);
    let before = records.enrollment().unwrap_or(None);
    let mut progress = progress(home)?;
    progress.save(home)?;
    if before.is_none_or(|before| before.client_id != enrollment.client_id) {
        // Sequences and nonces belong to a client id. What must never go back (time, metadata, counters) stays.
        progress.highest = HighestPlaces::default();
        progress.notices.clear();
        if progress.standing == Standing::LostContact {
            progress.standing = Standing::Licensed;
        }
        progress.save(home)?;
        records.reset_for_new_client()?;
    }
    records.save_enrollment(enrollment)?;
    Ok(())
}
