//! To whom a serial number belongs, and what is granted for it.

use std::os::unix::fs::PermissionsExt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sealpost_keys::SigningKey;
use sealpost_manifests::grant::{LicenseModel, Registration, RegistrationReason};
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::order::Epoch;
use sealpost_test_support::clock::days;

use super::{Bench, Server, now};
use crate::authority::{Authority, AuthorityError, Issuer, Outcome, RegisterError, Terms};

#[test]
fn a_registration_is_answered_with_a_grant_for_its_server_and_a_retry_with_the_same_bytes() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new();
    let first = bench.register(&serial, &server, now()).unwrap();
    assert_eq!(first.outcome, Outcome::Issued);
    let grant = bench.grant(&first);
    assert_eq!((grant.seats, grant.generation, &grant.server_id), (10, 1, &server.id));
    assert_eq!((grant.epoch, grant.vendor_time), (Epoch::of(1, 0), "2026-03-01T12:00:00Z".parse().unwrap()));

    let again = bench.register(&serial, &server, now() + days(30)).unwrap();
    assert_eq!(again.outcome, Outcome::Repeated);
    assert_eq!(again.grant.document, first.grant.document);
    assert_eq!(again.grant.minisig.as_str(), first.grant.minisig.as_str());
}

#[test]
fn a_grant_ends_with_a_day_of_the_vendor_s_time_zone() {
    // The clocks change between some of these; the last day has the hour 23 twice.
    let cases = [
        ("UTC", "2026-03-01T12:00:00Z", "2027-03-02T23:59:59Z"),
        ("Europe/Berlin", "2026-03-01T12:00:00Z", "2027-03-02T22:59:59Z"),
        ("Europe/Berlin", "2026-03-01T23:30:00Z", "2027-03-03T22:59:59Z"),
        ("Europe/Berlin", "2025-03-31T22:00:00Z", "2026-04-02T21:59:59Z"),
        ("Pacific/Kiritimati", "2026-03-01T09:59:59Z", "2027-03-02T09:59:59Z"),
        ("America/Scoresbysund", "2025-10-23T12:00:00Z", "2026-10-25T01:59:59Z"),
    ];
    for (zone, at, end) in cases {
        let mut bench = Bench { zone: TimeZone::get(zone).unwrap(), ..Bench::new() };
        let (serial, server) = (bench.sell(10), Server::new());
        let at: Timestamp = at.parse().unwrap();
        let answer = bench.register(&serial, &server, at).unwrap();
        let not_after = bench.grant(&answer).not_after;
        assert_eq!(not_after, end.parse().unwrap(), "{zone} {at}");
    }
}

#[test]
fn a_second_server_and_another_key_of_the_same_server_are_refused_and_nothing_changes() {
    let mut bench = Bench::new();
    let (serial, other_serial) = (bench.sell(10), bench.sell(5));
    let server = Server::new();
    bench.register(&serial, &server, now()).unwrap();
    let before = (bench.authority.serials().unwrap(), bench.authority.history(&serial).unwrap());

    let thief = Server::new();
    assert!(matches!(bench.register(&serial, &thief, now()), Err(RegisterError::BoundToOtherServer)));
    let impostor = Server { id: server.id.clone(), key: SigningKey::generate().unwrap() };
    assert!(matches!(bench.register(&serial, &impostor, now()), Err(RegisterError::OtherSiteKey)));
    assert!(matches!(bench.register(&other_serial, &impostor, now()), Err(RegisterError::NotItsOwnId)));
    let claimed = Server { id: Server::new().id, key: SigningKey::generate().unwrap() };
    assert!(matches!(bench.register(&other_serial, &claimed, now()), Err(RegisterError::NotItsOwnId)));
    let unsold = SerialNumber::from_random([3; 19]);
    assert!(matches!(bench.register(&unsold, &server, now()), Err(RegisterError::UnknownSerial)));

    assert_eq!((bench.authority.serials().unwrap(), bench.authority.history(&serial).unwrap()), before);
}

#[test]
fn an_id_is_claimed_by_nobody_before_its_owner_registers() {
    let mut bench = Bench::new();
    let (serial, other_serial) = (bench.sell(10), bench.sell(5));
    let owner = Server::new();
    // Another customer, who paid, has seen the id in a certificate.
    let claims = Server { id: owner.id.clone(), key: SigningKey::generate().unwrap() };
    assert!(matches!(bench.register(&other_serial, &claims, now()), Err(RegisterError::NotItsOwnId)));
    let answer = bench.register(&serial, &owner, now()).unwrap();
    assert_eq!(bench.grant(&answer).server_id, owner.id);
    assert!(matches!(bench.register(&other_serial, &claims, now()), Err(RegisterError::NotItsOwnId)));
}

#[test]
fn new_seats_and_a_lapsed_grant_raise_the_generation() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new();
    bench.register(&serial, &server, now()).unwrap();
    bench.authority.set_seats(&serial, 25).unwrap();
    let more = bench.register(&serial, &server, now()).unwrap();
    assert_eq!((bench.grant(&more).seats, bench.grant(&more).generation), (25, 2));

    let later = bench.register(&serial, &server, now() + days(367)).unwrap();
    assert_eq!((later.outcome, bench.grant(&later).generation), (Outcome::Issued, 3));
}

#[test]
fn a_grant_is_repeated_until_less_than_ninety_days_of_it_are_left_and_the_answer_says_until_when() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new();
    let ask = |bench: &mut Bench, reason, at| {
        let registration = Registration { reason, ..server.registration(&serial) };
        let issuer = Issuer { vendor: "Acme", key: &bench.key, grant_days: 366, time_zone: &bench.zone };
        let answer = bench.authority.register(&server.verified(&registration), &issuer, at).unwrap();
        (registration, answer)
    };
    let (_, first) = ask(&mut bench, RegistrationReason::First, now());
    let end = bench.grant(&first).not_after;
    assert_eq!((first.not_after, first.renewable_from), (end, end - days(90)));
    let just_before = first.renewable_from - SignedDuration::from_secs(1);
    let (kept, repeated) = ask(&mut bench, RegistrationReason::Renew, just_before);
    assert_eq!((repeated.outcome, repeated.renewable_from), (Outcome::Repeated, first.renewable_from));
    assert_eq!(repeated.grant.document, first.grant.document);

    for (reason, generation) in [(RegistrationReason::Renew, 2), (RegistrationReason::First, 3)] {
        // A year on each time, before what was granted last has ended.
        let at = first.renewable_from + days(276 * (generation - 2));
        let (_, renewed) = ask(&mut bench, reason, at);
        assert_eq!(renewed.outcome, Outcome::Issued);
        let grant = bench.grant(&renewed);
        assert_eq!(grant.generation, u64::try_from(generation).unwrap());
        assert!(grant.not_after > at + days(365), "{}", grant.not_after);
    }
    // The same request has the same answer, for ever.
    let issuer = Issuer { vendor: "Acme", key: &bench.key, grant_days: 366, time_zone: &bench.zone };
    let again = bench.authority.register(&server.verified(&kept), &issuer, end + days(500)).unwrap();
    assert_eq!((again.grant.document, again.renewable_from), (first.grant.document, first.renewable_from));
}

#[test]
fn a_grant_of_a_short_life_is_repeated_for_half_of_it() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new();
    let issuer = Issuer { vendor: "Acme", key: &bench.key, grant_days: 30, time_zone: &bench.zone };
    let mut ask = |at| {
        let registration = server.verified(&server.registration(&serial));
        bench.authority.register(&registration, &issuer, at).unwrap().outcome
    };
    let outcomes = [0, 14, 17].map(|day| ask(now() + days(day)));
    assert_eq!(outcomes, [Outcome::Issued, Outcome::Repeated, Outcome::Issued]);
}

#[test]
fn bindings_survive_a_restart_and_the_file_is_private() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new();
    let first = bench.register(&serial, &server, now()).unwrap().grant;
    let path = bench.folder.path().join("license.db");
    for entry in std::fs::read_dir(bench.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    bench.authority = Authority::open(&path).unwrap();
    let again = bench.register(&serial, &server, now()).unwrap();
    assert_eq!((again.outcome, again.grant.document), (Outcome::Repeated, first.document));
    assert!(matches!(Authority::create(&path), Err(AuthorityError::Open { .. })));
}

#[test]
fn a_grant_that_was_changed_in_the_database_is_not_handed_out() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new();
    bench.register(&serial, &server, now()).unwrap();
    bench
        .authority
        .connection
        .execute("UPDATE grants SET document = replace(document, '\"seats\":10', '\"seats\":99')", [])
        .unwrap();
    let refused = bench.register(&serial, &server, now()).unwrap_err();
    assert!(matches!(refused, RegisterError::Storage(AuthorityError::Damaged { .. })), "{refused}");
}

#[test]
fn a_database_of_a_newer_format_is_refused() {
    let bench = Bench::new();
    bench.authority.connection.pragma_update(None, "user_version", 99).unwrap();
    let refused = Authority::open(&bench.folder.path().join("license.db")).unwrap_err();
    assert!(matches!(refused, AuthorityError::NewerFormat { found: 99, .. }));
}

#[test]
fn a_database_of_the_format_that_nobody_used_is_refused_with_what_to_do() {
    let bench = Bench::new();
    bench.authority.connection.pragma_update(None, "user_version", 1).unwrap();
    let refused = Authority::open(&bench.folder.path().join("license.db")).unwrap_err();
    assert!(matches!(refused, AuthorityError::TooOld { found: 1 }), "{refused}");
    assert!(refused.to_string().contains("publisher init"), "{refused}");
}

#[test]
fn no_seats_and_a_license_model_that_is_not_offered_are_refused() {
    let mut bench = Bench::new();
    let mut terms = Terms { seats: 0, model: LicenseModel::Named, packages: Vec::new() };
    assert!(matches!(bench.authority.new_serial(&terms, now()), Err(AuthorityError::Seats { .. })));
    terms = Terms { seats: 1, model: LicenseModel::Floating, packages: Vec::new() };
    assert!(matches!(bench.authority.new_serial(&terms, now()), Err(AuthorityError::Model { .. })));
    assert!(bench.authority.serials().unwrap().is_empty());
}

#[test]
fn of_many_processes_that_register_one_serial_at_once_exactly_one_binds_it() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let path = bench.folder.path().join("license.db");
    let start = std::sync::Barrier::new(8);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (path, serial, key, zone, start) = (&path, &serial, &bench.key, &bench.zone, &start);
                scope.spawn(move || {
                    // A connection of its own is all that a process has.
                    let mut authority = Authority::open(path).unwrap();
                    let server = Server::new();
                    let registration = server.verified(&server.registration(serial));
                    start.wait();
                    let issuer = Issuer { vendor: "Acme", key, grant_days: 366, time_zone: zone };
                    authority.register(&registration, &issuer, now())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let won = answers
        .iter()
        .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.outcome == Outcome::Issued))
        .count();
    let refused =
        answers.iter().filter(|answer| matches!(answer, Err(RegisterError::BoundToOtherServer))).count();
    assert_eq!((won, refused), (1, 7), "{answers:?}");
    let grants: i64 =
        bench.authority.connection.query_row("SELECT count(*) FROM grants", [], |row| row.get(0)).unwrap();
    assert_eq!(grants, 1);
}
