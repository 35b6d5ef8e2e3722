use super::*;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The true time at which each story begins, a day of 2026, plus hours.
fn hour(hours: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000).unwrap() + SignedDuration::from_hours(hours)
}

fn day(days: i64) -> Timestamp {
    hour(days * 24)
}

/// Signed on a day, good for 366 days.
fn signed_on(at: i64) -> VendorStatement {
    VendorStatement::new(day(at), day(at + 366))
}

fn floor_after(statement: VendorStatement) -> LicenseFloor {
    let mut floor = LicenseFloor::from_stored(Timestamp::UNIX_EPOCH, None);
    floor.observe_statement(statement);
    floor
}

/// The clock is right and read every hour, from one hour to another.
fn pass(floor: &mut LicenseFloor, from: i64, to: i64) {
    for now in from + 1..=to {
        floor.observe(hour(now), HOUR);
    }
}

#[test]
fn with_a_right_clock_license_time_is_the_clock_and_the_floor_follows_it() {
    let mut floor = floor_after(signed_on(0));
    pass(&mut floor, 0, 30 * 24);
    assert_eq!(floor.floor(), day(30));
    assert_eq!(floor.license_time(day(31)), day(31));
}

#[test]
fn a_clock_that_is_set_back_does_not_turn_license_time_back() {
    let mut floor = floor_after(signed_on(0));
    pass(&mut floor, 0, 30 * 24);
    for now in [day(29), day(0), day(-4000), Timestamp::UNIX_EPOCH] {
        floor.observe(now, HOUR);
        assert_eq!(floor.license_time(now), day(30));
    }
}

#[test]
fn a_clock_that_is_years_ahead_for_one_contact_locks_nobody_out() {
    for ahead in [40, 400, 5 * 365] {
        let mut floor = floor_after(signed_on(0));
        pass(&mut floor, 0, 100);
        // The contact: a peer's time, or the local clock's.
        floor.observe(hour(101) + SignedDuration::from_hours(ahead * 24), HOUR);
        assert_eq!(floor.license_time(hour(101)), hour(101), "{ahead} days ahead");
        pass(&mut floor, 101, 200);
        assert_eq!(floor.license_time(hour(200)), hour(200), "{ahead} days ahead");
    }
}

#[test]
fn a_clock_that_stays_years_ahead_raises_the_floor_no_faster_than_time_passes() {
    let mut floor = floor_after(signed_on(0));
    for now in 1..=20 * 24 {
        floor.observe(hour(now) + SignedDuration::from_hours(5 * 365 * 24), HOUR);
        assert_eq!(floor.floor(), hour(now));
    }
}

#[test]
fn credit_is_saved_for_one_day_at_most_and_monotonic_time_never_runs_backwards() {
    let mut floor = floor_after(signed_on(0));
    floor.observe(day(0), HOUR * (30 * 24));
    floor.observe(day(30), SignedDuration::ZERO);
    assert_eq!(floor.floor(), day(1));
    floor.observe(day(30), -HOUR);
    floor.observe(day(30), SignedDuration::MIN);
    assert_eq!(floor.floor(), day(1));
    floor.observe(day(30), SignedDuration::MAX);
    assert_eq!(floor.floor(), day(2));
}

#[test]
fn credit_that_was_saved_before_a_statement_does_not_count_after_it() {
    let mut floor = floor_after(signed_on(0));
    floor.observe(day(0), HOUR * 24);
    floor.observe_statement(signed_on(1));
    floor.observe(day(400), SignedDuration::ZERO);
    assert_eq!(floor.floor(), day(1));
}

#[test]
fn one_vendor_statement_400_days_ahead_is_corrected_by_the_next() {
    let mut floor = floor_after(signed_on(0));
    pass(&mut floor, 0, 24);
    floor.observe_statement(signed_on(401));
    assert_eq!(floor.license_time(day(1)), day(401), "a vendor's word counts until a newer one");
    pass(&mut floor, 24, 48);
    floor.observe_statement(signed_on(2));
    assert_eq!(floor.floor(), day(2));
    assert_eq!(floor.license_time(day(2)), day(2));
    pass(&mut floor, 48, 72);
    assert_eq!(floor.floor(), day(3), "and goes on from there");
}

#[test]
fn a_first_statement_by_a_clock_that_is_ahead_is_corrected_by_the_next() {
    let mut floor = floor_after(signed_on(400));
    floor.observe_statement(signed_on(1));
    assert_eq!(floor.license_time(day(1)), day(1));
}

#[test]
fn a_vendor_statement_by_a_clock_that_is_behind_is_corrected_by_the_next() {
    let mut floor = floor_after(signed_on(0));
    pass(&mut floor, 0, 24);
    floor.observe_statement(signed_on(-400));
    assert_eq!(floor.license_time(day(1)), day(1));
    assert_eq!(floor.floor(), day(-400));
    floor.observe_statement(signed_on(2));
    assert_eq!(floor.floor(), day(2));
}

#[test]
fn a_newer_statement_of_a_later_time_keeps_what_passed_since_the_one_before() {
    let mut floor = floor_after(signed_on(0));
    pass(&mut floor, 0, 30 * 24);
    // On its way for nine days.
    floor.observe_statement(signed_on(21));
    assert_eq!(floor.floor(), day(30));
    assert_eq!(floor.statement(), Some(signed_on(21)));
}

#[test]
fn a_beginning_by_a_wrong_clock_ends_with_the_first_statement() {
    // `init`, or the setup file, by a clock that was five years ahead.
    let mut floor = LicenseFloor::from_stored(day(5 * 365), None);
    assert_eq!(floor.license_time(day(0)), day(5 * 365));
    floor.observe_statement(signed_on(0));
    assert_eq!(floor.license_time(day(0)), day(0));
}

#[test]
fn a_computer_whose_clock_begins_at_1970_goes_on_at_the_floor() {
    let mut floor = LicenseFloor::from_stored(day(0), None);
    floor.observe(Timestamp::UNIX_EPOCH, HOUR);
    assert_eq!(floor.license_time(Timestamp::UNIX_EPOCH), day(0));
    // A peer's clock is heard too, as fast as time passes.
    floor.observe(hour(2), HOUR);
    assert_eq!(floor.license_time(Timestamp::UNIX_EPOCH), hour(2));
    floor.observe_statement(signed_on(3));
    assert_eq!(floor.license_time(Timestamp::UNIX_EPOCH), day(3));
}

#[test]
fn the_floor_stops_right_after_what_the_newest_statement_vouches_for() {
    let mut floor = floor_after(VendorStatement::new(day(0), day(7)));
    pass(&mut floor, 0, 30 * 24);
    assert_eq!(floor.floor(), day(7) + SignedDuration::from_secs(1));
    assert_eq!(floor.license_time(day(30)), day(30), "now is not held back");
    floor.observe_statement(VendorStatement::new(day(8), day(15)));
    assert_eq!(floor.floor(), day(8));
}

#[test]
fn a_grant_that_has_ended_stays_ended_when_the_clock_is_set_back() {
    let grant = signed_on(0);
    let mut floor = floor_after(grant);
    pass(&mut floor, 0, 400 * 24);
    assert!(floor.license_time(day(10)) > grant.not_after());
}

#[test]
fn a_later_statement_that_vouches_for_less_lowers_the_floor_to_its_end() {
    let mut floor = floor_after(signed_on(0));
    pass(&mut floor, 0, 30 * 24);
    floor.observe_statement(VendorStatement::new(day(1), day(8)));
    assert_eq!(floor.floor(), day(8) + SignedDuration::from_secs(1));
}

#[test]
fn a_stored_floor_comes_back_within_the_bounds_of_its_statement_and_without_credit() {
    let statement = signed_on(0);
    let stored = |floor| LicenseFloor::from_stored(floor, Some(statement));
    assert_eq!(stored(day(-1)).floor(), day(0));
    assert_eq!(stored(day(5)).floor(), day(5));
    assert_eq!(stored(day(5000)).floor(), day(366) + SignedDuration::from_secs(1));
    let mut floor = stored(day(5));
    floor.observe(day(40), SignedDuration::ZERO);
    assert_eq!(floor.floor(), day(5));
    assert_eq!(LicenseFloor::from_stored(floor.floor(), floor.statement()), floor);
}

#[test]
fn a_statement_that_ends_before_it_was_signed_ends_when_it_was_signed() {
    let statement = VendorStatement::new(day(5), day(1));
    assert_eq!((statement.signed_at(), statement.not_after()), (day(5), day(5)));
    let text = r#"{"signed_at":"2026-05-05T00:00:00Z","not_after":"2026-05-01T00:00:00Z","later":1}"#;
    let read: VendorStatement = serde_json::from_str(text).unwrap();
    assert_eq!(read.not_after(), read.signed_at());
    let text = serde_json::to_string(&signed_on(0)).unwrap();
    assert_eq!(serde_json::from_str::<VendorStatement>(&text).unwrap(), signed_on(0));
}

#[test]
fn the_ends_of_time_are_no_special_case() {
    let always = VendorStatement::new(Timestamp::MIN, Timestamp::MAX);
    let mut floor = LicenseFloor::from_stored(Timestamp::MIN, Some(always));
    floor.observe(Timestamp::MAX, SignedDuration::MAX);
    assert_eq!(floor.floor().duration_since(Timestamp::MIN), MAX_CREDIT);
    floor.observe_statement(VendorStatement::new(Timestamp::MAX, Timestamp::MAX));
    floor.observe(Timestamp::MAX, SignedDuration::MAX);
    floor.observe(Timestamp::MIN, SignedDuration::MAX);
    assert_eq!(floor.floor(), Timestamp::MAX);
}

/// Ten thousand stories of right vendor clocks: local clocks that lie, late statements, restarts.
#[test]
fn the_floor_is_never_ahead_of_the_true_time_when_the_newest_statement_was_right() {
    let mut state = 1_u64;
    let mut draw = move |below: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from(state >> 33).unwrap() % below
    };
    for story in 0..10_000 {
        let mut floor = floor_after(signed_on(0));
        let mut truth = 0;
        for step in 0..40 {
            let passed = draw(72);
            truth += passed;
            match draw(10) {
                0 => {
                    // Signed at any time up to now, by a right clock; on its way since then.
                    let signed = hour(draw(truth + 1));
                    floor.observe(hour(truth), SignedDuration::from_hours(passed));
                    floor.observe_statement(VendorStatement::new(signed, signed + HOUR * 400));
                }
                1 => floor = LicenseFloor::from_stored(floor.floor(), floor.statement()),
                _ => {
                    let said = truth + draw(20_000) - 10_000;
                    floor.observe(hour(said), SignedDuration::from_hours(passed));
                }
            }
            assert!(floor.floor() <= hour(truth), "story {story}, step {step}");
            assert_eq!(floor.license_time(hour(truth)), hour(truth), "story {story}, step {step}");
            let bounds = floor.statement().unwrap();
            assert!(floor.floor() >= bounds.signed_at() && floor.floor() <= bounds.ceiling());
        }
    }
}

mod tls {
    use super::*;

    fn times(now: Timestamp, issued_at: Timestamp, floor: Timestamp) -> Vec<Timestamp> {
        tls_times(now, issued_at, floor).collect()
    }

    /// Valid between two days, and judged at each of these times.
    fn good(valid: std::ops::RangeInclusive<i64>, times: &[Timestamp]) -> bool {
        times.iter().any(|at| *at >= day(*valid.start()) && *at <= day(*valid.end()))
    }

    #[test]
    fn with_a_right_clock_the_clock_alone_judges() {
        assert_eq!(times(day(10), day(0), day(10)), [day(10)]);
        assert_eq!(times(day(10), day(0), day(-5)), [day(10)]);
    }

    #[test]
    fn a_floor_that_a_peer_raised_denies_no_good_certificate() {
        let times = times(day(10), day(0), day(4000));
        assert_eq!(times, [day(10), day(4000)]);
        assert!(good(0..=90, &times));
    }

    #[test]
    fn a_clock_at_1970_stops_nobody_neither_at_enrollment_nor_after_the_certificate_was_renewed() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(times(now, day(0), day(0)), [day(0), now]);
        let later = times(now, day(0), day(300));
        assert_eq!(later, [day(0), day(300), now]);
        assert!(good(-1..=89, &later), "the certificate of the enrollment");
        assert!(good(280..=370, &later), "one that was renewed since");
    }

    #[test]
    fn an_expired_certificate_is_refused_by_a_right_clock_whatever_the_floor() {
        for floor in [Timestamp::UNIX_EPOCH, day(50), day(100), day(4000)] {
            assert!(!good(0..=90, &times(day(100), day(0), floor)), "{floor}");
        }
    }

    #[test]
    fn a_setup_file_of_a_clock_ahead_denies_no_good_certificate() {
        // A vendor statement knew better than the setup file.
        let dead_battery = Timestamp::UNIX_EPOCH;
        assert_eq!(times(dead_battery, day(500), day(3)), [day(500), day(3), dead_battery]);
        assert_eq!(times(day(4), day(500), day(3)), [day(500), day(4)]);
        assert!(good(0..=90, &times(day(4), day(500), day(3))));
    }
}

#[test]
fn what_the_vendor_signed_by_a_clock_that_was_ahead_is_corrected_while_this_clock_is_behind_it() {
    for ahead in [40, 400] {
        let mut floor = floor_after(signed_on(ahead));
        // The vendor's clock was set right, and this one was right all the time.
        pass(&mut floor, 0, 20 * 24);
        let corrected = floor.corrected_by(signed_on(19)).unwrap();
        assert_eq!(corrected.license_time(day(20)), day(20), "{ahead} days ahead");
    }
    // The first statement: the floor rests on a clock's word only.
    let floor = LicenseFloor::from_stored(day(4000), None);
    assert_eq!(floor.corrected_by(signed_on(1)).unwrap().floor(), day(1));
}

#[test]
fn an_old_statement_that_was_kept_and_a_clock_that_is_set_back_bring_no_ended_license_back() {
    // Metadata of day 99 was kept from the server, and a grant was accepted on day 100.
    let mut floor = floor_after(signed_on(100));
    pass(&mut floor, 100 * 24, 466 * 24 + 1);
    assert_eq!(floor.corrected_by(signed_on(99)), None);
    assert!(floor.license_time(day(100)) > signed_on(100).not_after());
}
