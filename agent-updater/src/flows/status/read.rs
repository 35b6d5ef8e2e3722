//! Reading the state that `status` shows.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::version::{DisplayVersion, Revision};

use crate::domain::gate_file::{OpenNow, open_now};
use crate::domain::policy::{Decision, Situation, decide};
use crate::domain::record::{Change, PackageRecord};
use crate::domain::time::whole_seconds;
use crate::flows::context::Host;
use crate::flows::self_update;
use crate::flows::self_update::begin::unless_on_trial;
use crate::hooks::Hook;
use crate::journal::Journal;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::records::{gate, packages};
use crate::spool::Spool;

use super::report::{LeaseStatus, PackageStatus, Status};

#[must_use]
pub fn read(host: &Host) -> Status {
    let now = host.now();
    let mut notices = Vec::new();
    let loaded = Progress::load(&host.home).map_err(|error| with_causes(&error));
    // Without it, it is not known which server this computer works with.
    let holdings = loaded
        .clone()
        .and_then(|progress| Holdings::load(&host.home, &progress, now).map_err(|error| with_causes(&error)));
    let progress = loaded.unwrap_or_default();
    notices.extend(progress.standing.notices.iter().cloned());
    notices.extend(progress.standing.log.problem());
    let holdings = holdings.map_err(|why| notices.push(why)).ok();
    let change = open_change(host, &mut notices);
    let records = package_records(host, &mut notices);
    let assigned =
        Assigned { holdings: holdings.as_ref(), progress: &progress, change: change.as_ref(), now };
    let packages = assigned.packages(host, &records);
    if let Some(problem) = holdings.as_ref().and_then(|holdings| holdings.assignment.problem("assignment")) {
        notices.push(problem);
    }
    let lease = holdings.as_ref().map(|holdings| &holdings.lease);
    let enrollment = holdings.as_ref().map(|holdings| &holdings.enrollment);
    let standing = &progress.standing;
    let last_contact = standing.last_contact.as_ref();
    Status {
        computer_name: enrollment.map(|enrollment| enrollment.computer_name.to_string()),
        client_id: enrollment.map(|enrollment| enrollment.client_id.to_string()),
        server: enrollment.map(|enrollment| addresses(&enrollment.server).collect()),
        agent: self_update::status::read(&host.home, &mut notices),
        daemon: UnixStream::connect(host.home.socket()).is_ok(),
        version: display_version(&records).to_string(),
        standing: standing.standing,
        lease: LeaseStatus {
            live: lease.is_some_and(|lease| lease.good().is_some()),
            not_after: lease.and_then(|lease| lease.good()?.not_after()).map(whole_seconds),
            problem: lease.and_then(|lease| lease.problem("lease")),
        },
        last_answer: standing.answered_at,
        contact_problem: last_contact.and_then(|contact| contact.problem.clone()),
        next_contact: standing.next_contact.map(whole_seconds),
        waiting_reports: Spool::open(&host.home).map(|spool| spool.len()).unwrap_or(0),
        packages,
        notices,
    }
}

fn open_change(host: &Host, notices: &mut Vec<String>) -> Option<Change> {
    match Journal::of(&host.home, &*host.faults).open_change() {
        Ok(change) => change,
        Err(error) => {
            // Only root and the agent's user may read the journal; for others that is no problem to report.
            if rustix::process::geteuid().is_root() {
                notices.push(with_causes(&error));
            }
            None
        }
    }
}

fn package_records(host: &Host, notices: &mut Vec<String>) -> BTreeMap<PackageName, PackageRecord> {
    let mut good = BTreeMap::new();
    match packages::load_all(&host.home) {
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

/// What is known about the assigned packages.
struct Assigned<'s> {
    holdings: Option<&'s Holdings>,
    progress: &'s Progress,
    change: Option<&'s Change>,
    now: Timestamp,
}

impl Assigned<'_> {
    /// The status of every package that is installed or assigned.
    fn packages(&self, host: &Host, records: &BTreeMap<PackageName, PackageRecord>) -> Vec<PackageStatus> {
        let assignment = self.holdings.and_then(|holdings| holdings.assignment.good());
        let mut names: Vec<&PackageName> = records.keys().collect();
        names.extend(
            assignment.iter().flat_map(|assignment| &assignment.packages).map(|p| &p.release.package),
        );
        names.sort_unstable();
        names.dedup();
        let none = PackageRecord::default();
        names
            .into_iter()
            .map(|package| self.package(host, package, records.get(package).unwrap_or(&none)))
            .collect()
    }

    fn package(&self, host: &Host, package: &PackageName, record: &PackageRecord) -> PackageStatus {
        let wanted = self.holdings.and_then(|holdings| holdings.assignment.good()).and_then(|assignment| {
            assignment.packages.iter().find(|wanted| wanted.release.package == *package)
        });
        let time = self.progress.license_time(self.now);
        let decision = self.holdings.zip(wanted).map(|(holdings, wanted)| {
            let situation = Situation {
                installed: record.current.as_ref().map(|current| &current.manifest),
                given_up: &record.given_up,
                entitlement: holdings.entitlement(package, time),
                platform: &Platform::current(),
                now: time,
            };
            unless_on_trial(host, package, decide(wanted, &situation))
        });
        let refusal = self.progress.computer.refusals.get(package);
        let sentence = match (&decision, refusal) {
            (Some(Decision::Install), Some(why)) => {
                format!("not installed: {why}; it is tried again at the next contact")
            }
            (Some(Decision::Install), None) => "to be installed at the next contact".to_owned(),
            (Some(Decision::RollBack), Some(why)) => {
                format!("not rolled back: {why}; it is tried again at the next contact")
            }
            (Some(Decision::RollBack), None) => {
                "to be rolled back to at the next contact, as the site's administrator asks".to_owned()
            }
            (Some(decision), _) => decision.to_string(),
            (None, _) => "the server assigns nothing; what is installed stays".to_owned(),
        };
        let config = host.settings.package(package);
        PackageStatus {
            package: package.clone(),
            runs: record.current.as_ref().map(|current| current.release.version.to_string()),
            should_run: wanted.map(|wanted| wanted.release.version.to_string()),
            up_to_date: decision == Some(Decision::UpToDate),
            gate: self.gate(host, package),
            urgency: wanted.map(|wanted| wanted.urgency),
            sentence,
            changes_at: decision.as_ref().and_then(Decision::changes_at),
            previous: record.previous.as_ref().map(|previous| previous.release.version.to_string()),
            under_way: self
                .change
                .filter(|change| change.to.release.package == *package)
                .map(|change| format!("{} at step {}", change.to.release.version, change.step)),
            missing_hooks: Hook::ALL
                .into_iter()
                // A release of the agent itself has no hooks.
                .filter(|hook| !package.is_agent() && !hook.is_configured(config))
                .map(|hook| (hook.name(), hook.without_it()))
                .collect(),
        }
    }

    /// What the product finds open at this moment.
    fn gate(&self, host: &Host, package: &PackageName) -> OpenNow {
        let Some(text) = gate::read(&host.home, package) else { return OpenNow::default() };
        let boot = host.boot();
        let (boot_id, boot_secs) = boot.as_ref().map_or(("", 0), |boot| (boot.boot.as_str(), boot.secs));
        open_now(&text, self.now.as_second(), boot_id, boot_secs)
    }
}

/// The addresses of a server, with its port.
fn addresses(server: &ServerEntry) -> impl Iterator<Item = String> {
    let port = server.port;
    server.addresses.iter().map(move |host| format!("{host}:{port}"))
}

fn display_version(records: &BTreeMap<PackageName, PackageRecord>) -> DisplayVersion {
    let mut shown = DisplayVersion::default();
    for current in records.values().filter_map(|record| record.current.as_ref()) {
        match current.kind {
            PackageKind::Program => shown.program = Some(current.release.version.clone()),
            PackageKind::Signatures => {
                shown.signatures = Revision::from_version(&current.release.version).ok();
            }
            PackageKind::Agent | PackageKind::Server | PackageKind::Other(_) => {}
        }
    }
    shown
}
