//! A computer as a Primary Server sees it: keys, a setup file, signed requests, and what it remembers of the answers.
//!
//! It keeps what an agent keeps: the newest lease and assignment with their exact text, the receipt, the witnessed head.
//! So it can also be copied, and show what it holds to a server that lost it. Left out on purpose: how a request is sent.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SealingKey, SigningKey};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{Document, SignedDocument};
use sealpost_manifests::ids::{ClientId, EnrollmentCode, Nonce, Platform, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{HighestOrders, Order, Ordered};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::{SetupFile, SetupServer};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest, Evidence};
use sealpost_manifests::wire::enroll::{self, EnrollAnswer, EnrollRequest, Enrolled, Enrollment};
use sealpost_manifests::word::Word;

/// The version that the computer says its agent has.
const AGENT_VERSION: &str = "0.1.0";

/// A document that the server signed, with its exact text.
#[derive(Debug, Clone)]
pub struct Held<T> {
    /// What it says.
    pub document: T,
    /// As it came.
    pub signed: SignedDocument,
}

/// A computer with a setup file.
#[derive(Debug)]
pub struct Computer {
    /// The key that it makes itself and signs with.
    pub key: SigningKey,
    /// The key to which the server seals what it sends by file.
    pub sealing_key: SealingKey,
    /// The setup file that an admin carried to it.
    pub setup: SetupFile,
    /// Its id, once it has enrolled.
    pub client_id: Option<ClientId>,
    /// What it remembers of the answers; a copy of its disk is a copy of this.
    pub holds: Holdings,
}

/// What a computer remembers of the answers.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// The nonce of the last answered contact.
    pub previous: Option<Nonce>,
    /// The receipt of the last answered contact.
    pub receipt: Option<String>,
    /// The access token of the last answer; empty before.
    pub token: String,
    /// Digests of the grants that it holds.
    pub grants: BTreeSet<Sha256Digest>,
    /// The newest lease.
    pub lease: Option<Held<Lease>>,
    /// The newest assignment.
    pub assignment: Option<Held<Assignment>>,
    /// The head of the server's log that it witnesses.
    pub head: Option<LogHead>,
    /// The newest server list that it learned.
    pub server_list: Option<Held<ServerList>>,
}

impl Holdings {
    /// The highest order that it holds of each type of document.
    fn highest(&self) -> HighestOrders {
        let mut highest = HighestOrders::new();
        let mut holds = |kind: &str, order: Order| highest.insert(Word::new(kind).unwrap(), order);
        if let Some(lease) = &self.lease {
            holds(Lease::TYPE, lease.document.order());
        }
        if let Some(assignment) = &self.assignment {
            holds(Assignment::TYPE, assignment.document.order());
        }
        if let Some(list) = &self.server_list {
            holds(ServerList::TYPE, list.document.order());
        }
        highest
    }
}

impl Computer {
    /// A computer that has new keys, and has not enrolled.
    #[must_use]
    pub fn new(setup: SetupFile) -> Self {
        Self {
            key: SigningKey::generate().unwrap(),
            sealing_key: SealingKey::generate().unwrap(),
            setup,
            client_id: None,
            holds: Holdings::default(),
        }
    }

    fn server(&self) -> &SetupServer {
        &self.setup.servers[0]
    }

    /// The server that it talks to.
    #[must_use]
    pub fn server_id(&self) -> ServerId {
        self.server().server.server_id.clone()
    }

    fn site_key(&self) -> PublicKey {
        self.server().server.site_key.clone()
    }

    /// The code in its setup file.
    #[must_use]
    pub fn code(&self) -> EnrollmentCode {
        self.server().enrollment_code.clone().unwrap()
    }

    /// What it says of itself when it enrolls.
    #[must_use]
    pub fn enrollment(&self) -> Enrollment {
        Enrollment {
            computer_name: self.setup.reserved_name().unwrap().clone(),
            client_key: self.key.public(),
            sealing_key: self.sealing_key.public(),
            server_id: self.server_id(),
            platform: Platform::current(),
            agent_version: AGENT_VERSION.to_owned(),
        }
    }

    /// An enrollment as it is sent: signed by this computer, with the proof that it knows its code, if it has one.
    #[must_use]
    pub fn enroll_request(&self, enrollment: &Enrollment) -> EnrollRequest {
        self.enroll_request_with(enrollment, self.server().enrollment_code.as_ref())
    }

    /// An enrollment that proves another code, or none.
    #[must_use]
    pub fn enroll_request_with(
        &self,
        enrollment: &Enrollment,
        code: Option<&EnrollmentCode>,
    ) -> EnrollRequest {
        let enrollment = SignedDocument::sign(enrollment, &self.key).unwrap();
        let proof = code.map(|code| enroll::proof(code, &enrollment.document));
        EnrollRequest { client_key: self.key.public(), enrollment, proof, branch: None }
    }

    /// Takes the answer to its enrollment, which must be signed by the site and name its key. What it held before is
    /// another client's.
    pub fn take_enrolled(&mut self, answer: &EnrollAnswer) {
        let enrolled = answer.enrolled.verify::<Enrolled>(&[self.site_key()]).unwrap();
        assert_eq!(enrolled.client_key, self.key.public());
        self.client_id = Some(enrolled.client_id.clone());
        self.holds = Holdings {
            token: answer.access_token.clone(),
            grants: answer.grants.iter().map(SignedDocument::digest).collect(),
            ..Holdings::default()
        };
    }

    /// A contact that follows the last answered one and reports nothing.
    #[must_use]
    pub fn next_contact(&self) -> Contact {
        Contact {
            client_id: self.client_id.clone().unwrap(),
            server_id: self.server_id(),
            previous: self.holds.previous.clone(),
            next: Nonce::generate().unwrap(),
            receipt: self.holds.receipt.clone(),
            sent_at: Timestamp::now(),
            agent_version: AGENT_VERSION.to_owned(),
            platform: Platform::current(),
            highest: self.holds.highest(),
            held_head: self.holds.head,
            forked_head: None,
            grants: self.holds.grants.iter().copied().collect(),
            instance: None,
            hostname: None,
            packages: Vec::new(),
            reports: Vec::new(),
            drift: Vec::new(),
            tags: Vec::new(),
            postponed: Vec::new(),
            new_key: None,
        }
    }

    /// A contact as it is sent, signed by this computer.
    #[must_use]
    pub fn contact_request(&self, contact: &Contact) -> ContactRequest {
        ContactRequest {
            client_id: contact.client_id.clone(),
            contact: SignedDocument::sign(contact, &self.key).unwrap(),
            evidence: None,
        }
    }

    /// The same contact with what the server signed for this computer, which must have a lease.
    #[must_use]
    pub fn contact_request_with_evidence(&self, contact: &Contact) -> ContactRequest {
        let evidence = Evidence {
            lease: self.holds.lease.as_ref().unwrap().signed.clone(),
            assignment: self.holds.assignment.as_ref().map(|held| held.signed.clone()),
            witness: None,
        };
        ContactRequest { evidence: Some(evidence), ..self.contact_request(contact) }
    }

    /// Takes the answer to a contact: the next one follows it.
    pub fn take_answer(&mut self, contact: &Contact, answer: &ContactAnswer) {
        let lease = answer.lease.as_ref().map(|signed| self.held::<Lease>(signed));
        let assignment = answer.assignment.as_ref().map(|signed| self.held::<Assignment>(signed));
        let server_list = answer.server_list.as_ref().map(|signed| self.held::<ServerList>(signed));
        let holds = &mut self.holds;
        holds.previous = Some(contact.next.clone());
        holds.receipt.clone_from(&answer.receipt);
        holds.token.clone_from(&answer.access_token);
        holds.grants.extend(answer.grants.iter().map(SignedDocument::digest));
        if let Some(lease) = lease {
            holds.head = Some(lease.document.ledger_head);
            holds.lease = Some(lease);
        }
        holds.assignment = assignment.or_else(|| holds.assignment.take());
        holds.server_list = server_list.or_else(|| holds.server_list.take());
    }

    /// The lease of an answer, which must be signed by the site.
    #[must_use]
    pub fn lease(&self, answer: &ContactAnswer) -> Lease {
        self.held(answer.lease.as_ref().unwrap()).document
    }

    /// The assignment of an answer, which must be signed by the site.
    #[must_use]
    pub fn assignment(&self, answer: &ContactAnswer) -> Assignment {
        self.held(answer.assignment.as_ref().unwrap()).document
    }

    fn held<T: Document>(&self, signed: &SignedDocument) -> Held<T> {
        let document = signed.verify::<T>(&[self.site_key()]).unwrap().into_inner();
        Held { document, signed: signed.clone() }
    }
}
