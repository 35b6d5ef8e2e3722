//! A vendor's server: its repository as files, and the answers of its license authority.

use std::ops::Deref;
use std::sync::Arc;

use sealpost_manifests::grant::verify_registration;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};

use crate::license::serial;
use crate::vendor::Vendor;
use crate::web::{Fault, Reply, Request, Web, file};

/// A vendor that can be reached, and has sold one serial number.
#[derive(Debug)]
pub struct ServedVendor {
    vendor: Arc<Vendor>,
    web: Web,
}

impl ServedVendor {
    /// Serves the vendor; [`serial`] has so many seats.
    pub async fn start(vendor: Vendor, seats: u32) -> Self {
        let vendor = Arc::new(vendor);
        let served = Arc::clone(&vendor);
        let web = Web::start(move |request| match request.path.as_str() {
            "/license/v1/register" => register(&served, seats, request),
            _ => file(&served.repository().join(request.relative())),
        });
        Self { web: web.await, vendor }
    }

    /// Answers the next registration like this instead.
    pub fn answer_next_registration(&self, fault: Fault) {
        self.web.once("/license/v1/register", fault);
    }

    /// Where it listens, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.web.url()
    }
}

impl Deref for ServedVendor {
    type Target = Vendor;

    fn deref(&self) -> &Vendor {
        &self.vendor
    }
}

fn register(vendor: &Vendor, seats: u32, request: &Request) -> Reply {
    let request: RegisterRequest = serde_json::from_slice(&request.body).unwrap();
    let registration = verify_registration(&request.registration).unwrap();
    if registration.serial != serial() {
        let problem = Problem::new(ProblemCode::SerialUnknown, "no such serial number was sold", "check it");
        return Reply::with_status(404, serde_json::to_vec(&problem).unwrap());
    }
    let grant = vendor.grant(&registration, seats);
    Reply::content(serde_json::to_vec(&RegisterAnswer { grant, renewable_from: None }).unwrap())
}
