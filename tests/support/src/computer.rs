//! A computer as a Primary Server sees it: a key, a setup file, signed requests, and what it remembers of the answers.
//!
//! Left out on purpose: how a request is sent.

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ClientId, Nonce, Platform, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::setup::SetupFile;
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment};

/// The version that the computer says its agent has.
const AGENT_VERSION: &str = "0.1.0";

/// A computer with a setup file.
#[derive(Debug)]
pub struct Computer {
    /// The key that it makes itself and signs with.
    pub key: SigningKey,
    /// The setup file that an admin carried to it.
    pub setup: SetupFile,
    /// Its id, once it has enrolled.
    pub client_id: Option<ClientId>,
    /// The nonce of the last answered contact.
    pub previous: Option<Nonce>,
    /// The access token of the last answer; empty before.
    pub token: String,
}

impl Computer {
    /// A computer that has a new key, and has not enrolled.
    #[must_use]
    pub fn new(setup: SetupFile) -> Self {
        let key = SigningKey::generate().unwrap();
        Self { key, setup, client_id: None, previous: None, token: String::new() }
    }

    /// The server that it talks to.
    #[must_use]
    pub fn server_id(&self) -> ServerId {
        self.setup.servers[0].server_id.clone()
    }

    fn site_key(&self) -> PublicKey {
        self.setup.servers[0].site_key.clone()
    }

    /// What it says of itself when it enrolls.
    #[must_use]
    pub fn enrollment(&self) -> Enrollment {
        Enrollment {
            computer_name: self.setup.computer_name.clone(),
            enrollment_code: self.setup.enrollment_code.clone(),
            client_key: self.key.public(),
            server_id: self.server_id(),
            platform: Platform::current(),
            agent_version: AGENT_VERSION.to_owned(),
        }
    }

    /// An enrollment as it is sent, signed by this computer.
    #[must_use]
    pub fn enroll_request(&self, enrollment: &Enrollment) -> EnrollRequest {
        EnrollRequest {
            client_key: self.key.public(),
            enrollment: SignedDocument::sign(enrollment, &self.key).unwrap(),
        }
    }

    /// Takes the answer to its enrollment, which must be signed by the site and name its key.
    pub fn take_enrolled(&mut self, answer: &EnrollAnswer) {
        let enrolled = answer.enrolled.verify::<Enrolled>(&[self.site_key()]).unwrap();
        assert_eq!(enrolled.client_key, self.key.public());
        self.client_id = Some(enrolled.client_id.clone());
    }

    /// A contact that follows the last answered one and reports nothing.
    #[must_use]
    pub fn next_contact(&self) -> Contact {
        Contact {
            client_id: self.client_id.clone().unwrap(),
            server_id: self.server_id(),
            previous: self.previous.clone(),
            next: Nonce::generate().unwrap(),
            sent_at: Timestamp::now(),
            agent_version: AGENT_VERSION.to_owned(),
            platform: Platform::current(),
            lease: None,
            assignment: None,
            grant: None,
            packages: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// A contact as it is sent, signed by this computer.
    #[must_use]
    pub fn contact_request(&self, contact: &Contact) -> ContactRequest {
        ContactRequest {
            client_id: contact.client_id.clone(),
            contact: SignedDocument::sign(contact, &self.key).unwrap(),
        }
    }

    /// Takes the answer to a contact: the next one follows it.
    pub fn take_answer(&mut self, contact: &Contact, answer: &ContactAnswer) {
        self.previous = Some(contact.next.clone());
        self.token.clone_from(&answer.access_token);
    }

    /// The lease of an answer, which must be signed by the site.
    #[must_use]
    pub fn lease(&self, answer: &ContactAnswer) -> Lease {
        answer.lease.as_ref().unwrap().verify::<Lease>(&[self.site_key()]).unwrap().into_inner()
    }

    /// The assignment of an answer, which must be signed by the site.
    #[must_use]
    pub fn assignment(&self, answer: &ContactAnswer) -> Assignment {
        answer.assignment.as_ref().unwrap().verify::<Assignment>(&[self.site_key()]).unwrap().into_inner()
    }
}
