//! How a command ends and what it prints: results on standard output, everything else on standard error.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use sealpost_repository::RoleName;
use sealpost_service::output::{self, is_told_to_a_terminal, shows_colors, tell_part};
use serde::Serialize;

pub(super) use sealpost_service::output::{can_ask, tell};

use crate::expiries::Left;

/// How often a spinner turns.
const SPINNER_TICK: Duration = Duration::from_millis(100);
/// Longest answer of a person that is read.
const MAX_ANSWER_BYTES: u64 = 100;

/// How a command ended that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    /// `lint` found defects, and printed them.
    DefectsFound,
}

/// How a state is shown on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Attention,
    Bad,
}

/// A text in the color of its state; plain where nobody sees colors, or with `NO_COLOR`.
pub(super) fn painted(text: impl fmt::Display, tone: Tone) -> String {
    if !shows_colors() {
        return text.to_string();
    }
    let color = match tone {
        Tone::Good => 32,
        Tone::Attention => 33,
        Tone::Bad => 31,
    };
    format!("\x1b[{color}m{text}\x1b[0m")
}

/// A number with its noun, which is regular.
pub(super) fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Prints one line of result; a text from outside that could pretend to be another line is made plain first.
pub(super) fn print_line(line: impl fmt::Display) -> anyhow::Result<()> {
    Ok(output::print_line(line)?)
}

/// Prints a result as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value).context("cannot write the result as JSON")?;
    Ok(output::print_json(&json)?)
}

/// Roles that were signed again, as JSON.
pub(super) fn signed_again(roles: &[(RoleName, Timestamp)]) -> Vec<serde_json::Value> {
    let each = roles.iter().map(|(role, at)| serde_json::json!({ "role": role.as_str(), "expires": at }));
    each.collect()
}

/// Roles that were signed again, a line each.
pub(super) fn print_signed_again(roles: &[(RoleName, Timestamp)]) -> anyhow::Result<()> {
    let now = Timestamp::now();
    roles.iter().try_for_each(|(role, expires)| {
        print_line(format_args!("{role}: signed again, valid until {}", dated(*expires, now)))
    })
}

/// Shows on a terminal that something is still under way; nothing elsewhere.
pub(super) fn spinner() -> ProgressBar {
    if !is_told_to_a_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(SPINNER_TICK);
    bar
}

/// Shows on a terminal how much of so many bytes is done; nothing elsewhere.
pub(super) fn bar(message: &'static str) -> ProgressBar {
    if !is_told_to_a_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_message(message);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}, {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// Says once that another publisher is at work.
pub(super) fn waiting() {
    tell("another publisher works in this home; waiting for it to finish …");
}

/// A time with how far away it is.
pub(super) fn dated(time: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", seconds(time), Left::of(time, now))
}

/// Asks whether to do something all the same; without a terminal nobody can be asked, and `flag` is what says yes.
pub(super) fn confirm(what: &str, flag: &str) -> anyhow::Result<()> {
    if !can_ask() {
        bail!("{what}; give {flag} to do it all the same, or answer on a terminal");
    }
    tell_part(format_args!("{what}. Do it all the same? Type yes: "));
    let mut answer = String::new();
    io::stdin().lock().take(MAX_ANSWER_BYTES).read_line(&mut answer).context("cannot read the answer")?;
    if answer.trim() == "yes" { Ok(()) } else { bail!("nothing was done") }
}

/// A timestamp as it is printed: RFC 3339, UTC, whole seconds.
pub(super) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
