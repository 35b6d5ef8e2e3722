//! The times of an assignment, for each method, and how long they stay the same.

use super::*;
use crate::rules::rollouts::window::{
    Day, Days, DownloadAhead, Missed, MissedWindows, TimeOfDay, Window, WindowLength, Zone,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Saturdays at 02:00 UTC for two hours, with six hours for the download.
fn window(missed: Missed) -> Window {
    Window {
        days: Days::try_from(std::collections::BTreeSet::from([Day::Saturday])).unwrap(),
        from: TimeOfDay::new("02:00").unwrap(),
        length_minutes: WindowLength::try_from(120).unwrap(),
        zone: Zone::new("UTC").unwrap(),
        download_ahead_hours: Some(DownloadAhead::try_from(6).unwrap()),
        missed,
    }
}

/// A Wednesday.
const TOLD: &str = "2026-03-04T12:00:00Z";

fn facts<'a>(delivery: &'a Delivery, window: Option<&'a Window>, now: &str) -> ScheduleFacts<'a> {
    ScheduleFacts {
        now: at(now),
        told_at: Some(at(TOLD)),
        delivery,
        window: window.map(|window| window.at(at(now))),
        severity: Severity::Normal,
        critical: WhenCritical::InWindow,
        emergency: false,
        deadline: None,
        hold: Hold::NONE,
    }
}

fn saturday() -> Delivery {
    Delivery::Window(Word::new("saturday").unwrap())
}

#[test]
fn a_method_gives_the_times_that_belong_to_it() {
    let window = window(Missed::NextWindow);
    for (delivery, by_person) in [
        (Delivery::Push, false),
        (Delivery::Poll, false),
        (Delivery::Folder, false),
        (Delivery::Manual, true),
    ] {
        let times = Schedule::of(&facts(&delivery, Some(&window), TOLD));
        assert_eq!(times, Schedule { by_person, ..Schedule::default() }, "{delivery}");
    }
    let delivery = saturday();
    let times = Schedule::of(&facts(&delivery, Some(&window), TOLD));
    let wanted = Schedule {
        download_from: Some(at("2026-03-06T20:00:00Z")),
        install_from: Some(at("2026-03-07T02:00:00Z")),
        install_until: Some(at("2026-03-07T04:00:00Z")),
        ..Schedule::default()
    };
    assert_eq!(times, wanted);
    let missing = Schedule::of(&facts(&delivery, None, TOLD));
    assert_eq!(missing, Schedule::default(), "a window that was removed holds nobody back for ever");
}

#[test]
fn times_stay_the_same_until_a_window_closes() {
    let (delivery, window) = (saturday(), window(Missed::NextWindow));
    let of = |now| {
        Schedule::of(&ScheduleFacts {
            deadline: Some(SignedDuration::from_hours(240)),
            hold: Hold::default(),
            ..facts(&delivery, Some(&window), now)
        })
    };
    let first = of(TOLD);
    for now in
        ["2026-03-05T00:00:00Z", "2026-03-06T23:59:59Z", "2026-03-07T02:00:00Z", "2026-03-07T03:59:59Z"]
    {
        assert_eq!(of(now), first, "{now}");
    }
    let next = of("2026-03-07T04:00:00Z");
    assert_eq!(next.install_from, Some(at("2026-03-14T02:00:00Z")));
    assert_eq!(
        (next.deadline, next.postpone),
        (first.deadline, first.postpone),
        "these count from when it was told"
    );
    assert_eq!(of("2026-03-11T00:00:00Z"), next);
}

#[test]
fn a_deadline_overrides_window_person_and_hold_from_its_instant_on() {
    let window = window(Missed::NextWindow);
    let deadline = Some(SignedDuration::from_hours(24));
    for delivery in [saturday(), Delivery::Manual, Delivery::Push] {
        let of = |now| {
            Schedule::of(&ScheduleFacts {
                deadline,
                hold: Hold::default(),
                ..facts(&delivery, Some(&window), now)
            })
        };
        let before = of("2026-03-05T11:59:59Z");
        assert_eq!(before.deadline, Some(at("2026-03-05T12:00:00Z")));
        assert_eq!(
            before.postpone,
            Some((3, at("2026-03-05T12:00:00Z"))),
            "{delivery}: nobody puts it off beyond the deadline"
        );
        assert_eq!(before.by_person, delivery == Delivery::Manual);
        let late = of("2026-03-05T12:00:00Z");
        assert_eq!(late, Schedule { deadline: before.deadline, ..Schedule::default() }, "{delivery}");
        assert_eq!(of("2026-04-05T12:00:00Z"), late, "{delivery}");
    }
}

#[test]
fn an_emergency_and_what_is_critical_at_once_wait_for_nothing() {
    let window = window(Missed::NextWindow);
    let emergency = Schedule { urgency: Some(Urgency::Emergency), ..Schedule::default() };
    for delivery in [saturday(), Delivery::Manual, Delivery::Push] {
        let base = ScheduleFacts {
            deadline: Some(SignedDuration::from_hours(1)),
            hold: Hold::default(),
            ..facts(&delivery, Some(&window), TOLD)
        };
        assert_eq!(Schedule::of(&ScheduleFacts { emergency: true, ..base }), emergency, "{delivery}");
        let critical = ScheduleFacts { severity: Severity::Critical, ..base };
        let at_once = ScheduleFacts { critical: WhenCritical::AtOnce, ..critical };
        assert_eq!(Schedule::of(&at_once), emergency, "{delivery}");
        let in_window = Schedule::of(&critical);
        assert_eq!(in_window.urgency, Some(Urgency::Critical), "{delivery}");
        assert_eq!(
            Schedule { urgency: None, ..in_window },
            Schedule::of(&base),
            "{delivery}: nothing else changes"
        );
        let ordinary = ScheduleFacts { critical: WhenCritical::AtOnce, ..base };
        assert_eq!(Schedule::of(&ordinary).urgency, None, "{delivery}");
    }
}

#[test]
fn who_missed_as_many_windows_as_it_may_installs_at_once() {
    let (delivery, window) = (saturday(), window(Missed::AtOnceAfter(MissedWindows::try_from(2).unwrap())));
    let of = |now| Schedule::of(&facts(&delivery, Some(&window), now)).install_from;
    assert_eq!(of("2026-03-14T03:59:59Z"), Some(at("2026-03-14T02:00:00Z")), "the second window is open");
    assert_eq!(of("2026-03-14T04:00:00Z"), None, "the second window has passed");
    assert_eq!(of("2026-03-21T03:00:00Z"), Some(at("2026-03-21T02:00:00Z")), "an open window is a window");
    let never = facts(&delivery, Some(&window), "2026-05-01T00:00:00Z");
    let untold = Schedule::of(&ScheduleFacts { told_at: None, ..never });
    assert_eq!(untold.install_from, Some(at("2026-05-02T02:00:00Z")), "who was not told has missed nothing");
}

#[test]
fn a_hold_lasts_for_its_hours_from_when_it_was_told() {
    let hold: Hold = "2x5".parse().unwrap();
    let of = |told_at| {
        Schedule::of(&ScheduleFacts { hold, told_at, ..facts(&Delivery::Push, None, TOLD) }).postpone
    };
    assert_eq!(of(Some(at(TOLD))), Some((2, at("2026-03-04T17:00:00Z"))));
    assert_eq!(of(None), None);
    assert_eq!(of(Some(Timestamp::MAX)), None, "no time is made up beyond the last one");
}

#[test]
fn silence_is_counted_from_the_last_time_at_which_it_may_begin() {
    let (delivery, window) = (saturday(), window(Missed::NextWindow));
    let latest = |facts: &ScheduleFacts<'_>| Schedule::of(facts).latest_start(at(TOLD));
    assert_eq!(latest(&facts(&Delivery::Push, None, TOLD)), SignedDuration::ZERO);
    assert_eq!(latest(&facts(&delivery, Some(&window), TOLD)), SignedDuration::from_hours(64));
    let held = ScheduleFacts { hold: Hold::default(), ..facts(&Delivery::Push, None, TOLD) };
    // Who is held or waits for a person is heard of all the same.
    assert_eq!(latest(&held), SignedDuration::ZERO);
    let due = ScheduleFacts { deadline: Some(SignedDuration::from_hours(24)), ..held };
    assert_eq!(latest(&due), SignedDuration::ZERO);
}

#[test]
fn methods_and_holds_are_read_as_they_are_written_and_nothing_else_is() {
    for text in ["push", "poll", "manual", "folder", "window:saturday"] {
        assert_eq!(text.parse::<Delivery>().unwrap().to_string(), text);
    }
    for text in ["", "Push", "window", "window:", "window:a b", "pull", "push "] {
        assert!(text.parse::<Delivery>().is_err(), "{text}");
    }
    for text in ["none", "1x1", "3x72", "100x720"] {
        assert_eq!(text.parse::<Hold>().unwrap().to_string(), text);
    }
    for text in ["", "0x1", "1x0", "101x1", "1x721", "3", "x", "3x", "-1x5", "3x72h"] {
        assert!(text.parse::<Hold>().is_err(), "{text}");
    }
    for (hours, good) in [(0, false), (1, true), (MAX_DELAY_HOURS, true), (MAX_DELAY_HOURS + 1, false)] {
        assert_eq!(DelayHours::try_from(hours).is_ok(), good, "{hours}");
    }
}

#[test]
fn a_policy_of_signature_files_is_read_as_it_is_shown() {
    for text in ["early", "general", "paused", "delayed:1", "delayed:72"] {
        assert_eq!(text.parse::<Content>().unwrap().to_string(), text);
    }
    for text in ["", "late", "delayed", "delayed:", "delayed:0", "delayed:73", "delayed:1h", "delayed:-1"] {
        let refused = text.parse::<Content>().unwrap_err().to_string();
        assert!(refused.contains("delayed:HOURS with 1 to 72 hours"), "{refused}");
    }
}
