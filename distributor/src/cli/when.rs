//! What people type for a time.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What was typed for an option cannot be meant: an error of whoever typed it, as one of the parser is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Mistyped(pub(super) String);

/// A time that somebody typed for an option: a time, a date, an age, or a word for one.
pub(super) fn parse(option: &str, text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let text = text.trim();
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |date: Date| -> anyhow::Result<Timestamp> { Ok(date.to_zoned(TimeZone::UTC)?.timestamp()) };
    match text {
        "now" => return Ok(now),
        "today" => return day(today),
        "yesterday" => return day(today.yesterday()?),
        _ => {}
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Some(age) = age(text) {
        let before = || Mistyped(format!("cannot use {option} {text:?}: it is before all times"));
        return now.checked_sub(age).map_err(|_| before().into());
    }
    // A date without a time is its beginning; one with a time is never cut to its day.
    if text.contains([':', 'T', ' ']) {
        if let Ok(time) = text.parse::<DateTime>() {
            return Ok(time.to_zoned(TimeZone::UTC)?.timestamp());
        }
    } else if let Ok(date) = text.parse::<Date>() {
        return day(date);
    }
    Err(mistyped(format!(
        "cannot use {option} {text:?}: give a time (\"2026-11-25 22:14\", in UTC as the log prints it), a date, an age \
         (90m, 2h, 3d), now, today or yesterday"
    )))
}

/// A time that somebody typed for something that is planned: one that is over is meant as at once, and a time span as from now on.
pub(super) fn planned(option: &str, text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    match age(text.trim()) {
        Some(_) => to_come(option, text, now),
        None => parse(option, text, now),
    }
}

/// A time to come that somebody typed for an option: a time, a date, or how far away it is.
pub(super) fn to_come(option: &str, text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Some(away) = age(text.trim()) {
        let after = || Mistyped(format!("cannot use {option} {text:?}: it is after all times"));
        return now.checked_add(away).map_err(|_| after().into());
    }
    let time = parse(option, text, now)?;
    if time <= now {
        return Err(mistyped(format!(
            "cannot use {option} {text:?}: it is over; give a time to come, or how far away it is (12h, 3d)"
        )));
    }
    Ok(time)
}

/// How many seconds a time span has that somebody typed for an option, such as 90m, 8h or 10d.
pub(super) fn seconds_of(option: &str, text: &str) -> anyhow::Result<u32> {
    let span = age(text.trim()).and_then(|span| u32::try_from(span.as_secs()).ok());
    span.ok_or_else(|| mistyped(format!("cannot use {option} {text:?}: give how long, as 90m, 8h or 10d")))
}

/// As [`seconds_of`], of a span that is at most so many seconds.
pub(super) fn seconds_up_to(option: &str, text: &str, most: u32) -> anyhow::Result<u32> {
    let span = seconds_of(option, text).ok().filter(|seconds| *seconds <= most);
    span.ok_or_else(|| mistyped(format!("cannot use {option} {text:?}: give 0s to {most}s, such as 10s")))
}

fn mistyped(said: String) -> anyhow::Error {
    Mistyped(said).into()
}

/// An age like `90m` or `1h30m`.
fn age(text: &str) -> Option<SignedDuration> {
    let mut whole = SignedDuration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).filter(|at| *at > 0)?;
        let (number, unit) = rest.split_at(digits);
        let seconds_each = match unit.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        let seconds = number.parse::<i64>().ok()?.checked_mul(seconds_each)?;
        whole = whole.checked_add(SignedDuration::from_secs(seconds))?;
        rest = unit.get(1..)?;
    }
    (!text.is_empty()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-26T07:30:00Z".parse().unwrap()
    }

    #[test]
    fn a_time_is_taken_as_it_was_typed_and_never_cut_to_its_day() {
        for (typed, expected) in [
            ("2026-11-25 22:14", "2026-11-25T22:14:00Z"),
            ("2026-11-25T22:14:05", "2026-11-25T22:14:05Z"),
            ("2026-11-25T22:14:00+02:00", "2026-11-25T20:14:00Z"),
            ("2026-11-25", "2026-11-25T00:00:00Z"),
            ("1h", "2026-11-26T06:30:00Z"),
            ("1h30m", "2026-11-26T06:00:00Z"),
            ("2d", "2026-11-24T07:30:00Z"),
            ("1w", "2026-11-19T07:30:00Z"),
            ("now", "2026-11-26T07:30:00Z"),
            ("today", "2026-11-26T00:00:00Z"),
            ("yesterday", "2026-11-25T00:00:00Z"),
        ] {
            assert_eq!(parse("--since", typed, now()).unwrap().to_string(), expected, "{typed}");
        }
    }

    #[test]
    fn what_is_planned_can_be_over_and_a_time_span_is_from_now_on() {
        for (typed, expected) in [
            ("3h", "2026-11-26T10:30:00Z"),
            ("now", "2026-11-26T07:30:00Z"),
            ("2026-11-26 06:00", "2026-11-26T06:00:00Z"),
            ("2026-12-24", "2026-12-24T00:00:00Z"),
        ] {
            assert_eq!(planned("--at", typed, now()).unwrap().to_string(), expected, "{typed}");
        }
        assert!(planned("--at", "soon", now()).is_err());
    }

    #[test]
    fn a_time_to_come_is_never_over() {
        for (typed, expected) in [("3d", "2026-11-29T07:30:00Z"), ("2026-12-24", "2026-12-24T00:00:00Z")] {
            assert_eq!(to_come("--until", typed, now()).unwrap().to_string(), expected, "{typed}");
        }
        for typed in ["2026-11-26 07:30", "yesterday", "now", "soon", ""] {
            assert!(to_come("--until", typed, now()).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_time_span_is_so_many_seconds() {
        for (typed, seconds) in [("90m", 5_400), (" 8h ", 28_800), ("10d", 864_000), ("0s", 0)] {
            assert_eq!(seconds_of("--silent-for", typed).unwrap(), seconds, "{typed}");
        }
        for typed in ["", "10", "a day", "-1d", "99999999999d", "200y"] {
            let error = seconds_of("--silent-for", typed).unwrap_err().to_string();
            assert!(error.contains("--silent-for") && error.contains("10d"), "{typed}: {error}");
        }
    }

    #[test]
    fn a_span_with_an_upper_bound_says_what_is_allowed() {
        for (typed, seconds) in [("0s", 0), ("10s", 10), ("30s", 30)] {
            assert_eq!(seconds_up_to("--wait", typed, 30).unwrap(), seconds, "{typed}");
        }
        for typed in ["31s", "1m", "10", "", "soon", "-1s"] {
            let error = seconds_up_to("--wait", typed, 30).unwrap_err();
            assert!(error.is::<Mistyped>(), "{typed}");
            assert_eq!(
                error.to_string(),
                format!("cannot use --wait {typed:?}: give 0s to 30s, such as 10s")
            );
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_what_can_be_typed() {
        for typed in ["", "tomorrow-ish", "5", "h", "1y", "2026-13-01", "22:14", "99999999999999999999d"] {
            let error = parse("--until", typed, now()).unwrap_err().to_string();
            assert!(error.contains("--until") && error.contains("yesterday"), "{typed}: {error}");
        }
    }
}
