//! What a computer is told, with the answer to its contact, about why it does not run a release yet.
//!
//! Invariant: a sentence is made by the functions that [`explain_client`](super::explain_client) is made of, from the decision
//! that the contact made anyway, and stands in what that says word by word. Everything is bounded, so that an answer without
//! news stays small. Left out on purpose: what the computer knows itself (what it reported, that it has no lease), and what only
//! an admin can look at (reviews, test-loads).

use jiff::Timestamp;
use sealpost_manifests::wire::contact::{
    InstalledPackage, MAX_WAITS, MAX_WAITS_SENTENCE_BYTES, Postponed, PostponedBy, WaitsFor,
};
use sealpost_manifests::wire::report::Report;
use sealpost_manifests::word::Word;

use super::held::{Waits, put_off, waits_there, waits_until};
use crate::rules::assignment::{Choice, Told};
use crate::rules::rollouts::gate::Held;
use crate::rules::rollouts::plan::{LiveRings, Plan, RolloutNow};
use crate::rules::text::at_most;

/// Longest entries of one answer together, in bytes as they are sent: with them, an answer without news stays within 2 KiB.
const MAX_BYTES: usize = 1000;
/// No entry is shorter than this, in bytes.
const LEAST_BYTES: usize = 100;

/// What a contact says of its computer, as far as sentences need it.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// What it runs.
    pub installed: &'a [InstalledPackage],
    /// What it reports.
    pub reports: &'a [Report],
    /// What is put off there.
    pub postponed: &'a [Postponed],
}

/// How far the rollouts are.
#[derive(Debug, Clone, Copy)]
pub struct Rollouts<'a> {
    /// Settings and rollouts.
    pub plan: &'a Plan,
    /// How far their rings are.
    pub live: &'a LiveRings,
}

/// Why a computer does not run what it may have, sorted by package: what is held back from it, and what it was told and waits
/// for its time.
#[must_use]
pub fn waits_of(
    choices: &[Choice<'_>],
    told: &[Told<'_>],
    heard: &Heard<'_>,
    rollouts: &Rollouts<'_>,
    now: Timestamp,
) -> Vec<WaitsFor> {
    let mut room = MAX_BYTES;
    let mut said = Vec::new();
    for choice in choices {
        // A contact says this each time: no sentence is made that could not be sent.
        if room < LEAST_BYTES || said.len() == MAX_WAITS {
            break;
        }
        let Some(waits) = of_package(choice, told, heard, rollouts, now) else { continue };
        // With the comma between two of them.
        let length = waits.sent_bytes().saturating_add(1);
        if length <= room {
            room -= length;
            said.push(waits);
        }
    }
    said
}

fn of_package(
    choice: &Choice<'_>,
    told: &[Told<'_>],
    heard: &Heard<'_>,
    rollouts: &Rollouts<'_>,
    now: Timestamp,
) -> Option<WaitsFor> {
    let newest = choice.newest;
    let package = &newest.release.package;
    let runs = |told: &&Told<'_>| heard.installed.iter().any(|runs| runs.manifest == told.release.manifest);
    let told = told.iter().find(|told| told.release.release.package == *package).filter(|told| !runs(told));
    let report = heard.reports.iter().filter(|report| report.release.package == *package);
    let report = report.max_by_key(|report| report.id);
    let postponed = heard.postponed.iter().find(|postponed| postponed.package == *package);
    let there = told.and_then(|told| Some((told, waits_there(told, report, postponed, now)?.0)));
    let numbered = choice.held.as_ref().and_then(Waits::rollout_of);
    let now_there = numbered.and_then(|number| rollouts.plan.rollout_now(number, rollouts.live));
    let rollout = now_there.as_deref().map(|there| &there.rollout);
    let held = Waits::of(choice, heard.installed, rollout.map_or(&[], std::slice::from_ref));
    let code = match (&held, &there) {
        (Some(held), _) => Word::known(held.held.code()),
        (None, Some((told, _))) => code_there(told, postponed, now),
        (None, None) => return None,
    };
    let until = held.as_ref().and_then(|held| held.until(now));
    let until =
        until.or_else(|| there.as_ref().and_then(|(told, _)| waits_until(told, report, postponed, now)));
    let held = held.map(|held| in_words(&held, now_there.as_deref()));
    let mut sentence = match (there, held) {
        (Some((_, there)), Some(held)) => format!("{there}; {held}"),
        (Some((_, words)), None) | (None, Some(words)) => words,
        (None, None) => return None,
    };
    let version = newest.release.version.clone();
    sentence.truncate(at_most(&sentence, MAX_WAITS_SENTENCE_BYTES).len());
    Some(WaitsFor { package: package.clone(), version, code, sentence, until })
}

/// The words of what is held back. Those of a ring that has not opened are the same for all who wait in it.
fn in_words(waits: &Waits<'_>, rollout: Option<&RolloutNow>) -> String {
    match (&waits.held, rollout) {
        (Held::Ring { ring, .. }, Some(now)) => {
            [&waits.lead(), &*now.said(*ring, || waits.why().to_string())].concat()
        }
        _ => waits.to_string(),
    }
}

/// What a computer that was told waits for, by the codes that its own status has.
fn code_there(told: &Told<'_>, postponed: Option<&Postponed>, now: Timestamp) -> Word {
    Word::known(match put_off(told, postponed, now).map(|put_off| put_off.by) {
        Some(PostponedBy::Person) => "postponed_by_person",
        Some(PostponedBy::Link) => "waits_for_link",
        Some(PostponedBy::Product) => "not_ready",
        // What a later agent calls it.
        Some(PostponedBy::Other(by)) => return by,
        Some(PostponedBy::BackOff) | None => match told.schedule.install_from {
            Some(opens) if opens > now => "waits_for_window",
            _ => "waits_for_person",
        },
    })
}
