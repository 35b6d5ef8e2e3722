use jiff::SignedDuration;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::license_time::LicenseFloor;
use sealpost_manifests::order::Epoch;

use super::*;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 24 * 3_600).unwrap()
}

fn serial(id: u8) -> SerialNumber {
    SerialNumber::from_random([id; 19])
}

fn grant(id: u8, signed: i64, not_after: i64, ends: Option<i64>) -> Grant {
    let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    Grant {
        vendor: "Acme".to_owned(),
        serial: serial(id),
        server_id: ServerId::of_site_key(&site_key),
        site_key,
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 10,
        generation: 1,
        not_after: at(not_after),
        ends_at: ends.map(at),
        vendor_time: at(signed),
        request_id: None,
    }
}

fn held(id: u8, signed: i64, ends: i64) -> GrantedTimes {
    GrantedTimes { serial: serial(id), signed_at: at(signed), ends: at(ends) }
}

/// The day of the floor after a statement, and that of its end, where the floor stood at `floor` by a newest statement of day
/// `newest`.
fn after(floor: i64, newest: Option<i64>, statement: VendorStatement) -> (i64, i64) {
    let newest = newest.map(|day| VendorStatement::new(at(day), at(1_000)));
    let mut license = LicenseFloor::from_stored(at(floor), newest);
    license.observe_statement(statement);
    let day = |time: Timestamp| time.as_second() / (24 * 3_600);
    (day(license.floor()), day(statement.not_after()))
}

/// Serial 1 ended on day 100, which a grant of day 50 says; license time is day 120. What moves the floor, and to where.
#[test]
fn a_grant_lowers_what_its_own_serial_raised_and_nothing_else() {
    let newest = |day: i64| Some(VendorStatement::new(at(day), at(1_000)));
    let ended = held(1, 50, 100);
    // (what is tried, the accepted grant, the newest statement, what is held, the floor after it, the end after it)
    let rows = [
        ("the first of all corrects this clock", grant(2, 60, 400, None), None, vec![], 60, 400),
        (
            "a kept code of a serial that is not held",
            grant(2, 40, 400, None),
            newest(110),
            vec![ended.clone()],
            120,
            400,
        ),
        (
            "one that was signed before the end",
            grant(2, 80, 400, None),
            newest(50),
            vec![ended.clone()],
            120,
            400,
        ),
        (
            "one that was signed before the grant that says the end",
            grant(2, 40, 400, None),
            newest(50),
            vec![ended.clone()],
            120,
            400,
        ),
        (
            "a kept generation of a serial that is held",
            grant(2, 40, 400, None),
            newest(110),
            vec![ended.clone(), held(2, 30, 200)],
            120,
            400,
        ),
        (
            "one that lapsed long ago does not lower the ceiling",
            grant(2, 40, 60, None),
            newest(110),
            vec![ended.clone()],
            110,
            110,
        ),
        (
            "the end of a serial counts beside that of its grant",
            grant(2, 40, 60, Some(130)),
            newest(110),
            vec![ended.clone()],
            120,
            130,
        ),
        ("a new one of the day", grant(2, 119, 500, None), newest(110), vec![ended.clone()], 120, 500),
        (
            "the vendor's clock was ahead with this serial, and is right now",
            grant(2, 60, 400, None),
            newest(900),
            vec![held(1, 50, 100), held(2, 900, 1_300)],
            60,
            400,
        ),
        (
            "… but another one was signed later",
            grant(2, 40, 400, None),
            newest(900),
            vec![held(1, 50, 100), held(2, 900, 1_300)],
            50,
            400,
        ),
        (
            "the vendor's clock was ahead with another serial: that one is corrected by its own",
            grant(1, 60, 400, None),
            newest(900),
            vec![held(1, 50, 100), held(2, 900, 1_300)],
            900,
            1_300,
        ),
    ];
    for (what, accepted, newest, held, floor, end) in rows {
        let before = newest.map_or(120, |newest| 120.max(newest.signed_at().as_second() / (24 * 3_600)));
        let statement = with_grant(&accepted, newest, &held);
        let day = newest.map(|newest| newest.signed_at().as_second() / (24 * 3_600));
        assert_eq!(after(before, day, statement), (floor, end), "{what}");
    }
}

#[test]
fn newer_metadata_says_the_time_and_the_grants_how_far_it_may_go() {
    let metadata = |signed: i64| VendorStatement::new(at(signed), at(signed + 7));
    // The vendor's clock was ahead when it granted, and is right now: nobody has to do anything at the site.
    assert_eq!(after(900, Some(900), with_metadata(metadata(60), &[held(1, 900, 1_300)])), (60, 1_300));
    assert_eq!(after(60, None, with_metadata(metadata(60), &[])), (60, 67));
    assert_eq!(after(200, Some(190), with_metadata(metadata(199), &[held(1, 50, 400)])), (200, 400));
}

#[test]
fn what_metadata_corrected_comes_back_with_no_grant_of_another_serial_number() {
    let corrected = Some(VendorStatement::new(at(60), at(1_300)));
    let ahead = [held(1, 900, 1_300), held(2, 60, 400)];
    // Of one that is new here, of one whose grant is the newest statement, and of the one that was wrong.
    for (id, newest) in [(3, corrected), (2, corrected), (1, corrected)] {
        assert_eq!(with_grant(&grant(id, 61, 500, None), newest, &ahead).signed_at(), at(61), "serial {id}");
    }
}

#[test]
fn a_time_that_was_stored_less_finely_is_still_the_one_of_its_grant() {
    let finer = SignedDuration::from_nanos(7);
    let newest = VendorStatement::new(at(900), at(1_300));
    let ahead = [GrantedTimes { signed_at: at(900) + finer, ..held(2, 900, 1_300) }];
    assert_eq!(with_grant(&grant(2, 60, 400, None), Some(newest), &ahead).signed_at(), at(60));
}
