//! Reading the state that `status` shows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::Fingerprint;
use sealpost_manifests::assignment::{PackageAssignment, Postpone};
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::setup::ServerEntry;
use sealpost_manifests::version::{DisplayVersion, Revision};
use sealpost_manifests::wire::contact::WaitsFor;

use crate::control::is_listening;
use crate::domain::gate_file::{OpenNow, open_now};
use crate::domain::policy::{Decision, Situation, decide};
use crate::domain::put_off::PutOff;
use crate::domain::record::{Change, Installed, PackageRecord};
use crate::domain::rollback::why_left;
use crate::domain::server_list::single_ways;
use crate::domain::time::whole_seconds;
use crate::flows::context::Host;
use crate::flows::drift::{self, Found, Keep, Place};
use crate::flows::lease::LeaseStatus;
use crate::flows::self_update;
use crate::flows::self_update::begin::unless_on_trial;
use crate::flows::servers::{self, ServingStatus};
use crate::flows::{install_root, linked, retention, start_again};
use crate::home::Home;
use crate::hooks::Hook;
use crate::journal::Journal;
use crate::platform::store::StoreError;
use crate::records::gate;
use crate::records::holdings::{HeldDocument, Holdings, HoldingsError};
use crate::records::keys::{ClientKeyError, key_of};
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;
use crate::records::standing::ServerStanding;
use crate::records::waiting::WaitingKnock;
use crate::records::withdrawn::Withdrawals;
use crate::spool::Spool;

use super::problems::{contact_problems, is_for_good, package_problems, refusal_of_further};
use super::report::{
    AdmissionStatus, DriftStatus, PackageStatus, PostponeStatus, ProblemKind, Status, StatusProblem,
    TimesStatus, WayStatus,
};

#[must_use]
pub fn read(host: &Host) -> Status {
    let now = host.now();
    let mut notices = Vec::new();
    let loaded =
        Progress::load(&host.home).map_err(|error| (ProblemKind::RecordDamaged, with_causes(&error)));
    // Without it, it is not known which server this computer works with.
    let holdings = loaded
        .clone()
        .and_then(|progress| Holdings::load(&host.home, &progress, now).map_err(|error| described(&error)));
    let progress = loaded.unwrap_or_default();
    notices.extend(progress.standing.notices.iter().cloned());
    notices.extend(progress.standing.log.problem());
    let mut problems = Vec::new();
    let waiting = WaitingKnock::load(&host.home).unwrap_or_else(|error| {
        // Only root and the agent's user may read it; for others that is no problem to report.
        if matches!(error, StoreError::Damaged { .. }) || rustix::process::geteuid().is_root() {
            problems.push(StatusProblem::of_computer(ProblemKind::RecordDamaged, with_causes(&error)));
        }
        None
    });
    if let Some(waiting) = &waiting {
        problems.push(StatusProblem::of_computer(ProblemKind::WaitsForAdmission, waiting.told()));
        notices.push(waiting.told());
    }
    let holdings = match holdings {
        Ok(holdings) => Some(holdings),
        Err((code, why)) => {
            problems.push(StatusProblem::of_computer(code, why.clone()));
            // It was told what to do, and did it.
            if waiting.is_none() || code != ProblemKind::NotEnrolled {
                notices.push(why);
            }
            None
        }
    };
    if holdings.is_some()
        && let Some(text) = key_problem(&host.home, &progress)
    {
        notices.push(text.clone());
        problems.push(StatusProblem::of_computer(ProblemKind::KeyUnreadable, text));
    }
    let mut damaged = Vec::new();
    let change = open_change(host, &mut damaged);
    let (records, unknown) = package_records(host, &mut damaged);
    let of_record = |why: &String| StatusProblem::of_computer(ProblemKind::RecordDamaged, why.clone());
    problems.extend(damaged.iter().map(of_record));
    notices.extend(damaged);
    // Why it is not known what is installed was said with the records.
    let found = drift::look(host, Keep::No).unwrap_or_default();
    let elsewhere = install_root::problem(host);
    notices.extend(left_over(host));
    let assignment = holdings.as_ref().and_then(|holdings| holdings.assignment.good());
    let previous = found.iter().filter(|found| found.place == Place::Previous);
    notices.extend(previous.map(|found| found.told(assignment)));
    let withdrawals = Withdrawals::load(&host.home);
    let assigned = Assigned {
        withdrawals: &withdrawals,
        holdings: holdings.as_ref(),
        progress: &progress,
        change: change.as_ref(),
        found: &found,
        unknown: &unknown,
        is_elsewhere: elsewhere.is_some(),
        is_enrolled: !problems.iter().any(|problem| problem.code == ProblemKind::NotEnrolled),
        now,
    };
    let packages = assigned.packages(host, &records);
    if let Some(holdings) = &holdings {
        notices.extend(holdings.assignment.problem("assignment"));
        if matches!(holdings.server_list, HeldDocument::Refused(_)) {
            notices.extend(holdings.server_list.problem("server_list"));
        }
    }
    if let Some(text) = elsewhere {
        // Products say it with their packages; the agent's own release does not.
        if !found.iter().any(|found| found.is_elsewhere && found.place == Place::Current) {
            notices.push(text.clone());
        }
        problems.push(StatusProblem::of_computer(ProblemKind::InstallRootElsewhere, text));
    }
    problems.extend(package_problems(&packages, &progress.computer.refusals));
    let lease = holdings.as_ref().map(|holdings| &holdings.lease);
    let enrollment = holdings.as_ref().map(|holdings| &holdings.enrollment);
    let standing = &progress.standing;
    let last_contact = standing.last_contact.as_ref();
    let lease_problem = lease.and_then(|lease| lease.problem("lease"));
    problems.extend(contact_problems(standing, lease_problem.as_deref()));
    let servers = servers::rows(host, &progress);
    for server in servers.iter().filter(|server| !server.updates) {
        notices.extend(server.problem.as_ref().map(|why| format!("the server {}: {why}", server.name())));
        problems.extend(refusal_of_further(progress.of(&server.server), server));
    }
    let ways = holdings.as_ref().map(|holdings| ways(holdings, &progress)).unwrap_or_default();
    let serving = servers::status(host, &progress);
    let (answering, lease) = by_serving(host, &progress, serving.as_ref(), holdings.as_ref());
    let daemon = is_listening(&host.home.socket()).or_else(|| host.home.is_daemon_locked());
    Status {
        at: now,
        computer_name: enrollment.map(|enrollment| enrollment.computer_name.to_string()),
        client_id: enrollment.map(|enrollment| enrollment.client_id.to_string()),
        server: enrollment.map(|_| ways.iter().map(|way| way.address.clone()).collect()),
        ways,
        servers,
        serving,
        admission: waiting.map(|waiting| AdmissionStatus {
            key: Fingerprint::of(&waiting.client_key),
            computer_name: waiting.computer_name,
            asked_at: waiting.asked_at.map(whole_seconds),
            next_at: whole_seconds(waiting.next_at),
            said: waiting.said,
        }),
        agent: self_update::status::read(&host.home, &mut notices),
        daemon: daemon == Some(true),
        daemon_known: daemon.is_some(),
        version: display_version(&records).to_string(),
        standing: answering.standing,
        lease,
        last_answer: answering.answered_at,
        contact_problem: last_contact.and_then(|contact| contact.problem.clone()),
        next_contact: standing.next_contact.map(whole_seconds),
        waiting_reports: Spool::open(&host.home).map(|spool| spool.len()).unwrap_or(0),
        packages,
        storage: retention::usage(host),
        problems,
        notices,
    }
}

/// How this computer stands with the server that serves, and its lease; `first` is that of the first server.
fn by_serving<'p>(
    host: &Host,
    progress: &'p Progress,
    serving: Option<&ServingStatus>,
    first: Option<&Holdings>,
) -> (&'p ServerStanding, LeaseStatus) {
    let other = serving.map(|serving| &serving.server).filter(|server| progress.authority() != Some(server));
    let held = other.and_then(|server| Holdings::of(&host.home, server, progress, host.now()).ok());
    let holdings = held.as_ref().or(first);
    let standing = other.map_or(&progress.standing, |server| progress.of(server));
    (standing, LeaseStatus::of(holdings, standing))
}

fn described(error: &HoldingsError) -> (ProblemKind, String) {
    let code = match error {
        HoldingsError::NotEnrolled => ProblemKind::NotEnrolled,
        HoldingsError::Store(_) | HoldingsError::Grant(_) => ProblemKind::RecordDamaged,
    };
    (code, with_causes(error))
}

/// Why contacts cannot be signed, if they cannot. Only root and the agent's user may look; for others that is no problem to
/// report.
fn key_problem(home: &Home, progress: &Progress) -> Option<String> {
    let enroll = "ask the administrator for a new setup file of this computer (`distributor clients setup NAME`) and enroll it \
                  again: `agent-updater enroll --setup FILE`";
    progress.servers().iter().find_map(|server| {
        let enrollment = ServerRecords::of(home, server).enrollment().ok()??;
        let error = key_of(home, server, &enrollment.client_key).err()?;
        let why = with_causes(&error);
        match error {
            ClientKeyError::Missing(_) => Some(format!("{why}, so no contact can be signed; {enroll}")),
            _ => rustix::process::geteuid().is_root().then(|| {
                format!("{why}, so no contact can be signed; put it right, or move it away, {enroll}")
            }),
        }
    })
}

/// The ways to the server, in the order in which they are tried.
fn ways(holdings: &Holdings, progress: &Progress) -> Vec<WayStatus> {
    let list = holdings.server_list.good();
    let answered = progress.standing.answered_by.as_ref();
    let setup = &holdings.enrollment.server;
    let shown = |way: ServerEntry| {
        let address = way.addresses.first().map(String::as_str).unwrap_or_default();
        let names = |entry: &ServerEntry| {
            entry.port == way.port
                && entry.ca_spki_sha256 == way.ca_spki_sha256
                && entry.addresses.iter().any(|named| named == address)
        };
        let from = match list {
            Some(list) if list.servers.iter().any(names) => "server_list",
            _ if names(setup) => "setup_file",
            _ => "answered_last",
        };
        WayStatus {
            address: format!("{address}:{}", way.port),
            pins: way.ca_spki_sha256.len(),
            from,
            answered_last: answered == Some(&way),
        }
    };
    single_ways(list, answered, setup).into_iter().map(shown).collect()
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

/// The records, and the packages whose record cannot be used.
fn package_records(
    host: &Host,
    notices: &mut Vec<String>,
) -> (BTreeMap<PackageName, PackageRecord>, BTreeSet<PackageName>) {
    let (mut good, mut unknown) = (BTreeMap::new(), BTreeSet::new());
    match linked::load_all(host) {
        Ok(records) => {
            for (package, record) in records {
                match record {
                    Ok(record) => drop(good.insert(package, record)),
                    Err(error) => {
                        notices.push(with_causes(&error));
                        let _ = unknown.insert(package);
                    }
                }
            }
        }
        Err(error) => notices.push(with_causes(&error)),
    }
    (good, unknown)
}

/// What could not be removed, if there is anything.
fn left_over(host: &Host) -> Option<String> {
    let left = retention::left_over(host);
    let first = left.first()?;
    let more = if left.len() > 1 { format!(" and {} more", left.len() - 1) } else { String::new() };
    Some(format!(
        "{first}{more} could not be removed and takes room; each contact tries it again: see whether something is mounted in \
         it, else remove it by hand"
    ))
}

/// What is known about the assigned packages.
struct Assigned<'s> {
    withdrawals: &'s Withdrawals,
    holdings: Option<&'s Holdings>,
    progress: &'s Progress,
    change: Option<&'s Change>,
    found: &'s [Found],
    /// Packages whose record cannot be used.
    unknown: &'s BTreeSet<PackageName>,
    /// Whether the install root is another one than what is installed lies in.
    is_elsewhere: bool,
    is_enrolled: bool,
    now: Timestamp,
}

impl Assigned<'_> {
    /// The status of every package that is installed or assigned.
    fn packages(&self, host: &Host, records: &BTreeMap<PackageName, PackageRecord>) -> Vec<PackageStatus> {
        let assignment = self.holdings.and_then(|holdings| holdings.assignment.good());
        let mut names: Vec<&PackageName> = records.keys().chain(self.unknown).collect();
        names.extend(
            assignment.iter().flat_map(|assignment| &assignment.packages).map(|p| &p.release.package),
        );
        names.extend(self.progress.standing.waits.iter().map(|waits| &waits.package));
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
        let is_known = !self.unknown.contains(package);
        let computer = &self.progress.computer;
        let decision = self.holdings.zip(wanted).filter(|_| is_known).map(|(holdings, wanted)| {
            let situation = Situation {
                installed: record.current.as_ref().map(|current| &current.manifest),
                given_up: &record.given_up,
                put_off: &computer.put_off(wanted, time),
                failing: computer.failing.get(package),
                prepared: record.prepared.as_ref().map(|prepared| &prepared.manifest),
                entitlement: holdings.entitlement(package, time),
                coverage: holdings.coverage(package),
                platform: &Platform::current(),
                now: time,
            };
            unless_on_trial(host, package, decide(wanted, &situation))
        });
        let why_withdrawn = |installed: &Option<Installed>| {
            Some(self.withdrawals.reason(&installed.as_ref()?.release)?.to_owned())
        };
        let withdrawn = why_withdrawn(&record.current);
        let refusal = self.progress.computer.refusals.get(package);
        let assignment = self.holdings.and_then(|holdings| holdings.assignment.good());
        let drift_of = |place| {
            let mut found = self.found.iter();
            let found = found.find(|found| found.package == *package && found.place == place)?;
            Some(DriftStatus { kind: found.kind.to_string(), text: found.told(assignment) })
        };
        let drift = drift_of(Place::Current);
        let not_started = record.not_started.as_ref().map(start_again::told);
        let installed = record.current.as_ref().map(|current| current.release.version.to_string());
        // Of the agent's own release that is no drift: its packaged program runs then.
        let is_gone = package.is_agent() && self.is_elsewhere;
        let what_is_assigned = self.what_is_assigned();
        let sentence = match (&decision, refusal) {
            _ if !is_known => {
                "its record is damaged, so it is not known what runs, and nothing is installed".to_owned()
            }
            (Some(Decision::UpToDate), _) if not_started.is_some() => {
                "the right release, but it could not be started".to_owned()
            }
            (Some(Decision::UpToDate), _) if drift.is_some() => {
                "the right release, but not as it was signed".to_owned()
            }
            (Some(Decision::UpToDate), _) if is_gone => {
                "the right release, but it is not in the install root".to_owned()
            }
            (Some(Decision::Install), Some(why)) => {
                format!("not installed: {why}; it is tried again at the next contact")
            }
            (Some(Decision::Install), None) => "to be installed at the next contact".to_owned(),
            (Some(Decision::Prepare(wait)), None) => {
                format!("to be made ready at the next contact; then {wait}")
            }
            (Some(Decision::Prepare(wait)), Some(why)) => {
                format!("not ready: {why}; it is tried again at the next contact; then {wait}")
            }
            (Some(Decision::TriesAgain { at, .. }), Some(why)) => {
                format!("not installed: {why}; it is tried again at {at}, and by `agent-updater check`")
            }
            (Some(Decision::RollBack), Some(why)) if is_for_good(why) => format!("not rolled back: {why}"),
            (Some(Decision::RollBack), Some(why)) => {
                format!("not rolled back: {why}; it is tried again at the next contact")
            }
            (Some(Decision::RollBack), None) => {
                "to be rolled back to at the next contact, as the site's administrator asks".to_owned()
            }
            (Some(decision), _) => decision.to_string(),
            (None, _) if let Err(why) = &what_is_assigned => format!("{why}; what is installed stays"),
            (None, _) if withdrawn.is_some() => {
                "the vendor withdrew it, so the server assigns it no more; what is installed stays".to_owned()
            }
            (None, _) => "the server assigns nothing; what is installed stays".to_owned(),
        };
        let config = host.settings.package(package);
        PackageStatus {
            package: package.clone(),
            runs: installed.clone().filter(|_| not_started.is_none()),
            installed,
            runs_known: is_known,
            should_run: wanted.map(|wanted| wanted.release.version.to_string()),
            should_run_known: what_is_assigned.is_ok(),
            up_to_date: decision == Some(Decision::UpToDate)
                && drift.is_none()
                && not_started.is_none()
                && !is_gone,
            not_started,
            decision: decision.as_ref().map(Decision::code),
            drift,
            gate: self.gate(host, package),
            urgency: wanted.map(|wanted| wanted.urgency),
            prepared: record.prepared.as_ref().map(|prepared| prepared.release.version.to_string()),
            times: wanted
                .filter(|_| decision.as_ref().is_some_and(|decision| *decision != Decision::UpToDate))
                .map(|wanted| times(wanted, &computer.put_off(wanted, time), time)),
            sentence,
            changes_at: decision.as_ref().and_then(Decision::changes_at),
            server_says: self.server_says(package, record),
            previous: record.previous.as_ref().map(|previous| previous.release.version.to_string()),
            previous_drift: drift_of(Place::Previous),
            withdrawn,
            previous_withdrawn: why_withdrawn(&record.previous),
            previous_left: why_left(record),
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

    /// What the server said last of a package, unless what it spoke of runs since.
    fn server_says(&self, package: &PackageName, record: &PackageRecord) -> Option<WaitsFor> {
        let runs = record.current.as_ref().map(|current| &current.release.version);
        let mut said = self.progress.standing.waits.iter();
        said.find(|waits| waits.package == *package && runs != Some(&waits.version)).cloned()
    }

    /// Whether it is known what the server assigns; else why it is not.
    fn what_is_assigned(&self) -> Result<(), &'static str> {
        match self.holdings.map(|holdings| &holdings.assignment) {
            Some(HeldDocument::Good(_) | HeldDocument::None) => Ok(()),
            Some(HeldDocument::Refused(_)) => {
                Err("what the server assigns is not known, as the assignment that is held does not count")
            }
            None if !self.is_enrolled => Err("no server assigns anything before this computer is enrolled"),
            None => Err("what the server assigns is not known, as a record is damaged"),
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

/// When an assigned change is let be made.
fn times(wanted: &PackageAssignment, put_off: &PutOff, now: Timestamp) -> TimesStatus {
    let left = |postpone: Postpone| PostponeStatus {
        times_left: postpone.times.saturating_sub(put_off.holds()),
        until: postpone.until,
    };
    TimesStatus {
        start: wanted.start,
        window_opens: wanted.install_from,
        window_closes: wanted.install_until,
        deadline: wanted.deadline,
        held_until: put_off.held_until(wanted).filter(|until| *until > now),
        postpone: wanted.postpone.map(left),
        times_declined: put_off.times_declined(),
    }
}

/// Of the first program and the first signature package by name, as the server shows it too.
fn display_version(records: &BTreeMap<PackageName, PackageRecord>) -> DisplayVersion {
    let mut shown = DisplayVersion::default();
    for current in records.values().filter_map(|record| record.current.as_ref()) {
        match current.kind {
            PackageKind::Program if shown.program.is_none() => {
                shown.program = Some(current.release.version.clone());
            }
            PackageKind::Signatures if shown.signatures.is_none() => {
                shown.signatures = Revision::from_version(&current.release.version).ok();
            }
            PackageKind::Program | PackageKind::Signatures => {}
            PackageKind::Agent | PackageKind::Server | PackageKind::Other(_) => {}
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;
    use crate::domain::record::SlotId;

    #[test]
    fn of_several_programs_the_first_by_name_is_the_version_as_at_the_server() {
        let record = |name: &str, version: &str| {
            let version = Version::new(version).unwrap();
            let manifest = Sha256Digest::of(name.as_bytes());
            let package = PackageName::new(name).unwrap();
            let current = Installed {
                slot: SlotId::of(&version, &manifest),
                release: ReleaseId { package: package.clone(), version, platform: Platform::any() },
                kind: PackageKind::Program,
                counter: ReleaseCounter(1),
                manifest,
                rollout: 1,
                attempt: 1,
                ring: None,
            };
            (package, PackageRecord { current: Some(current), ..PackageRecord::default() })
        };
        let records = BTreeMap::from([record("acme-av", "5.2"), record("acme-cad", "1.0")]);
        assert_eq!(display_version(&records).program.unwrap().as_str(), "5.2");
    }
}
