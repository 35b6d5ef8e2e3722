//! The authority over a real database: a vendor, and servers that register.

mod bindings;
mod clearings;
mod codes;
mod ends;
mod epochs;
mod records;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealpost_keys::{SealingPublicKey, SigningKey, Verified};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel, Registration, RegistrationReason};
use sealpost_manifests::ids::{RequestId, SerialNumber, ServerId};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::sync::RegisterRequest;

use super::{Answer, Authority, Issuer, RegisterError, Terms, verify_registration};

struct Bench {
    folder: tempfile::TempDir,
    authority: Authority,
    key: SigningKey,
    zone: TimeZone,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("license.db")).unwrap();
        Self { folder, authority, key: SigningKey::generate().unwrap(), zone: TimeZone::UTC }
    }

    fn sell(&mut self, seats: u32) -> SerialNumber {
        let terms = Terms { seats, model: LicenseModel::Named, packages: Vec::new() };
        self.authority.new_serial(&terms, now()).unwrap()
    }

    /// Registers with a request that was not made before.
    fn register(
        &mut self,
        serial: &SerialNumber,
        server: &Server,
        at: Timestamp,
    ) -> Result<Answer, RegisterError> {
        self.answer(server, &server.registration(serial), at)
    }

    fn answer(
        &mut self,
        server: &Server,
        registration: &Registration,
        at: Timestamp,
    ) -> Result<Answer, RegisterError> {
        let issuer = Issuer { vendor: "Acme", key: &self.key, grant_days: 366, time_zone: &self.zone };
        self.authority.register(&server.verified(registration), &issuer, at)
    }

    /// The grant in an answer, as a server checks it.
    fn grant(&self, answer: &Answer) -> Grant {
        answer.grant.verify::<Grant>(&[self.key.public()]).unwrap().into_inner()
    }
}

struct Server {
    id: ServerId,
    key: SigningKey,
}

impl Server {
    fn new() -> Self {
        let key = SigningKey::generate().unwrap();
        Self { id: ServerId::of_site_key(&key.public()), key }
    }

    /// A server with this one's id, its key, both or neither; the rest is another server's.
    fn replaced(self, keeps_id: bool, keeps_key: bool) -> Self {
        let other = Self::new();
        Self {
            id: if keeps_id { self.id } else { other.id },
            key: if keeps_key { self.key } else { other.key },
        }
    }

    fn registration(&self, serial: &SerialNumber) -> Registration {
        Registration {
            request_id: RequestId::from_random(sealpost_keys::token::random_bytes().unwrap()),
            serial: serial.clone(),
            server_id: self.id.clone(),
            site_key: self.key.public(),
            sealing_key: SealingPublicKey::from_bytes([7; 32]),
            reason: RegistrationReason::First,
            epoch: Epoch::default(),
            ledger_head: head(1),
            used: BTreeMap::new(),
        }
    }

    fn request(&self, serial: &SerialNumber) -> RegisterRequest {
        signed(&self.registration(serial), &self.key)
    }

    fn verified(&self, registration: &Registration) -> Verified<Registration> {
        verify_registration(&signed(registration, &self.key)).unwrap()
    }
}

fn signed(registration: &Registration, key: &SigningKey) -> RegisterRequest {
    RegisterRequest { site_key: key.public(), registration: SignedDocument::sign(registration, key).unwrap() }
}

fn head(size: u64) -> LogHead {
    LogHead { size, root: Sha256Digest::of(&size.to_be_bytes()) }
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00.5Z".parse().unwrap()
}
