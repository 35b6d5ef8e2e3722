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
use sealpost_manifests::ids::{PackageName, Platform, SerialNumber};
use sealpost_manifests::version::Version;

mod contact;
mod held;
mod package;
mod reports;
mod stopped;
mod waits;

pub use self::contact::{AtLink, Comes};
pub use self::held::{ChangesWhen, Waits, waits_for};
pub use self::package::{Explanation, PackageView, Reviewing, explain};
use self::stopped::{halted, stopped};
pub use self::waits::{Heard, Rollouts, waits_of};
use crate::rows::ClientRow;
use crate::rules::assignment::{Choice, Computer, Licensed, Rolling, Told, Undoing, admitted, told, wanted};
use crate::rules::leaving::is_under_way;
use crate::rules::release::KnownRelease;
use crate::rules::rollouts::delivery::Delivery;
use crate::rules::rollouts::groups::{Attributes, GroupName};
use crate::rules::rollouts::plan::{Asker, LiveCounts, Plan};
use crate::rules::rollouts::progress::Rollout;
use crate::rules::rollouts::share::{self, Salt};
use crate::rules::test_load::TestLoad;

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
    /// Live rollouts, as far as they are, and those whose release is halted or withdrawn.
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
        licensed.covers(package) && halted(client, &facts.rollouts, &facts.voided, package, &should).is_some()
    }));
    packages.extend(choices.iter().map(|choice| &choice.newest.release.package));
    packages
        .into_iter()
        .map(|package| {
            let choice = choices.iter().find(|choice| choice.newest.release.package == *package);
            let held = choice.and_then(|choice| Waits::of(choice, &client.installed, &facts.rollouts));
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
        halted: halted(client, &facts.rollouts, &facts.voided, package, should),
        rollouts: &facts.rollouts,
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

/// How far the review of a release has come, if it has begun.
fn review_of(facts: &ExplainFacts, manifest: Sha256Digest, now: Timestamp) -> Option<Reviewing<'_>> {
    let approvals = &facts.plan.approvals;
    let second = approvals.waiting_approval(manifest, now).map(Reviewing::Second);
    second.or_else(|| approvals.deferred(manifest, now).map(Reviewing::Deferred))
}

#[cfg(test)]
mod tests;
