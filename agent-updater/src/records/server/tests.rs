use std::os::unix::fs::PermissionsExt;

use sealpost_keys::{SealingPublicKey, SigningKey, TrustedComment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::setup::ServerRole;

use super::*;

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path()).unwrap();
    home.prepare().unwrap();
    (folder, home)
}

fn server(number: u8) -> ServerId {
    ServerId::from_random([number; 16])
}

/// Any signed document, as JSON.
fn signed() -> String {
    let key = SigningKey::generate().unwrap();
    let minisig = key.sign(b"{}", &TrustedComment::new("comment").unwrap());
    serde_json::to_string(&SignedDocument { document: "{}".to_owned(), minisig }).unwrap()
}

#[test]
fn an_enrollment_keeps_its_form() {
    let key = SigningKey::generate().unwrap().public();
    let (sealing, pin, document) = (SealingPublicKey::from_bytes([9; 32]), Sha256Digest::of(b"ca"), signed());
    let (server, client) = (ServerId::of_site_key(&key), ClientId::from_random([2; 16]));
    let golden = format!(
        r#"{{"computer_name":"pc-1","client_key":"{key}","sealing_key":"{sealing}","client_id":"{client}","server":{{"role":"primary","addresses":["10.0.0.1"],"port":16770,"server_id":"{server}","site_key":"{key}","ca_spki_sha256":["{pin}"]}},"setup_issued_at":"2026-01-01T00:00:00Z","grants":[{document}],"log_key":{document}}}"#
    );
    let enrollment: Enrollment = serde_json::from_str(&golden).unwrap();
    assert_eq!(enrollment.server.role, ServerRole::Primary);
    assert_eq!(serde_json::to_string(&enrollment).unwrap(), golden);
}

#[test]
fn the_state_of_the_contacts_and_what_is_acknowledged_keep_their_form() {
    let (nonce, document) = (Nonce::from_random([3; 16]), signed());
    let golden = format!(
        r#"{{"previous":"{nonce}","receipt":"opaque","outstanding":{{"next":"{nonce}","contact":{document}}}}}"#
    );
    let state: ContactState = serde_json::from_str(&golden).unwrap();
    assert_eq!(serde_json::to_string(&state).unwrap(), golden);
    let none: ContactState = serde_json::from_str("{}").unwrap();
    assert!(none.previous.is_none() && none.receipt.is_none() && none.outstanding.is_none());
    let acknowledged: Acknowledgement = serde_json::from_str(r#"{"report":7}"#).unwrap();
    assert_eq!(serde_json::to_string(&acknowledged).unwrap(), r#"{"report":7}"#);
    let lease: SignedDocument = serde_json::from_str(&document).unwrap();
    assert_eq!(serde_json::to_string(&lease).unwrap(), document);
}

#[test]
fn what_belongs_to_one_server_stays_when_another_is_enrolled_with_and_reset() {
    let (_folder, home) = home();
    let (first, second) = (server(1), server(2));
    let lease: SignedDocument = serde_json::from_str(&signed()).unwrap();
    let receipt = Some("receipt".to_owned());
    for id in [&first, &second] {
        let records = ServerRecords::of(&home, id);
        records.prepare().unwrap();
        records.save_lease(&lease).unwrap();
        records
            .save_contact_state(&ContactState { receipt: receipt.clone(), ..ContactState::default() })
            .unwrap();
        records.save_acknowledged_report(7).unwrap();
    }
    ServerRecords::of(&home, &second).reset_for_new_client().unwrap();
    let (kept, reset) = (ServerRecords::of(&home, &first), ServerRecords::of(&home, &second));
    assert!(kept.lease().unwrap().is_some() && reset.lease().unwrap().is_none());
    assert_eq!(kept.contact_state().unwrap().receipt, receipt);
    assert_eq!(reset.contact_state().unwrap().receipt, None);
    assert_eq!((kept.acknowledged_report(), reset.acknowledged_report()), (7, 0));
    let nonces = home.server_record(&first, "contact");
    assert_eq!(std::fs::metadata(nonces).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_damaged_acknowledgement_counts_as_none_and_is_replaced() {
    let (_folder, home) = home();
    let id = server(1);
    let records = ServerRecords::of(&home, &id);
    records.prepare().unwrap();
    std::fs::write(home.server_record(&id, "acknowledgement"), b"x").unwrap();
    assert_eq!(records.acknowledged_report(), 0);
    records.save_acknowledged_report(9).unwrap();
    assert_eq!(records.acknowledged_report(), 9);
}
