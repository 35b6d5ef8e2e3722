//! What the agent does, for the person at the computer: read from files, with or without a running daemon.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::version::{DisplayVersion, Revision};
use serde::Serialize;

use crate::domain::cadence::Standing;
use crate::domain::gate::Gate;
use crate::domain::policy::{Decision, decide};
use crate::domain::record::{Change, PackageRecord};
use crate::domain::time::whole_seconds;
use crate::hooks::Hook;
use crate::platform::store;
use crate::spool::Spool;

use super::agent::Agent;
use super::state::{Holdings, Progress, package_records};
use super::{gate_file, with_causes};

/// The whole answer of `status`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The computer's name, once enrolled.
    pub computer_name: Option<String>,
    /// The client id, once enrolled.
    pub client_id: Option<String>,
    /// The server's addresses.
    pub server: Option<Vec<String>>,
    /// Whether `run` is at work.
    pub daemon: bool,
    /// `V 5.2 (27001)`.
    pub version: String,
    /// How the agent stands with its server.
    pub standing: Standing,
    /// What the product may do.
    pub gate: Gate,
    /// The lease.
    pub lease: LeaseStatus,
    /// The last contact that was answered.
    pub last_answer: Option<Timestamp>,
    /// Why the last contact failed, if it did.
    pub contact_problem: Option<String>,
    /// When the next contact is due.
    pub next_contact: Option<Timestamp>,
    /// Reports that wait for the server.
    pub waiting_reports: usize,
    /// Each package that is installed or assigned.
    pub packages: Vec<PackageStatus>,
    /// What a person should look at.
    pub notices: Vec<String>,
}

/// The lease, for people.
#[derive(Debug, Serialize)]
pub struct LeaseStatus {
    /// Whether it counts.
    pub live: bool,
    /// Its end.
    pub not_after: Option<Timestamp>,
    /// Why it does not count.
    pub problem: Option<String>,
}

/// One package.
#[derive(Debug, Serialize)]
pub struct PackageStatus {
    /// The package.
    pub package: PackageName,
    /// The version that it runs.
    pub runs: Option<String>,
    /// The version that it should run.
    pub should_run: Option<String>,
    /// Whether the two are the same.
    pub up_to_date: bool,
    /// What is the matter, in one sentence.
    pub sentence: String,
    /// When that changes by itself.
    pub changes_at: Option<Timestamp>,
    /// The version that `rollback` goes to.
    pub previous: Option<String>,
    /// A change under way, by the name of its step.
    pub under_way: Option<String>,
    /// Hooks that are not configured, and what that means.
    pub missing_hooks: BTreeMap<&'static str, &'static str>,
}

impl Agent {
    /// Reads the state. Never fails: what cannot be read is a notice.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = self.now();
        let mut notices = Vec::new();
        let progress = match Progress::load(&self.home) {
            Ok(progress) => progress,
            Err(error) => {
                notices.push(with_causes(&error));
                Progress::default()
            }
        };
        notices.extend(progress.notices.iter().cloned());
        let holdings = match Holdings::load(&self.home, &progress, now) {
            Ok(holdings) => Some(holdings),
            Err(error) => {
                notices.push(with_causes(&error));
                None
            }
        };
        let change: Option<Change> = match store::load(&self.home.state("journal")) {
            Ok(change) => change,
            Err(error) => {
                // Without the agent's rights the journal cannot be read, which is as it should be.
                if rustix::process::geteuid().is_root() {
                    notices.push(with_causes(&error));
                }
                None
            }
        };
        let records = self.records(&mut notices);
        let packages = self.packages(&records, holdings.as_ref(), &progress, change.as_ref(), now);
        if let Some(problem) =
            holdings.as_ref().and_then(|holdings| holdings.assignment.problem("assignment"))
        {
            notices.push(problem);
        }
        let lease = holdings.as_ref().map(|holdings| &holdings.lease);
        let enrollment = holdings.as_ref().map(|holdings| &holdings.enrollment);
        Status {
            computer_name: enrollment.map(|enrollment| enrollment.computer_name.to_string()),
            client_id: enrollment.map(|enrollment| enrollment.client_id.to_string()),
            server: enrollment.map(|enrollment| {
                let of_server = |server: &sealpost_manifests::setup::SetupServer| {
                    let port = server.port;
                    server.addresses.iter().map(move |host| format!("{host}:{port}")).collect::<Vec<_>>()
                };
                enrollment.servers.iter().flat_map(of_server).collect()
            }),
            daemon: std::os::unix::net::UnixStream::connect(self.home.socket()).is_ok(),
            version: display_version(&records).to_string(),
            standing: progress.standing,
            gate: gate_file::read(&self.home).unwrap_or(Gate::CLOSED),
            lease: LeaseStatus {
                live: lease.is_some_and(|lease| lease.good().is_some()),
                not_after: lease.and_then(|lease| lease.good()).map(|lease| whole_seconds(lease.not_after)),
                problem: lease.and_then(|lease| lease.problem("lease")),
            },
            last_answer: progress.answered_at,
            contact_problem: progress.last_contact.as_ref().and_then(|contact| contact.problem.clone()),
            next_contact: progress.next_contact.map(whole_seconds),
            waiting_reports: Spool::open(&self.home).map(|spool| spool.len()).unwrap_or(0),
            packages,
            notices,
        }
    }

    fn records(&self, notices: &mut Vec<String>) -> BTreeMap<PackageName, PackageRecord> {
        let mut good = BTreeMap::new();
        match package_records(&self.home) {
            Ok(records) => {
                for (package, record) in records {
                    match record {
                        Ok(record) => drop(good.insert(package, record)),
                        Err(error) => notices.push(with_causes(&error)),
                    }
                }
            }
            Err(error) => notices.push(with_causes(&error)),
        }
        good
    }

    fn packages(
        &self,
        records: &BTreeMap<PackageName, PackageRecord>,
        holdings: Option<&Holdings>,
        progress: &Progress,
        change: Option<&Change>,
        now: Timestamp,
    ) -> Vec<PackageStatus> {
        let assignment = holdings.and_then(|holdings| holdings.assignment.good());
        let lease = holdings.and_then(|holdings| holdings.lease.good());
        let wanted_of = |package: &PackageName| {
            assignment.and_then(|assignment| {
                assignment.packages.iter().find(|wanted| wanted.release.package == *package)
            })
        };
        let mut names: Vec<&PackageName> = records.keys().collect();
        names.extend(
            assignment.iter().flat_map(|assignment| &assignment.packages).map(|p| &p.release.package),
        );
        names.sort_unstable();
        names.dedup();
        let none = PackageRecord::default();
        let status_of = |package: &PackageName| {
            let record = records.get(package).unwrap_or(&none);
            let wanted = wanted_of(package);
            let installed = record.current.as_ref().map(|current| &current.manifest);
            let decision = wanted.zip(lease).map(|(wanted, lease)| {
                decide(wanted, installed, &record.given_up, lease, &Platform::current(), progress.time(now))
            });
            let sentence = match &decision {
                Some(Decision::Install) => match progress.refusals.get(package) {
                    Some(why) => format!("not installed: {why}; it is tried again at the next contact"),
                    None => "to be installed at the next contact".to_owned(),
                },
                Some(decision) => decision.to_string(),
                None if wanted.is_some() => "nothing new is installed without a live lease".to_owned(),
                None => "the server assigns nothing; what is installed stays".to_owned(),
            };
            let config = self.settings.package(package);
            PackageStatus {
                package: package.clone(),
                runs: record.current.as_ref().map(|current| current.release.version.to_string()),
                should_run: wanted.map(|wanted| wanted.release.version.to_string()),
                up_to_date: decision == Some(Decision::UpToDate),
                sentence,
                changes_at: decision.as_ref().and_then(Decision::changes_at),
                previous: record.previous.as_ref().map(|previous| previous.release.version.to_string()),
                under_way: change
                    .filter(|change| change.to.release.package == *package)
                    .map(|change| format!("{} at step {}", change.to.release.version, change.step)),
                missing_hooks: Hook::ALL
                    .into_iter()
                    .filter(|hook| !hook.is_configured(config))
                    .map(|hook| (hook.name(), hook.without_it()))
                    .collect(),
            }
        };
        names.into_iter().map(status_of).collect()
    }
}

fn display_version(records: &BTreeMap<PackageName, PackageRecord>) -> DisplayVersion {
    let mut shown = DisplayVersion::default();
    for current in records.values().filter_map(|record| record.current.as_ref()) {
        match current.kind {
            PackageKind::Program => shown.program = Some(current.release.version.clone()),
            PackageKind::Signatures => {
                shown.signatures = Revision::from_version(&current.release.version).ok();
            }
        }
    }
    shown
}

impl Status {
    /// For people.
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
        line("Daemon", if self.daemon { "running" } else { "not running" });
        let yes = |open: bool| if open { "yes" } else { "no" };
        let gate = self.gate;
        line(
            "Gate",
            &format!(
                "run {}, upload {}, remote management {}",
                yes(gate.run),
                yes(gate.upload),
                yes(gate.remote_management)
            ),
        );
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
