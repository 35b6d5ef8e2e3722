//! Making a vendor's home.

use jiff::{SignedDuration, Timestamp};
use sealpost_publisher::init::{InitError, init};
use sealpost_test_support::clock::days;

use crate::support::{now, plan};

#[test]
fn a_clock_that_was_never_set_makes_no_home_and_one_that_was_set_makes_it_in_the_same_place() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let first_good: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for clock in
        [Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + days(400), first_good - SignedDuration::from_secs(1)]
    {
        let refused = init(&home, &plan(&home), None, clock).unwrap_err();
        assert!(matches!(refused, InitError::Clock { now } if now == clock), "{refused}");
        let said = refused.to_string();
        assert!(said.contains(&clock.to_string()) && said.contains("set the clock"), "{said}");
        assert!(!home.exists(), "no key is made that would have to be thrown away");
    }
    init(&home, &plan(&home), None, now()).unwrap();
}
