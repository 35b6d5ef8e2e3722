//! The sentences about one computer: gathers what the ledger knows, and lets `domain::explain` say it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::ReleaseId;

use crate::domain::assignment::{Candidate, Target, wanted};
use crate::domain::explain::{PackageView, explain};
use crate::ports::ledger::{ClientRow, ReleaseRow, ReleaseState};

/// One sentence per package that concerns the computer, sorted by package.
pub(super) fn explanations(
    client: &ClientRow,
    releases: &[ReleaseRow],
    licensed: &[PackageName],
    now: Timestamp,
) -> Vec<String> {
    let wanted = wanted_by(client, releases, licensed);
    let waiting: Vec<&ReleaseRow> =
        releases.iter().filter(|row| row.state == ReleaseState::Staged && concerns(client, row)).collect();
    let mut packages: BTreeSet<&PackageName> = BTreeSet::new();
    packages.extend(client.installed.iter().map(|installed| installed.package()));
    packages.extend(client.assigned.iter().map(|(release, _)| &release.package));
    packages.extend(wanted.iter().map(|candidate| &candidate.release.package));
    packages.extend(waiting.iter().map(|row| &row.release.package));
    let sentence = |package: &PackageName| {
        let of = |release: &ReleaseId| release.package == *package;
        let view = PackageView {
            name: &client.name,
            state: client.state,
            last_contact: client.last_contact,
            lease_until: client.lease_until,
            package,
            runs: client
                .installed
                .iter()
                .find(|installed| installed.package() == package)
                .map(|installed| (&installed.release.version, installed.manifest)),
            assigned: client.assigned.iter().find(|(release, _)| of(release)).map(by_reference),
            wanted: wanted
                .iter()
                .find(|candidate| of(&candidate.release))
                .map(|candidate| (&candidate.release, candidate.manifest)),
            waits_for_review: waiting
                .iter()
                .filter(|row| of(&row.release))
                .max_by_key(|row| row.counter)
                .map(|row| &row.release),
            last_report: client.last_reports.iter().filter(|report| of(&report.release)).max_by_key(|r| r.id),
        };
        explain(&view, now).sentence
    };
    packages.into_iter().map(sentence).collect()
}

fn by_reference((release, manifest): &(ReleaseId, Sha256Digest)) -> (&ReleaseId, Sha256Digest) {
    (release, *manifest)
}

/// A computer that has not come yet counts as fitting: its platform is not known.
fn concerns(client: &ClientRow, row: &ReleaseRow) -> bool {
    let fits = client.platform.as_ref().is_none_or(|platform| row.release.platform.fits(platform));
    fits && row.channels.contains(&client.channel)
}

fn wanted_by(client: &ClientRow, releases: &[ReleaseRow], licensed: &[PackageName]) -> Vec<Candidate> {
    let Some(platform) = &client.platform else { return Vec::new() };
    let approved: Vec<Candidate> = releases
        .iter()
        .filter(|row| row.state == ReleaseState::Approved)
        .map(|row| Candidate {
            release: row.release.clone(),
            manifest: row.manifest,
            counter: row.counter,
            channels: row.channels.clone(),
            rollout: row.rollout.unwrap_or(0),
        })
        .collect();
    let target = Target { channel: &client.channel, platform, licensed, installed: &client.installed };
    wanted(&approved, &target)
}
