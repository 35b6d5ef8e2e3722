//! The vendor's license documents: what a site asks with, and what it gets.

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::SigningKey;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel, Registration};
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::wire::sync::RegisterRequest;

/// The vendor's name in every test.
pub const VENDOR: &str = "Acme";

/// The serial number that the vendor has sold.
#[must_use]
pub fn serial() -> SerialNumber {
    SerialNumber::from_random([5; 19])
}

/// The registration of a server with this site key.
#[must_use]
pub fn registration(serial: &SerialNumber, server_id: &ServerId, site_key: &SigningKey) -> Registration {
    Registration { serial: serial.clone(), server_id: server_id.clone(), site_key: site_key.public() }
}

/// A registration as it is sent, signed with the key that it names.
#[must_use]
pub fn register_request(
    serial: &SerialNumber,
    server_id: &ServerId,
    site_key: &SigningKey,
) -> RegisterRequest {
    let registration = registration(serial, server_id, site_key);
    RegisterRequest {
        site_key: site_key.public(),
        registration: SignedDocument::sign(&registration, site_key).unwrap(),
    }
}

/// The first grant of named seats for whoever a registration names, as it is signed.
#[must_use]
pub fn grant(registration: &Registration, seats: u32, now: Timestamp, key: &SigningKey) -> SignedDocument {
    SignedDocument::sign(&terms(registration, seats, now), key).unwrap()
}

/// The first grant of named seats for whoever a registration names, valid for 366 days from `now` on.
#[must_use]
pub fn terms(registration: &Registration, seats: u32, now: Timestamp) -> Grant {
    Grant {
        vendor: VENDOR.to_owned(),
        serial: registration.serial.clone(),
        server_id: registration.server_id.clone(),
        site_key: registration.site_key.clone(),
        key_epoch: 1,
        epoch: 1,
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats,
        generation: 1,
        valid_until: now.checked_add(SignedDuration::from_hours(24 * 366)).unwrap(),
        vendor_time: now,
    }
}
