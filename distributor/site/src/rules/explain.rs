//! For each computer and package one sentence: what it runs, what it should run, why not yet, when that changes.
//!
//! Invariant: the sentence names the first reason in the order in which the reasons stop an install (identity, lease,
//! approval, assignment, contact, the agent's own report), so that removing that reason brings the next one or success.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ComputerName, PackageName, Platform};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::report::{InstallStep, Outcome, Report};
use serde::{Deserialize, Serialize};

use crate::rows::ClientRow;
use crate::rules::assignment::{Computer, licensed_packages, wanted};
use crate::rules::contact::ClientState;
use crate::rules::release::KnownRelease;
use crate::rules::text::escape;

/// A computer that did not come for longer than this has lost contact: two of its usual four-hour contacts are missing.
const SILENT_AFTER: SignedDuration = SignedDuration::from_hours(9);

/// What the sentences about one computer are made of.
#[derive(Debug, Clone)]
pub struct ExplainFacts {
    /// The reservation and its computer.
    pub client: ClientRow,
    /// The grants whose seats its name holds, by serial number.
    pub grants: Vec<Grant>,
    /// Approved releases of all packages.
    pub approved: Vec<KnownRelease>,
    /// Staged releases, which wait for a review.
    pub staged: Vec<KnownRelease>,
    /// Manifests of releases above a counter that the vendor reset.
    pub voided: BTreeSet<Sha256Digest>,
}

/// One sentence for each package that the computer runs, should run, or could run after a review.
#[must_use]
pub fn explain_client(facts: &ExplainFacts, now: Timestamp) -> Vec<Explanation> {
    let client = &facts.client;
    // A computer that has not enrolled has no platform yet; what runs anywhere is all that is known to fit.
    let platform = client.platform.clone().unwrap_or_else(Platform::any);
    let licensed = licensed_packages(&facts.grants);
    let computer = Computer {
        channel: &client.channel,
        platform: &platform,
        licensed: &licensed,
        installed: &client.installed,
        voided: &facts.voided,
    };
    let (should, could) = (wanted(&facts.approved, &computer), wanted(&facts.staged, &computer));
    let mut packages: BTreeSet<&PackageName> = BTreeSet::new();
    packages.extend(client.installed.iter().map(|installed| &installed.release.package));
    packages.extend(client.assigned.iter().map(|told| &told.release.package));
    packages.extend(should.iter().chain(&could).map(|release| &release.release.package));
    packages.into_iter().map(|package| explain(&view(client, package, &should, &could), now)).collect()
}

fn view<'a>(
    client: &'a ClientRow,
    package: &'a PackageName,
    should: &[&'a KnownRelease],
    could: &[&'a KnownRelease],
) -> PackageView<'a> {
    let of = |releases: &[&'a KnownRelease]| -> Option<&'a KnownRelease> {
        releases.iter().find(|release| release.release.package == *package).copied()
    };
    let installed = client.installed.iter().find(|installed| installed.release.package == *package);
    let assigned = client.assigned.iter().find(|told| told.release.package == *package);
    PackageView {
        name: &client.name,
        state: client.state,
        last_contact: client.last_contact,
        lease_until: client.lease_until,
        package,
        runs: installed.map(|installed| (&installed.release.version, installed.manifest)),
        assigned: assigned.map(|told| (&told.release, told.manifest)),
        wanted: of(should).map(|release| (&release.release, release.manifest)),
        waits_for_review: of(could).map(|release| &release.release),
        last_report: client.last_reports.iter().find(|report| report.release.package == *package),
    }
}

/// What is known of one package on one computer.
#[derive(Debug, Clone)]
pub struct PackageView<'a> {
    /// The computer.
    pub name: &'a ComputerName,
    /// Its state.
    pub state: ClientState,
    /// Last contact.
    pub last_contact: Option<Timestamp>,
    /// Until when its lease is good.
    pub lease_until: Option<Timestamp>,
    /// The package.
    pub package: &'a PackageName,
    /// What it runs.
    pub runs: Option<(&'a Version, Sha256Digest)>,
    /// What it should run, by its newest assignment.
    pub assigned: Option<(&'a ReleaseId, Sha256Digest)>,
    /// What it should run, by what is approved now.
    pub wanted: Option<(&'a ReleaseId, Sha256Digest)>,
    /// The newest release of its channel that waits for a person.
    pub waits_for_review: Option<&'a ReleaseId>,
    /// Its last report about this package.
    pub last_report: Option<&'a Report>,
}

/// When the sentence will be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangesWhen {
    /// When the vendor publishes and an admin approves something new.
    NewRelease,
    /// When the computer contacts the server.
    Contact,
    /// When an admin does something.
    Admin,
    /// When the vendor renews the license or ships another release.
    Vendor,
}

/// One sentence, and when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// About which package.
    pub package: PackageName,
    /// For people; without control characters.
    pub sentence: String,
    /// When it will be another one.
    pub changes: ChangesWhen,
}

/// Explains one package on one computer.
#[must_use]
pub fn explain(view: &PackageView<'_>, now: Timestamp) -> Explanation {
    let runs = match view.runs {
        Some((version, _)) => format!("{} runs {} {version}", view.name, view.package),
        None => format!("{} does not run {}", view.name, view.package),
    };
    let (rest, changes) = reason(view, now);
    Explanation { package: view.package.clone(), sentence: format!("{runs}{rest}"), changes }
}

fn reason(view: &PackageView<'_>, now: Timestamp) -> (String, ChangesWhen) {
    match view.state {
        ClientState::Reserved => {
            return (
                "; it holds a seat and has not enrolled yet: carry its setup file to it".into(),
                ChangesWhen::Contact,
            );
        }
        ClientState::Forked => {
            return (
                "; two computers use its identity: issue a new setup file and enroll it again".into(),
                ChangesWhen::Admin,
            );
        }
        ClientState::Active => {}
    }
    let Some((wanted, manifest)) = view.wanted else { return nothing_wanted(view) };
    if view.runs.is_some_and(|(_, running)| running == manifest) {
        return match view.waits_for_review {
            Some(newer) => {
                (format!(" as it should; {} waits for a review", newer.version), ChangesWhen::Admin)
            }
            None => (" as it should".into(), ChangesWhen::NewRelease),
        };
    }
    let should = format!(" and should run {}", wanted.version);
    let Some(last_contact) = view.last_contact else {
        return (format!("{should}; it has not contacted the server yet"), ChangesWhen::Contact);
    };
    match view.lease_until {
        None => {
            let text =
                "; it has no lease, because the license lapsed before its first one: renew the license";
            return (format!("{should}{text}"), ChangesWhen::Vendor);
        }
        Some(until) if until < now => {
            return (
                format!("{should}; its lease ended at {until}, and its next contact brings a new one"),
                ChangesWhen::Contact,
            );
        }
        Some(_) => {}
    }
    if now.duration_since(last_contact) > SILENT_AFTER {
        return (
            format!(
                "{should}; it was last heard of at {last_contact}: check that it is switched on and can reach the server"
            ),
            ChangesWhen::Contact,
        );
    }
    if view.assigned.is_none_or(|(_, assigned)| assigned != manifest) {
        return (
            format!("{should}; it hears of it at its next contact, or at once when it is connected"),
            ChangesWhen::Contact,
        );
    }
    match view.last_report.filter(|report| report.manifest == manifest) {
        None => (format!("{should}; it was told so and has not reported yet"), ChangesWhen::Contact),
        Some(report) => reported(&should, report),
    }
}

fn nothing_wanted(view: &PackageView<'_>) -> (String, ChangesWhen) {
    match view.waits_for_review {
        Some(release) => (
            format!("; {} waits for a review: see `distributor updates show`", release.version),
            ChangesWhen::Admin,
        ),
        None if view.runs.is_some() => (
            "; no approved release is newer, or its license does not cover the package".into(),
            ChangesWhen::NewRelease,
        ),
        None => ("; no release is approved for it".into(), ChangesWhen::NewRelease),
    }
}

fn reported(should: &str, report: &Report) -> (String, ChangesWhen) {
    let why = match escape(&report.detail) {
        detail if detail.is_empty() => report.reason.to_string(),
        detail => format!("{}: {detail}", report.reason),
    };
    let at = report.at;
    if report.step == InstallStep::RollBack {
        let text =
            format!("{should}; it rolled back at {at} ({why}) and does not retry this release automatically");
        return (text, ChangesWhen::Vendor);
    }
    match report.outcome {
        Outcome::Ok => {
            (format!("{should}; it is on its way: {} is done since {at}", report.step), ChangesWhen::Contact)
        }
        Outcome::Refused | Outcome::Failed | Outcome::Other(_) => {
            (format!("{should}; {} {} at {at} ({why})", report.step, report.outcome), ChangesWhen::Admin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::ids::Platform;
    use sealpost_manifests::wire::report::ReasonCode;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_reason_is_named_in_the_order_in_which_it_stops_an_install() {
        let name = ComputerName::new("pc-1").unwrap();
        let package = PackageName::new("acme-av").unwrap();
        let release = ReleaseId {
            package: package.clone(),
            version: Version::new("2.0").unwrap(),
            platform: Platform::any(),
        };
        let (old, new) = (Sha256Digest::of(b"old"), Sha256Digest::of(b"new"));
        let version = Version::new("1.0").unwrap();
        let report = Report {
            id: 1,
            at: at(90),
            release: release.clone(),
            manifest: new,
            rollout: 1,
            attempt: 1,
            step: InstallStep::TestLoad,
            outcome: Outcome::Refused,
            reason: ReasonCode::HookFailed,
            detail: "bad\u{1b}[31m".into(),
        };
        let good = PackageView {
            name: &name,
            state: ClientState::Active,
            last_contact: Some(at(90)),
            lease_until: Some(at(1000)),
            package: &package,
            runs: Some((&version, old)),
            assigned: Some((&release, new)),
            wanted: Some((&release, new)),
            waits_for_review: None,
            last_report: Some(&report),
        };
        let say = |view: &PackageView<'_>, expected: &str| {
            let sentence = explain(view, at(100)).sentence;
            assert!(sentence.contains(expected), "{sentence:?} does not say {expected:?}");
            assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
        };
        say(&good, "pc-1 runs acme-av 1.0 and should run 2.0; test_load refused");
        say(&good, "hook_failed: bad");
        say(
            &PackageView { runs: Some((&release.version, new)), ..good.clone() },
            "pc-1 runs acme-av 2.0 as it should",
        );
        say(&PackageView { last_report: None, ..good.clone() }, "was told so");
        say(&PackageView { assigned: None, ..good.clone() }, "at its next contact");
        say(&PackageView { lease_until: Some(at(99)), ..good.clone() }, "lease ended");
        say(&PackageView { lease_until: None, ..good.clone() }, "license lapsed");
        say(&PackageView { last_contact: None, ..good.clone() }, "not contacted");
        say(&PackageView { state: ClientState::Reserved, ..good.clone() }, "setup file");
        say(&PackageView { state: ClientState::Forked, ..good.clone() }, "two computers");
        let unreviewed = PackageView { wanted: None, waits_for_review: Some(&release), ..good.clone() };
        say(&unreviewed, "2.0 waits for a review");
        let silent = explain(&good, at(90 + 10 * 3600));
        assert!(silent.sentence.contains("lease ended") || silent.sentence.contains("last heard of"));
        let rolled = Report { step: InstallStep::RollBack, outcome: Outcome::Ok, ..report.clone() };
        say(&PackageView { last_report: Some(&rolled), ..good }, "rolled back");
    }
}
