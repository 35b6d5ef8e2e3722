//! What the log alone says of what computers run, and ran before: for a ledger that is rebuilt from its log.
//!
//! What a computer runs is a note, and a rebuild has no notes. But each install is reported, and reports are chained: the
//! release that was kept last is what the computer runs, and the one that was kept before it is where a halt can lead it
//! back to. Without that a halt after a rebuild would lead nobody back until each computer had installed something again.
//! Invariant: of one computer and package a release takes the place of another only by a report that it is kept, or
//! that a person there went back; it is forgotten as the one before when it is reported as not kept.
//! Left out on purpose: what no report in the log speaks of, such as a release that was installed before the computer
//! enrolled here. The next contact says what runs; what ran before that stays unknown.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, PackageName, Platform};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};

use super::activity::Change;
use super::note::Note;
use crate::rules::reports::ReportEffect;

/// Collects the changes of a log, in order.
#[derive(Debug, Default)]
pub struct Installs {
    releases: BTreeMap<Sha256Digest, InstalledPackage>,
    clients: BTreeMap<ClientId, Client>,
}

#[derive(Debug)]
struct Client {
    platform: Platform,
    agent_version: String,
    packages: BTreeMap<PackageName, Ran>,
}

/// Manifests of one package on one computer.
#[derive(Debug, Clone, Copy)]
struct Ran {
    runs: Sha256Digest,
    before: Option<Sha256Digest>,
}

impl Installs {
    /// Takes the next change.
    pub fn take(&mut self, change: &Change) {
        match change {
            Change::ReleaseStaged { release, manifest, kind, counter, .. } => {
                let package = InstalledPackage {
                    release: release.clone(),
                    kind: *kind,
                    counter: *counter,
                    manifest: *manifest,
                };
                self.releases.insert(*manifest, package);
            }
            Change::ClientEnrolled { client_id, platform, agent_version, replaces, .. } => {
                if let Some(replaced) = replaces {
                    self.clients.remove(replaced);
                }
                self.clients.insert(client_id.clone(), Client::new(platform, agent_version));
            }
            Change::ClientResumed { client_id, recreated: Some(recreated), .. } => {
                if let Some(replaced) = &recreated.replaces {
                    self.clients.remove(replaced);
                }
                let new = || Client::new(&recreated.platform, &recreated.agent_version);
                self.clients.entry(client_id.clone()).or_insert_with(new);
            }
            // How many packages a computer may report about is bounded by what is listed.
            Change::StepReported { client_id, report, effect, .. } if *effect != ReportEffect::Unlisted => {
                if let Some(client) = self.clients.get_mut(client_id) {
                    client.reported(report);
                }
            }
            _ => {}
        }
    }

    /// What the computers would have said of themselves, as far as the log knows: of these clients, and of those only
    /// that reported an install.
    #[must_use]
    pub fn notes(self, clients: &BTreeSet<ClientId>) -> Vec<Note> {
        let Self { releases, clients: known } = self;
        let find = |manifest: Sha256Digest| releases.get(&manifest).cloned();
        let mut notes = Vec::new();
        for (client_id, Client { platform, agent_version, packages }) in known {
            let installed: Vec<_> = packages.values().filter_map(|ran| find(ran.runs)).collect();
            if installed.is_empty() || !clients.contains(&client_id) {
                continue;
            }
            notes.push(Note::ClientSeen {
                client_id,
                platform,
                agent_version,
                instance: None,
                hostname: None,
                installed,
                before: packages.values().filter_map(|ran| find(ran.before?)).collect(),
                tags: Vec::new(),
                postponed: Vec::new(),
                came_by: None,
            });
        }
        notes
    }
}

impl Client {
    fn new(platform: &Platform, agent_version: &str) -> Self {
        Self {
            platform: platform.clone(),
            agent_version: agent_version.to_owned(),
            packages: BTreeMap::new(),
        }
    }

    fn reported(&mut self, report: &Report) {
        if report.reason == ReasonCode::NotKept {
            let ran = self.packages.get_mut(&report.release.package);
            if let Some(ran) = ran.filter(|ran| ran.before == Some(report.manifest)) {
                ran.before = None;
            }
        }
        if report.outcome != Outcome::Ok {
            return;
        }
        let (package, manifest) = (&report.release.package, report.manifest);
        let ran = self.packages.get(package).copied();
        let now = match (report.step, ran) {
            (InstallStep::Keep, None) => Ran { runs: manifest, before: None },
            (InstallStep::Keep, Some(ran)) if ran.runs != manifest => {
                Ran { runs: manifest, before: Some(ran.runs) }
            }
            // A person at the computer went back. What was not kept and gives way by itself never ran here.
            (InstallStep::RollBack, Some(Ran { runs, before: Some(before) }))
                if runs == manifest && report.reason == ReasonCode::AskedLocally =>
            {
                Ran { runs: before, before: Some(runs) }
            }
            _ => return,
        };
        self.packages.insert(package.clone(), now);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_keys::{KeyId, PublicKey, SealingPublicKey};
    use sealpost_manifests::ids::{ComputerName, SetupId};
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;
    use crate::changes::EnrolledBy;

    fn id(number: u8) -> ClientId {
        ClientId::from_random([number; 16])
    }

    fn release(version: u64) -> (ReleaseId, Sha256Digest) {
        let id = ReleaseId {
            package: PackageName::new("av").unwrap(),
            version: Version::new(version.to_string()).unwrap(),
            platform: Platform::any(),
        };
        (id, Sha256Digest::of(&version.to_be_bytes()))
    }

    fn staged(version: u64) -> Change {
        let (release, manifest) = release(version);
        Change::ReleaseStaged {
            release,
            manifest,
            kind: PackageKind::Program,
            counter: ReleaseCounter(version),
            severity: Severity::Normal,
            channels: Vec::new(),
            signer: PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]),
            payload_bytes: 1,
            mandatory: false,
        }
    }

    fn enrolled(client: u8, replaces: Option<u8>) -> Change {
        Change::ClientEnrolled {
            client_id: id(client),
            name: ComputerName::new("pc-1").unwrap(),
            client_key: PublicKey::new(KeyId::from_bytes([2; 8]), [2; 32]),
            sealing_key: SealingPublicKey::from_bytes([3; 32]),
            platform: Platform::any(),
            agent_version: "1.0".to_owned(),
            setup: SetupId::from_random([client; 16]),
            replaces: replaces.map(id),
            last_contact: None,
            by: EnrolledBy::Code,
        }
    }

    fn reported(version: u64, step: InstallStep, outcome: Outcome, reason: ReasonCode) -> Change {
        let (release, manifest) = release(version);
        let report = Report {
            id: 1,
            at: Timestamp::UNIX_EPOCH,
            release,
            manifest,
            rollout: 1,
            attempt: 1,
            step,
            outcome,
            reason,
            detail: String::new(),
            ring: None,
            way: None,
            bytes: None,
            duration_ms: None,
        };
        Change::StepReported { client_id: id(1), report, effect: ReportEffect::Progress, delivery: None }
    }

    fn kept(version: u64) -> Change {
        reported(version, InstallStep::Keep, Outcome::Ok, ReasonCode::Done)
    }

    /// What runs, and what ran before, by counter.
    fn said(changes: &[Change]) -> Vec<(Vec<u64>, Vec<u64>)> {
        let mut installs = Installs::default();
        [staged(1), staged(2), staged(3)].iter().chain(changes).for_each(|change| installs.take(change));
        let counters = |packages: &[InstalledPackage]| packages.iter().map(|one| one.counter.0).collect();
        let notes = installs.notes(&BTreeSet::from([id(1)]));
        let counted = notes.iter().map(|note| match note {
            Note::ClientSeen { installed, before, .. } => (counters(installed), counters(before)),
            other => panic!("{other:?}"),
        });
        counted.collect()
    }

    #[test]
    fn what_was_kept_last_runs_and_what_was_kept_before_it_is_the_way_back() {
        assert!(said(&[enrolled(1, None)]).is_empty(), "nothing is known");
        assert_eq!(said(&[enrolled(1, None), kept(1)]), [(vec![1], vec![])]);
        assert_eq!(said(&[enrolled(1, None), kept(1), kept(2), kept(2)]), [(vec![2], vec![1])]);
        let asked = |reason| reported(2, InstallStep::RollBack, Outcome::Ok, reason);
        let by_site = [enrolled(1, None), kept(1), kept(2), asked(ReasonCode::AskedBySite), kept(1)];
        assert_eq!(said(&by_site), [(vec![1], vec![2])]);
        let by_person = [enrolled(1, None), kept(1), kept(2), asked(ReasonCode::AskedLocally)];
        assert_eq!(said(&by_person), [(vec![1], vec![2])]);
        let gone = |version| reported(version, InstallStep::Check, Outcome::Refused, ReasonCode::NotKept);
        assert_eq!(said(&[enrolled(1, None), kept(1), kept(2), gone(1)]), [(vec![2], vec![])]);
        assert_eq!(said(&[enrolled(1, None), kept(1), kept(2), gone(3)]), [(vec![2], vec![1])]);
    }

    #[test]
    fn what_was_not_kept_never_ran() {
        let failed = reported(3, InstallStep::Health, Outcome::Failed, ReasonCode::HookFailed);
        let back = reported(3, InstallStep::RollBack, Outcome::Ok, ReasonCode::HookFailed);
        assert_eq!(said(&[enrolled(1, None), kept(1), kept(2), failed, back]), [(vec![2], vec![1])]);
        assert!(said(&[enrolled(1, None), kept(9)]).is_empty(), "it was never staged here");
    }

    #[test]
    fn a_client_that_was_replaced_says_nothing_for_the_one_that_follows() {
        assert!(said(&[enrolled(1, None), kept(1), kept(2), enrolled(2, Some(1))]).is_empty());
    }
}
