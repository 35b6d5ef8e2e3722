//! Where the watchdog looks for the server.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::{SealingPublicKey, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{ClientId, ComputerName, SerialNumber, ServerId};
use sealpost_manifests::order::{Epoch, Signer};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::setup::{ServerEntry, ServerRole};
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_repository::Pace;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::fixture::Computer;
use crate::flows::context::Context;
use crate::flows::self_update::reach::{Reach, known};
use crate::platform::network::Network;
use crate::records::server::{Enrollment, ServerRecords};
use crate::records::servers;
use crate::records::vendor::VendorRecord;
use crate::server::Connections;

/// Enrolls a computer with a server whose setup file named an address that is gone now.
fn enroll(computer: &Computer) -> (SigningKey, ServerEntry) {
    let (vendor, site) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let server = ServerEntry {
        role: ServerRole::Primary,
        addresses: vec!["old.example".to_owned()],
        port: 16770,
        server_id: ServerId::of_site_key(&site.public()),
        site_key: site.public(),
        ca_spki_sha256: vec![Sha256Digest::of(b"ca")],
    };
    let grant = Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([1; 19]),
        server_id: server.server_id.clone(),
        site_key: site.public(),
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 1,
        generation: 1,
        not_after: Timestamp::MAX,
        vendor_time: Timestamp::UNIX_EPOCH,
        ends_at: None,
        request_id: None,
    };
    let grant = SignedDocument::sign(&grant, &vendor).unwrap();
    let trust = TrustDocument {
        vendor: "Acme".to_owned(),
        keys: vec![TrustedKey {
            key_use: KeyUse::License,
            package: None,
            key: vendor.public().to_base64(),
            status: KeyStatus::Active,
            digests: BTreeSet::new(),
        }],
        counter_resets: Vec::new(),
        licensing_contact: None,
        signed_at: Timestamp::UNIX_EPOCH,
    };
    let trust = SignedDocument::sign(&trust, &vendor).unwrap().document;
    let home = &computer.host.home;
    VendorRecord { root_sha256: Sha256Digest::of(b"root"), trust }.save(home).unwrap();
    let records = ServerRecords::of(home, &server.server_id);
    records.prepare().unwrap();
    let enrollment = Enrollment {
        computer_name: ComputerName::new("pc-1").unwrap(),
        client_key: vendor.public(),
        sealing_key: SealingPublicKey::from_bytes([9; 32]),
        client_id: ClientId::from_random([2; 16]),
        server: server.clone(),
        setup_issued_at: Timestamp::UNIX_EPOCH,
        log_key: grant.clone(),
        grants: vec![grant],
    };
    records.save_enrollment(&enrollment).unwrap();
    servers::prefer(home, &server.server_id).unwrap();
    (site, server)
}

#[test]
fn the_watchdog_looks_for_a_server_that_moved_where_contacts_find_it() {
    let computer = Computer::new();
    let looked_at = || -> Vec<String> {
        known(&computer.host).endpoints.iter().map(|one| one.address().to_owned()).collect()
    };
    let (site, server) = enroll(&computer);
    assert_eq!(looked_at(), ["https://old.example:16770"]);
    let moved = ServerEntry { addresses: vec!["new.example".to_owned()], port: 443, ..server.clone() };
    let list = ServerList {
        server_id: server.server_id.clone(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence: 1,
        issued_at: Timestamp::UNIX_EPOCH,
        servers: vec![moved],
    };
    let records = ServerRecords::of(&computer.host.home, &server.server_id);
    records.save_server_list(&SignedDocument::sign(&list, &site).unwrap()).unwrap();
    assert_eq!(looked_at(), ["https://new.example:443", "https://old.example:16770"]);
    // Without grants no list counts; then it still looks somewhere.
    VendorRecord { root_sha256: Sha256Digest::of(b"root"), trust: "spoiled".to_owned() }
        .save(&computer.host.home)
        .unwrap();
    assert_eq!(looked_at(), ["https://old.example:16770"]);
}

#[tokio::test]
async fn the_records_are_not_read_again_at_every_look() {
    let computer = Computer::new();
    enroll(&computer);
    let network = Network::new(Handle::current(), &[]);
    let context = Arc::new(Context {
        host: computer.same_host(),
        network,
        interrupt: Arc::default(),
        access: watch::Sender::new(None),
        connections: Connections::default(),
        pace: Pace::at_least(0),
    });
    let mut reach = Reach::default();
    reach.renew(&context).await.unwrap();
    fs::remove_dir_all(computer.host.home.servers()).unwrap();
    reach.renew(&context).await.unwrap();
    assert_eq!((reach.known.endpoints.len(), &reach.known.problem), (1, &None));
    let mut reach = Reach::default();
    reach.renew(&context).await.unwrap();
    assert!(reach.known.endpoints.is_empty() && reach.known.problem.is_some(), "{:?}", reach.known);
}
