//! What is recorded of registrations: the answer of a request for ever, seats in use, and the heads of logs.

use std::collections::BTreeMap;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::{Registration, RegistrationReason};
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use sealpost_test_support::clock::days;

use super::{Bench, Server, head, now};
use crate::authority::{AuthorityError, HeadRemark, Outcome, RegisterError, Remark};

#[test]
fn the_same_request_gets_the_same_answer_for_ever_and_a_new_one_the_new_terms() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    let registration = server.registration(&serial);
    let first = bench.answer(&server, &registration, now()).unwrap();
    bench.authority.set_seats(&serial, 25).unwrap();
    let more = bench.register(&serial, &server, now()).unwrap();
    assert_eq!(bench.grant(&more).seats, 25);
    // Also when the terms changed, the grant has ended, and the server says something else under the same id.
    let changed = Registration { reason: RegistrationReason::Restored, ..registration.clone() };
    for (registration, at) in [(&registration, now()), (&registration, now() + days(500)), (&changed, now())]
    {
        let again = bench.answer(&server, registration, at).unwrap();
        assert_eq!(again.outcome, Outcome::Repeated);
        assert_eq!(again.grant.document, first.grant.document);
        assert_eq!(again.grant.minisig.as_str(), first.grant.minisig.as_str());
    }
    let history = bench.authority.history(&serial).unwrap();
    assert_eq!((history.grants.len(), history.registrations.len()), (2, 2), "nothing is recorded twice");
}

#[test]
fn a_request_id_belongs_to_one_server_and_one_serial() {
    let mut bench = Bench::new();
    let (serial, other, server) = (bench.sell(10), bench.sell(5), Server::new());
    let registration = server.registration(&serial);
    bench.answer(&server, &registration, now()).unwrap();
    let reused = Registration { serial: other.clone(), ..registration.clone() };
    let refused = bench.answer(&server, &reused, now()).unwrap_err();
    assert!(matches!(refused, RegisterError::RequestIdUsed), "{refused}");
    // Another server that knows the id gets nothing of it.
    let thief = Server::new();
    let copied = Registration { request_id: registration.request_id.clone(), ..thief.registration(&serial) };
    assert!(matches!(bench.answer(&thief, &copied, now()), Err(RegisterError::BoundToOtherServer)));
    let own = Registration { request_id: registration.request_id, ..thief.registration(&other) };
    assert_eq!(bench.answer(&thief, &own, now()).unwrap().outcome, Outcome::Issued);
}

#[test]
fn seats_in_use_are_recorded_and_more_than_granted_is_shown_and_answered() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    let with = |used: &[(SerialNumber, u32)]| Registration {
        used: BTreeMap::from_iter(used.iter().cloned()),
        ..server.registration(&serial)
    };
    let other = SerialNumber::from_random([1; 19]);
    let full = bench.answer(&server, &with(&[(serial.clone(), 10), (other.clone(), 99)]), now()).unwrap();
    assert_eq!(full.remarks, []);
    let over = bench.answer(&server, &with(&[(serial.clone(), 11)]), now()).unwrap();
    assert_eq!(over.remarks, [Remark::Over { used: 11, seats: 10 }]);
    assert_eq!(over.remarks[0].to_string(), "11 seats are in use, and 10 are granted");
    bench.answer(&server, &with(&[(other, 99)]), now()).unwrap();
    let history = bench.authority.history(&serial).unwrap();
    let used: Vec<_> = history.registrations.iter().map(|entry| (entry.used, entry.is_over())).collect();
    assert_eq!(used, [(Some(10), false), (Some(11), true), (None, false)]);
    assert_eq!(history.entry.used, None);
    assert_eq!(
        bench.authority.serials().unwrap()[0].used,
        None,
        "the newest registration says nothing of it"
    );
}

#[test]
fn a_log_that_became_shorter_or_another_is_shown_unless_the_server_says_that_it_was_restored() {
    let mut bench = Bench::new();
    let (serial, other, server) = (bench.sell(10), bench.sell(5), Server::new());
    let mut register = |serial: &SerialNumber, reason, ledger_head: LogHead| {
        let registration = Registration { reason, ledger_head, ..server.registration(serial) };
        bench.answer(&server, &registration, now()).unwrap()
    };
    let (renew, restored) = (RegistrationReason::Renew, RegistrationReason::Restored);
    assert_eq!(register(&serial, renew, head(100)).remarks, []);
    assert_eq!(register(&serial, renew, head(100)).remarks, []);
    // The log is the server's, whichever of its serial numbers it registers.
    let shorter = register(&other, renew, head(99));
    assert_eq!(shorter.remarks, [Remark::Head(HeadRemark::HeadSmaller)]);
    assert_eq!(shorter.outcome, Outcome::Issued, "it is answered all the same");
    let differs = register(&serial, renew, LogHead { root: Sha256Digest::of(b"rewritten"), ..head(99) });
    assert_eq!(differs.remarks, [Remark::Head(HeadRemark::HeadDiffers)]);
    assert!(differs.remarks[0].to_string().contains("does not say that it was restored"));
    assert_eq!(differs.outcome, Outcome::Repeated);
    assert_eq!(register(&serial, restored, head(50)).remarks, []);
    assert_eq!(register(&serial, renew, head(51)).remarks, []);
    let history = bench.authority.history(&serial).unwrap();
    let shown: Vec<_> =
        history.registrations.iter().map(|entry| (entry.ledger_head.size, entry.remark)).collect();
    let differs = Some(HeadRemark::HeadDiffers);
    assert_eq!(shown, [(100, None), (100, None), (99, differs), (50, None), (51, None)]);
    assert_eq!(history.registrations[3].reason, restored);
    assert_eq!(history.registrations[3].generation, 2);
    assert_eq!(history.grants[1].epoch, Epoch::of(2, 0));
    let text = serde_json::to_string(&history).unwrap();
    assert!(text.contains("\"head_differs\"") && text.contains("\"reason\":\"restored\""), "{text}");
}

#[test]
fn a_head_that_no_log_can_have_is_refused() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    let registration = Registration { ledger_head: head(u64::MAX), ..server.registration(&serial) };
    let refused = bench.answer(&server, &registration, now()).unwrap_err();
    assert!(matches!(refused, RegisterError::Head { .. }), "{refused}");
    assert_eq!(bench.authority.serials().unwrap()[0].server_id, None, "nothing was bound");
}

#[test]
fn new_registrations_of_one_serial_are_bounded_by_day_and_the_answered_ones_are_repeated() {
    let mut bench = Bench::new();
    let (serial, other, server) = (bench.sell(10), bench.sell(5), Server::new());
    let first = server.registration(&serial);
    bench.answer(&server, &first, now()).unwrap();
    for _ in 1..100 {
        bench.register(&serial, &server, now()).unwrap();
    }
    let refused = bench.register(&serial, &server, now()).unwrap_err();
    assert!(matches!(refused, RegisterError::TooMany), "{refused}");
    assert_eq!(bench.answer(&server, &first, now()).unwrap().outcome, Outcome::Repeated);
    bench.register(&other, &server, now()).unwrap();
    bench.register(&serial, &server, now() + days(1)).unwrap();
    assert_eq!(bench.authority.history(&serial).unwrap().registrations.len(), 101);
}

#[test]
fn a_serial_number_that_was_not_sold_has_no_history() {
    let bench = Bench::new();
    let unsold = SerialNumber::from_random([3; 19]);
    assert!(matches!(bench.authority.history(&unsold), Err(AuthorityError::UnknownSerial)));
}

#[test]
fn the_grants_that_a_retiring_key_goes_on_verifying_are_its_own_and_have_not_ended() {
    let mut bench = Bench::new();
    let (serial, other, server) = (bench.sell(10), bench.sell(5), Server::new());
    let ended = bench.register(&serial, &server, now()).unwrap().grant.digest();
    let later = now() + days(400);
    let renewed = bench.register(&serial, &server, later).unwrap().grant.digest();
    let second = bench.register(&other, &server, later).unwrap().grant.digest();
    let live = bench.authority.live_grants(&bench.key.public(), later).unwrap();
    assert!(live.contains(&renewed) && live.contains(&second) && !live.contains(&ended), "{live:?}");
    let stranger = Server::new().key.public();
    assert!(bench.authority.live_grants(&stranger, later).unwrap().is_empty());
}
