//! Enrollment by file: the request is written, and the answer is taken when it comes.
//!
//! Invariants: the enrollment code proves the request, as over the network, and neither leaves this computer nor is kept:
//! what waits on disk is the request. The answer counts only if it is sealed for this computer and this server, signed with
//! the pinned site key, and enrolls this computer's key under the name of the setup file; its parts are judged as over
//! the network. The same request again is the same bytes, so a file that is lost costs nothing.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_files::{PRIVATE, escape, with_causes};
use sealpost_keys::SealingKey;
use sealpost_manifests::contact_answer::{EnrollmentFileAnswer, MAX_METADATA_FILES, open};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::DocumentError;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::{ServerEntry, SetupServer};
use sealpost_manifests::wire::by_file::FileRequest;
use serde::{Deserialize, Serialize};

use crate::download::{Documents, Place};
use crate::flows::context::{Context, Host};
use crate::home::Home;
use crate::platform::store::{self, StoreError};
use crate::records::keys::key_of;
use crate::records::root;
use crate::records::vendor::VendorRecord;

use super::answer::{Applicant, judge_answer, request_body};
use super::error::EnrollError;
use super::inputs::{client_key, pin_root, read_setup, sealing_key};
use super::keep::keep;
use super::knock::leave_the_copied;
use super::run::{EnrolledAs, OtherName, ensure_same_name, not_the_first, other_servers, read_trust};

const NAME: &str = "enrollment_by_file";

/// An enrollment that waits for its answer. Without the code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaitingEnrollment {
    pub computer_name: ComputerName,
    pub setup_issued_at: Timestamp,
    pub root_sha256: Sha256Digest,
    pub server: ServerEntry,
    /// The file as it was written.
    pub request: String,
}

impl WaitingEnrollment {
    /// Reads it; `None` if none waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(home: &Home) -> Result<Option<Self>, StoreError> {
        store::load(&home.state(NAME))
    }
}

/// Writes down an enrollment, and answers with its file. Waits for a cycle that is at work.
///
/// # Errors
/// [`EnrollError`].
pub fn enrollment_file(
    host: &Host,
    setup_path: &Path,
    root_path: Option<&Path>,
    other_name: OtherName,
) -> Result<(WaitingEnrollment, Vec<String>), EnrollError> {
    let home = &host.home;
    home.prepare()?;
    let _lock = home.wait_for_cycle()?;
    let mut warnings = Vec::new();
    let setup = read_setup(setup_path, &mut warnings)?;
    leave_the_copied(host)?;
    let other_kind = |why| EnrollError::OtherKind { path: setup_path.to_owned(), why };
    let name = setup.reserved_name().map_err(other_kind)?;
    if other_name == OtherName::Refuse {
        ensure_same_name(home, &setup, setup_path, name)?;
    }
    let usable = setup
        .servers
        .iter()
        .find(|listed| listed.server.problem().or_else(|| not_the_first(home, &listed.server)).is_none());
    let server = usable
        .ok_or_else(|| EnrollError::AllFailed(vec!["it lists no server that can be used".to_owned()]))?;
    pin_root(home, &setup, root_path)?;
    let client_key = client_key(home, &server.server.server_id)?.key;
    let applicant = Applicant {
        name,
        client_key: &client_key,
        sealing_key: sealing_key(home)?,
        setup_issued_at: setup.issued_at,
    };
    let malformed = |source| DocumentError::Malformed { document: "enrollment", source };
    let body = serde_json::from_str(&request_body(server, &applicant)?).map_err(malformed)?;
    let request = serde_json::to_string(&FileRequest::Enroll(Box::new(body))).map_err(malformed)?;
    let waiting = WaitingEnrollment {
        computer_name: name.clone(),
        setup_issued_at: setup.issued_at,
        root_sha256: setup.root_sha256,
        server: server.server.clone(),
        request,
    };
    store::save(&home.state(NAME), &waiting, PRIVATE)?;
    Ok((waiting, warnings))
}

/// Takes a file as the answer to the enrollment that waits. The caller holds the lock of the cycle.
///
/// # Errors
/// [`EnrollError`]; nothing was changed then.
pub fn take_enrollment(
    context: &Context,
    waiting: &WaitingEnrollment,
    file: &[u8],
) -> Result<EnrolledAs, EnrollError> {
    let host = &context.host;
    let server = &waiting.server;
    let refused = |why: String| EnrollError::Answer { server: server.server_id.to_string(), why };
    let key = SealingKey::read_file(&host.home.sealing_key())?;
    let opened = open::<EnrollmentFileAnswer>(file, &key, server.server_id.as_str(), &server.site_key);
    let answer = opened.map_err(|error| refused(escape(&with_causes(&error))))?;
    // The key that the request was signed with, whatever was enrolled since.
    let client_key = key_of(&host.home, &server.server_id, &answer.client_key).ok();
    let is_mine = answer.server_id == server.server_id && answer.computer_name == waiting.computer_name;
    let Some(client_key) = client_key.filter(|_| is_mine) else {
        return Err(refused("it enrolls another computer".to_owned()));
    };
    if answer.metadata.len() > MAX_METADATA_FILES || answer.targets.len() > MAX_METADATA_FILES {
        return Err(refused("it brings more of the vendor's metadata than any answer".to_owned()));
    }
    let pinned = root::read(&host.home)
        .map_err(|source| EnrollError::Unreadable { path: host.home.root(), source })?
        .filter(|root| Sha256Digest::of(root) == waiting.root_sha256);
    let root = pinned.ok_or_else(|| EnrollError::Missing {
        what: "root.json that the setup file names",
        path: host.home.root(),
        hint: "write the enrollment again with --root",
    })?;
    let documents =
        Documents { metadata: Arc::new(answer.metadata.clone()), targets: Arc::new(answer.targets.clone()) };
    let trust = read_trust(context, &root, Place::Documents(documents))?;
    let applicant = Applicant {
        name: &waiting.computer_name,
        client_key: &client_key,
        sealing_key: key.public(),
        setup_issued_at: waiting.setup_issued_at,
    };
    let listed = SetupServer { server: server.clone(), enrollment_code: None, code_expires_at: None };
    let mut accepted = judge_answer(&listed, &applicant, &answer.answer(), &trust).map_err(refused)?;
    let warnings = other_servers(context, &server.server_id).into_iter().collect();
    let vendor = VendorRecord { root_sha256: waiting.root_sha256, trust };
    keep(host, &mut accepted, &vendor)?;
    store::remove(&host.home.state(NAME))?;
    Ok(EnrolledAs { enrollment: accepted.enrollment, warnings })
}
