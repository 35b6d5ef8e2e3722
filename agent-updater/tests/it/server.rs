//! A simulated Primary Server, which can lie. How it loses answers and breaks connections is the web server's business.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use sealpost_agent_updater::server::pin::spki_sha256;
use sealpost_deltas::{MakeSettings, Progress, make_file};
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, Nonce, ServerId};
use sealpost_manifests::lease::{Entitlement, Lease};
use sealpost_manifests::order::{Epoch, Signer};
use sealpost_manifests::wire::MAX_REQUEST_BYTES;
use sealpost_manifests::wire::coding::{self, GZIP};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest, Evidence, WaitsFor};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::refresh::{DeltaWay, FilePatch, NewMetadata, RefreshAnswer, RefreshRequest};
use sealpost_manifests::wire::report::Report;
use sealpost_test_support::certificates::loopback_server;
use sealpost_test_support::license::serial;
use sealpost_test_support::web::{Reply, Request, Web, file};

use crate::log::Log;

/// What the server knows and has received.
pub(crate) struct SimulatedServer {
    pub(crate) site_key: SigningKey,
    pub(crate) server_id: ServerId,
    pub(crate) client_id: ClientId,
    /// The grants that it sends, those that the client holds too.
    pub(crate) grants: Vec<SignedDocument>,
    pub(crate) client_key: Option<PublicKey>,
    pub(crate) acknowledge: Option<u64>,
    pub(crate) notice: Option<String>,
    pub(crate) waits: Vec<WaitsFor>,
    /// Answers without lease and assignment, as a server does that has no seat or no license.
    pub(crate) withholds: bool,
    pub(crate) receipt: Option<String>,
    pub(crate) token: String,
    pub(crate) token_valid_secs: u32,
    pub(crate) log: Log,
    /// How far its clock is ahead.
    pub(crate) ahead: SignedDuration,
    /// Refuses contacts without evidence with this code.
    pub(crate) wants_evidence: Option<ProblemCode>,
    /// The ways that it tells whoever asks for some.
    pub(crate) ways: Vec<DeltaWay>,
    /// What is answered when a delta is asked for.
    pub(crate) delta: Option<Vec<u8>>,
    pub(crate) assigned: Vec<PackageAssignment>,
    pub(crate) metadata_as_of: Timestamp,
    pub(crate) epoch: Epoch,
    pub(crate) sequence: u64,
    pub(crate) change_lease: fn(&mut Lease),
    pub(crate) change_assignment: fn(&mut Assignment),
    /// Refuses a contact that does not follow the last one, as a Primary Server does.
    pub(crate) is_strict: bool,
    last: Option<Nonce>,
    /// The id that this computer gets when it shows that it is the one of two copies which was kept; until then its contacts
    /// are refused, and from then on those of the old id.
    pub(crate) keeps: Option<ClientId>,
    /// Whether it takes and sends packed bodies, and says at once what is newer, as servers of now do.
    pub(crate) is_new: bool,
    /// Of a server that does: how it answers what is newer.
    pub(crate) answer_newer: fn(RefreshAnswer) -> Reply,
    /// The codings of the contacts that came.
    pub(crate) codings: Vec<Option<String>>,
    /// The requests for what is newer.
    pub(crate) refreshes: Vec<RefreshRequest>,
    /// Whether it sends metadata as patches, and what becomes of each on the way.
    pub(crate) patches: Option<fn(Vec<u8>) -> Vec<u8>>,
    /// Deltas by the path after `deltas/`.
    pub(crate) deltas: BTreeMap<String, Vec<u8>>,
    /// What the wake stream says before it ends.
    pub(crate) wake: Option<Vec<u8>>,
    /// Sent with every answer.
    pub(crate) server_list: Option<SignedDocument>,
    pub(crate) enrollments: Vec<String>,
    pub(crate) contacts: Vec<String>,
    pub(crate) reports: Vec<Report>,
    pub(crate) repository: PathBuf,
    answered: Option<(String, Vec<u8>)>,
}

impl SimulatedServer {
    pub(crate) fn new(site_key: SigningKey, grant: SignedDocument, repository: PathBuf) -> Self {
        let server_id = ServerId::of_site_key(&site_key.public());
        Self {
            log: Log::new(&server_id, &site_key),
            site_key,
            server_id,
            client_id: ClientId::from_random([8; 16]),
            grants: vec![grant],
            client_key: None,
            acknowledge: None,
            notice: None,
            waits: Vec::new(),
            withholds: false,
            receipt: None,
            token: "token-of-the-test".to_owned(),
            token_valid_secs: 900,
            ahead: SignedDuration::ZERO,
            wants_evidence: None,
            ways: Vec::new(),
            delta: None,
            assigned: Vec::new(),
            metadata_as_of: Timestamp::now(),
            epoch: Epoch::of(1, 0),
            sequence: 0,
            change_lease: |_| (),
            change_assignment: |_| (),
            is_strict: false,
            last: None,
            keeps: None,
            is_new: false,
            answer_newer: packed,
            codings: Vec::new(),
            refreshes: Vec::new(),
            patches: None,
            deltas: BTreeMap::new(),
            wake: None,
            server_list: None,
            enrollments: Vec::new(),
            contacts: Vec::new(),
            reports: Vec::new(),
            repository,
            answered: None,
        }
    }

    /// What its clock shows.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now() + self.ahead
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let path = request.path.trim_start_matches("/agent/v1/");
        if path == "contact" {
            self.codings.push(request.coding.clone());
        }
        let bytes = match request.coding.as_deref() {
            Some(_) if !self.is_new => return Reply::with_status(415, Vec::new()),
            Some(GZIP) => coding::unpack(&request.body, MAX_REQUEST_BYTES).unwrap(),
            coding => {
                assert_eq!(coding, None);
                request.body.to_vec()
            }
        };
        let body = || String::from_utf8(bytes.clone()).unwrap();
        match (path, &self.delta) {
            ("tuf/refresh", _) if self.is_new => {
                let asked: RefreshRequest = serde_json::from_slice(&bytes).unwrap();
                self.refreshes.push(asked.clone());
                (self.answer_newer)(self.newer(&asked))
            }
            ("contact", _) if self.is_new => self.contact(body()).saying("accept-encoding", GZIP),
            ("enroll", _) => self.enroll(body()),
            ("contact", _) => self.contact(body()),
            ("wake", _) if self.wake.is_some() => Reply::content(self.wake.clone().unwrap_or_default()),
            ("/healthz", _) => Reply::content(Vec::new()),
            (delta, _) if self.deltas.contains_key(delta.trim_start_matches("deltas/")) => {
                Reply::content(self.deltas[delta.trim_start_matches("deltas/")].clone())
            }
            (delta, Some(bytes)) if delta.starts_with("deltas/") => Reply::content(bytes.clone()),
            (target, _) => file(&self.repository.join(target.trim_start_matches("tuf/"))),
        }
    }

    /// What is newer, as a Primary Server says it.
    fn newer(&self, asked: &RefreshRequest) -> RefreshAnswer {
        let files = |folder: &str| {
            let entries =
                std::fs::read_dir(self.repository.join(folder)).unwrap().map(|entry| entry.unwrap());
            let read = |path: PathBuf| String::from_utf8(std::fs::read(path).unwrap()).ok();
            let named = entries.filter_map(move |entry| {
                Some((entry.file_name().into_string().unwrap(), read(entry.path())?))
            });
            named.collect::<BTreeMap<String, String>>()
        };
        let metadata = files("metadata");
        let version = |text: &str| {
            let text: serde_json::Value = serde_json::from_str(text).unwrap();
            text["signed"]["version"].as_u64().unwrap()
        };
        let new = asked.metadata.as_ref().map(|held| {
            let timestamp = version(&metadata["timestamp.json"]);
            let number = |version: &str| version.parse::<u64>().unwrap();
            let newest = |role: &str| {
                let others = metadata.keys().filter_map(|name| name.split_once('.'));
                others.filter(|(_, other)| *other == role).map(|(version, _)| number(version)).max()
            };
            let is_new = |name: &str| match name.split_once('.').unwrap() {
                (_, "root.json") => false,
                ("timestamp", _) => held.timestamp != Some(timestamp),
                (version, role) => {
                    let (version, held) = (number(version), held.roles.get(role.trim_end_matches(".json")));
                    newest(role) == Some(version) && held != Some(&version)
                }
            };
            let files = metadata.iter().filter(|(name, _)| is_new(name));
            let mut files: BTreeMap<String, String> =
                files.map(|(name, text)| (name.clone(), text.clone())).collect();
            let mut patches = BTreeMap::new();
            for (role, from) in held.roles.iter().filter(|_| self.patches.is_some()) {
                let of_role = |name: &&String| name.split_once('.').unwrap().1 == format!("{role}.json");
                let Some(name) = files.keys().find(of_role).cloned() else { continue };
                let base = metadata[&format!("{from}.{role}.json")].as_bytes();
                let (mut delta, settings) = (Vec::new(), MakeSettings::default());
                let target = files.remove(&name).unwrap();
                make_file(&base, &target.as_bytes(), &mut delta, &settings, &mut |_: Progress| true).unwrap();
                let delta = BASE64.encode(&self.patches.unwrap()(delta));
                patches.insert(name, FilePatch { from: *from, delta });
            }
            NewMetadata { root: 1, timestamp, files, patches }
        });
        let mut documents = files("targets");
        documents.retain(|file, text| {
            let wanted = asked.documents.iter().any(|name| file.ends_with(&format!(".{name}")));
            wanted && !asked.held.contains(&Sha256Digest::of(text.as_bytes()))
        });
        let is_asked = |way: &&DeltaWay| {
            let last = way.hops.last().map(|hop| hop.to);
            asked.container.is_some() && asked.routes.iter().any(|route| Some(route.to) == last)
        };
        let ways = self.ways.iter().filter(is_asked).cloned().collect();
        RefreshAnswer { metadata: new, documents, ways }
    }

    fn enroll(&mut self, body: String) -> Reply {
        let request: EnrollRequest = serde_json::from_str(&body).unwrap();
        let enrollment = request.enrollment.verify::<Enrollment>(std::slice::from_ref(&request.client_key));
        let enrollment = enrollment.unwrap();
        if let Some(branch) = &request.branch
            && self.client_key.as_ref() != Some(&request.client_key)
        {
            // As a Primary Server does: with the key that the client has now.
            let Ok(shown) = branch.verify::<Contact>(&[self.client_key.clone().unwrap()]) else {
                return refused(ProblemCode::BadSignature);
            };
            assert_eq!((shown.new_key.as_ref(), request.proof), (Some(&request.client_key), None));
            assert_eq!((&shown.client_id, shown.previous.as_ref()), (&self.client_id, self.last.as_ref()));
            let Some(client_id) = self.keeps.take() else { return refused(ProblemCode::CopyGivenUp) };
            (self.client_id, self.last) = (client_id, None);
        }
        self.client_key = Some(enrollment.client_key.clone());
        self.enrollments.push(body);
        let enrolled = Enrolled {
            client_id: self.client_id.clone(),
            client_key: enrollment.client_key.clone(),
            computer_name: enrollment.computer_name.clone(),
            server_id: self.server_id.clone(),
            enrolled_at: self.now(),
        };
        let answer = EnrollAnswer {
            enrolled: SignedDocument::sign(&enrolled, &self.site_key).unwrap(),
            grants: self.grants.clone(),
            log_key: self.log.certificate.clone(),
            access_token: self.token.clone(),
        };
        Reply::content(serde_json::to_vec(&answer).unwrap())
    }

    /// What it answers to a contact that came as a file.
    pub(crate) fn by_file(&mut self, body: String) -> ContactAnswer {
        drop(self.contact(body));
        serde_json::from_slice(&self.answered.as_ref().unwrap().1).unwrap()
    }

    fn contact(&mut self, body: String) -> Reply {
        self.contacts.push(body.clone());
        if let Some((asked, answer)) = &self.answered
            && *asked == body
        {
            return Reply::content(answer.clone());
        }
        let request: ContactRequest = serde_json::from_str(&body).unwrap();
        if self.keeps.is_some() {
            return refused(ProblemCode::CopyKept);
        }
        if request.client_id != self.client_id {
            return refused(ProblemCode::CopyGivenUp);
        }
        let client_key = self.client_key.clone().unwrap();
        let contact = request.contact.verify::<Contact>(std::slice::from_ref(&client_key)).unwrap();
        match (self.wants_evidence, &request.evidence) {
            (Some(code), None) => return refused(code),
            (Some(_), Some(evidence)) => self.check(evidence),
            (None, _) => {}
        }
        if self.is_strict && self.last != contact.previous {
            return refused(ProblemCode::NonceUnknown);
        }
        self.last = Some(contact.next.clone());
        self.reports.extend(contact.reports.iter().cloned());
        self.sequence += 1;
        self.log.append(&format!("contact {}", self.sequence));
        let lease = self.lease(client_key);
        let assignment = self.assignment();
        let answer = ContactAnswer {
            grants: self.grants.clone(),
            checkpoint: self.log.checkpoint(),
            consistency: self.log.proof(contact.held_head.as_ref()),
            lease: (!self.withholds).then(|| SignedDocument::sign(&lease, &self.site_key).unwrap()),
            assignment: (!self.withholds).then(|| SignedDocument::sign(&assignment, &self.site_key).unwrap()),
            server_list: self.server_list.clone(),
            receipt: self.receipt.clone(),
            access_token: self.token.clone(),
            token_valid_secs: self.token_valid_secs,
            acknowledged_report: self
                .acknowledge
                .unwrap_or_else(|| contact.reports.iter().map(|report| report.id).max().unwrap_or(0)),
            notice: self.notice.clone(),
            waits: self.waits.clone(),
        };
        let answer = serde_json::to_vec(&answer).unwrap();
        self.answered = Some((body, answer.clone()));
        Reply::content(answer)
    }

    fn lease(&self, client_key: PublicKey) -> Lease {
        let grant = self.grants.last().unwrap();
        let mut lease = Lease {
            client_id: self.client_id.clone(),
            client_key,
            computer_name: ComputerName::new("pc-1").unwrap(),
            channel: ChannelName::new("stable").unwrap(),
            server_id: self.server_id.clone(),
            signer: Signer::SiteKey,
            epoch: self.epoch,
            sequence: self.sequence,
            issued_at: self.now(),
            entitlements: vec![Entitlement {
                serial: serial(),
                model: LicenseModel::Named,
                packages: Vec::new(),
                grant: grant.digest(),
                not_after: self.now() + SignedDuration::from_hours(24 * 30),
            }],
            ledger_head: self.log.head(),
        };
        (self.change_lease)(&mut lease);
        lease
    }

    fn assignment(&self) -> Assignment {
        let mut assignment = Assignment {
            client_id: self.client_id.clone(),
            server_id: self.server_id.clone(),
            signer: Signer::SiteKey,
            epoch: self.epoch,
            sequence: self.sequence,
            issued_at: self.now(),
            expires_at: self.now() + SignedDuration::from_hours(24 * 30),
            metadata_as_of: self.metadata_as_of,
            packages: self.assigned.clone(),
        };
        (self.change_assignment)(&mut assignment);
        assignment
    }

    /// Evidence is what this server signed.
    fn check(&self, evidence: &Evidence) {
        let site_key = [self.site_key.public()];
        let lease = evidence.lease.verify::<Lease>(&site_key).unwrap();
        assert_eq!(lease.client_id, self.client_id);
        if let Some(assignment) = &evidence.assignment {
            assert_eq!(assignment.verify::<Assignment>(&site_key).unwrap().client_id, self.client_id);
        }
    }

    /// Issues a new setup file: whoever enrolls with it is a new client of the same name.
    pub(crate) fn replace_client(&mut self) {
        self.client_id = ClientId::from_random([77; 16]);
        self.last = None;
    }

    /// Replaces the grants by one that is changed, and of the next generation.
    pub(crate) fn renew_grant(&mut self, license_key: &SigningKey, change: impl FnOnce(&mut Grant)) {
        let held = self.grants.last().unwrap();
        let mut grant = held.verify::<Grant>(&[license_key.public()]).unwrap().into_inner();
        grant.generation += 1;
        change(&mut grant);
        self.grants = vec![SignedDocument::sign(&grant, license_key).unwrap()];
    }
}

/// An answer as a Primary Server packs it.
pub(crate) fn packed<T: serde::Serialize>(answer: T) -> Reply {
    let plain = serde_json::to_vec(&answer).unwrap();
    match coding::pack(&plain) {
        Some(packed) => Reply::content(packed).saying("content-encoding", GZIP),
        None => Reply::content(plain),
    }
}

/// A refusal with this code.
pub(crate) fn refused(code: ProblemCode) -> Reply {
    let problem = Problem::new(code, "refused by the test", "ask the test");
    Reply::with_status(409, serde_json::to_vec(&problem).unwrap())
}

/// Serves under the certificate of a new site CA, and says how that CA is pinned.
pub(crate) async fn serve(server: &Arc<Mutex<SimulatedServer>>) -> (Web, Sha256Digest) {
    let (tls, ca) = loopback_server();
    let pin = spki_sha256(&ca).unwrap();
    let server = Arc::clone(server);
    let web = Web::start_tls(tls, move |request| server.lock().unwrap().answer(request)).await;
    (web, pin)
}
