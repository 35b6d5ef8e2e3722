//! Enrollment: from a setup file to a client id, with every pin checked.
//!
//! Order: the client key is on disk before anything is sent, so that a lost answer is asked for again with the same
//! key; the vendor's chain is read before the server's word is believed; the enrollment is written last, whole.
//! Invariants: the pinned root is never replaced; a server counts only if the vendor's grant names its id and its site
//! key, and both are the ones that the setup file pins.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_keys::key_file::{read_secret, write_secret};
use sealpost_keys::{KeyFileError, PassphraseSource, PublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, DocumentError, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{Platform, ServerId};
use sealpost_manifests::setup::{MAX_SETUP_BYTES, SetupFile, SetupServer};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment as EnrollmentBody};
use sealpost_repository::MAX_ROOT_BYTES;

use crate::domain::cadence::Standing;
use crate::domain::release::Refusal;
use crate::download::{Chain, Origin};
use crate::home::HomeError;
use crate::platform::files::{PUBLIC, read_bounded, write_atomic};
use crate::platform::network::GaveWay;
use crate::platform::store::{self, StoreError};
use crate::server::{Credential, Endpoint, ServerError};

use super::agent::Agent;
use super::state::{ContactState, Enrollment, Progress};
use super::with_causes;

/// Why an enrollment failed. Nothing but the client key and the pinned root was kept then.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not there.
    #[error("there is no {what} at {path}; {hint}")]
    Missing {
        /// What it is.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// The setup file is not one.
    #[error("{path} is not a setup file; ask the administrator for one: `distributor clients setup NAME`")]
    NotSetup {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
    /// The root is not the one that the setup file names.
    #[error(
        "the root at {path} is {found}, and the setup file names {expected}; get root.json from the vendor's package, \
         and do not go on if it still differs"
    )]
    OtherRoot {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: Sha256Digest,
        /// The digest in the setup file.
        expected: Sha256Digest,
    },
    /// A pinned root is never replaced.
    #[error(
        "{path} pins another root already, and enrollment never replaces it; a new vendor needs a new home folder"
    )]
    RootPinned {
        /// The pinned root.
        path: PathBuf,
    },
    /// The client key.
    #[error("the client key cannot be made or read")]
    Key(#[from] KeyFileError),
    /// A new client key.
    #[error("the client key cannot be made")]
    NewKey(#[from] sealpost_keys::KeyError),
    /// No server.
    #[error("no server in the setup file let this computer enroll: {}", .0.join("; "))]
    AllFailed(Vec<String>),
    /// Something else came first.
    #[error(transparent)]
    GaveWay(#[from] GaveWay),
    /// The vendor's chain.
    #[error("the vendor's metadata does not verify: {0}")]
    Chain(Refusal),
    /// The server's answer.
    #[error("the answer of {server} is refused: {why}; nothing of it was kept")]
    Answer {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
    /// A request could not be made.
    #[error("the enrollment cannot be signed")]
    Sign(#[from] DocumentError),
    /// A record.
    #[error("the enrollment cannot be kept")]
    Store(#[from] StoreError),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// What enrollment led to.
#[derive(Debug)]
pub struct EnrolledAs {
    /// What is kept.
    pub enrollment: Enrollment,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Agent {
    /// Enrolls this computer.
    ///
    /// # Errors
    /// [`EnrollError`].
    pub fn enroll(&self, setup_path: &Path, root_path: Option<&Path>) -> Result<EnrolledAs, EnrollError> {
        self.home.prepare()?;
        let _lock = self.home.lock_cycle()?;
        let mut warnings = Vec::new();
        let setup = read_setup(setup_path, &mut warnings)?;
        let root = self.pin_root(&setup, root_path)?;
        let key = self.client_key()?;
        let mut failures = Vec::new();
        for server in &setup.servers {
            match self.enroll_with(server, &setup, &key, &root) {
                Ok(enrollment) => {
                    self.keep(&enrollment)?;
                    return Ok(EnrolledAs { enrollment, warnings });
                }
                // What a server answered wrongly is not covered up by asking the next one.
                Err(EnrollError::AllFailed(more)) => failures.extend(more),
                Err(error) => return Err(error),
            }
        }
        if failures.is_empty() {
            failures.push("it lists no server".to_owned());
        }
        Err(EnrollError::AllFailed(failures))
    }

    /// The client key: made at the first enrollment, and the same ever after.
    fn client_key(&self) -> Result<SigningKey, EnrollError> {
        let path = self.home.client_key();
        if !path.exists() {
            write_secret(&path, &SigningKey::generate()?, None)?;
        }
        Ok(read_secret(&path, &PassphraseSource::None)?)
    }

    fn pin_root(&self, setup: &SetupFile, given: Option<&Path>) -> Result<Vec<u8>, EnrollError> {
        let pinned_path = self.home.root();
        let pinned = read_file(&pinned_path, MAX_ROOT_BYTES)?;
        let given = match given {
            Some(path) => {
                let bytes = read_file(path, MAX_ROOT_BYTES)?.ok_or_else(|| EnrollError::Missing {
                    what: "root.json",
                    path: path.to_owned(),
                    hint: "it comes with the vendor's package",
                })?;
                Some((path.to_owned(), bytes))
            }
            None => None,
        };
        let (path, bytes) = match (pinned, given) {
            (Some(pinned), Some((_, given))) if pinned != given => {
                return Err(EnrollError::RootPinned { path: pinned_path });
            }
            (Some(pinned), _) => (pinned_path.clone(), pinned),
            (None, Some((path, given))) => (path, given),
            (None, None) => {
                return Err(EnrollError::Missing {
                    what: "root.json",
                    path: pinned_path,
                    hint: "name it with --root; it comes with the vendor's package",
                });
            }
        };
        let found = Sha256Digest::of(&bytes);
        if found != setup.root_sha256 {
            return Err(EnrollError::OtherRoot { path, found, expected: setup.root_sha256 });
        }
        if !pinned_path.exists() {
            write_atomic(&pinned_path, &bytes, PUBLIC)
                .map_err(|source| EnrollError::Write { path: pinned_path, source })?;
        }
        Ok(bytes)
    }

    fn enroll_with(
        &self,
        server: &SetupServer,
        setup: &SetupFile,
        key: &SigningKey,
        root: &[u8],
    ) -> Result<Enrollment, EnrollError> {
        let time_floor = self.progress()?.time_floor;
        let credential =
            Credential::EnrollmentCode(setup.computer_name.clone(), setup.enrollment_code.clone());
        let setup_failed = |error: ServerError| EnrollError::AllFailed(vec![with_causes(&error)]);
        let endpoints = Endpoint::of_server(server, time_floor, &Credential::None).map_err(setup_failed)?;
        // A client of its own for the metadata: it lives on another thread, and alone carries the code.
        let readers = Endpoint::of_server(server, time_floor, &credential).map_err(setup_failed)?;
        let body = request_body(setup, server, key)?;
        let mut failures = Vec::new();
        for (endpoint, reader) in endpoints.iter().zip(readers) {
            let answer: EnrollAnswer = match self.network.wait(endpoint.post("enroll", body.clone()))? {
                Ok(answer) => answer,
                Err(error) => {
                    failures.push(with_causes(&error));
                    if error.try_elsewhere() {
                        continue;
                    }
                    break;
                }
            };
            let origin = Origin { client: reader.client().clone(), base: base_of(&reader), token: None };
            let trust = self.read_trust(root, origin)?;
            return judge_answer(setup, server, &key.public(), &answer, trust)
                .map_err(|why| EnrollError::Answer { server: endpoint.address().to_owned(), why });
        }
        Err(EnrollError::AllFailed(failures))
    }

    fn read_trust(&self, root: &[u8], origin: Origin) -> Result<String, EnrollError> {
        let floor = self.progress()?.metadata_floor;
        // Before the first assignment nobody has signed how fresh the metadata is. The pinned server judges that; the
        // chain itself is checked all the same, and no install happens before an assignment names a time.
        let as_of = floor.unwrap_or(Timestamp::UNIX_EPOCH);
        let read = async {
            let chain = Chain::open(root.to_vec(), self.home.tuf(), origin, as_of).await?;
            chain.trust().await
        };
        self.network.wait(read)?.map(|(text, _)| text).map_err(EnrollError::Chain)
    }

    /// What the agent knew. Of a damaged record nothing is known any more, and enrolling is how a person begins anew;
    /// the trusted metadata and the packages' counters, which keep old releases out, have records of their own.
    fn progress(&self) -> Result<Progress, StoreError> {
        match Progress::load(&self.home) {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!("{}; beginning anew", with_causes(&error));
                Ok(Progress::default())
            }
            other => other,
        }
    }

    fn keep(&self, enrollment: &Enrollment) -> Result<(), EnrollError> {
        let before: Option<Enrollment> = store::load(&self.home.state("enrollment")).unwrap_or(None);
        self.progress()?.save(&self.home)?;
        if before.is_none_or(|before| before.client_id != enrollment.client_id) {
            // Sequences and nonces belong to a client id. What never goes back (time, metadata, counters) stays.
            let mut progress = self.progress()?;
            progress.lease_place = None;
            progress.assignment_place = None;
            progress.notices.clear();
            if progress.standing == Standing::LostContact {
                progress.standing = Standing::Licensed;
            }
            progress.save(&self.home)?;
            store::remove(&self.home.state("lease"))?;
            store::remove(&self.home.state("assignment"))?;
            ContactState::default().save(&self.home)?;
        }
        store::save(&self.home.state("enrollment"), enrollment, PUBLIC)?;
        Ok(())
    }
}

pub(super) fn base_of(endpoint: &Endpoint) -> String {
    endpoint.url("").trim_end_matches('/').to_owned()
}

fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, EnrollError> {
    read_bounded(path, limit).map_err(|source| EnrollError::Unreadable { path: path.to_owned(), source })
}

fn read_setup(path: &Path, warnings: &mut Vec<String>) -> Result<SetupFile, EnrollError> {
    let bytes = read_file(path, MAX_SETUP_BYTES)?.ok_or_else(|| EnrollError::Missing {
        what: "setup file",
        path: path.to_owned(),
        hint: "ask the administrator: `distributor clients setup NAME`",
    })?;
    let mode = fs::metadata(path).map(|found| found.permissions().mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        warnings.push(format!(
            "{} can be read by others (mode {:04o}) and holds a secret until it is used; chmod 600 it",
            path.display(),
            mode & 0o7777
        ));
    }
    document::read(&bytes).map_err(|source| EnrollError::NotSetup { path: path.to_owned(), source })
}

fn request_body(setup: &SetupFile, server: &SetupServer, key: &SigningKey) -> Result<String, EnrollError> {
    let enrollment = EnrollmentBody {
        computer_name: setup.computer_name.clone(),
        enrollment_code: setup.enrollment_code.clone(),
        client_key: key.public(),
        server_id: server.server_id.clone(),
        platform: Platform::current(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let enrollment = SignedDocument::sign(&enrollment, key)?;
    serde_json::to_string(&EnrollRequest { client_key: key.public(), enrollment })
        .map_err(|source| DocumentError::Malformed { document: "enrollment", source }.into())
}

/// The vendor's word first, then the site's.
fn judge_answer(
    setup: &SetupFile,
    server: &SetupServer,
    client_key: &PublicKey,
    answer: &EnrollAnswer,
    trust: String,
) -> Result<Enrollment, String> {
    let trust_document: sealpost_manifests::trust::TrustDocument =
        document::read(trust.as_bytes()).map_err(|error| with_causes(&error))?;
    let grant = answer
        .grant
        .verify::<Grant>(&trust_document.license_keys())
        .map_err(|error| format!("its grant is not by the vendor: {}", with_causes(&error)))?;
    if grant.server_id != server.server_id {
        return Err(format!(
            "its grant is for the server {}, the setup file pins {}",
            grant.server_id, server.server_id
        ));
    }
    if grant.site_key != server.site_key {
        return Err("its grant names another site key than the setup file pins".to_owned());
    }
    let enrolled = answer
        .enrolled
        .verify::<Enrolled>(std::slice::from_ref(&grant.site_key))
        .map_err(|error| with_causes(&error))?;
    let is_mine = enrolled.client_key == *client_key
        && enrolled.computer_name == setup.computer_name
        && enrolled.server_id == server.server_id;
    if !is_mine {
        return Err("it enrolls another computer".to_owned());
    }
    let servers =
        setup.servers.iter().filter(|other| same_server(other, &server.server_id)).cloned().collect();
    Ok(Enrollment {
        computer_name: setup.computer_name.clone(),
        client_key: client_key.clone(),
        client_id: enrolled.client_id.clone(),
        server_id: server.server_id.clone(),
        servers,
        root_sha256: setup.root_sha256,
        trust,
        grant: answer.grant.clone(),
    })
}

/// Other servers' licenses are their own; a computer is enrolled with one.
fn same_server(server: &SetupServer, id: &ServerId) -> bool {
    server.server_id == *id
}

#[cfg(test)]
mod tests;
