//! Releases that want a person's attention: stopped ones that still run somewhere, and approved ones that a further
//! channel points to. And channels that computers follow and the vendor does not have.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;

use crate::rows::ReleaseRow;
use crate::rules::account::Actor;
use crate::rules::leaving::{Named, Runners};
use crate::rules::release::{ReleaseState, unapproved};
use crate::rules::text::{counted, escape, first_names};
use crate::rules::warnings::{Unit, Warning, WarningCode};

/// One for each, in the order in which the releases come. `releases` are those that are staged, approved, halted
/// or withdrawn; `runners` are the computers that run those that were stopped.
#[must_use]
pub fn warnings(releases: &[ReleaseRow], runners: &BTreeMap<Sha256Digest, Runners>) -> Vec<Warning> {
    let nobody = Runners::default();
    let of = |row: &ReleaseRow| runners.get(&row.manifest).unwrap_or(&nobody);
    releases.iter().filter_map(|row| stopped(row, of(row)).or_else(|| waiting(row, releases))).collect()
}

/// Whether a release was stopped: whose runners, and who may try it, [`warnings`] wants to know.
#[must_use]
pub const fn is_stopped(row: &ReleaseRow) -> bool {
    matches!(row.state, ReleaseState::Halted | ReleaseState::Withdrawn)
}

fn stopped(row: &ReleaseRow, runners: &Runners) -> Option<Warning> {
    let trying = &runners.trying;
    if !is_stopped(row) || (row.installed == 0 && trying.count == 0) {
        return None;
    }
    let what = match row.state {
        ReleaseState::Withdrawn => "the vendor withdrew",
        _ => "was halted here",
    };
    let run = match row.installed {
        0 => counted(trying.count, "computer may try", "computers may try"),
        installed => counted(installed, "computer runs", "computers run"),
    };
    let why = row.reason.as_deref().map(|reason| format!(" ({})", escape(reason))).unwrap_or_default();
    let why = why + &halted_too(row);
    let mut next = leave(row, runners);
    if trying.count > 0 {
        next.push(format!(
            "{} told to install it and did not say how that ended ({}): see `distributor clients show NAME`",
            counted(trying.count, "was", "were"),
            first_names(&trying.names, trying.count)
        ));
    }
    let next = if next.is_empty() { "approve a newer release".to_owned() } else { next.join("; ") };
    let said = format!("{run} {}, which {what}{why}: {next}", row.release);
    let Runners { can_go_back, updating, cannot_go_back, trying } = runners;
    let groups = match row.installed {
        0 => vec![trying],
        _ => vec![cannot_go_back, can_go_back, updating],
    };
    let names: Vec<_> = groups.into_iter().flat_map(|group| &group.names).collect();
    let count = if row.installed == 0 { trying.count } else { row.installed };
    let since = row.decided.as_ref().filter(|_| row.state == ReleaseState::Halted).map(|decided| decided.at);
    let said = Warning::new(WarningCode::ReleaseAttention, said);
    // A command that is typed elsewhere is no next one here.
    let look = format!("distributor updates show {}:{}", row.release.package, row.release.version);
    let next = said.next.clone().filter(|next| next.starts_with("distributor ")).unwrap_or(look);
    Some(said.next(next).of(count, Unit::Computers, &names).since(since))
}

/// Who told computers here to leave what the vendor withdrew, and why: each reason stands with its author.
fn halted_too(row: &ReleaseRow) -> String {
    let decided = row.decided.as_ref().filter(|_| row.state == ReleaseState::Withdrawn && row.rollback);
    match decided.map(|decided| (&decided.actor, decided.comment.as_deref())) {
        Some((Actor::Admin { account }, Some(why))) => {
            format!(" and {} halted ({})", escape(&account.id), escape(why))
        }
        _ => String::new(),
    }
}

/// What leads them away from it, and what a person has to do for the others.
fn leave(row: &ReleaseRow, runners: &Runners) -> Vec<String> {
    let Runners { can_go_back, updating, cannot_go_back, trying: _ } = runners;
    let (package, version) = (&row.release.package, &row.release.version);
    let mut parts = Vec::new();
    if updating.count > 0 {
        let told = counted(updating.count, "is", "are");
        parts.push(format!("{told} told to install a newer release"));
    }
    if can_go_back.count > 0 && row.rollback {
        parts.push(format!("{} told to go back", counted(can_go_back.count, "is", "are")));
    }
    if can_go_back.count > 0 && !row.rollback {
        let can = counted(can_go_back.count, "goes", "go");
        parts.push(format!(
            "{can} back if you run `distributor updates halt {package}:{version} --reason TEXT --rollback`"
        ));
    }
    if cannot_go_back.count > 0 {
        let has = counted(cannot_go_back.count, "has", "have");
        // Below every release of the agent is the packaged program, which is none: only a person there goes back to it.
        let by_hand = match package.is_agent() {
            true => ", or go back to the packaged program with `agent-updater rollback agent-updater` there",
            false => "",
        };
        let (runs, them) = if cannot_go_back.count == 1 { ("runs", "it") } else { ("run", "them") };
        parts.push(format!(
            "{has} nothing to go back to and {runs} on ({}): approve a newer release for {them}{by_hand}",
            first_names(&cannot_go_back.names, cannot_go_back.count)
        ));
    }
    parts
}

/// One for each channel that computers follow and the vendor has no more. Before the vendor has any channel
/// nothing is said.
#[must_use]
pub fn left_channels(
    offered: &BTreeSet<ChannelName>,
    followers: &BTreeMap<ChannelName, Named>,
) -> Vec<Warning> {
    let left = followers.iter().filter(|(channel, _)| !offered.is_empty() && !offered.contains(*channel));
    left.map(|(channel, who)| {
        let follow = counted(who.count, "computer follows", "computers follow");
        let them = if who.count == 1 { "it" } else { "them" };
        let said = format!(
            "{follow} the channel {channel}, which the vendor does not have ({}): nothing new comes to {them}; the vendor \
             has {}: `distributor clients channel NAME CHANNEL` moves {them}",
            first_names(&who.names, who.count),
            offered.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")
        );
        Warning::new(WarningCode::ChannelLeft, said).of(who.count, Unit::Computers, &who.names)
    })
    .collect()
}

/// Channels that point to an approved release, that nobody approved it for, and that no newer release is in by now.
fn waiting(row: &ReleaseRow, releases: &[ReleaseRow]) -> Option<Warning> {
    if row.state != ReleaseState::Approved {
        return None;
    }
    let moved_on = |channel: &ChannelName| {
        releases.iter().any(|newer| {
            newer.release.package == row.release.package
                && newer.counter > row.counter
                && newer.channels.contains(channel)
                && matches!(newer.state, ReleaseState::Staged | ReleaseState::Approved)
        })
    };
    let waits = unapproved(&row.channels, &row.approved_for).filter(|channel| !moved_on(channel));
    let waits: Vec<&str> = waits.map(AsRef::as_ref).collect();
    if waits.is_empty() {
        return None;
    }
    let (package, version, approved) = (&row.release.package, &row.release.version, &row.approved_for);
    let approved: Vec<&str> = approved.iter().map(AsRef::as_ref).collect();
    let said = format!(
        "{} is approved for {}, and the vendor points {} to it too: look at it again with `distributor updates show \
         {package}:{version}`, and approve it there or leave it",
        row.release,
        approved.join(", "),
        waits.join(", "),
    );
    Some(Warning::new(WarningCode::ReleaseAttention, said))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_manifests::ids::{ComputerName, PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;

    fn row(counter: u64, state: ReleaseState, channels: &[&str], approved_for: &[&str]) -> ReleaseRow {
        let names = |names: &[&str]| names.iter().map(|name| ChannelName::new(name).unwrap()).collect();
        ReleaseRow {
            release: ReleaseId {
                package: PackageName::new("av").unwrap(),
                version: Version::new(format!("{counter}.0")).unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(&counter.to_le_bytes()),
            kind: PackageKind::Program,
            counter: ReleaseCounter(counter),
            severity: Severity::Normal,
            state,
            channels: names(channels),
            approved_for: names(approved_for),
            rollback: false,
            attempt: 1,
            signer: None,
            payload_bytes: 0,
            staged_at: Timestamp::UNIX_EPOCH,
            decided: None,
            reason: None,
            rollout: None,
            voided: false,
            assigned: 0,
            installed: 0,
            failed: 0,
            test_load: None,
            deltas: Vec::new(),
        }
    }

    fn named(names: &[&str]) -> Named {
        let names: Vec<_> = names.iter().map(|name| ComputerName::new(*name).unwrap()).collect();
        Named { count: names.len() as u64, names }
    }

    fn said(row: &ReleaseRow, runners: Runners) -> Option<String> {
        warnings(std::slice::from_ref(row), &BTreeMap::from([(row.manifest, runners)]))
            .pop()
            .map(|said| said.message)
    }

    #[test]
    fn a_stopped_release_is_warned_of_while_a_computer_runs_it() {
        let halted = ReleaseRow {
            installed: 2,
            reason: Some("it crashes".to_owned()),
            ..row(1, ReleaseState::Halted, &["stable"], &["stable"])
        };
        let both = || Runners { can_go_back: named(&["pc-1", "pc-2"]), ..Runners::default() };
        let text = said(&halted, both()).unwrap();
        assert!(
            text.starts_with("2 computers run av 1.0 (any), which was halted here (it crashes): "),
            "{text}"
        );
        assert!(text.contains("`distributor updates halt av:1.0 --reason TEXT --rollback`"), "{text}");
        let back = ReleaseRow { rollback: true, ..halted.clone() };
        assert!(said(&back, both()).unwrap().ends_with(": 2 are told to go back"));
        let withdrawn = ReleaseRow { state: ReleaseState::Withdrawn, installed: 1, ..halted.clone() };
        let text = said(&withdrawn, Runners { updating: named(&["pc-1"]), ..Runners::default() }).unwrap();
        let words = "1 computer runs av 1.0 (any), which the vendor withdrew (it crashes): 1 is told to install a newer release";
        assert_eq!(text, words);
        assert_eq!(said(&ReleaseRow { installed: 0, ..halted }, Runners::default()), None);
    }

    #[test]
    fn who_may_try_a_stopped_release_is_named_also_where_nobody_runs_it() {
        let halted = ReleaseRow {
            reason: Some("it hangs".to_owned()),
            ..row(1, ReleaseState::Halted, &["stable"], &["stable"])
        };
        let trying = || Runners { trying: named(&["pc-6"]), ..Runners::default() };
        let told = "1 was told to install it and did not say how that ended (pc-6): see `distributor clients show NAME`";
        let text = said(&halted, trying()).unwrap();
        assert_eq!(
            text,
            format!("1 computer may try av 1.0 (any), which was halted here (it hangs): {told}")
        );
        let agent = PackageName::new("agent-updater").unwrap();
        let agent = ReleaseRow {
            installed: 1,
            release: ReleaseId { package: agent, ..halted.release.clone() },
            ..halted.clone()
        };
        let text = said(&agent, Runners { cannot_go_back: named(&["pc-1"]), ..Runners::default() }).unwrap();
        assert!(text.ends_with("with `agent-updater rollback agent-updater` there"), "{text}");
        let both = Runners { updating: named(&["pc-1"]), ..trying() };
        let text = said(&ReleaseRow { installed: 1, ..halted }, both).unwrap();
        assert!(text.starts_with("1 computer runs av 1.0") && text.ends_with(told), "{text}");
    }

    #[test]
    fn who_has_nothing_to_go_back_to_is_named_and_not_promised_a_rollback() {
        let halted = ReleaseRow {
            installed: 3,
            rollback: true,
            ..row(1, ReleaseState::Halted, &["stable"], &["stable"])
        };
        let runners = Runners {
            can_go_back: named(&["pc-1"]),
            cannot_go_back: named(&["pc-2", "pc-3"]),
            ..Runners::default()
        };
        let text = said(&halted, runners.clone()).unwrap();
        assert!(text.contains("1 is told to go back; 2 have nothing to go back to"), "{text}");
        assert!(text.contains("(pc-2, pc-3): approve a newer release for them"), "{text}");
        let only = Runners { can_go_back: Named::default(), ..runners };
        for rollback in [true, false] {
            let text = said(&ReleaseRow { rollback, installed: 2, ..halted.clone() }, only.clone()).unwrap();
            assert!(!text.contains("told to go back") && !text.contains("--rollback"), "{text}");
            assert!(text.contains("approve a newer release"), "{text}");
        }
    }

    #[test]
    fn who_follows_a_channel_that_the_vendor_does_not_have_is_named() {
        let channel = |name: &str| ChannelName::new(name).unwrap();
        let followers =
            BTreeMap::from([(channel("beta"), named(&["pc-1"])), (channel("stable"), named(&["pc-2"]))]);
        let said = left_channels(&BTreeSet::from([channel("stable")]), &followers);
        assert_eq!(said.len(), 1, "{said:?}");
        let said = &said[0].message;
        assert!(said.starts_with("1 computer follows the channel beta"), "{said}");
        assert!(said.contains("(pc-1)") && said.contains("the vendor has stable"), "{said}");
        assert!(left_channels(&BTreeSet::new(), &followers).is_empty(), "nothing was pulled yet");
    }

    #[test]
    fn a_channel_that_waits_for_a_decision_is_named_until_the_vendor_moves_on() {
        let moved = row(2, ReleaseState::Approved, &["beta", "stable"], &["beta"]);
        let said = warnings(std::slice::from_ref(&moved), &BTreeMap::new()).remove(0).message;
        assert!(said.contains("approved for beta, and the vendor points stable to it too"), "{said}");
        let newer = row(3, ReleaseState::Staged, &["stable"], &[]);
        assert!(warnings(&[moved, newer], &BTreeMap::new()).is_empty());
        let decided = row(1, ReleaseState::Approved, &["stable"], &["stable"]);
        assert!(warnings(&[decided], &BTreeMap::new()).is_empty());
    }
}
