//! Documents of every type, and signed ones.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_fuzz::{client_id, key, log_key, sealing_key, server_id};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::grant::{Grant, Registration};
use sealpost_manifests::ids::Nonce;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogKeyCertificate;
use sealpost_manifests::order::HighestOrders;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::trust::{KeyStatus, TrustDocument};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::{Enrolled, Enrollment};

use super::golden::{Seeds, golden};

/// The types with a golden file.
const TYPES: &[&str] = &[
    "assignment",
    "channels",
    "contact",
    "enrolled",
    "enrollment",
    "grant",
    "lease",
    "log_key",
    "log_proof",
    "registration",
    "release",
    "server_list",
    "setup",
    "trust",
];

/// The frozen document of a type.
pub(super) fn frozen<T: Document>() -> T {
    document::read(&golden(&format!("manifests/tests/golden/{}.v2.json", T::TYPE))).unwrap()
}

pub(super) fn signed<T: Document>(document: &T) -> SignedDocument {
    SignedDocument::sign(document, key()).unwrap()
}

pub(super) fn documents() -> Seeds {
    let frozen_files =
        TYPES.iter().map(|name| (*name, golden(&format!("manifests/tests/golden/{name}.v2.json"))));
    let mut seeds: Seeds = frozen_files.collect();
    seeds.extend([
        ("contact_of_site", text(&contact())),
        ("contact_quiet", text(&quiet_contact())),
        ("enrollment_of_site", text(&enrollment())),
        ("log_key_of_site", text(&certificate())),
        ("release_program", text(&program())),
        ("trust_revoked", text(&trust())),
    ]);
    seeds
}

pub(super) fn signed_documents() -> Seeds {
    vec![
        ("assignment", json(&signed(&frozen::<Assignment>()))),
        ("contact", json(&signed(&contact()))),
        ("enrolled", json(&signed(&frozen::<Enrolled>()))),
        ("enrollment", json(&signed(&enrollment()))),
        ("golden_grant", golden("manifests/tests/golden/grant.signed.json")),
        ("grant", json(&signed(&frozen::<Grant>()))),
        ("lease", json(&signed(&frozen::<Lease>()))),
        ("log_key", json(&signed(&certificate()))),
        ("registration", json(&signed(&registration()))),
        ("release", json(&signed(&program()))),
        ("trust", json(&signed(&trust()))),
    ]
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn text<T: Document>(document: &T) -> Vec<u8> {
    document::write(document).unwrap().into_bytes()
}

/// A contact with everything in it, for the server of the fixed key.
pub(super) fn contact() -> Contact {
    Contact { server_id: server_id().clone(), client_id: client_id(), ..frozen::<Contact>() }
}

/// A contact with nothing to say.
pub(super) fn quiet_contact() -> Contact {
    Contact {
        previous: None,
        next: Nonce::from_random([5; 16]),
        receipt: None,
        highest: HighestOrders::new(),
        held_head: None,
        forked_head: None,
        grants: Vec::new(),
        instance: None,
        hostname: None,
        packages: Vec::new(),
        reports: Vec::new(),
        ..contact()
    }
}

pub(super) fn enrollment() -> Enrollment {
    Enrollment { client_key: key().public(), server_id: server_id().clone(), ..frozen::<Enrollment>() }
}

pub(super) fn registration() -> Registration {
    Registration {
        server_id: server_id().clone(),
        site_key: key().public(),
        sealing_key: sealing_key().public(),
        used: BTreeMap::new(),
        ..frozen::<Registration>()
    }
}

pub(super) fn certificate() -> LogKeyCertificate {
    LogKeyCertificate {
        server_id: server_id().clone(),
        log_key: log_key().public().clone(),
        issued_at: Timestamp::UNIX_EPOCH,
    }
}

fn program() -> ReleaseManifest {
    let manifest = super::trees::manifest(&[]);
    ReleaseManifest { files: frozen::<ReleaseManifest>().files, ..manifest }
}

fn trust() -> TrustDocument {
    let mut trust = frozen::<TrustDocument>();
    let mut revoked = trust.keys[0].clone();
    revoked.status = KeyStatus::Revoked;
    let mut renamed = trust.keys[0].clone();
    renamed.key = key().public().to_base64();
    renamed.status = KeyStatus::Retired;
    renamed.digests = [Sha256Digest::of(b"an old manifest")].into();
    trust.keys.extend([revoked, renamed]);
    trust
}
