//! What a window answers around changes of the clocks, and through a year.

use std::collections::BTreeSet;

use super::*;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const QUARTER: SignedDuration = SignedDuration::from_mins(15);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(days: &[Day], from: &str, minutes: u32, zone: &str) -> Window {
    Window {
        days: Days::try_from(days.iter().copied().collect::<BTreeSet<Day>>()).unwrap(),
        from: TimeOfDay::new(from).unwrap(),
        length_minutes: WindowLength::try_from(minutes).unwrap(),
        zone: Zone::new(zone).unwrap(),
        download_ahead_hours: None,
        missed: Missed::NextWindow,
    }
}

fn occurrence(window: &Window, now: &str) -> (String, String) {
    let Occurrence { from, until } = window.occurrence(at(now));
    (from.to_string(), until.to_string())
}

#[test]
fn a_change_of_the_clocks_moves_a_window_as_the_table_says() {
    use Day::{Saturday, Sunday};
    #[rustfmt::skip]
    let table = [
        // The clocks skip 02:00 to 03:00 at 01:00 UTC.
        ("Europe/Berlin", Sunday, "02:30", 60, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        ("Europe/Berlin", Sunday, "02:00", 60, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        ("Europe/Berlin", Sunday, "03:00", 60, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        ("Europe/Berlin", Saturday, "23:00", 240, "2026-03-28T12:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T02:00:00Z"),
        // 02:00 to 03:00 comes twice, until 01:00 UTC.
        ("Europe/Berlin", Sunday, "02:30", 60, "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("Europe/Berlin", Sunday, "03:00", 60, "2026-10-24T12:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"),
        ("Europe/Berlin", Saturday, "23:00", 240, "2026-10-24T12:00:00Z", "2026-10-24T21:00:00Z", "2026-10-25T01:00:00Z"),
        // The clocks skip 02:00 to 03:00 at 07:00 UTC.
        ("America/New_York", Sunday, "02:30", 30, "2026-03-07T12:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z"),
        ("America/New_York", Saturday, "22:00", 360, "2026-03-07T12:00:00Z", "2026-03-08T03:00:00Z", "2026-03-08T09:00:00Z"),
        // 01:00 to 02:00 comes twice, until 06:00 UTC.
        ("America/New_York", Sunday, "01:30", 60, "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
        ("America/New_York", Saturday, "22:00", 360, "2026-10-31T12:00:00Z", "2026-11-01T02:00:00Z", "2026-11-01T08:00:00Z"),
        // The clocks skip 02:00 to 02:30 at 15:30 UTC of the day before.
        ("Australia/Lord_Howe", Sunday, "02:15", 60, "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:30:00Z"),
        ("Australia/Lord_Howe", Saturday, "23:00", 240, "2026-10-03T00:00:00Z", "2026-10-03T12:30:00Z", "2026-10-03T16:30:00Z"),
        // 01:30 to 02:00 comes twice, until 15:30 UTC of the day before.
        ("Australia/Lord_Howe", Sunday, "01:45", 60, "2026-04-04T00:00:00Z", "2026-04-04T14:45:00Z", "2026-04-04T15:45:00Z"),
        ("Australia/Lord_Howe", Saturday, "23:00", 240, "2026-04-04T00:00:00Z", "2026-04-04T12:00:00Z", "2026-04-04T16:00:00Z"),
        // No change at all, and half an hour away from whole ones.
        ("Asia/Kolkata", Sunday, "02:30", 60, "2026-03-28T12:00:00Z", "2026-03-28T21:00:00Z", "2026-03-28T22:00:00Z"),
        ("UTC", Sunday, "02:30", 60, "2026-03-28T12:00:00Z", "2026-03-29T02:30:00Z", "2026-03-29T03:30:00Z"),
    ];
    for (zone, day, from, minutes, now, opens, closes) in table {
        let window = window(&[day], from, minutes, zone);
        let expected = (opens.to_owned(), closes.to_owned());
        assert_eq!(occurrence(&window, now), expected, "{window} at {now}");
        assert_eq!(occurrence(&window, opens), expected, "{window} as it opens");
        let last = (at(closes) - MINUTE).to_string();
        assert_eq!(occurrence(&window, &last), expected, "{window} before it closes");
        assert!(window.is_open(at(opens)) && !window.is_open(at(opens) - MINUTE), "{window}");
        assert!(window.is_open(at(closes) - MINUTE) && !window.is_open(at(closes)), "{window}");
    }
}

#[test]
fn a_day_that_a_zone_skips_opens_its_window_as_the_next_day_begins() {
    // Samoa had no 30 December 2011, a Friday.
    let window = window(&[Day::Friday], "22:00", 60, "Pacific/Apia");
    let midnight = ("2011-12-30T10:00:00Z".to_owned(), "2011-12-30T11:00:00Z".to_owned());
    assert_eq!(occurrence(&window, "2011-12-29T00:00:00Z"), midnight);
    assert_eq!(occurrence(&window, "2011-12-30T10:59:59Z"), midnight);
}

#[test]
fn windows_of_a_whole_day_overlap_on_a_short_day_and_leave_an_hour_out_on_a_long_one() {
    let window = Window { days: Days::all(), ..window(&[Day::Monday], "00:00", 1440, "Europe/Berlin") };
    // Sunday the 29th has 23 hours: Monday's window opens before Sunday's closes.
    let sunday = ("2026-03-28T23:00:00Z".to_owned(), "2026-03-29T23:00:00Z".to_owned());
    assert_eq!(occurrence(&window, "2026-03-29T22:30:00Z"), sunday);
    let monday = ("2026-03-29T22:00:00Z".to_owned(), "2026-03-30T22:00:00Z".to_owned());
    assert_eq!(occurrence(&window, "2026-03-29T23:00:00Z"), monday);
    // Sunday the 25th has 25 hours.
    assert!(window.is_open(at("2026-10-25T21:59:59Z")));
    assert!(!window.is_open(at("2026-10-25T22:00:00Z")));
    assert!(window.is_open(at("2026-10-25T23:00:00Z")));
}

/// When the clocks of a zone first show `from` or a later time on each listed day of 2026 and around it, found by reading
/// the clocks each quarter of an hour: all changes of these zones and all starts of these windows are at one.
fn starts_by_the_clock(window: &Window) -> Vec<Timestamp> {
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(window.zone.as_str()).unwrap();
    let from: jiff::civil::Time = window.from.to_string().parse().unwrap();
    let days: BTreeSet<&str> =
        BTreeSet::<Day>::from(window.days.clone()).into_iter().map(Day::as_str).collect();
    let mut date = jiff::civil::date(2025, 12, 20);
    let (mut now, end) = (at("2025-12-19T00:00:00Z"), at("2027-01-12T00:00:00Z"));
    let mut starts = Vec::new();
    while now < end {
        let start = date.to_datetime(from);
        if zone.to_datetime(now) >= start {
            let name = format!("{:?}", date.weekday()).to_lowercase();
            if days.contains(name.as_str()) {
                starts.push(now);
            }
            date = date.tomorrow().unwrap();
        }
        now += QUARTER;
    }
    starts
}

#[test]
fn through_a_year_every_listed_day_has_one_start_where_its_clocks_show_it() {
    use Day::{Friday, Monday, Saturday, Sunday, Tuesday};
    let every = [Monday, Tuesday, Day::Wednesday, Day::Thursday, Friday, Saturday, Sunday];
    let windows = [
        window(&[Sunday], "02:30", 240, "Europe/Berlin"),
        window(&every, "02:30", 1440, "Europe/Berlin"),
        window(&[Saturday, Sunday], "01:30", 1, "America/New_York"),
        window(&every, "00:00", 1440, "America/New_York"),
        window(&[Saturday, Sunday, Monday], "02:15", 600, "Australia/Lord_Howe"),
        window(&every, "01:45", 1440, "Australia/Lord_Howe"),
        window(&[Tuesday, Friday], "23:45", 90, "Asia/Kolkata"),
    ];
    let (begin, end) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    for window in windows {
        let starts = starts_by_the_clock(&window);
        // By this list: the first occurrence that has not closed, and the first that has not opened.
        let mut expected = 0;
        let mut seen: Vec<Occurrence> = Vec::new();
        let mut now = begin;
        while now < end {
            while starts[expected] + window.length() <= now {
                expected += 1;
            }
            let found = window.occurrence(now);
            assert!(now < found.until, "{window} at {now}");
            assert_eq!(found.from, starts[expected], "{window} at {now}");
            if seen.last() != Some(&found) {
                assert!(seen.last().is_none_or(|last| last.from < found.from), "{window} at {now}");
                assert_eq!(found.until.duration_since(found.from), window.length(), "{window} at {now}");
                let last = found.until - SignedDuration::from_nanos(1);
                assert_eq!(window.occurrence(last), found, "{window} just before {}", found.until);
                assert!(window.is_open(found.from) && window.is_open(last), "{window} at {now}");
                seen.push(found);
            }
            now += SignedDuration::from_mins(17);
        }
        // A window of one minute is met by no step, and still is the next one of some step.
        let (first, last) = (seen[0].from, seen[seen.len() - 1].from);
        let listed = starts.iter().filter(|start| (first..=last).contains(start)).copied();
        assert_eq!(
            seen.iter().map(|one| one.from).collect::<Vec<_>>(),
            listed.collect::<Vec<_>>(),
            "{window}"
        );
    }
}

#[test]
fn a_computer_that_was_off_waits_or_catches_up_as_its_window_says() {
    let waits = window(&[Day::Saturday], "20:00", 240, "UTC");
    let at_once = |count: u32| Window {
        missed: Missed::AtOnceAfter(MissedWindows::try_from(count).unwrap()),
        ..waits.clone()
    };
    let closed = |opens: &str| Opening::Closed { opens_at: at(opens) };
    // Saturdays are the 7th, 14th and 21st.
    let friday = "2026-11-06T00:00:00Z";
    #[rustfmt::skip]
    let table = [
        (&waits, friday, "2026-11-07T20:00:00Z", Opening::Open { until: at("2026-11-08T00:00:00Z") }),
        (&waits, friday, "2026-11-20T00:00:00Z", closed("2026-11-21T20:00:00Z")),
        (&at_once(1), friday, "2026-11-07T19:59:59Z", closed("2026-11-07T20:00:00Z")),
        (&at_once(1), friday, "2026-11-07T23:59:59Z", Opening::Open { until: at("2026-11-08T00:00:00Z") }),
        (&at_once(1), friday, "2026-11-08T00:00:00Z", Opening::CaughtUp { missed: 1 }),
        (&at_once(2), friday, "2026-11-08T00:00:00Z", closed("2026-11-14T20:00:00Z")),
        (&at_once(2), friday, "2026-11-15T00:00:00Z", Opening::CaughtUp { missed: 2 }),
        // It began to wait in the middle of a window: that one does not count.
        (&at_once(1), "2026-11-07T20:00:01Z", "2026-11-08T00:00:00Z", closed("2026-11-14T20:00:00Z")),
        (&at_once(1), "2026-11-07T20:00:00Z", "2026-11-08T00:00:00Z", Opening::CaughtUp { missed: 1 }),
        (&at_once(52), "2020-01-01T00:00:00Z", "2026-11-08T00:00:00Z", Opening::CaughtUp { missed: 52 }),
        // A clock that went back since.
        (&at_once(1), "2026-12-01T00:00:00Z", "2026-11-08T00:00:00Z", closed("2026-11-14T20:00:00Z")),
    ];
    for (window, since, now, expected) in table {
        assert_eq!(
            window.opening(at(since), at(now)),
            expected,
            "{:?} since {since} at {now}",
            window.missed
        );
    }
}

#[test]
fn a_download_begins_as_long_before_the_window_as_it_says_or_at_any_time() {
    let any_time = window(&[Day::Sunday], "02:30", 60, "Europe/Berlin");
    let next = any_time.occurrence(at("2026-03-28T12:00:00Z"));
    assert_eq!(any_time.download_from(next), None);
    let ahead = |hours| Window {
        download_ahead_hours: Some(DownloadAhead::try_from(hours).unwrap()),
        ..any_time.clone()
    };
    assert_eq!(ahead(0).download_from(next), Some(next.from));
    assert_eq!(ahead(12).download_from(next), Some(at("2026-03-28T13:00:00Z")));
}

#[test]
fn every_time_has_an_answer_also_where_time_can_no_longer_be_written() {
    let window = window(&[Day::Monday], "12:00", 1440, "Australia/Lord_Howe");
    for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX - MINUTE, Timestamp::MAX] {
        let found = window.occurrence(now);
        assert!(now < found.until || found.until == Timestamp::MAX, "{now}");
        let _ = window.opening(Timestamp::MIN, now);
    }
}

#[test]
fn a_window_is_written_as_it_is_read_and_names_its_zone_as_the_database_does() {
    let text = r#"{"days":["monday","friday"],"from":"22:00","length_minutes":240,"zone":"Europe/Berlin","download_ahead_hours":12,"missed":{"at_once_after":2}}"#;
    let read: Window = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert_eq!(read.to_string(), "monday, friday at 22:00 for 240 minutes (Europe/Berlin)");
    let least = r#"{"days":["sunday","sunday"],"from":"00:00","length_minutes":1,"zone":"europe/berlin"}"#;
    let read: Window = serde_json::from_str(least).unwrap();
    assert_eq!(read, window(&[Day::Sunday], "00:00", 1, "Europe/Berlin"));
    let written = r#"{"days":["sunday"],"from":"00:00","length_minutes":1,"zone":"Europe/Berlin","missed":"next_window"}"#;
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
    assert_eq!(Days::all().to_string(), "every day");
}

#[test]
fn what_is_no_window_is_refused_with_its_bound() {
    let fields = [
        ("days", r#"["sunday"]"#),
        ("from", r#""22:00""#),
        ("length_minutes", "60"),
        ("zone", r#""UTC""#),
        ("download_ahead_hours", "1"),
        ("missed", r#""next_window""#),
    ];
    let with = |changed: &str, value: &str| {
        let pairs = fields.iter().filter(|(name, _)| *name != changed).copied().chain([(changed, value)]);
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name:?}:{value}")).collect();
        serde_json::from_str::<Window>(&format!("{{{}}}", pairs.join(",")))
    };
    for (name, value) in fields {
        assert!(with(name, value).is_ok(), "{name}");
    }
    assert!(with("length_minutes", "1440").is_ok() && with("download_ahead_hours", "168").is_ok());
    assert!(with("missed", r#"{"at_once_after":52}"#).is_ok());
    let long = format!("\"{}\"", "x".repeat(5000));
    #[rustfmt::skip]
    let table = [
        ("days", "[]", "a window needs at least one day"),
        ("days", r#"["Sunday"]"#, "unknown variant `Sunday`"),
        ("from", r#""24:00""#, "use HH:MM from 00:00 to 23:59"),
        ("from", r#""22:60""#, "use HH:MM"),
        ("from", r#""9:00""#, "use HH:MM"),
        ("from", r#""+9:00""#, "use HH:MM"),
        ("from", r#""22:00:00""#, "use HH:MM"),
        ("from", &long, "use HH:MM"),
        ("length_minutes", "0", "use 1 to 1440"),
        ("length_minutes", "1441", "use 1 to 1440"),
        ("length_minutes", "-1", "expected u32"),
        ("download_ahead_hours", "169", "use at most 168"),
        ("missed", r#"{"at_once_after":0}"#, "use 1 to 52"),
        ("missed", r#"{"at_once_after":53}"#, "use 1 to 52"),
        ("missed", r#"{"at_once_after":4294967295}"#, "use 1 to 52"),
        ("missed", r#""never""#, "unknown variant `never`"),
        ("zone", r#""Europe/Atlantis""#, r#"use a name such as "Europe/Berlin""#),
        ("zone", r#""Etc/Unknown""#, "is no time zone that this program knows"),
        ("zone", r#""../../etc/localtime""#, "is no time zone that this program knows"),
        ("zone", r#""CET-1CEST,M3.5.0,M10.5.0/3""#, "is no time zone that this program knows"),
        ("zone", &long, "is no time zone that this program knows"),
        ("until", "1", "unknown field `until`"),
    ];
    for (name, value, expected) in table {
        let refused = with(name, value).unwrap_err().to_string();
        assert!(refused.contains(expected), "{name}: {refused}");
        assert!(refused.len() < 300, "{name}: {} bytes", refused.len());
    }
}
