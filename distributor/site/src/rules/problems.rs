//! What is wrong with the site: for how many, since when, and the command to type next. One room computes it, and whatever
//! shows it (`status`, the metrics, `status --check`) asks here.
//!
//! Invariant: it is made of plain facts, each gathered once; the most urgent stands first, and what is as urgent keeps the
//! order of the rooms below. Left out on purpose: where the facts come from, and what the parts of a server that know
//! themselves best found wrong with themselves, which comes in as `found`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::ReleaseId;

use crate::rows::{
    ComputersRow, FailingRow, FleetRow, LicenseRow, LogForkRow, PullRow, RefusalRow, RefusedGrantRow,
    ReleaseRow,
};
use crate::rules::edits::{self, Edits};
use crate::rules::expiries::Expiry;
use crate::rules::leaving::{Named, Runners};
use crate::rules::restore::RestoreState;
use crate::rules::rollouts::progress::Rollout;
use crate::rules::text::{counted, more_than};
use crate::rules::warnings::{Unit, Warning, WarningCode, log_forks, refused_grants, restored, warnings};
use crate::rules::{attention, drift, troubles};

/// Bytes of a mebibyte.
const MIB: u64 = 1024 * 1024;
/// Files that a sentence names.
const MAX_NAMED_FILES: usize = 3;

/// What is known of a site at one time.
#[derive(Debug)]
pub struct Facts {
    /// Everything that ends, the soonest first.
    pub expiries: Vec<Expiry>,
    /// Every serial number.
    pub licenses: Vec<LicenseRow>,
    /// Stored grants that do not verify.
    pub refused_grants: Vec<RefusedGrantRow>,
    /// The last pull.
    pub pull: PullRow,
    /// Where the ledger stands after restores.
    pub restore: RestoreState,
    /// Computers whose witnessed heads of the log do not fit each other.
    pub forks: Vec<LogForkRow>,
    /// Releases that are staged, approved, halted or withdrawn.
    pub releases: Vec<ReleaseRow>,
    /// Rollouts that have not ended.
    pub rollouts: Vec<Rollout>,
    /// Who runs what was stopped, or may try it.
    pub runners: BTreeMap<Sha256Digest, Runners>,
    /// The vendor's channels; empty when that is not known.
    pub channels: BTreeSet<ChannelName>,
    /// Who follows which channel.
    pub followers: BTreeMap<ChannelName, Named>,
    /// Whose packages are not as they were signed.
    pub drifted: ComputersRow,
    /// On whose computers a product could not be started.
    pub not_started: ComputersRow,
    /// Who fails.
    pub failing: FailingRow,
    /// How the computers stand.
    pub fleet: FleetRow,
    /// The newest refusals, the newest first.
    pub refusals: Vec<RefusalRow>,
    /// Clients that hold a stream now.
    pub connected: u64,
    /// When the server began to listen.
    pub started: Timestamp,
    /// What is stored.
    pub stored: Stored,
    /// A newer version of the server that the vendor offers.
    pub newer: Option<Newer>,
    /// What the server found of its own ledger.
    pub edits: Edits,
    /// What parts of the server found wrong with themselves.
    pub found: Vec<Warning>,
}

/// The stored files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Names of needed files that are damaged or missing.
    pub missing: Vec<String>,
    /// Since when some are.
    pub missing_since: Option<Timestamp>,
    /// Free bytes of the disk, and those that are kept free; `None` until it was looked at.
    pub room: Option<Room>,
}

/// The room on the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What is free.
    pub free_bytes: u64,
    /// What payloads leave free.
    pub keep_free_bytes: u64,
}

/// A newer version of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// Its release.
    pub release: ReleaseId,
    /// `approved` or `staged`.
    pub state: String,
    /// Where its payload lies, if it is stored.
    pub payload: Option<String>,
}

/// Everything that is wrong at this time, the most urgent first.
#[must_use]
pub fn problems(facts: Facts, now: Timestamp) -> Vec<Warning> {
    let Facts { pull, restore, releases, fleet, stored, .. } = &facts;
    let mut said = warnings(&facts.expiries, &facts.licenses, pull, now);
    said.extend(edits::warnings(&facts.edits, &facts.licenses));
    said.extend(refused_grants(&facts.refused_grants));
    said.extend(restored(restore, &facts.licenses, now));
    said.extend(log_forks(&facts.forks));
    said.extend(drift::stopped(&facts.not_started));
    said.extend(drift::warning(&facts.drifted));
    said.extend(attention::warnings(releases, &facts.runners));
    said.extend(attention::left_channels(&facts.channels, &facts.followers));
    said.extend(troubles::failing(releases, &facts.failing, now));
    said.extend(troubles::halted(&facts.rollouts, releases));
    said.extend(troubles::waiting(&facts.rollouts, now));
    said.extend(troubles::refused(&facts.refusals, now));
    said.extend(troubles::nobody(fleet, facts.connected, facts.started, now));
    said.extend(troubles::of_the_fleet(fleet));
    said.extend(troubles::rising(&facts.refusals, now));
    // A backup has no payloads.
    let is_after_a_restore = restore
        .restored
        .as_ref()
        .is_some_and(|restored| pull.metadata_as_of.is_none_or(|fresh| fresh < restored.at));
    said.extend(damaged(stored, is_after_a_restore));
    said.extend(stored.room.and_then(full));
    said.extend(facts.newer.as_ref().map(announced));
    said.extend(facts.found);
    // There is a license then, and only what is said of its grant helps.
    if !facts.refused_grants.is_empty() {
        said.retain(|warning| warning.code != WarningCode::NoLicense);
    }
    // The restore is the ledger's caution then, and no registration helps.
    if facts.edits.damage.is_some() {
        said.retain(|warning| warning.code != WarningCode::LedgerRestored);
    }
    said.sort_by_key(|warning| Reverse(warning.level));
    said
}

fn damaged(stored: &Stored, is_after_a_restore: bool) -> Option<Warning> {
    let missing = &stored.missing;
    if missing.is_empty() {
        return None;
    }
    let count = missing.len() as u64;
    let why = if is_after_a_restore { "expected after a restore" } else { "check the disk" };
    let said = format!(
        "{} damaged or missing ({}): {why}; `distributor pull` fetches what the vendor still has",
        counted(count, "stored file is", "stored files are"),
        more_than(MAX_NAMED_FILES, missing, count),
    );
    let said = Warning::new(WarningCode::FilesDamaged, said).of(count, Unit::Files, missing);
    Some(said.since(stored.missing_since))
}

fn full(room: Room) -> Option<Warning> {
    let Room { free_bytes, keep_free_bytes } = room;
    (free_bytes < keep_free_bytes).then(|| {
        let said = format!(
            "the disk has {} MiB free, and `limits.keep_free_mib` keeps {}: no payload is fetched; make room, or run \
             `distributor storage clean`",
            free_bytes / MIB,
            keep_free_bytes / MIB
        );
        Warning::new(WarningCode::DiskFull, said)
    })
}

fn announced(newer: &Newer) -> Warning {
    let Newer { release, state, payload } = newer;
    let look = format!("distributor updates show {}:{}", release.package, release.version);
    let next = match payload {
        Some(payload) if state == "approved" => format!("its program is in {payload}"),
        _ => format!("look at it with `{look}`"),
    };
    let said = format!("version {} of this server is {state}: {next}", release.version);
    Warning::new(WarningCode::ServerNewer, said).next(look)
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::ComputerName;

    use super::*;
    use crate::rules::expiries::Level;
    use crate::rules::grants::GrantFlaw;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A site of which nothing is known.
    fn nothing() -> Facts {
        Facts {
            expiries: Vec::new(),
            licenses: Vec::new(),
            refused_grants: Vec::new(),
            pull: PullRow::default(),
            restore: RestoreState::default(),
            forks: Vec::new(),
            releases: Vec::new(),
            rollouts: Vec::new(),
            runners: BTreeMap::new(),
            channels: BTreeSet::new(),
            followers: BTreeMap::new(),
            drifted: ComputersRow::default(),
            not_started: ComputersRow::default(),
            failing: FailingRow::default(),
            fleet: FleetRow::default(),
            refusals: Vec::new(),
            connected: 0,
            started: at(0),
            stored: Stored::default(),
            newer: None,
            edits: Edits::default(),
            found: Vec::new(),
        }
    }

    #[test]
    fn the_most_urgent_stands_first_and_says_how_many_since_when_and_what_to_type() {
        let mut forked = ComputersRow::default();
        (1..=7).for_each(|number| forked.add(ComputerName::new(format!("pc-{number}")).unwrap(), None));
        let stored = Stored {
            missing: (1..=4).map(|number| format!("file-{number}")).collect(),
            missing_since: Some(at(50)),
            room: Some(Room { free_bytes: MIB, keep_free_bytes: 2 * MIB }),
        };
        let failing = FailingRow { forked, ..FailingRow::default() };
        let said = problems(Facts { failing, stored, ..nothing() }, at(100));
        let codes: Vec<&str> = said.iter().map(|warning| warning.code.as_str()).collect();
        assert_eq!(codes, ["clients_forked", "disk_full", "files_damaged", "no_license", "never_pulled"]);
        assert!(said.is_sorted_by_key(|warning| Reverse(warning.level)));
        let forked = &said[0];
        assert_eq!((forked.level, forked.count.unwrap().number, forked.names.len()), (Level::Urgent, 7, 7));
        assert!(forked.message.contains("(pc-1, pc-2, pc-3, pc-4, pc-5 and 2 more)"), "{}", forked.message);
        assert_eq!(forked.next.as_deref(), Some("distributor clients show pc-1"));
        let damaged = &said[2];
        assert_eq!((damaged.count.unwrap().unit, damaged.since), (Unit::Files, Some(at(50))));
        assert!(damaged.message.contains("(file-1, file-2, file-3 and 1 more)"), "{}", damaged.message);
        assert_eq!(damaged.next.as_deref(), Some("distributor pull"));
    }

    #[test]
    fn a_license_whose_grant_does_not_count_is_not_called_none() {
        let codes = |facts| {
            let said = problems(facts, at(100)).into_iter();
            said.map(|warning| warning.code.as_str()).collect::<Vec<_>>()
        };
        let serial = "ABCDE-FGHJK-MNPQR-STVWX".to_owned();
        let refused_grants = vec![RefusedGrantRow { serial, flaw: GrantFlaw::NoTrust }];
        assert_eq!(codes(Facts { refused_grants, ..nothing() }), ["grant_refused", "never_pulled"]);
        assert_eq!(codes(nothing()), ["no_license", "never_pulled"]);
    }
}
