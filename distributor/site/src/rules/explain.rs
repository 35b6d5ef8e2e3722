//! For each computer and package one sentence: what it runs, what it should run, why not yet, when that changes.
//!
//! Invariant: the sentence names the first reason in the order in which the reasons stop an install (identity, lease,
//! approval, assignment, contact, the agent's own report), so that removing that reason brings the next one or success.
//! A package that is not as it was signed never "runs as it should".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_manifests::assignment::Action;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ComputerName, PackageName, Platform, SerialNumber};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::contact::{DriftKind, Postponed};
use sealpost_manifests::wire::report::{InstallStep, Outcome, Report};
use serde::{Deserialize, Serialize};

use crate::rows::ClientRow;
mod contact;
mod held;
mod stopped;
mod waits;

pub use self::contact::{AtLink, Comes};
pub use self::held::{ChangesWhen, Waits, waits_for};
use self::held::{waits_there, waits_until};
use self::stopped::{halted, halted_before, stopped, tries, who_stopped};
pub use self::waits::{Heard, Rollouts, waits_of};
use crate::rules::approvals::Deferral;
use crate::rules::approvals::proposal::Proposal;
use crate::rules::assignment::{
    Choice, Computer, Licensed, Rolling, TellTo, Told, Undoing, admitted, told, wanted,
};
use crate::rules::contact::ClientState;
use crate::rules::leaving::is_under_way;
use crate::rules::release::KnownRelease;
use crate::rules::reports::gives_up;
use crate::rules::rollouts::delivery::Delivery;
use crate::rules::rollouts::groups::{Attributes, GroupName};
use crate::rules::rollouts::plan::{Asker, LiveCounts, Plan};
use crate::rules::rollouts::progress::Rollout;
use crate::rules::rollouts::share::{self, Salt};
use crate::rules::test_load::{self, TestLoad};
use crate::rules::text::escape;

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
    /// The releases that it runs or ran, as this site knows them, whatever became of them.
    pub had: Vec<KnownRelease>,
    /// Attempts of its own, by manifest.
    pub attempts: BTreeMap<Sha256Digest, u32>,
    /// Settings and rollouts.
    pub plan: Arc<Plan>,
    /// What became of the computers of live rollouts.
    pub counts: LiveCounts,
    /// Live rollouts, as far as they are, and those whose release is halted.
    pub rollouts: Vec<Rollout>,
    /// Test-loads of staged releases that did not pass.
    pub tests: BTreeMap<Sha256Digest, TestLoad>,
    /// What makes the order of computers the site's own.
    pub salt: Salt,
}

impl ExplainFacts {
    /// The groups that the computer belongs to.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<GroupName> {
        let client = &self.client;
        let serials: Vec<&SerialNumber> = self.grants.iter().map(|grant| &grant.serial).collect();
        self.plan.groups_of(
            &client.listed,
            &Attributes {
                name: &client.name,
                channel: &client.channel,
                platform: client.platform.as_ref(),
                tags: &client.tags,
                serials: &serials,
                installed: &client.installed,
            },
        )
    }

    /// How the computer gets what is approved.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        self.plan.settings.delivery_of(&self.groups())
    }
}

/// How far a review has come.
#[derive(Debug, Clone, Copy)]
pub enum Reviewing<'a> {
    /// One person has approved it, and a second one has to.
    Second(&'a Proposal),
    /// The decision was put off.
    Deferred(&'a Deferral),
}

/// One sentence for each package that the computer runs, should run, or could run after a review. `at_link` is where it stands
/// at the link that it is behind, if it downloads or waits for that.
#[must_use]
pub fn explain_client(facts: &ExplainFacts, at_link: Option<&AtLink>, now: Timestamp) -> Vec<Explanation> {
    let client = &facts.client;
    // A computer that has not enrolled has no platform yet; what runs anywhere is all that is known to fit.
    let platform = client.platform.clone().unwrap_or_else(Platform::any);
    let licensed = Licensed::by(&facts.grants);
    let computer = Computer {
        channel: &client.channel,
        platform: &platform,
        licensed: &licensed,
        installed: &client.installed,
        before: &client.before,
        voided: &facts.voided,
    };
    let left: Vec<KnownRelease> = facts.had.iter().filter(|release| release.rollback).cloned().collect();
    // It was told to go back in a later attempt, if it had given that release up before.
    let back = client.assigned.iter().filter(|told| told.action == Action::Rollback);
    let back = back.map(|told| (told.manifest, told.attempt)).collect();
    let undoing = Undoing { left: &left, kept: &facts.had, attempts: &facts.attempts, back: &back };
    let groups = facts.groups();
    let asker = Asker {
        name: &client.name,
        position: share::position(&facts.salt, &client.name),
        groups: &groups,
        channel: &client.channel,
        deliveries: &client.deliveries,
        attempts: &facts.attempts,
    };
    let rolling = Rolling { plan: &facts.plan, counts: &facts.counts, asker, now };
    let should = told(&facts.approved, &undoing, &computer, &rolling);
    let choices = admitted(&facts.approved, &computer, &rolling);
    // Also what is approved for other channels, and waits for a decision in this one.
    let waiting = facts.approved.iter().filter(|release| release.waits_for().next().is_some());
    let waiting = waiting.map(|release| release.approved_too(&release.channels.clone()));
    let undecided: Vec<KnownRelease> = facts.staged.iter().cloned().chain(waiting).collect();
    let could: Vec<&KnownRelease> = wanted(&undecided, &computer)
        .into_iter()
        .filter(|could| !should.iter().any(|told| told.release.manifest == could.manifest))
        .collect();
    let mut packages: BTreeSet<&PackageName> = BTreeSet::new();
    packages.extend(client.installed.iter().map(|installed| &installed.release.package));
    packages.extend(client.drift.iter().map(|drift| &drift.package));
    packages.extend(client.assigned.iter().map(|told| &told.release.package));
    // What it was told before, and what was stopped since, is why it is told nothing now.
    let reported = client.last_reports.iter().filter(|report| stopped(&facts.had, report.manifest).is_some());
    packages.extend(reported.map(|report| &report.release.package));
    packages.extend(
        should
            .iter()
            .map(|told| told.release)
            .chain(could.iter().copied())
            .map(|release| &release.release.package),
    );
    if licensed == Licensed::Nothing {
        // What is approved for others is what it would get with a license.
        packages.extend(facts.approved.iter().map(|release| &release.release.package));
    }
    // What was halted before anybody else had it.
    packages.extend(facts.rollouts.iter().map(|rollout| &rollout.release.package).filter(|package| {
        licensed.covers(package) && halted(client, &facts.rollouts, package, &should).is_some()
    }));
    packages.extend(choices.iter().map(|choice| &choice.newest.release.package));
    packages
        .into_iter()
        .map(|package| {
            let choice = choices.iter().find(|choice| choice.newest.release.package == *package);
            let held = choice.and_then(|choice| Waits::of(choice, &facts.rollouts));
            let then = choice.and_then(then);
            let comes = Comes::new(facts.plan.settings.delivery_of(&groups), client.came_by);
            let view = view(facts, package, &should, &could);
            let newest = could.iter().find(|release| release.release.package == *package);
            let review = newest.and_then(|release| review_of(facts, release.manifest, now));
            explain(&PackageView { held, then, review, comes, at_link: at_link.cloned(), ..view }, now)
        })
        .collect()
}

/// What a computer goes on to, if it gets a release through which it has to pass first.
fn then<'r>(choice: &Choice<'r>) -> Option<&'r Version> {
    let (gets, _) = choice.gets?;
    let passes = choice.held.is_none() && gets.manifest != choice.newest.manifest;
    passes.then_some(&choice.newest.release.version)
}

fn view<'a>(
    facts: &'a ExplainFacts,
    package: &'a PackageName,
    should: &[Told<'a>],
    could: &[&'a KnownRelease],
) -> PackageView<'a> {
    let client = &facts.client;
    let could = could.iter().find(|release| release.release.package == *package);
    let installed = client.installed.iter().find(|installed| installed.release.package == *package);
    let assigned = client.assigned.iter().find(|told| told.release.package == *package);
    let last_report = client.last_reports.iter().find(|report| report.release.package == *package);
    let tries = last_report.filter(|report| is_under_way(report));
    let tries = tries.filter(|report| installed.is_none_or(|runs| runs.manifest != report.manifest));
    PackageView {
        name: &client.name,
        state: client.state,
        last_contact: client.last_contact,
        lease_until: client.lease_until,
        package,
        runs: installed.map(|installed| (&installed.release.version, installed.manifest)),
        drift: client.drift.iter().find(|drift| drift.package == *package).map(|drift| drift.kind),
        stopped: installed.and_then(|installed| stopped(&facts.had, installed.manifest)),
        gone: last_report.and_then(|report| stopped(&facts.had, report.manifest)),
        tries: tries.and_then(|report| stopped(&facts.had, report.manifest)),
        assigned: assigned.map(|told| (told.manifest, told.attempt)),
        is_licensed: !facts.grants.is_empty(),
        covers: Licensed::by(&facts.grants).covers(package),
        halted: halted(client, &facts.rollouts, package, should),
        wanted: should.iter().find(|told| told.release.release.package == *package).cloned(),
        waits_for_review: could.map(|release| &release.release),
        test: could.and_then(|release| facts.tests.get(&release.manifest)),
        review: None,
        last_report,
        held: None,
        then: None,
        comes: Comes::default(),
        at_link: None,
        postponed: client.postponed.iter().find(|postponed| postponed.package == *package),
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
    /// How what it runs differs from what was signed.
    pub drift: Option<DriftKind>,
    /// What it runs, if that was halted or withdrawn.
    pub stopped: Option<&'a KnownRelease>,
    /// What it may try although that was halted or withdrawn.
    pub tries: Option<&'a KnownRelease>,
    /// What it reported last about, if that was halted or withdrawn since.
    pub gone: Option<&'a KnownRelease>,
    /// The rollout of a newer release that was halted before the computer had it.
    pub halted: Option<&'a Rollout>,
    /// The manifest that it should run, by its newest assignment, and the attempt.
    pub assigned: Option<(Sha256Digest, u32)>,
    /// Whether any license covers the computer, as far as is known here.
    pub is_licensed: bool,
    /// Whether its licenses cover the package.
    pub covers: bool,
    /// What it should run, by what is approved now.
    pub wanted: Option<Told<'a>>,
    /// The newest release of its channel that waits for a person.
    pub waits_for_review: Option<&'a ReleaseId>,
    /// The test-load of that release, if it did not pass.
    pub test: Option<&'a TestLoad>,
    /// That one person has approved that, or put the decision off.
    pub review: Option<Reviewing<'a>>,
    /// Its last report about this package.
    pub last_report: Option<&'a Report>,
    /// The newest release that it may have, if that is held back, and why.
    pub held: Option<Waits<'a>>,
    /// The newest release, if it passes through the one that it should run on its way there.
    pub then: Option<&'a Version>,
    /// What is put off there.
    pub postponed: Option<&'a Postponed>,
    /// How it comes.
    pub comes: Comes,
    /// Where it stands at the link that it is behind.
    pub at_link: Option<AtLink>,
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
    /// At what time, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_at: Option<Timestamp>,
    /// Why the newest release is held back, as a stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// Explains one package on one computer.
#[must_use]
pub fn explain(view: &PackageView<'_>, now: Timestamp) -> Explanation {
    let runs = match view.runs {
        Some((version, _)) if view.drift == Some(DriftKind::NotStarted) => {
            format!("{} does NOT run {} {version}, which could not be started", view.name, view.package)
        }
        Some((version, _)) => format!("{} runs {} {version}", view.name, view.package),
        None => format!("{} does not run {}", view.name, view.package),
    };
    let runs = runs + view.drift.map_or("", changed);
    let (rest, mut changes) = reason(view, now);
    let tries = view.tries.map(tries).unwrap_or_default();
    let test = view.test.zip(view.waits_for_review).map(|(test, waits)| test_load::held(waits, test));
    let mut sentence = format!("{runs}{rest}{tries}{}", test.unwrap_or_default());
    let at_link = view.at_link.as_ref().filter(|_| view.wanted.is_some());
    let at_link = at_link.map(|at_link| at_link.done_at(now));
    let lacks = |told: &&Told<'_>| view.runs.is_none_or(|(_, runs)| runs != told.release.manifest);
    let there = view.wanted.as_ref().filter(lacks);
    let there = there.and_then(|told| waits_until(told, view.last_report, view.postponed, now));
    let mut changes_at = there.or(at_link).or_else(|| deferred_until(view));
    let takes_part = view.state == ClientState::Active && view.is_licensed;
    if let Some(halted) = view.halted.filter(|_| takes_part && view.held.is_none()) {
        sentence.push_str(&halted_before(halted));
    }
    let shown = view.held.as_ref().filter(|_| takes_part);
    if let Some(waits) = shown {
        sentence = format!("{sentence}; {waits}");
        changes_at = waits.until(now).or(changes_at);
        changes = waits.changes();
    }
    let held = shown.map(|waits| waits.held.code().to_owned());
    Explanation { package: view.package.clone(), sentence, changes, changes_at, held }
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
    if !view.is_licensed {
        let text = "; no grant for its seat is known here, so it is told nothing: run `distributor register` with its \
                    serial number";
        return (text.into(), ChangesWhen::Admin);
    }
    let Some(told) = &view.wanted else { return nothing_wanted(view) };
    let (wanted, manifest) = (&told.release.release, told.release.manifest);
    if view.runs.is_some_and(|(_, running)| running == manifest) {
        if view.drift.is_some() {
            return repair(view);
        }
        return match view.waits_for_review {
            Some(newer) => (format!(" as it should; {}", waits(newer, view.review)), ChangesWhen::Admin),
            None => (" as it should".into(), ChangesWhen::NewRelease),
        };
    }
    let should = match told.action {
        TellTo::Install => {
            let way = view.then.map(|newest| format!(", through which it passes on its way to {newest}"));
            format!(" and should run {}{}", wanted.version, way.unwrap_or_default())
        }
        TellTo::GoBackFrom(left) => {
            let why = escape(left.reason.as_deref().unwrap_or_default());
            format!(", which {} ({why}), and should go back to {}", who_stopped(left), wanted.version)
        }
    };
    let Some(last_contact) = view.last_contact else {
        return (format!("{should}; {}", view.comes.never()), ChangesWhen::Contact);
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
    if let Some(silent) = view.comes.silent(last_contact, now) {
        return (format!("{should}; {silent}"), ChangesWhen::Contact);
    }
    if view.assigned != Some((manifest, told.attempt)) {
        return (format!("{should}; {}", view.comes.hears(last_contact)), ChangesWhen::Contact);
    }
    let of_attempt = |report: &&Report| report.manifest == manifest && report.attempt >= told.attempt;
    if let Some((text, changes)) = view.at_link.as_ref().map(|at_link| at_link.sentence(now)) {
        return (format!("{should}; {text}"), changes);
    }
    if let Some((text, changes)) = waits_there(told, view.last_report, view.postponed, now) {
        return (format!("{should}; {text}"), changes);
    }
    match view.last_report.filter(of_attempt) {
        None => (format!("{should}; it was told so and has not reported yet"), ChangesWhen::Contact),
        Some(report) => reported(&should, report, view),
    }
}

/// How far the review of a release has come, if it has begun.
fn review_of(facts: &ExplainFacts, manifest: Sha256Digest, now: Timestamp) -> Option<Reviewing<'_>> {
    let approvals = &facts.plan.approvals;
    let second = approvals.waiting_approval(manifest, now).map(Reviewing::Second);
    second.or_else(|| approvals.deferred(manifest, now).map(Reviewing::Deferred))
}

/// When a deferral ends that the sentence names: it does so where nothing else is to be said first.
fn deferred_until(view: &PackageView<'_>) -> Option<Timestamp> {
    let has_what_it_should = match (&view.wanted, view.runs) {
        (None, _) => true,
        (Some(told), Some((_, runs))) => told.release.manifest == runs,
        (Some(_), None) => false,
    };
    let is_named = view.state == ClientState::Active
        && view.is_licensed
        && has_what_it_should
        && view.drift.is_none()
        && view.waits_for_review.is_some();
    match view.review.filter(|_| is_named) {
        Some(Reviewing::Deferred(deferral)) => Some(deferral.until),
        _ => None,
    }
}

/// What a release waits for that nobody has approved.
fn waits(release: &ReleaseId, review: Option<Reviewing<'_>>) -> String {
    let version = &release.version;
    match review {
        None => format!("{version} waits for a review"),
        Some(Reviewing::Second(first)) => format!(
            "{version} waits for a second person since {}, when {} approved it (proposal {})",
            first.at, first.eyes, first.number
        ),
        Some(Reviewing::Deferred(deferral)) => format!(
            "the decision about {version} is deferred until {} ({})",
            deferral.until,
            escape(&deferral.comment)
        ),
    }
}

/// How a package that is not as it was signed is described.
const fn changed(kind: DriftKind) -> &'static str {
    match kind {
        DriftKind::Missing => ", whose folder is gone",
        DriftKind::Link => ", but its `current` link leads elsewhere",
        DriftKind::Changed => ", whose files were changed on the computer",
        DriftKind::NotStarted => "",
        DriftKind::Other(_) => ", which is not as it was signed",
    }
}

fn repair(view: &PackageView<'_>) -> (String, ChangesWhen) {
    if view.drift == Some(DriftKind::NotStarted) {
        let text =
            "; `agent-updater status` there says why, and `agent-updater check` there tries it again at once";
        return (text.to_owned(), ChangesWhen::Contact);
    }
    let text = format!("; repair it there with `agent-updater repair {}`", view.package);
    (text, ChangesWhen::Contact)
}

fn nothing_wanted(view: &PackageView<'_>) -> (String, ChangesWhen) {
    if view.drift == Some(DriftKind::NotStarted) {
        return repair(view);
    }
    if let Some(stopped) = view.stopped {
        let why = escape(stopped.reason.as_deref().unwrap_or_default());
        let next = match view.waits_for_review {
            Some(release) => waits(release, view.review),
            None if stopped.rollback => {
                "what it ran before is not known here, not kept there or was stopped too; it runs on until something newer is \
                 approved"
                    .to_owned()
            }
            None => "it runs on until something newer is approved".to_owned(),
        };
        let text = format!(", which {} ({why}); {next}", who_stopped(stopped));
        return (text, ChangesWhen::Admin);
    }
    if view.drift.is_some() {
        return repair(view);
    }
    match view.waits_for_review {
        Some(release) => {
            (format!("; {}: see `distributor updates show`", waits(release, view.review)), ChangesWhen::Admin)
        }
        None if !view.covers => {
            ("; its license does not cover the package, so it gets nothing of it".into(), ChangesWhen::Vendor)
        }
        None if view.runs.is_some() => ("; no approved release is newer".into(), ChangesWhen::NewRelease),
        None => match view.gone {
            Some(gone) => {
                let why = escape(gone.reason.as_deref().unwrap_or_default());
                let (version, who) = (&gone.release.version, who_stopped(gone));
                let text = format!(
                    "; it was told {version} before, which {who} ({why}), and nothing else is approved for it"
                );
                (text, ChangesWhen::Admin)
            }
            None => ("; no release is approved for it".into(), ChangesWhen::NewRelease),
        },
    }
}

fn reported(should: &str, report: &Report, view: &PackageView<'_>) -> (String, ChangesWhen) {
    let why = match escape(&report.detail) {
        detail if detail.is_empty() => report.reason.to_string(),
        detail => format!("{}: {}", report.reason, as_of_then(&detail, view.drift)),
    };
    let (at, name) = (report.at, view.name);
    if report.step == InstallStep::RollBack {
        let ReleaseId { package, version, .. } = &report.release;
        let text = format!(
            "{should}; it rolled back at {at} ({why}) and does not retry this release automatically: when the cause is \
             gone, run `distributor updates retry {package}:{version} --client {name} --why TEXT`"
        );
        return (text, ChangesWhen::Admin);
    }
    match report.outcome {
        Outcome::Ok => {
            (format!("{should}; it is on its way: {} is done since {at}", report.step), ChangesWhen::Contact)
        }
        Outcome::Refused | Outcome::Failed | Outcome::Other(_) => {
            let text = format!("{should}; {} {} at {at} ({why})", report.step, report.outcome);
            if gives_up(report) {
                return (text, ChangesWhen::Admin);
            }
            (format!("{text}; it tries again by itself"), ChangesWhen::Contact)
        }
    }
}

/// What a report says of its own time. The agent says of a release that it could not start again that it "does NOT run";
/// what the computer says now stands in its drift, and that it was started since ends it there.
fn as_of_then(detail: &str, drift: Option<DriftKind>) -> String {
    match drift {
        Some(DriftKind::NotStarted) => detail.to_owned(),
        _ => detail.replace("does NOT run", "did not run then"),
    }
}

#[cfg(test)]
mod tests;
