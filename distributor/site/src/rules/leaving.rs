//! How the computers that run a stopped release come away from it: asked of every computer by the same function as at its
//! contact.
//!
//! Left out on purpose: the agent's own bounds of a rollback. A computer that is told to go back may still refuse, and
//! reports it.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::assignment::Action;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, Platform};
use sealpost_manifests::wire::report::{InstallStep, Outcome, Report};

use crate::rows::{RecipientRow, TryingRow};
use crate::rules::assignment::{Computer, TellTo, Told, Undoing, told_in_the_end};
use crate::rules::release::KnownRelease;

/// Names that are kept of each group; the counts are always whole.
pub const MAX_NAMED: usize = 100;

/// Some computers: the first names, and how many they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The first [`MAX_NAMED`] of them.
    pub names: Vec<ComputerName>,
    /// How many they are.
    pub count: u64,
}

impl Named {
    /// One more.
    pub fn add(&mut self, name: &ComputerName) {
        self.count += 1;
        if self.names.len() < MAX_NAMED {
            self.names.push(name.clone());
        }
    }
}

/// The computers that run a release, by what leads them away from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runners {
    /// What they ran before is known here and was not stopped: a halt with a rollback tells them to go back to it.
    pub can_go_back: Named,
    /// A newer release is approved for them: they are told to install it, with or without a rollback.
    pub updating: Named,
    /// Nothing leads them away: they run it until something newer is approved.
    pub cannot_go_back: Named,
    /// They do not say that they run it, and may try it: they were told to install it and did not say how that ended.
    pub trying: Named,
}

/// The computers that may try each of these releases, by manifest.
#[derive(Debug, Default)]
pub struct Tried {
    /// Releases that nobody tries are left out.
    pub by_manifest: BTreeMap<Sha256Digest, Named>,
}

impl Tried {
    /// Takes in a computer.
    pub fn add(&mut self, row: &TryingRow) {
        let told = row.told.iter().map(|told| told.manifest);
        let manifests: BTreeSet<_> =
            told.chain(row.last_reports.iter().map(|report| report.manifest)).collect();
        for manifest in manifests.into_iter().filter(|manifest| tries(row, *manifest)) {
            self.by_manifest.entry(manifest).or_default().add(&row.name);
        }
    }
}

/// Whether a computer that does not say that it runs a release may try it.
fn tries(row: &TryingRow, manifest: Sha256Digest) -> bool {
    let told = row.told.iter().find(|told| told.manifest == manifest && told.action == Action::Install);
    let report = row.last_reports.iter().find(|report| report.manifest == manifest);
    match (told, report) {
        (Some(told), Some(report)) => {
            is_under_way(report) || !(has_ended(report) && report.attempt >= told.attempt)
        }
        (Some(_), None) => true,
        (None, Some(report)) => is_under_way(report),
        (None, None) => false,
    }
}

/// Whether an install ends with what is reported, well or not.
fn has_ended(report: &Report) -> bool {
    report.outcome != Outcome::Ok || matches!(report.step, InstallStep::Keep | InstallStep::RollBack)
}

/// Whether the release of a report may run although its computer was not told so any more. A product that was not stopped yet is
/// left as it is; a release of the agent is started once it is prepared.
#[must_use]
pub fn is_under_way(report: &Report) -> bool {
    let begun = matches!(
        report.step,
        InstallStep::Stop | InstallStep::Switch | InstallStep::Start | InstallStep::Health
    );
    !has_ended(report) && (begun || report.release.package.is_agent())
}

/// What leads a computer away from a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Back to the one of this manifest.
    Back(Sha256Digest),
    Newer,
    None,
}

/// Judges, for the releases of one moment, what leads a computer away from one of them.
#[derive(Debug)]
pub struct Leaving<'a> {
    approved: &'a [KnownRelease],
    /// All releases that a computer may have run before.
    known: &'a [KnownRelease],
    voided: &'a BTreeSet<Sha256Digest>,
}

impl<'a> Leaving<'a> {
    /// `known` are all releases of all packages; `voided` are those above a counter that the vendor reset.
    #[must_use]
    pub const fn new(
        approved: &'a [KnownRelease],
        known: &'a [KnownRelease],
        voided: &'a BTreeSet<Sha256Digest>,
    ) -> Self {
        Self { approved, known, voided }
    }

    /// Puts a computer into its group, if it runs `left`.
    pub fn add(&self, left: &KnownRelease, row: &RecipientRow, runners: &mut Runners) {
        if !row.installed.iter().any(|runs| runs.manifest == left.manifest) {
            return;
        }
        match self.way(left, row) {
            Way::Back(_) => runners.can_go_back.add(&row.name),
            Way::Newer => runners.updating.add(&row.name),
            Way::None => runners.cannot_go_back.add(&row.name),
        }
    }

    /// Whether a computer is told to go back to `release` from one that was halted with a rollback.
    #[must_use]
    pub fn goes_back_to(&self, release: Sha256Digest, row: &RecipientRow) -> bool {
        let runs = |left: &&KnownRelease| row.installed.iter().any(|runs| runs.manifest == left.manifest);
        let mut left = self.known.iter().filter(|left| left.rollback).filter(runs);
        left.any(|left| self.way(left, row) == Way::Back(release))
    }

    /// What leads a computer away from what it runs.
    fn way(&self, left: &KnownRelease, row: &RecipientRow) -> Way {
        let (licensed, anywhere) = (row.licensed(), Platform::any());
        let computer = Computer {
            channel: &row.channel,
            platform: row.platform.as_ref().unwrap_or(&anywhere),
            licensed: &licensed,
            installed: &row.installed,
            before: &row.before,
            voided: self.voided,
        };
        let attempts = BTreeMap::new();
        let undoing = Undoing {
            left: std::slice::from_ref(left),
            kept: self.known,
            attempts: &attempts,
            back: &attempts,
        };
        let all = told_in_the_end(self.approved, &undoing, &computer);
        let of_package = |told: &&Told<'_>| told.release.release.package == left.release.package;
        match all.iter().find(of_package).map(|told| (told.action, told.release.manifest)) {
            Some((TellTo::GoBackFrom(_), manifest)) => Way::Back(manifest),
            Some((TellTo::Install, _)) => Way::Newer,
            None => Way::None,
        }
    }
}
