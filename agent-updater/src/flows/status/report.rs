//! What `status` shows, as data and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use sealpost_manifests::assignment::Urgency;
use sealpost_manifests::ids::PackageName;
use serde::Serialize;

use crate::domain::cadence::Standing;
use crate::domain::gate_file::OpenNow;
use crate::domain::time::whole_seconds;
use crate::flows::self_update::status::AgentStatus;

/// The answer of `status`; its JSON is for other programs.
#[derive(Debug, Serialize)]
pub struct Status {
    pub computer_name: Option<String>,
    pub client_id: Option<String>,
    /// The server's addresses; `None` before enrollment.
    pub server: Option<Vec<String>>,
    /// Whether the daemon runs.
    pub daemon: bool,
    /// Which program of the agent runs, and why.
    pub agent: AgentStatus,
    /// Program and signatures, as in `V 5.2 (27001)`.
    pub version: String,
    /// How the agent stands with its server.
    pub standing: Standing,
    pub lease: LeaseStatus,
    /// The last contact that was answered.
    pub last_answer: Option<Timestamp>,
    /// Why the last contact failed, if it did.
    pub contact_problem: Option<String>,
    /// When the next contact is due.
    pub next_contact: Option<Timestamp>,
    /// Reports that wait for the server.
    pub waiting_reports: usize,
    /// Every package that is installed or assigned.
    pub packages: Vec<PackageStatus>,
    /// What a person should look at.
    pub notices: Vec<String>,
}

/// The lease, as far as people need it.
#[derive(Debug, Serialize)]
pub struct LeaseStatus {
    pub live: bool,
    pub not_after: Option<Timestamp>,
    /// Why it does not count.
    pub problem: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct PackageStatus {
    pub package: PackageName,
    pub runs: Option<String>,
    pub should_run: Option<String>,
    /// Whether the two are the same.
    pub up_to_date: bool,
    /// What the product may do at this moment.
    pub gate: OpenNow,
    /// How soon the assignment is to be carried out; `None` if nothing is assigned.
    pub urgency: Option<Urgency>,
    /// What holds for the package, in one sentence.
    pub sentence: String,
    /// When that changes without a new contact.
    pub changes_at: Option<Timestamp>,
    /// The version that `rollback` goes to.
    pub previous: Option<String>,
    /// A change that is not finished, with its step.
    pub under_way: Option<String>,
    /// Hooks that are not configured, and the consequence of each.
    pub missing_hooks: BTreeMap<&'static str, &'static str>,
}

impl Status {
    /// The text for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<14} {value}");
        };
        line("Computer", self.computer_name.as_deref().unwrap_or("not enrolled"));
        if let Some(server) = &self.server {
            line("Server", &server.join(", "));
        }
        line("Version", &self.version);
        line("Agent", &self.agent.to_line());
        line("Daemon", if self.daemon { "running" } else { "not running" });
        match (&self.lease.not_after, &self.lease.problem) {
            (Some(end), _) => line("Lease", &format!("until {}", seconds(*end))),
            (None, Some(problem)) => line("Lease", problem),
            (None, None) => line("Lease", "none"),
        }
        line("Last answer", &self.last_answer.map_or("never".to_owned(), seconds));
        if let Some(problem) = &self.contact_problem {
            line("Contact", &format!("failed: {problem}"));
        }
        if let Some(next) = self.next_contact {
            line("Next contact", &seconds(next));
        }
        if self.waiting_reports > 0 {
            line("Reports", &format!("{} wait for the server", self.waiting_reports));
        }
        for package in &self.packages {
            let runs = package.runs.as_deref().unwrap_or("nothing");
            let should = package.should_run.as_deref().unwrap_or("as it is");
            let _ = writeln!(text, "\n{}", package.package);
            let _ = writeln!(text, "  runs {runs}, should run {should}: {}", package.sentence);
            if let Some(urgency) = package.urgency.filter(|urgency| *urgency != Urgency::Normal) {
                let _ = writeln!(text, "  urgency: {urgency}");
            }
            let OpenNow { run, upload, remote_management } = package.gate;
            let [run, upload, remote] =
                [run, upload, remote_management].map(|open| if open { "yes" } else { "no" });
            let _ = writeln!(text, "  may run {run}, upload {upload}, be managed remotely {remote}");
            if let Some(under_way) = &package.under_way {
                let _ = writeln!(text, "  under way: {under_way}");
            }
            if let Some(previous) = &package.previous {
                let _ = writeln!(text, "  rollback goes to {previous}");
            }
            for (hook, meaning) in &package.missing_hooks {
                let _ = writeln!(text, "  no {hook} hook: {meaning}");
            }
        }
        for notice in &self.notices {
            let _ = writeln!(text, "\nNote: {notice}");
        }
        text
    }
}

fn seconds(at: Timestamp) -> String {
    whole_seconds(at).to_string()
}
