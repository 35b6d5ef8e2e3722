//! A computer over the network: requests to a site, and what it keeps of the answers.

use std::ops::{Deref, DerefMut};

use reqwest::{RequestBuilder, Response};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::{SetupFile, SetupKind};
use sealpost_manifests::wire::contact::{Contact, ContactAnswer};
use sealpost_manifests::wire::enroll::EnrollAnswer;
use sealpost_test_support::computer::Computer;

use crate::site::{Site, good};

pub(crate) struct Agent(Computer);

impl Deref for Agent {
    type Target = Computer;

    fn deref(&self) -> &Computer {
        &self.0
    }
}

impl DerefMut for Agent {
    fn deref_mut(&mut self) -> &mut Computer {
        &mut self.0
    }
}

impl Agent {
    pub(crate) fn new(setup: SetupFile) -> Self {
        Self(Computer::new(setup))
    }

    /// With the setup file of computers that knock, under this name.
    pub(crate) fn knocking(setup: &SetupFile, name: &str) -> Self {
        let computer_name = Some(ComputerName::new(name).unwrap());
        // As it enrolls: the name is its own.
        Self::new(SetupFile { kind: SetupKind::Reserved, computer_name, ..setup.clone() })
    }

    /// Reserved, set up, enrolled and in contact.
    pub(crate) async fn licensed(site: &Site, name: &str) -> Self {
        site.reserve(name).await;
        let mut agent = Self::new(site.setup(name).await);
        agent.enroll(site).await;
        agent.contact(site).await;
        agent
    }

    pub(crate) async fn enroll(&mut self, site: &Site) -> EnrollAnswer {
        let request = self.enroll_request(&self.enrollment());
        let answer: EnrollAnswer = good(send(site, "/agent/v1/enroll", &request).await).await;
        self.take_enrolled(&answer);
        answer
    }

    pub(crate) async fn send_contact(&mut self, site: &Site, contact: &Contact) -> ContactAnswer {
        let answer: ContactAnswer =
            good(send(site, "/agent/v1/contact", &self.contact_request(contact)).await).await;
        self.take_answer(contact, &answer);
        answer
    }

    pub(crate) async fn contact(&mut self, site: &Site) -> ContactAnswer {
        let contact = self.next_contact();
        self.send_contact(site, &contact).await
    }

    pub(crate) fn read(&self, site: &Site, path: &str) -> RequestBuilder {
        site.http.get(site.url(&format!("/agent/v1{path}"))).bearer_auth(&self.holds.token)
    }

    pub(crate) async fn get(&self, site: &Site, path: &str) -> Response {
        self.read(site, path).send().await.unwrap()
    }
}

pub(crate) async fn send(site: &Site, path: &str, body: &impl serde::Serialize) -> Response {
    site.http.post(site.url(path)).json(body).send().await.unwrap()
}
