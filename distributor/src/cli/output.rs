//! What people see: lines, tables, JSON, times. `sealpost_service::output` prints; text from outside that stands in a line
//! of ours is made plain first.

use std::fmt::Display;
use std::io::{self, Read};

use indicatif::{ProgressBar, ProgressStyle};
use sealpost_admin_api::licenses::License;
use sealpost_service::output;
use serde::Serialize;

pub(super) use sealpost_service::output::{can_ask, tell, tell_part};
pub(super) use sealpost_service::text::{harmless_json, plain, plain_lines};
pub(super) use sealpost_site::rules::text::counted;

/// Bytes of a result that are copied at once.
const STREAM_BYTES: usize = 64 * 1024;

/// Prints one line of result; a text from outside that could pretend to be another line is made plain first.
pub(super) fn print_line(line: impl Display) -> anyhow::Result<()> {
    Ok(output::print_line(line)?)
}

/// Prints a result as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(output::print_json(&serde_json::to_string_pretty(value)?)?)
}

/// Prints the seats of a serial number in one line, and where it stands as far as the notice, which is told too, does not say it.
pub(super) fn print_license(license: &License, notice: Option<&str>) -> anyhow::Result<()> {
    let License { serial, licenses, model, used, not_after, standing, .. } = license;
    let seats = counted(u64::from(*licenses), "seat", "seats");
    // What is over is no time until which it is good.
    let until = match standing.iter().any(|standing| GIVES_NOTHING.contains(&standing.code.as_str())) {
        true => String::new(),
        false => format!(", good until {}", seconds(*not_after)),
    };
    print_line(format_args!("serial {serial}: {seats} ({model}), {used} used{until}"))?;
    let is_said = |said: &str| notice.is_some_and(|notice| notice.contains(said));
    for standing in standing.iter().filter(|standing| !is_said(&standing.message)) {
        print_line(format_args!("serial {serial}: {}", plain(&standing.message)))?;
    }
    if let Some(notice) = notice {
        tell(plain(notice));
    }
    Ok(())
}

/// What is said of a serial number that gives no new license.
const GIVES_NOTHING: [&str; 2] = ["ended", "lapsed"];

/// Copies a result that is bytes, such as a file that is asked for on standard output.
pub(super) fn print_stream(from: &mut impl Read) -> anyhow::Result<()> {
    let mut buffer = vec![0; STREAM_BYTES];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => output::print_bytes(buffer.get(..count).unwrap_or_default())?,
        }
    }
}

/// The progress of long work, shown on a terminal only.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Of bytes, of which it is known how many they are.
    pub(super) fn bytes(what: &'static str) -> Self {
        Self::new(ProgressBar::new(0), "{msg} [{wide_bar}] {bytes} of {total_bytes}, {eta} left", what)
    }

    /// Of things, of which it is not known how many they are.
    pub(super) fn count(what: &'static str) -> Self {
        Self::new(ProgressBar::new_spinner(), "{spinner} {msg}: {human_pos}", what)
    }

    /// Of things, of which it is known how many they are.
    pub(super) fn count_of(what: &'static str) -> Self {
        Self::new(ProgressBar::new(0), "{msg} [{wide_bar}] {human_pos} of {human_len}, {eta} left", what)
    }

    fn new(bar: ProgressBar, template: &str, what: &'static str) -> Self {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(bar.with_style(style).with_message(what))
    }

    /// So far; a total of 0 is not known.
    pub(super) fn at(&self, done: u64, total: u64) {
        if total > 0 {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }

    /// Out of the way while something is told.
    pub(super) fn hide(&self, tell: impl FnOnce()) {
        self.0.suspend(tell);
    }

    pub(super) fn end(self) {
        self.0.finish_and_clear();
    }
}

/// Asks a yes-or-no question; `false` unless the answer is yes.
pub(super) fn ask(question: &str) -> anyhow::Result<bool> {
    tell_part(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A timestamp as it is printed: RFC 3339, UTC, whole seconds.
pub(super) fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long ago that was: `3 hours ago`.
pub(super) fn age(at: jiff::Timestamp, now: jiff::Timestamp) -> String {
    match now.as_second().saturating_sub(at.as_second()) {
        ..0 => "by a clock that is ahead".to_owned(),
        seconds => format!("{} ago", span(seconds)),
    }
}

/// A time with how far it is away: `2027-01-01T00:00:00Z (in 36 days)`.
pub(super) fn seconds_away(at: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let left = at.as_second().saturating_sub(now.as_second());
    let away = if left > 0 { format!("in {}", span(left)) } else { age(at, now) };
    format!("{} ({away})", seconds(at))
}

/// A time span in its largest unit: `3 hours`.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    match seconds {
        0..60 => counted(seconds, "second", "seconds"),
        60..3600 => counted(seconds / 60, "minute", "minutes"),
        3600..172_800 => counted(seconds / 3600, "hour", "hours"),
        _ => counted(seconds / 86_400, "day", "days"),
    }
}

/// The same, or `-`.
pub(super) fn seconds_or_dash(time: Option<jiff::Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), seconds)
}

/// Bytes for people: 1.4 MiB.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, factor) in UNITS {
        if bytes >= factor {
            let tenths = u128::from(bytes) * 10 / u128::from(factor);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// The serde name of a state: there is one list of them.
pub(super) fn name_of(state: impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "?".to_owned(),
    }
}

/// Columns under a heading, as wide as their content.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// As wide as the columns of the part are that was printed first.
    widths: Option<Vec<usize>>,
    /// The column whose words have colors.
    states: Option<usize>,
}

impl Table {
    /// A table with these column names.
    pub(super) fn new(heading: &[&str]) -> Self {
        let heading = heading.iter().map(|name| (*name).to_owned()).collect();
        Self { rows: vec![heading], widths: None, states: None }
    }

    /// With a column whose words say how something is.
    pub(super) const fn with_states(mut self, column: usize) -> Self {
        self.states = Some(column);
        self
    }

    /// Adds a row; cells are made harmless.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// Prints what was added since the last time, of a table that is too long to be held. Its columns are as wide as the first
    /// part needs them; longer cells of later parts push the rest of their line aside.
    pub(super) fn print_part(&mut self) -> anyhow::Result<()> {
        let widths = self.widths.take().unwrap_or_else(|| self.widths());
        let rows = std::mem::take(&mut self.rows);
        self.print_rows(&rows, &widths)?;
        self.widths = Some(widths);
        Ok(())
    }

    pub(super) fn print(&self) -> anyhow::Result<()> {
        self.print_rows(&self.rows, &self.widths())
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        (0..columns)
            .map(|at| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect()
    }

    fn print_rows(&self, rows: &[Vec<String>], widths: &[usize]) -> anyhow::Result<()> {
        for row in rows {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
                let padded = format!("{cell:<width$}  ");
                line += &if self.states == Some(at) { super::colors::cell(&padded, cell) } else { padded };
            }
            print_line(line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_its_largest_unit_and_one_is_one() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        for (seconds, said) in [
            (0, "0 seconds ago"),
            (1, "1 second ago"),
            (60, "1 minute ago"),
            (7200, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
            (-5, "by a clock that is ahead"),
        ] {
            assert_eq!(age(at(1000), at(1000 + seconds)), said);
        }
    }

    #[test]
    fn a_time_is_shown_with_how_far_it_is_away_on_either_side_of_now() {
        let at = |day: i64| jiff::Timestamp::from_second(day * 86_400).unwrap();
        assert_eq!(seconds_away(at(396), at(0)), "1971-02-01T00:00:00Z (in 396 days)");
        assert_eq!(seconds_away(at(0), at(3)), "1970-01-01T00:00:00Z (3 days ago)");
    }

    #[test]
    fn sizes_are_rounded_down_to_a_tenth() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "17179869183.9 GiB");
    }

    #[test]
    fn what_is_stored_and_what_is_printed_leave_out_the_same_characters() {
        for character in '\0'..=char::MAX {
            let (text, is_shown) =
                (character.to_string(), plain(&character.to_string()) == character.to_string());
            let is_space = matches!(character, '\n' | '\t');
            assert!(is_space || is_shown == (sealpost_site::rules::text::escape(&text) == text), "{text:?}");
        }
    }
}
