//! A client as the server sees it: a key, signed requests, a token.

use reqwest::{RequestBuilder, Response};
use sealpost_keys::SigningKey;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ClientId, EnrollmentCode, Nonce, Platform, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::setup::SetupFile;
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::enroll::{EnrollAnswer, EnrollRequest, Enrolled, Enrollment};

use crate::site::{Site, good};

pub(crate) struct Agent {
    pub(crate) key: SigningKey,
    pub(crate) setup: SetupFile,
    pub(crate) client_id: Option<ClientId>,
    pub(crate) previous: Option<Nonce>,
    pub(crate) token: String,
}

impl Agent {
    pub(crate) fn new(setup: SetupFile) -> Self {
        let key = SigningKey::generate().unwrap();
        Self { key, setup, client_id: None, previous: None, token: String::new() }
    }

    /// Reserved, set up, enrolled and in contact.
    pub(crate) async fn licensed(site: &Site, name: &str) -> Self {
        site.reserve(name).await;
        let mut agent = Self::new(site.setup(name).await);
        agent.enroll(site).await;
        agent.contact(site).await;
        agent
    }

    pub(crate) fn server_id(&self) -> ServerId {
        self.setup.servers[0].server_id.clone()
    }

    pub(crate) fn enrollment(&self) -> Enrollment {
        Enrollment {
            computer_name: self.setup.computer_name.clone(),
            enrollment_code: self.setup.enrollment_code.clone(),
            client_key: self.key.public(),
            server_id: self.server_id(),
            platform: Platform::current(),
            agent_version: "0.1.0".to_owned(),
        }
    }

    pub(crate) fn enroll_request(&self, enrollment: &Enrollment) -> EnrollRequest {
        EnrollRequest {
            client_key: self.key.public(),
            enrollment: SignedDocument::sign(enrollment, &self.key).unwrap(),
        }
    }

    pub(crate) async fn enroll(&mut self, site: &Site) -> EnrollAnswer {
        let request = self.enroll_request(&self.enrollment());
        let answer: EnrollAnswer = good(send(site, "/agent/v1/enroll", &request).await).await;
        let enrolled = answer.enrolled.verify::<Enrolled>(&[self.setup.servers[0].site_key.clone()]).unwrap();
        assert_eq!(enrolled.client_key, self.key.public());
        self.client_id = Some(enrolled.client_id.clone());
        answer
    }

    pub(crate) fn next_contact(&self) -> Contact {
        Contact {
            client_id: self.client_id.clone().unwrap(),
            server_id: self.server_id(),
            previous: self.previous.clone(),
            next: Nonce::generate().unwrap(),
            sent_at: jiff::Timestamp::now(),
            agent_version: "0.1.0".to_owned(),
            platform: Platform::current(),
            lease: None,
            assignment: None,
            grant: None,
            packages: Vec::new(),
            reports: Vec::new(),
        }
    }

    pub(crate) fn contact_request(&self, contact: &Contact) -> ContactRequest {
        ContactRequest {
            client_id: contact.client_id.clone(),
            contact: SignedDocument::sign(contact, &self.key).unwrap(),
        }
    }

    pub(crate) async fn send_contact(&mut self, site: &Site, contact: &Contact) -> ContactAnswer {
        let answer: ContactAnswer =
            good(send(site, "/agent/v1/contact", &self.contact_request(contact)).await).await;
        self.previous = Some(contact.next.clone());
        self.token.clone_from(&answer.access_token);
        answer
    }

    pub(crate) async fn contact(&mut self, site: &Site) -> ContactAnswer {
        let contact = self.next_contact();
        self.send_contact(site, &contact).await
    }

    pub(crate) fn lease(&self, answer: &ContactAnswer) -> Lease {
        let lease = answer.lease.as_ref().unwrap();
        lease.verify::<Lease>(&[self.setup.servers[0].site_key.clone()]).unwrap().into_inner()
    }

    pub(crate) fn assignment(&self, answer: &ContactAnswer) -> Assignment {
        let assignment = answer.assignment.as_ref().unwrap();
        assignment.verify::<Assignment>(&[self.setup.servers[0].site_key.clone()]).unwrap().into_inner()
    }

    pub(crate) fn read(&self, site: &Site, path: &str) -> RequestBuilder {
        site.http.get(site.url(&format!("/agent/v1{path}"))).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, site: &Site, path: &str) -> Response {
        self.read(site, path).send().await.unwrap()
    }
}

pub(crate) async fn send(site: &Site, path: &str, body: &impl serde::Serialize) -> Response {
    site.http.post(site.url(path)).json(body).send().await.unwrap()
}

/// A read with an enrollment code instead of a token.
pub(crate) async fn get_with_code(site: &Site, path: &str, code: &EnrollmentCode, name: &str) -> Response {
    site.http
        .get(site.url(&format!("/agent/v1{path}")))
        .header("sealpost-enrollment-code", code.as_str())
        .header("sealpost-computer", name)
        .send()
        .await
        .unwrap()
}
