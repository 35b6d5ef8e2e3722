//! Bindings that the vendor cleared: who can register then, and what stays on record.

use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::grant::{Registration, RegistrationReason};
use sealpost_test_support::clock::days;

use super::{Bench, Server, now};
use crate::authority::clearings::is_refused;
use crate::authority::{AuthorityError, ClearedKey, Outcome, RegisterError};

#[test]
fn after_a_binding_was_cleared_the_next_server_that_registers_gets_the_serial_number() {
    let mut bench = Bench::new();
    let (serial, other_serial) = (bench.sell(10), bench.sell(5));
    let (old, new, third) = (Server::new(), Server::new(), Server::new());
    let first = bench.register(&serial, &old, now()).unwrap();
    bench.register(&other_serial, &old, now()).unwrap();
    assert!(matches!(bench.register(&serial, &new, now()), Err(RegisterError::BoundToOtherServer)));

    let cleared = bench.authority.clear_key(&old.id, ClearedKey::Lost, now()).unwrap();
    assert_eq!(cleared, [serial.clone(), other_serial]);
    let answer = bench.register(&serial, &new, now()).unwrap();
    let grant = bench.grant(&answer);
    assert_eq!((answer.outcome, grant.generation, &grant.server_id), (Outcome::Issued, 2, &new.id));
    assert_eq!((&grant.site_key, grant.key_epoch), (&new.key.public(), 1));
    for refused in [&old, &third] {
        assert!(matches!(bench.register(&serial, refused, now()), Err(RegisterError::BoundToOtherServer)));
    }
    let history = bench.authority.history(&serial).unwrap();
    assert_eq!((history.grants.len(), history.clearings.len()), (2, 1));
    assert_eq!((&history.clearings[0].server_id, history.entry.server_id), (&old.id, Some(new.id)));
    assert_eq!(bench.grant(&first).generation, 1);
}

#[test]
fn after_a_clearing_an_id_comes_back_with_the_key_that_it_had_and_with_no_other() {
    for (kept_id, kept_key) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut bench = Bench::new();
        let (serial, old) = (bench.sell(10), Server::new());
        bench.register(&serial, &old, now()).unwrap();
        bench.authority.clear_key(&old.id, ClearedKey::Lost, now()).unwrap();
        let old_id = old.id.clone();
        let answered = bench.register(&serial, &old.replaced(kept_id, kept_key), now());
        match (kept_id, kept_key) {
            (true, true) => {
                let grant = bench.grant(&answered.unwrap());
                assert_eq!((grant.key_epoch, grant.generation, &grant.server_id), (1, 2, &old_id));
            }
            (false, false) => {
                let grant = bench.grant(&answered.unwrap());
                assert_eq!((grant.key_epoch, grant.generation), (1, 2));
                assert_ne!(grant.server_id, old_id);
            }
            _ => assert!(matches!(answered, Err(RegisterError::NotItsOwnId)), "{kept_id} {kept_key}"),
        }
    }
}

#[test]
fn neither_the_key_nor_the_id_of_a_stolen_server_gets_a_grant() {
    for cleared_before in [false, true] {
        for (kept_id, kept_key) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut bench = Bench::new();
            let (serial, unbound, old) = (bench.sell(10), bench.sell(5), Server::new());
            bench.register(&serial, &old, now()).unwrap();
            if cleared_before {
                bench.authority.clear_key(&old.id, ClearedKey::Lost, now()).unwrap();
            }
            bench.authority.clear_key(&old.id, ClearedKey::Stolen, now()).unwrap();
            let asks = old.replaced(kept_id, kept_key);
            for serial in [&serial, &unbound] {
                let answered = bench.register(serial, &asks, now());
                if kept_id || kept_key {
                    assert!(matches!(answered, Err(RegisterError::RefusedKey)), "{kept_id} {kept_key}");
                } else {
                    assert_eq!(bench.grant(&answered.unwrap()).server_id, asks.id);
                }
            }
        }
    }
}

/// A program of before let a server come back with another key after a clearing. It goes on, with its key.
#[test]
fn a_server_that_came_back_with_another_key_in_an_older_version_goes_on() {
    let mut bench = Bench::new();
    let (serial, first) = (bench.sell(10), Server::new());
    bench.register(&serial, &first, now()).unwrap();
    let again = first.replaced(true, false);
    bench
        .authority
        .connection
        .execute("UPDATE serials SET site_key = ?1", [again.key.public().to_base64()])
        .unwrap();
    bench.authority.set_seats(&serial, 11).unwrap();
    let answer = bench.register(&serial, &again, now()).unwrap();
    assert_eq!((bench.grant(&answer).seats, bench.grant(&answer).key_epoch), (11, 2));
    bench.authority.clear_key(&again.id, ClearedKey::Stolen, now()).unwrap();
    assert!(matches!(bench.register(&serial, &again, now()), Err(RegisterError::RefusedKey)));
}

#[test]
fn a_retry_of_an_old_request_gets_its_old_answer_and_binds_nothing() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let old = Server::new();
    let asked = old.registration(&serial);
    let issue = |bench: &mut Bench, registration: &Registration| {
        let issuer = crate::authority::Issuer {
            vendor: "Acme",
            key: &bench.key,
            grant_days: 366,
            time_zone: &bench.zone,
        };
        bench.authority.register(&old.verified(registration), &issuer, now() + days(1))
    };
    let first = issue(&mut bench, &asked).unwrap();
    bench.authority.clear_key(&old.id, ClearedKey::Lost, now()).unwrap();
    let again = issue(&mut bench, &asked).unwrap();
    assert_eq!((again.outcome, again.grant.document), (Outcome::Repeated, first.grant.document.clone()));
    assert!(bench.authority.history(&serial).unwrap().entry.server_id.is_none());
    // A new request of the old server binds it again, with a new grant.
    let renewed = Registration { reason: RegistrationReason::Renew, ..old.registration(&serial) };
    let renewed = issue(&mut bench, &renewed).unwrap();
    assert_eq!((renewed.outcome, bench.grant(&renewed).generation), (Outcome::Issued, 2));
}

#[test]
fn a_server_that_has_nothing_cannot_be_cleared() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new();
    assert!(matches!(
        bench.authority.clear_key(&server.id, ClearedKey::Lost, now()),
        Err(AuthorityError::UnknownServer { .. })
    ));
    bench.register(&serial, &server, now()).unwrap();
    bench.authority.clear_key(&server.id, ClearedKey::Lost, now()).unwrap();
    assert!(matches!(
        bench.authority.clear_key(&server.id, ClearedKey::Lost, now()),
        Err(AuthorityError::UnknownServer { .. })
    ));
    assert_eq!(bench.authority.history(&serial).unwrap().clearings.len(), 1);
}

#[test]
fn a_key_of_a_stolen_server_registers_nothing_again_and_a_new_server_gets_its_serial_numbers() {
    let mut bench = Bench::new();
    let (serial, other_serial) = (bench.sell(10), bench.sell(5));
    let (stolen, new) = (Server::new(), Server::new());
    let asked = stolen.registration(&serial);
    bench.register(&serial, &stolen, now()).unwrap();
    let cleared = bench.authority.clear_key(&stolen.id, ClearedKey::Stolen, now()).unwrap();
    assert_eq!(cleared, std::slice::from_ref(&serial));
    for wanted in [&serial, &other_serial] {
        assert!(matches!(bench.register(wanted, &stolen, now()), Err(RegisterError::RefusedKey)));
    }
    // Under another key id it is the same key.
    let renamed = PublicKey::new(KeyId::from_bytes([9; 8]), stolen.key.public().ed25519_bytes());
    assert!(is_refused(&bench.authority.connection, &renamed, &Server::new().id).unwrap());
    let issuer =
        crate::authority::Issuer { vendor: "Acme", key: &bench.key, grant_days: 366, time_zone: &bench.zone };
    let retried = bench.authority.register(&stolen.verified(&asked), &issuer, now());
    assert!(matches!(retried, Err(RegisterError::RefusedKey)), "not even what it got before");
    assert_eq!(bench.register(&serial, &new, now()).unwrap().outcome, Outcome::Issued);
    assert!(bench.authority.history(&serial).unwrap().clearings[0].stolen);
}

#[test]
fn that_a_server_was_stolen_can_be_said_after_its_bindings_were_cleared_and_again() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new();
    let nobody = bench.authority.clear_key(&server.id, ClearedKey::Stolen, now());
    assert!(matches!(nobody, Err(AuthorityError::UnknownServer { .. })));
    bench.register(&serial, &server, now()).unwrap();
    bench.authority.clear_key(&server.id, ClearedKey::Lost, now()).unwrap();
    assert!(!bench.authority.history(&serial).unwrap().clearings[0].stolen);
    for _ in 0..2 {
        assert!(bench.authority.clear_key(&server.id, ClearedKey::Stolen, now()).unwrap().is_empty());
        assert!(matches!(bench.register(&serial, &server, now()), Err(RegisterError::RefusedKey)));
    }
}
