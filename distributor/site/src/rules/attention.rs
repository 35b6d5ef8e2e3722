//! Releases that want a person's attention: stopped ones that still run somewhere, and approved ones that a further
//! channel points to.

use sealpost_manifests::ids::ChannelName;

use crate::rows::ReleaseRow;
use crate::rules::release::{ReleaseState, unapproved};
use crate::rules::text::{counted, escape};

/// One sentence for each, in the order in which the releases come. `releases` are those that are staged, approved, halted
/// or withdrawn.
#[must_use]
pub fn warnings(releases: &[ReleaseRow]) -> Vec<String> {
    releases.iter().filter_map(|row| stopped(row).or_else(|| waiting(row, releases))).collect()
}

fn stopped(row: &ReleaseRow) -> Option<String> {
    if row.installed == 0 {
        return None;
    }
    let (what, next) = match (row.state, row.rollback) {
        (ReleaseState::Withdrawn, false) => ("the vendor withdrew it", how_back(row)),
        (ReleaseState::Halted, false) => ("it was halted here", how_back(row)),
        (ReleaseState::Withdrawn | ReleaseState::Halted, true) => ("they are told to go back", String::new()),
        _ => return None,
    };
    let run = counted(row.installed, "computer runs", "computers run");
    let why = row.reason.as_deref().map(|reason| format!(" ({})", escape(reason))).unwrap_or_default();
    Some(format!("{run} {}, and {what}{why}{next}", row.release))
}

fn how_back(row: &ReleaseRow) -> String {
    let (package, version) = (&row.release.package, &row.release.version);
    format!(
        ": approve a newer release, or run `distributor updates halt {package}:{version} --reason TEXT --rollback`"
    )
}

/// Channels that point to an approved release, that nobody approved it for, and that no newer release is in by now.
fn waiting(row: &ReleaseRow, releases: &[ReleaseRow]) -> Option<String> {
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
    Some(format!(
        "{} is approved for {}, and the vendor points {} to it too: look at it again with `distributor updates show \
         {package}:{version}`, and approve it there or leave it",
        row.release,
        approved.join(", "),
        waits.join(", "),
    ))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::{PackageName, Platform};
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
            deltas: Vec::new(),
        }
    }

    #[test]
    fn a_stopped_release_is_warned_of_while_a_computer_runs_it() {
        let halted = ReleaseRow {
            installed: 2,
            reason: Some("it crashes".to_owned()),
            ..row(1, ReleaseState::Halted, &["stable"], &["stable"])
        };
        let said = warnings(std::slice::from_ref(&halted)).remove(0);
        assert!(said.starts_with("2 computers run av 1.0") && said.contains("(it crashes)"), "{said}");
        assert!(said.contains("`distributor updates halt av:1.0 --reason TEXT --rollback`"), "{said}");
        let back = ReleaseRow { rollback: true, ..halted.clone() };
        assert!(warnings(&[back]).remove(0).contains("told to go back"));
        let withdrawn = ReleaseRow { state: ReleaseState::Withdrawn, installed: 1, ..halted.clone() };
        assert!(
            warnings(&[withdrawn])
                .remove(0)
                .starts_with("1 computer runs av 1.0 (any), and the vendor withdrew")
        );
        let nobody = ReleaseRow { installed: 0, ..halted };
        assert!(warnings(&[nobody]).is_empty());
    }

    #[test]
    fn a_channel_that_waits_for_a_decision_is_named_until_the_vendor_moves_on() {
        let moved = row(2, ReleaseState::Approved, &["beta", "stable"], &["beta"]);
        let said = warnings(std::slice::from_ref(&moved)).remove(0);
        assert!(said.contains("approved for beta, and the vendor points stable to it too"), "{said}");
        let newer = row(3, ReleaseState::Staged, &["stable"], &[]);
        assert!(warnings(&[moved, newer]).is_empty());
        assert!(warnings(&[row(1, ReleaseState::Approved, &["stable"], &["stable"])]).is_empty());
    }
}
