//! A simulated Primary Server, which can lie. How it loses answers and breaks connections is the web server's business.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use sealpost_agent_updater::server::pin::spki_sha256;
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::lease::{Lease, LedgerHead};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment};
use sealpost_manifests::wire::report::Report;
use sealpost_test_support::certificates::loopback_server;
use sealpost_test_support::web::{Reply, Request, Web, file};

/// What the server knows and has received.
pub(crate) struct SimulatedServer {
    pub(crate) site_key: SigningKey,
    pub(crate) server_id: ServerId,
    pub(crate) client_id: ClientId,
    pub(crate) grant: SignedDocument,
    pub(crate) client_key: Option<PublicKey>,
    pub(crate) acknowledge: Option<u64>,
    pub(crate) notice: Option<String>,
    /// What is answered when a delta is asked for.
    pub(crate) delta: Option<Vec<u8>>,
    pub(crate) assigned: Vec<PackageAssignment>,
    pub(crate) metadata_as_of: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) change_lease: fn(&mut Lease),
    pub(crate) change_assignment: fn(&mut Assignment),
    pub(crate) enrollments: Vec<String>,
    pub(crate) contacts: Vec<String>,
    pub(crate) reports: Vec<Report>,
    pub(crate) repository: PathBuf,
    answered: Option<(String, Vec<u8>)>,
}

impl SimulatedServer {
    pub(crate) fn new(
        site_key: SigningKey,
        server_id: ServerId,
        grant: SignedDocument,
        repository: PathBuf,
    ) -> Self {
        Self {
            site_key,
            server_id,
            client_id: ClientId::from_random([8; 16]),
            grant,
            client_key: None,
            acknowledge: None,
            notice: None,
            delta: None,
            assigned: Vec::new(),
            metadata_as_of: Timestamp::now(),
            sequence: 0,
            change_lease: |_| (),
            change_assignment: |_| (),
            enrollments: Vec::new(),
            contacts: Vec::new(),
            reports: Vec::new(),
            repository,
            answered: None,
        }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let path = request.path.trim_start_matches("/agent/v1/");
        let body = || String::from_utf8(request.body.to_vec()).unwrap();
        match (path, &self.delta) {
            ("enroll", _) => self.enroll(body()),
            ("contact", _) => self.contact(body()),
            (delta, Some(bytes)) if delta.starts_with("deltas/") => Reply::content(bytes.clone()),
            (target, _) => file(&self.repository.join(target.trim_start_matches("tuf/"))),
        }
    }

    fn enroll(&mut self, body: String) -> Reply {
        let request: EnrollRequest = serde_json::from_str(&body).unwrap();
        let enrollment = request.enrollment.verify::<Enrollment>(&[request.client_key]).unwrap();
        self.client_key = Some(enrollment.client_key.clone());
        self.enrollments.push(body);
        let enrolled = Enrolled {
            client_id: self.client_id.clone(),
            client_key: enrollment.client_key.clone(),
            computer_name: enrollment.computer_name.clone(),
            server_id: self.server_id.clone(),
            enrolled_at: Timestamp::now(),
        };
        let enrolled = SignedDocument::sign(&enrolled, &self.site_key).unwrap();
        let answer = EnrollAnswer { enrolled, grant: self.grant.clone() };
        Reply::content(serde_json::to_vec(&answer).unwrap())
    }

    fn contact(&mut self, body: String) -> Reply {
        self.contacts.push(body.clone());
        if let Some((asked, answer)) = &self.answered
            && *asked == body
        {
            return Reply::content(answer.clone());
        }
        let request: ContactRequest = serde_json::from_str(&body).unwrap();
        let client_key = self.client_key.clone().unwrap();
        let contact = request.contact.verify::<Contact>(std::slice::from_ref(&client_key)).unwrap();
        self.reports.extend(contact.reports.iter().cloned());
        self.sequence += 1;
        let mut lease = Lease {
            client_id: self.client_id.clone(),
            client_key,
            computer_name: ComputerName::new("pc-1").unwrap(),
            server_id: self.server_id.clone(),
            epoch: 1,
            sequence: self.sequence,
            issued_at: Timestamp::now(),
            not_after: Timestamp::now() + SignedDuration::from_hours(24 * 30),
            model: LicenseModel::Named,
            packages: Vec::new(),
            grant: self.grant.digest(),
            ledger_head: LedgerHead { sequence: 1, hash: Sha256Digest::of(b"head") },
        };
        (self.change_lease)(&mut lease);
        let mut assignment = Assignment {
            client_id: self.client_id.clone(),
            server_id: self.server_id.clone(),
            epoch: 1,
            sequence: self.sequence,
            issued_at: Timestamp::now(),
            expires_at: Timestamp::now() + SignedDuration::from_hours(24 * 30),
            metadata_as_of: self.metadata_as_of,
            packages: self.assigned.clone(),
        };
        (self.change_assignment)(&mut assignment);
        let answer = ContactAnswer {
            lease: Some(SignedDocument::sign(&lease, &self.site_key).unwrap()),
            assignment: Some(SignedDocument::sign(&assignment, &self.site_key).unwrap()),
            grant: None,
            access_token: "token-of-the-test".to_owned(),
            token_valid_secs: 900,
            acknowledged_report: self
                .acknowledge
                .unwrap_or_else(|| contact.reports.iter().map(|report| report.id).max().unwrap_or(0)),
            notice: self.notice.clone(),
        };
        let answer = serde_json::to_vec(&answer).unwrap();
        self.answered = Some((body, answer.clone()));
        Reply::content(answer)
    }
}

/// Serves under the certificate of a new site CA, and says how that CA is pinned.
pub(crate) async fn serve(server: &Arc<Mutex<SimulatedServer>>) -> (Web, Sha256Digest) {
    let (tls, ca) = loopback_server();
    let pin = spki_sha256(&ca).unwrap();
    let server = Arc::clone(server);
    let web = Web::start_tls(tls, move |request| server.lock().unwrap().answer(request)).await;
    (web, pin)
}
