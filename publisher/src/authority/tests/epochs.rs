//! The epochs of a server: raised for a restored one, and for nobody else.

use sealpost_manifests::grant::{Registration, RegistrationReason};
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::word::Word;
use sealpost_test_support::clock::days;

use super::{Bench, Server, head, now};
use crate::authority::{Outcome, RegisterError};

fn restored(server: &Server, serial: &SerialNumber, epoch: Epoch) -> Registration {
    Registration { reason: RegistrationReason::Restored, epoch, ..server.registration(serial) }
}

#[test]
fn a_restored_server_gets_a_new_grant_with_a_higher_epoch_though_nothing_else_changed() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    let first = bench.register(&serial, &server, now()).unwrap();
    let first = bench.grant(&first);
    let again = bench.answer(&server, &restored(&server, &serial, first.epoch), now()).unwrap();
    assert_eq!(again.outcome, Outcome::Issued);
    let grant = bench.grant(&again);
    assert_eq!((grant.generation, grant.epoch, grant.seats), (2, Epoch::of(2, 0), 10));
    // From then on it is the server's epoch.
    let renewed = bench.register(&serial, &server, now() + days(1)).unwrap();
    assert_eq!((renewed.outcome, bench.grant(&renewed)), (Outcome::Repeated, grant));
    bench.authority.set_seats(&serial, 20).unwrap();
    let more = bench.register(&serial, &server, now() + days(1)).unwrap();
    assert_eq!((bench.grant(&more).epoch, bench.grant(&more).generation), (Epoch::of(2, 0), 3));
}

#[test]
fn the_new_epoch_is_above_every_grant_of_the_server_and_above_what_it_says_itself() {
    let mut bench = Bench::new();
    let (serial, other, server) = (bench.sell(10), bench.sell(5), Server::new());
    bench.register(&serial, &server, now()).unwrap();
    bench.register(&other, &server, now()).unwrap();
    // The server's term does not count, its vendor's part does.
    let one = bench.answer(&server, &restored(&server, &serial, Epoch::of(1, 9)), now()).unwrap();
    assert_eq!(bench.grant(&one).epoch, Epoch::of(2, 0));
    let two = bench.answer(&server, &restored(&server, &other, Epoch::of(1, 0)), now()).unwrap();
    assert_eq!((bench.grant(&two).epoch, bench.grant(&two).generation), (Epoch::of(3, 0), 2));
    // As after a restore of the vendor's own database.
    let three = bench.answer(&server, &restored(&server, &serial, Epoch::of(7, 2)), now()).unwrap();
    assert_eq!(bench.grant(&three).epoch, Epoch::of(8, 0));
    let last = restored(&server, &serial, Epoch::of(u32::MAX, 0));
    let refused = bench.answer(&server, &last, now()).unwrap_err();
    assert!(matches!(refused, RegisterError::NoHigherEpoch { .. }), "{refused}");
    // A serial number that is bought later begins in the server's epoch, and another server in its own.
    let (third, elsewhere) = (bench.sell(1), bench.sell(1));
    let later = bench.register(&third, &server, now()).unwrap();
    assert_eq!(bench.grant(&later).epoch, Epoch::of(8, 0));
    let stranger = bench.register(&elsewhere, &Server::new(), now()).unwrap();
    assert_eq!(bench.grant(&stranger).epoch, Epoch::of(1, 0));
}

#[test]
fn every_serial_number_of_a_restored_server_gets_its_epoch_when_it_registers_next() {
    let mut bench = Bench::new();
    let (serial, other, server) = (bench.sell(10), bench.sell(5), Server::new());
    bench.register(&serial, &server, now()).unwrap();
    let before = bench.register(&other, &server, now()).unwrap();
    bench.answer(&server, &restored(&server, &serial, Epoch::of(1, 0)), now()).unwrap();
    let after = bench.register(&other, &server, now()).unwrap();
    assert_eq!((before.outcome, after.outcome), (Outcome::Issued, Outcome::Issued));
    assert_eq!((bench.grant(&after).epoch, bench.grant(&after).generation), (Epoch::of(2, 0), 2));
    assert_eq!(bench.register(&other, &server, now()).unwrap().outcome, Outcome::Repeated);
}

#[test]
fn one_registration_cannot_use_up_the_epochs_of_a_site() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    bench.register(&serial, &server, now()).unwrap();
    for said in [1_002, u32::MAX - 1] {
        let refused =
            bench.answer(&server, &restored(&server, &serial, Epoch::of(said, 0)), now()).unwrap_err();
        assert!(matches!(refused, RegisterError::EpochNotGranted { .. }), "{refused}");
    }
    assert_eq!(bench.authority.history(&serial).unwrap().grants.len(), 1);
    let far = bench.answer(&server, &restored(&server, &serial, Epoch::of(1_001, 0)), now()).unwrap();
    assert_eq!(bench.grant(&far).epoch, Epoch::of(1_002, 0));
}

#[test]
fn the_other_reasons_raise_no_epoch_whatever_the_server_says_of_itself() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    bench.register(&serial, &server, now()).unwrap();
    for reason in [RegistrationReason::First, RegistrationReason::Renew, RegistrationReason::MoreSeats] {
        bench.authority.set_seats(&serial, 20).unwrap();
        let registration = Registration {
            reason,
            epoch: Epoch::of(5, 5),
            ledger_head: head(0),
            ..server.registration(&serial)
        };
        let answer = bench.answer(&server, &registration, now() + days(400)).unwrap();
        assert_eq!(bench.grant(&answer).epoch, Epoch::of(1, 0), "{reason}");
    }
}

#[test]
fn a_reason_that_is_not_known_is_refused_and_nothing_is_bound_or_recorded() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    let reason = RegistrationReason::Other(Word::new("merged").unwrap());
    let registration = Registration { reason, ..server.registration(&serial) };
    let refused = bench.answer(&server, &registration, now()).unwrap_err();
    assert!(matches!(refused, RegisterError::UnknownReason { .. }));
    assert!(refused.to_string().contains("the reason merged"), "{refused}");
    let history = bench.authority.history(&serial).unwrap();
    assert_eq!((history.entry.server_id, history.grants.len(), history.registrations.len()), (None, 0, 0));
}
