use super::*;

const NOW: &str = "2026-11-27T10:30:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn strategy(json: serde_json::Value) -> Strategy {
    serde_json::from_value(json).unwrap()
}

/// Two rings, of which the first is watched for two hours.
fn two_rings(deadline_hours: Option<u32>, first: serde_json::Value) -> Strategy {
    let mut ring = serde_json::json!({ "name": "first", "takes": { "first": 1 }, "soak_minutes": 120 });
    ring.as_object_mut().unwrap().extend(first.as_object().unwrap().clone());
    strategy(serde_json::json!({
        "deadline_hours": deadline_hours,
        "rings": [ring, { "name": "rest", "takes": "everyone", "soak_minutes": 60 }]
    }))
}

fn class(delivery: &str) -> Class {
    Class { delivery: delivery.parse().unwrap(), content: Content::General }
}

fn of(classes: &[(Class, u64)]) -> RingFacts {
    RingFacts { classes: classes.to_vec(), running: 0 }
}

fn night(zone: &str) -> BTreeMap<Word, Window> {
    let window = serde_json::json!({
        "days": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
        "from": "22:00", "length_minutes": 240, "zone": zone
    });
    BTreeMap::from([(Word::known("night"), serde_json::from_value(window).unwrap())])
}

fn times(strategy: &Strategy, rings: &[RingFacts]) -> Vec<Times> {
    let windows = night("UTC");
    forecast(&Facts { now: at(NOW), strategy, rings, windows: &windows, at_once: false })
}

/// When the second ring opens at the earliest, and what is said of its latest time.
fn second(strategy: &Strategy, first: RingFacts) -> (String, String) {
    let found = times(strategy, &[first, of(&[(class("push"), 5)])]);
    let shown = |at: Timestamp| at.strftime("%d %H:%M").to_string();
    let why = found[1].without.first().map(|(why, _)| why.to_string());
    (shown(found[1].opens), found[1].latest.map(shown).or(why).unwrap())
}

/// What it is about, the deadline in hours, the numbers of the first ring and its computers; when the second ring opens at the
/// earliest, and by when it is done or why there is no such time.
type Case<'a> = (&'a str, Option<u32>, serde_json::Value, RingFacts, &'a str, &'a str);

#[test]
fn the_next_ring_opens_after_what_this_one_waits_for_and_is_done_after_what_this_one_is_forced_to() {
    let plain = serde_json::json!({});
    let three = serde_json::json!({ "minimum_sample": 3 });
    let day = Some(24);
    let later = |content| Class { content, ..class("push") };
    let delayed = later(Content::Delayed(6.try_into().unwrap()));
    let ring = "the ring first before it has no latest time";
    let cases: [Case<'_>; 15] = [
        // Told by 14:30, done a day later, watched for two hours; then the same for the second ring.
        ("one computer", day, plain.clone(), of(&[(class("push"), 1)]), "27 12:30", "29 20:30"),
        ("nobody is in it", day, plain.clone(), of(&[]), "27 10:30", "28 14:30"),
        ("no deadline", None, plain.clone(), of(&[(class("push"), 1)]), "27 12:30", "no deadline is set"),
        // The soak begins with the first install, in the window.
        ("a window", day, plain.clone(), of(&[(class("window:night"), 1)]), "28 00:00", "29 20:30"),
        (
            "a window of most",
            day,
            three.clone(),
            of(&[(class("push"), 2), (class("window:night"), 1)]),
            "27 22:00",
            "29 20:30",
        ),
        (
            "enough before the window",
            day,
            three.clone(),
            of(&[(class("push"), 3), (class("window:night"), 1)]),
            "27 12:30",
            "29 20:30",
        ),
        (
            "a person, with a deadline",
            day,
            plain.clone(),
            of(&[(class("manual"), 1)]),
            "27 12:30",
            "29 20:30",
        ),
        ("a folder", day, plain.clone(), of(&[(class("folder"), 1)]), "27 12:30", ring),
        (
            "a folder beside enough others",
            day,
            plain.clone(),
            of(&[(class("folder"), 1), (class("push"), 1)]),
            "27 12:30",
            "29 20:30",
        ),
        (
            "paused signature files",
            day,
            plain.clone(),
            of(&[(later(Content::Paused), 1)]),
            "27 10:30",
            "28 14:30",
        ),
        ("delayed signature files", day, plain.clone(), of(&[(delayed, 1)]), "27 10:30", "28 14:30"),
        // The first hour of the clock ends at 11:00: the fifth is told at 12:00 or later, which the soak exceeds.
        (
            "two in an hour",
            day,
            serde_json::json!({ "per_hour": 2, "minimum_sample": 5 }),
            of(&[(class("push"), 5)]),
            "27 12:30",
            "29 22:30",
        ),
        (
            "one in an hour",
            day,
            serde_json::json!({ "per_hour": 1, "minimum_sample": 5 }),
            of(&[(class("push"), 5)]),
            "27 14:00",
            "30 00:30",
        ),
        // Each of the two rounds has four hours to be told and a day.
        (
            "one at a time",
            day,
            serde_json::json!({ "concurrent": 1 }),
            of(&[(class("push"), 2)]),
            "27 12:30",
            "31 00:30",
        ),
        ("one runs it", None, plain, RingFacts { running: 1, ..of(&[]) }, "27 12:30", "no deadline is set"),
    ];
    for (what, deadline, numbers, first, opens, latest) in cases {
        let latest = latest.replace("31 00:30", "01 00:30");
        assert_eq!(second(&two_rings(deadline, numbers), first), (opens.to_owned(), latest), "{what}");
    }
}

#[test]
fn whoever_has_no_latest_time_is_told_why_and_counted() {
    let later = Class { content: Content::Paused, ..class("push") };
    let all = of(&[
        (class("push"), 2),
        (class("window:night"), 3),
        (class("manual"), 4),
        (class("folder"), 5),
        (later, 6),
    ]);
    let none = times(&two_rings(None, serde_json::json!({})), &[of(&[]), all.clone()]);
    assert_eq!(none[1].latest, None);
    assert_eq!(
        none[1].without,
        [(NoLatest::NoDeadline, 5), (NoLatest::ByPerson, 4), (NoLatest::ByFolder, 5), (NoLatest::Paused, 6)]
    );
    let forced = times(&two_rings(Some(24), serde_json::json!({})), &[of(&[]), all.clone()]);
    assert_eq!(forced[1].latest, Some(at("2026-11-28T14:30:00Z")));
    assert_eq!(forced[1].without, [(NoLatest::ByFolder, 5), (NoLatest::Paused, 6)]);
    // A ring that may wait for ever keeps the next one waiting.
    let behind = times(&two_rings(Some(24), serde_json::json!({})), &[of(&[(class("folder"), 1)]), all]);
    assert_eq!(behind[1].latest, None);
    assert_eq!(behind[1].without[0], (NoLatest::Ring(Word::known("first")), 9));
}

#[test]
fn what_waits_for_nothing_is_done_when_it_was_told_whatever_windows_and_persons_say() {
    let (strategy, windows) = (two_rings(None, serde_json::json!({})), night("UTC"));
    let rings = [of(&[(class("window:night"), 1)]), of(&[(class("manual"), 1)])];
    let facts = Facts { now: at(NOW), strategy: &strategy, rings: &rings, windows: &windows, at_once: true };
    let found = forecast(&facts);
    assert_eq!((found[0].first, found[0].latest), (Some(at(NOW)), Some(at("2026-11-27T14:30:00Z"))));
    // Told by 14:30, watched until 16:30, and told by 20:30.
    assert_eq!(found[1].latest, Some(at("2026-11-27T20:30:00Z")));
    assert!(found.iter().all(|ring| ring.without.is_empty()));
}

#[test]
fn a_window_opens_by_the_clock_of_its_zone_also_on_the_day_after_the_clocks_changed() {
    // Berlin goes from +02:00 to +01:00 on 2026-10-25 at 01:00 UTC.
    for (now, first) in [
        ("2026-10-24T12:00:00Z", "2026-10-24T20:00:00Z"),
        ("2026-10-25T12:00:00Z", "2026-10-25T21:00:00Z"),
        // It is open already; half an hour after it closed, the next one opens after the change.
        ("2026-10-24T23:30:00Z", "2026-10-24T23:30:00Z"),
        ("2026-10-25T00:30:00Z", "2026-10-25T21:00:00Z"),
    ] {
        let (strategy, windows) = (Strategy::everyone_now(), night("Europe/Berlin"));
        let rings = [of(&[(class("window:night"), 1)])];
        let facts =
            Facts { now: at(now), strategy: &strategy, rings: &rings, windows: &windows, at_once: false };
        assert_eq!(forecast(&facts)[0].first, Some(at(first)), "{now}");
    }
}

#[test]
fn times_beyond_the_last_one_that_can_be_written_stay_there() {
    let strategy = two_rings(Some(8760), serde_json::json!({ "concurrent": 1, "per_hour": 1 }));
    let rings = [of(&[(class("push"), u64::from(u32::MAX))]), of(&[(class("push"), 1)])];
    assert_eq!(times(&strategy, &rings)[1].latest, Some(Timestamp::MAX));
}
