//! The end of a serial number: what its server is told, and who cannot register it any more.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::authority::Outcome;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap()
}

#[test]
fn the_server_of_an_ended_serial_number_is_told_with_one_grant_and_a_lift_brings_another() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    let first = bench.register(&serial, &server, now()).unwrap();
    assert_eq!((bench.grant(&first).ends_at, first.last), (None, None));
    let end = whole(now()) + 10 * DAY;
    bench.authority.set_end(&serial, Some(end + SignedDuration::from_millis(700))).unwrap();

    // Asked with the same request it says what it said.
    for at in [now() + DAY, end + 40 * DAY] {
        let answer = bench.register(&serial, &server, at).unwrap();
        let grant = bench.grant(&answer);
        assert_eq!((grant.generation, grant.ends_at, grant.not_after), (2, Some(end), end), "{at}");
        assert_eq!((answer.last, answer.not_after), (Some(end), end));
        assert_eq!(answer.outcome, if at < end { Outcome::Issued } else { Outcome::Repeated }, "{at}");
    }
    let entry = bench.authority.history(&serial).unwrap().entry;
    assert_eq!((entry.ends_at, entry.renewable_from), (Some(end), None));
    assert_eq!(bench.authority.serials().unwrap()[0], entry);

    bench.authority.set_end(&serial, None).unwrap();
    let lifted = bench.register(&serial, &server, end + 41 * DAY).unwrap();
    let grant = bench.grant(&lifted);
    assert_eq!((grant.generation, grant.ends_at), (3, None));
    assert!(grant.not_after > end + 400 * DAY && lifted.last.is_none());
}

#[test]
fn a_serial_number_that_ended_long_ago_is_told_to_the_server_that_has_it_by_a_grant_that_is_over() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    bench.register(&serial, &server, now()).unwrap();
    let end = whole(now()) + DAY;
    bench.authority.set_end(&serial, Some(end)).unwrap();
    let answer = bench.register(&serial, &server, end + 90 * DAY).unwrap();
    let grant = bench.grant(&answer);
    assert_eq!((grant.not_after, grant.ended(end + 90 * DAY)), (end, Some(end)));
    assert_eq!(grant.ended(end), None, "the last instant is good");
}

#[test]
fn an_end_beyond_the_grants_own_is_in_it_and_the_grant_is_renewed_until_then() {
    let mut bench = Bench::new();
    let (serial, server) = (bench.sell(10), Server::new());
    let end = whole(now()) + 500 * DAY;
    bench.authority.set_end(&serial, Some(end)).unwrap();
    let first = bench.register(&serial, &server, now()).unwrap();
    let grant = bench.grant(&first);
    assert_eq!((grant.ends_at, first.last), (Some(end), None));
    assert!(grant.not_after < end && !grant.is_last());
    let renewed = bench.register(&serial, &server, first.renewable_from).unwrap();
    assert_eq!((bench.grant(&renewed).generation, renewed.not_after, renewed.last), (2, end, Some(end)));
}

#[test]
fn an_ended_serial_number_is_bound_to_no_server_any_more() {
    let mut bench = Bench::new();
    let (unbound, cleared) = (bench.sell(10), bench.sell(10));
    let server = Server::new();
    let request = server.registration(&cleared);
    let before = bench.answer(&server, &request, now()).unwrap();
    let end = whole(now()) + DAY;
    for serial in [&unbound, &cleared] {
        bench.authority.set_end(serial, Some(end)).unwrap();
    }
    bench.authority.clear_key(&server.id, crate::authority::ClearedKey::Lost, now()).unwrap();
    for serial in [&unbound, &cleared] {
        let history = bench.authority.history(serial).unwrap();
        let refused = bench.register(serial, &server, end + DAY).unwrap_err();
        assert!(matches!(refused, RegisterError::SerialEnded { at } if at == end), "{refused}");
        assert_eq!(bench.authority.history(serial).unwrap(), history, "nothing was changed");
    }
    // What was answered is answered for ever.
    let again = bench.answer(&server, &request, end + DAY).unwrap();
    assert_eq!(again.grant.document, before.grant.document);
    // On its last day it can still be bound.
    let bound = bench.register(&unbound, &Server::new(), end).unwrap();
    assert_eq!(bench.grant(&bound).ends_at, Some(end));
    let unsold = SerialNumber::from_random([9; 19]);
    assert!(bench.authority.set_end(&unsold, None).is_err());
}
