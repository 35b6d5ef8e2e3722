//! The status as text for people: one look says what runs, what should, and what to do.
//!
//! Invariant: nothing that came from outside moves a cursor: all of it was escaped when it was kept. Colors repeat what
//! the words say.

use std::fmt::Write as _;

use jiff::Timestamp;
use sealpost_manifests::assignment::Urgency;

use crate::domain::gate_file::OpenNow;
use crate::domain::time::{distance, whole_seconds};
use crate::flows::contact::NONE_ANSWERED;
use crate::flows::retention::{Kept, Usage};
use crate::flows::servers::ServingStatus;

use super::report::{PackageStatus, ProblemKind, Status, TimesStatus};

/// What a damaged record cannot tell.
const NOT_KNOWN: &str = "not known: a record is damaged, see the note";

/// Whether states are colored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    /// By escape sequences of a terminal.
    Colors,
}

/// How much is said about hooks that are not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooks {
    /// Their names, in one line.
    Named,
    /// A line for each, with what happens without it.
    Explained,
}

#[derive(Debug, Clone, Copy)]
enum Color {
    Green,
    Yellow,
    Red,
}

impl Paint {
    fn paint(self, color: Color, text: &str) -> String {
        let code = match color {
            Color::Green => 32,
            Color::Yellow => 33,
            Color::Red => 31,
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Colors => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

impl Status {
    /// The text for people, without colors.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_painted_text(Paint::Plain, Hooks::Named)
    }

    /// As [`Status::to_text`], with colors for states and more about hooks, if that is wanted.
    #[must_use]
    pub fn to_painted_text(&self, paint: Paint, hooks: Hooks) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<14} {value}");
        };
        let is_enrolled = !self.problems.iter().any(|problem| problem.code == ProblemKind::NotEnrolled);
        // Who is enrolled has a name: a record that says it is damaged.
        let is_known = self.computer_name.is_some() || !is_enrolled;
        let without = |none: &'static str| if is_known { none } else { NOT_KNOWN };
        let no_name = without("not enrolled: `agent-updater enroll --setup FILE`");
        let waits = self
            .admission
            .as_ref()
            .map(|admission| format!("not enrolled: waits to be admitted as {}", admission.computer_name));
        let computer = self.computer_name.as_deref().or(waits.as_deref());
        line("Computer", computer.unwrap_or(no_name));
        if let Some(admission) = &self.admission {
            line("Key", &admission.key.grouped());
            line("Asks again", &self.with_age(admission.next_at));
        }
        if self.server.is_some() {
            line("Server", &self.ways());
        }
        if let Some(serving) = self.serving.as_ref().filter(|_| self.servers.len() > 1) {
            line("Served by", &self.served_by(serving));
        }
        line("Version", self.products());
        line("Agent", &self.agent.to_line());
        let daemon = match (self.daemon, self.daemon_known) {
            (true, _) => (Color::Green, "running"),
            (false, true) => (Color::Yellow, "not running"),
            (false, false) => (Color::Yellow, "not known: only root and the agent's user can find out"),
        };
        line("Daemon", &paint.paint(daemon.0, daemon.1));
        match (&self.lease.not_after, &self.lease.problem) {
            (Some(end), _) => line("Lease", &format!("until {}{}", self.with_age(*end), self.not_renewed())),
            (None, Some(problem)) => line("Lease", &paint.paint(Color::Red, problem)),
            (None, None) => line("Lease", without("none")),
        }
        line("Last answer", &self.last_answer.map_or(without("never").to_owned(), |at| self.with_age(at)));
        if let Some(problem) = &self.contact_problem {
            line("Contact", &paint.paint(Color::Red, &self.failed(problem)));
        }
        if let Some(next) = self.next_contact {
            let at = self.with_age(next);
            let is_missed = next < self.at && !self.daemon && self.daemon_known;
            line(
                "Next contact",
                &if is_missed { format!("was due at {at}; the daemon does not run") } else { at },
            );
        }
        match self.waiting_reports {
            0 => {}
            1 => line("Reports", "1 waits for the server"),
            count => line("Reports", &format!("{count} wait for the server")),
        }
        line("Disk", &disk(&self.storage));
        for package in &self.packages {
            package.write(&mut text, self.at, self.assigned_at(), paint, hooks);
        }
        for notice in &self.notices {
            let _ = writeln!(text, "\nNote: {notice}");
        }
        text
    }

    /// The version of what is installed, as far as there is any.
    fn products(&self) -> &str {
        let mut products = self.packages.iter().filter(|package| !package.package.is_agent());
        if products.any(|package| package.installed.is_some()) {
            return &self.version;
        }
        let is_known = self.packages.iter().all(|package| package.runs_known);
        if is_known { "no product is installed" } else { NOT_KNOWN }
    }

    /// The addresses, in the order in which they are tried.
    fn ways(&self) -> String {
        let shown = self.ways.iter().map(|way| {
            let mut notes = Vec::new();
            if way.answered_last {
                notes.push("answered last");
            }
            if way.pins > 1 {
                notes.push("CA is being replaced");
            }
            if way.from == "setup_file" && self.ways.iter().any(|way| way.from == "server_list") {
                notes.push("last resort");
            }
            let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
            format!("{}{notes}", way.address)
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// What is said of a lease that runs out, because the vendor ends the serial numbers of its seats.
    fn not_renewed(&self) -> String {
        let said = |end: Timestamp| {
            let ends = if end < self.at { "ended" } else { "ends" };
            format!(
                "; the vendor {ends} its serial number at {}, and it is not renewed after that: ask the administrator for a seat of \
                 another one (`distributor clients reserve NAME --serial SERIAL`)",
                self.with_age(end)
            )
        };
        self.lease.renewed_until.map(said).unwrap_or_default()
    }

    /// Why the last contact failed. Where another server serves, it is one with the first that failed.
    fn failed(&self, problem: &str) -> String {
        let first = self.servers.iter().find(|server| server.updates);
        let serves = self.serving.as_ref().map(|serving| &serving.server);
        match first.filter(|first| serves.is_some_and(|serves| *serves != first.server)) {
            Some(first) => {
                let why = problem.strip_prefix(NONE_ANSWERED).unwrap_or(problem);
                format!("failed with the first server, {}: {why}", first.name())
            }
            None => format!("failed: {problem}"),
        }
    }

    /// When the server answered last that assigns packages.
    fn assigned_at(&self) -> Option<Timestamp> {
        let first = self.servers.iter().find(|server| server.updates);
        first.map_or(self.last_answer, |first| first.last_answer)
    }

    /// Which server serves, since when and why.
    fn served_by(&self, serving: &ServingStatus) -> String {
        let since = serving.since.map(|since| format!(" since {}", self.with_age(since)));
        let (name, role) = (&serving.name, serving.role);
        format!("{name} ({role}){}: {}", since.unwrap_or_default(), serving.sentence)
    }

    fn with_age(&self, at: Timestamp) -> String {
        with_age(at, self.at)
    }
}

impl PackageStatus {
    fn write(
        &self,
        text: &mut String,
        now: Timestamp,
        answered_at: Option<Timestamp>,
        paint: Paint,
        hooks: Hooks,
    ) {
        let without = |is_known, none| if is_known { none } else { "something that is not known" };
        let runs = self.runs.as_deref().unwrap_or(without(self.runs_known, "nothing"));
        let should = self.should_run.as_deref().unwrap_or(without(self.should_run_known, "as it is"));
        let color = match self.decision {
            _ if self.drift.is_some() || self.not_started.is_some() || !self.runs_known => Color::Red,
            Some("up_to_date") => Color::Green,
            Some("given_up") => Color::Red,
            _ => Color::Yellow,
        };
        let sentence = paint.paint(color, &self.sentence);
        let _ = writeln!(text, "\n{}", self.package);
        let _ = writeln!(text, "  runs {runs}, should run {should}: {sentence}");
        if let Some(why) = &self.not_started {
            let _ = writeln!(text, "  {}", paint.paint(Color::Red, why));
        }
        if let Some(why) = &self.withdrawn {
            let installed = self.installed.as_deref().unwrap_or(runs);
            let line = format!("{installed} was withdrawn by the vendor: {why}");
            let _ = writeln!(text, "  {}", paint.paint(Color::Red, &line));
        }
        if let Some(drift) = &self.drift {
            let _ = writeln!(text, "  {}", paint.paint(Color::Red, &drift.text));
        }
        if let Some(at) = self.changes_at {
            let _ = writeln!(text, "  that changes at {}", with_age(at, now));
        }
        if let Some(said) = &self.server_says {
            let until = said.until.map(|until| format!(" (until {})", with_age(until, now)));
            // What it says of times that pass was so when it answered.
            let at = answered_at.map(|at| format!(" ({})", distance(at, now)));
            let (at, until) = (at.unwrap_or_default(), until.unwrap_or_default());
            let _ = writeln!(text, "  the server says{at}: {}{until}", said.sentence);
        }
        if let Some(urgency) = self.urgency.filter(|urgency| *urgency != Urgency::Normal) {
            let _ = writeln!(text, "  urgency: {urgency}");
        }
        if let Some(times) = &self.times {
            times.write(text, now);
        }
        let OpenNow { run, upload, remote_management } = self.gate;
        let [run, upload, remote] =
            [run, upload, remote_management].map(|open| if open { "yes" } else { "no" });
        let _ = writeln!(text, "  may run {run}, upload {upload}, be managed remotely {remote}");
        if let Some(under_way) = &self.under_way {
            let _ = writeln!(text, "  under way: {under_way}");
        }
        if let Some(previous) = &self.previous {
            let withdrawn =
                self.previous_withdrawn.as_ref().map(|why| format!("the vendor withdrew it: {why}"));
            let _ = match withdrawn.or_else(|| self.previous_left.clone()) {
                _ if self.previous_drift.is_some() => {
                    writeln!(text, "  no rollback: {previous}, to which it would go, is not as it was signed")
                }
                None => writeln!(text, "  rollback goes to {previous}"),
                Some(why) => writeln!(text, "  rollback goes to {previous} with `--anyway` only: {why}"),
            };
        }
        self.write_hooks(text, hooks);
    }

    fn write_hooks(&self, text: &mut String, hooks: Hooks) {
        if self.missing_hooks.is_empty() {
            return;
        }
        if hooks == Hooks::Named {
            let names: Vec<&str> = self.missing_hooks.keys().copied().collect();
            let _ = writeln!(
                text,
                "  hooks not configured: {} (`agent-updater status --hooks` says what that means)",
                names.join(", ")
            );
            return;
        }
        for (hook, meaning) in &self.missing_hooks {
            let _ = writeln!(text, "  no {hook} hook: {meaning}");
        }
    }
}

impl TimesStatus {
    fn write(&self, text: &mut String, now: Timestamp) {
        let at = |at: Timestamp| with_age(at, now);
        let window = match (self.window_opens, self.window_closes) {
            (Some(opens), Some(closes)) => Some(format!("window: {} to {}", at(opens), at(closes))),
            (Some(opens), None) => Some(format!("window: from {}", at(opens))),
            (None, Some(closes)) => Some(format!("window: until {}", at(closes))),
            (None, None) => None,
        };
        let deadline = self.deadline.map(|deadline| format!("installed at the latest: {}", at(deadline)));
        let postpone = self.postpone.as_ref().map(|postpone| match postpone.times_left {
            0 => "it cannot be put off any more".to_owned(),
            left => {
                let times = if left == 1 { "once more".to_owned() } else { format!("{left} more times") };
                format!("it can be put off {times}, until {} at the latest", at(postpone.until))
            }
        });
        let declined = (self.times_declined > 0).then(|| match self.times_declined {
            1 => "the product said \"not now\" once".to_owned(),
            times => format!("the product said \"not now\" {times} times"),
        });
        for line in [window, deadline, postpone, declined].into_iter().flatten() {
            let _ = writeln!(text, "  {line}");
        }
    }
}

/// A time, and how far away it is.
fn with_age(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", whole_seconds(at), distance(at, now))
}

fn disk(usage: &Usage) -> String {
    let kinds = [
        (usage.slots, "slot"),
        (usage.downloads, "unfinished download"),
        (usage.put_aside, "damaged record put aside"),
    ];
    let there = kinds.into_iter().filter(|(kept, _)| kept.count > 0);
    let parts: Vec<String> = there.map(|(kept, what)| counted(kept, what)).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

fn counted(kept: Kept, what: &str) -> String {
    let plural = match (kept.count, what.strip_suffix(" put aside")) {
        (1, _) => what.to_owned(),
        (_, Some(records)) => format!("{records}s put aside"),
        (_, None) => format!("{what}s"),
    };
    let tenths = kept.bytes / 100_000;
    format!("{} {plural}, {}.{} MB", kept.count, tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_agree_with_their_words() {
        let kept = |count| Kept { count, bytes: 12_340_000 };
        assert_eq!(counted(kept(1), "slot"), "1 slot, 12.3 MB");
        assert_eq!(counted(kept(2), "slot"), "2 slots, 12.3 MB");
        assert_eq!(counted(kept(2), "damaged record put aside"), "2 damaged records put aside, 12.3 MB");
    }

    #[test]
    fn colors_are_for_terminals_only() {
        assert_eq!(Paint::Plain.paint(Color::Red, "x"), "x");
        assert_eq!(Paint::Colors.paint(Color::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
