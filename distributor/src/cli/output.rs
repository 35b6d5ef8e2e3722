//! What people see: lines, tables, JSON, times. Text from outside is made harmless here: a release's notes must not
//! move the cursor of the person who reviews them.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use sealpost_admin_api::licenses::License;
use serde::Serialize;

pub(super) use sealpost_site::rules::text::counted;

/// Prints one line of result. Nothing in it moves the cursor, whoever wrote it; a text that could pretend to be another
/// line is made [`plain`] first.
pub(super) fn print_line(line: impl Display) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{}", harmless(&line.to_string()))?)
}

/// Prints a result as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{}", harmless_json(&serde_json::to_string_pretty(value)?))?)
}

/// Prints the seats of a serial number in one line.
pub(super) fn print_license(license: &License) -> anyhow::Result<()> {
    let License { serial, licenses, model, used, not_after, .. } = license;
    let until = seconds(*not_after);
    let seats = counted(u64::from(*licenses), "seat", "seats");
    print_line(format_args!("serial {serial}: {seats} ({model}), {used} used, good until {until}"))
}

/// Copies a result that is bytes, such as a file that is asked for on standard output.
pub(super) fn print_stream(from: &mut impl io::Read) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    io::copy(from, &mut out)?;
    Ok(out.flush()?)
}

/// Tells the person at the terminal something that is no result.
pub(super) fn tell(line: impl Display) {
    // A closed standard error must not stop the work.
    let _ = writeln!(io::stderr(), "{}", harmless(&line.to_string()));
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

    pub(super) fn end(self) {
        self.0.finish_and_clear();
    }
}

/// Asks a yes-or-no question; `false` unless the answer is yes.
pub(super) fn ask(question: &str) -> anyhow::Result<bool> {
    write!(io::stderr(), "{} [y/N] ", harmless(question))?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Whether there is a person to ask.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
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

/// Text from outside, on one line, without anything that a terminal acts on.
pub(super) fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_active(character) {
            // Writing into a String cannot fail.
            let _ = write!(safe, "{}", character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The same for text of several lines.
pub(super) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Whole lines as they go to a terminal: of all that a terminal acts on, line breaks, tabs and our own colors are left.
fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let color = super::colors::leading(rest);
        let (taken, behind) = rest.split_at(if color == 0 { character.len_utf8() } else { color });
        if color > 0 || matches!(character, '\n' | '\t') || !is_active(character) {
            safe.push_str(taken);
        } else {
            // Writing into a String cannot fail.
            let _ = write!(safe, "{}", character.escape_default());
        }
        rest = behind;
    }
    safe
}

/// The same for JSON, which says the same afterwards: such characters stand in its strings alone.
pub(super) fn harmless_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_active(character) {
            // Each is one unit of UTF-16. Writing into a String cannot fail.
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Control characters, and those that reorder or hide what stands beside them.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Columns under a heading, as wide as their content.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// The column whose words have colors.
    states: Option<usize>,
}

impl Table {
    /// A table with these column names.
    pub(super) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|name| (*name).to_owned()).collect()], states: None }
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

    pub(super) fn print(&self) -> anyhow::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|at| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
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
    fn text_from_outside_cannot_move_the_cursor_or_turn_the_line_around() {
        assert_eq!(plain("a\u{1b}[2Jb\rc\u{202e}d"), "a\\u{1b}[2Jb\\rc\\u{202e}d");
        assert_eq!(plain("Grüße, 世界"), "Grüße, 世界");
        assert_eq!(plain_lines("a\n\u{7}b"), "a\n\\u{7}b");
    }

    #[test]
    fn whatever_is_printed_keeps_our_colors_and_nothing_else_that_a_terminal_acts_on() {
        let red = "\u{1b}[31mhalted\u{1b}[0m";
        assert_eq!(harmless(&format!("{red}\ta\nb")), format!("{red}\ta\nb"));
        assert_eq!(
            harmless("a\u{1b}]0;title\u{7}\u{9b}2J\u{1b}[5m"),
            "a\\u{1b}]0;title\\u{7}\\u{9b}2J\\u{1b}[5m"
        );
        let value = serde_json::json!({ "name": "a\u{9b}2J\u{202e}\u{7f}\n" });
        let printed = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!printed.contains(|one| one != '\n' && is_active(one)), "{printed:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }

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
}
