//! The vendor's license documents: what a site asks with, and what it gets.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::{SealingKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel, Registration, RegistrationReason};
use sealpost_manifests::ids::{RequestId, SerialNumber, ServerId};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::sync::RegisterRequest;

/// The vendor's name in every test.
pub const VENDOR: &str = "Acme";

/// The serial number that the vendor has sold.
#[must_use]
pub fn serial() -> SerialNumber {
    SerialNumber::from_random([5; 19])
}

/// The first registration of a server with this site key; the same arguments give the same registration.
#[must_use]
pub fn registration(serial: &SerialNumber, server_id: &ServerId, site_key: &SigningKey) -> Registration {
    Registration {
        request_id: RequestId::from_random([1; 16]),
        serial: serial.clone(),
        server_id: server_id.clone(),
        site_key: site_key.public(),
        sealing_key: sealing_key(&site_key.public().ed25519_bytes()).public(),
        reason: RegistrationReason::First,
        epoch: Epoch::default(),
        ledger_head: LogHead::empty(),
        used: BTreeMap::new(),
    }
}

/// A sealing key that is made of a seed, so that a run can be repeated.
#[must_use]
pub fn sealing_key(seed: &[u8]) -> SealingKey {
    SealingKey::from_bytes((*Sha256Digest::of(seed).as_bytes()).into()).unwrap()
}

/// A registration as it is sent, signed with the key that it names.
#[must_use]
pub fn register_request(
    serial: &SerialNumber,
    server_id: &ServerId,
    site_key: &SigningKey,
) -> RegisterRequest {
    signed_request(&registration(serial, server_id, site_key), site_key)
}

/// Any registration as it is sent, signed with this key.
#[must_use]
pub fn signed_request(registration: &Registration, site_key: &SigningKey) -> RegisterRequest {
    RegisterRequest {
        site_key: site_key.public(),
        registration: SignedDocument::sign(registration, site_key).unwrap(),
    }
}

/// The first grant of named seats for whoever a registration names, as it is signed.
#[must_use]
pub fn grant(registration: &Registration, seats: u32, now: Timestamp, key: &SigningKey) -> SignedDocument {
    SignedDocument::sign(&terms(registration, seats, now), key).unwrap()
}

/// A grant of named seats for whoever a registration names, valid for 366 days from `now` on.
///
/// It answers as the vendor does: the first grant has epoch 1 and generation 1. A server that was restored gets the
/// next epoch, and each epoch a generation of its own.
#[must_use]
pub fn terms(registration: &Registration, seats: u32, now: Timestamp) -> Grant {
    let held = registration.epoch.vendor();
    let epoch = if registration.reason == RegistrationReason::Restored { held + 1 } else { held.max(1) };
    Grant {
        vendor: VENDOR.to_owned(),
        serial: registration.serial.clone(),
        server_id: registration.server_id.clone(),
        site_key: registration.site_key.clone(),
        key_epoch: 1,
        epoch: Epoch::of(epoch, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats,
        generation: u64::from(epoch),
        not_after: now.checked_add(SignedDuration::from_hours(24 * 366)).unwrap(),
        vendor_time: now,
        ends_at: None,
        request_id: Some(registration.request_id.clone()),
    }
}
