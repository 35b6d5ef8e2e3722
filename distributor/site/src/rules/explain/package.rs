//! The sentence about one package on one computer, from what is known of it.
//!
//! Invariant: no half of a sentence says of the releases that are approved what the other half takes back: where something is
//! held back, nothing newer is said to be missing. A time stands beside the sentence that names it, and beside no other.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, PackageName};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::contact::{DriftKind, Postponed};
use sealpost_manifests::wire::report::Report;
use serde::{Deserialize, Serialize};

use super::contact::{AtLink, Comes};
use super::held::{ChangesWhen, Reason, Waits, tries_again_at, waits_there, waits_until};
use super::reports::reported;
use super::stopped::{gone, halted_newer, tries, who_stopped};
use crate::rules::approvals::Deferral;
use crate::rules::approvals::proposal::Proposal;
use crate::rules::assignment::{TellTo, Told};
use crate::rules::contact::ClientState;
use crate::rules::release::KnownRelease;
use crate::rules::rollouts::progress::Rollout;
use crate::rules::test_load::{self, TestLoad};
use crate::rules::text::escape;

/// How far a review has come.
#[derive(Debug, Clone, Copy)]
pub enum Reviewing<'a> {
    /// One person has approved it, and a second one has to.
    Second(&'a Proposal),
    /// The decision was put off.
    Deferred(&'a Deferral),
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
    /// The rollout of a release above what it has and should have, if that was stopped.
    pub halted: Option<&'a Rollout>,
    /// Rollouts that were stopped, among others: they say by whom.
    pub rollouts: &'a [Rollout],
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
    let Reason { text: rest, mut changes, mut at } = reason(view, now);
    let tries = view.tries.map(|stopped| tries(stopped, view.rollouts)).unwrap_or_default();
    let test = view.test.zip(view.waits_for_review).map(|(test, waits)| test_load::held(waits, test));
    let mut sentence = format!("{runs}{rest}{tries}{}", test.unwrap_or_default());
    let shown = view.held.as_ref().filter(|_| view.takes_part());
    match shown {
        Some(waits) => {
            sentence = format!("{sentence}; {waits}");
            at = waits.until(now).or(at);
            changes = waits.changes();
        }
        None => sentence.push_str(&stopped_newer(view).unwrap_or_default()),
    }
    let held = shown.map(|waits| waits.held.code().to_owned());
    Explanation { package: view.package.clone(), sentence, changes, changes_at: at, held }
}

impl PackageView<'_> {
    /// Whether the server tells it anything.
    fn takes_part(&self) -> bool {
        self.state == ClientState::Active && self.is_licensed
    }
}

/// Which release above what it has was stopped, and what that was to it.
fn stopped_newer(view: &PackageView<'_>) -> Option<String> {
    if !view.takes_part() || !view.covers {
        return None;
    }
    let met = |manifest| view.last_report.filter(|report| report.manifest == manifest);
    match (view.halted, view.gone) {
        // That it may be at work there is said already.
        (Some(halted), _) if view.tries.is_some_and(|tries| tries.manifest == halted.manifest) => None,
        (Some(halted), _) => Some(halted_newer(halted, met(halted.manifest), view.drift)),
        (None, Some(left)) if view.runs.is_none() && view.tries.is_none() => {
            met(left.manifest).map(|report| gone(left, report, view.rollouts))
        }
        (None, _) => None,
    }
}

fn reason(view: &PackageView<'_>, now: Timestamp) -> Reason {
    match view.state {
        ClientState::Reserved => {
            let text = "; it holds a seat and has not enrolled yet: carry its setup file to it";
            return Reason::new(text, ChangesWhen::Contact);
        }
        ClientState::Forked => {
            let text = "; two computers use its identity: see both with `distributor clients show NAME`, and say with `distributor clients \
                        resolve NAME --keep CONTACT` which one goes on";
            return Reason::new(text, ChangesWhen::Admin);
        }
        ClientState::Active => {}
    }
    if !view.is_licensed {
        let text = "; no grant for its seat is known here, so it is told nothing: run `distributor register` with its \
                    serial number";
        return Reason::new(text, ChangesWhen::Admin);
    }
    let Some(told) = &view.wanted else { return nothing_wanted(view) };
    let (wanted, manifest) = (&told.release.release, told.release.manifest);
    if view.runs.is_some_and(|(_, running)| running == manifest) {
        if view.drift.is_some() {
            return repair(view);
        }
        return match view.waits_for_review {
            Some(newer) => reviewed(format!(" as it should; {}", waits(newer, view.review)), view.review),
            None => Reason::new(" as it should", ChangesWhen::NewRelease),
        };
    }
    let should = match told.action {
        TellTo::Install => {
            let way = view.then.map(|newest| format!(", through which it passes on its way to {newest}"));
            format!(" and should run {}{}", wanted.version, way.unwrap_or_default())
        }
        TellTo::GoBackFrom(left) => {
            let stopped = who_stopped(left, view.rollouts);
            format!(", which {stopped}, and should go back to {}", wanted.version)
        }
    };
    let Some(last_contact) = view.last_contact else {
        return Reason::new(format!("{should}; {}", view.comes.never()), ChangesWhen::Contact);
    };
    match view.lease_until {
        None => {
            let text = "; it has no lease, because the grant lapsed before its first one: `distributor register SERIAL` renews it";
            return Reason::new(format!("{should}{text}"), ChangesWhen::Vendor);
        }
        Some(until) if until < now => {
            let text = format!("{should}; its lease ended at {until}, and its next contact brings a new one");
            return Reason::new(text, ChangesWhen::Contact);
        }
        Some(_) => {}
    }
    if let Some(silent) = view.comes.silent(last_contact, now) {
        return Reason::new(format!("{should}; {silent}"), ChangesWhen::Contact);
    }
    if view.assigned != Some((manifest, told.attempt)) {
        return Reason::new(format!("{should}; {}", view.comes.hears(last_contact)), ChangesWhen::Contact);
    }
    let of_attempt = |report: &&Report| report.manifest == manifest && report.attempt >= told.attempt;
    if let Some(at_link) = &view.at_link {
        let (text, changes) = at_link.sentence(now);
        return Reason::new(format!("{should}; {text}"), changes).at(Some(at_link.done_at(now)));
    }
    if let Some((text, changes)) = waits_there(told, view.last_report, view.postponed, now) {
        let until = waits_until(told, view.last_report, view.postponed, now);
        return Reason::new(format!("{should}; {text}"), changes).at(until);
    }
    match view.last_report.filter(of_attempt) {
        None => {
            Reason::new(format!("{should}; it was told so and has not reported yet"), ChangesWhen::Contact)
        }
        Some(report) => {
            let Reason { text, changes, at } =
                reported(report, view.name, view.drift, tries_again_at(told, view.postponed, now));
            Reason::new(format!("{should}; {text}"), changes).at(at)
        }
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

/// What waits for a person, until the decision is deferred no more.
fn reviewed(text: String, review: Option<Reviewing<'_>>) -> Reason {
    let until = review.and_then(|review| match review {
        Reviewing::Deferred(deferral) => Some(deferral.until),
        Reviewing::Second(_) => None,
    });
    Reason::new(text, ChangesWhen::Admin).at(until)
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

fn repair(view: &PackageView<'_>) -> Reason {
    if view.drift == Some(DriftKind::NotStarted) {
        let text =
            "; `agent-updater status` there says why, and `agent-updater check` there tries it again at once";
        return Reason::new(text, ChangesWhen::Contact);
    }
    let text = format!("; repair it there with `agent-updater repair {}`", view.package);
    Reason::new(text, ChangesWhen::Contact)
}

fn nothing_wanted(view: &PackageView<'_>) -> Reason {
    if view.drift == Some(DriftKind::NotStarted) {
        return repair(view);
    }
    if let Some(stopped) = view.stopped {
        let next = match view.waits_for_review {
            Some(release) => waits(release, view.review),
            // What is approved by now, and held back, is said next.
            None if view.held.is_some() => "it runs on".to_owned(),
            None if stopped.rollback => {
                "what it ran before is not known here, not kept there or was stopped too; it runs on until something newer is \
                 approved"
                    .to_owned()
            }
            None => "it runs on until something newer is approved".to_owned(),
        };
        let text = format!(", which {}; {next}", who_stopped(stopped, view.rollouts));
        return reviewed(text, view.review.filter(|_| view.waits_for_review.is_some()));
    }
    if view.drift.is_some() {
        return repair(view);
    }
    match view.waits_for_review {
        Some(release) => {
            let named = format!("{}:{}", release.package, release.version);
            let text = format!("; {}: see `distributor updates show {named}`", waits(release, view.review));
            reviewed(text, view.review)
        }
        None if !view.covers => Reason::new(
            "; its license does not cover the package, so it gets nothing of it",
            ChangesWhen::Vendor,
        ),
        // What is held back is approved.
        None if view.held.is_some() => Reason::new("", ChangesWhen::Admin),
        None if view.runs.is_some() => Reason::new("; no approved release is newer", ChangesWhen::NewRelease),
        None => {
            let was_stopped = view.halted.is_some() || view.gone.is_some();
            let changes = if was_stopped { ChangesWhen::Admin } else { ChangesWhen::NewRelease };
            Reason::new("; no release is approved for it", changes)
        }
    }
}
